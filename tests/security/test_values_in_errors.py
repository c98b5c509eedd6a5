"""Errors of databases say what is wrong, and quote no value of a row: it may be one that nobody may see."""

from pathlib import Path

import duckdb
import pytest

from storymesh.product.dbt_messages import explain_dbt_error
from storymesh.redaction import HIDDEN, hide_values


@pytest.mark.parametrize(
    ("message", "hidden", "kept"),
    [
        ('invalid input syntax for type integer: "CZ12"', "CZ12", "type integer"),
        ('invalid input syntax for type date: "a "quoted" CZ12"', "CZ12", "type date"),
        ('value "CZ12" is out of range for type integer', "CZ12", "out of range for type integer"),
        ('date/time field value out of range: "CZ12"', "CZ12", "out of range"),
        ('invalid input value for enum kind: "CZ12"', "CZ12", "enum kind"),
        ("Key (iban)=(CZ12) already exists.", "CZ12", "Key (iban)"),
        ("Failing row contains (CZ12, (a), 3).", "CZ12", "Failing row"),
        ("Incorrect integer value: 'CZ12' for column 'iban' at row 1", "CZ12", "for column 'iban'"),
        ("Duplicate entry 'it''s CZ12' for key 'PRIMARY'", "CZ12", "for key 'PRIMARY'"),
        ("Truncated incorrect DOUBLE value: 'CZ12'", "CZ12", "incorrect DOUBLE value"),
    ],
)
def test_values_are_hidden(message: str, hidden: str, kept: str) -> None:
    found = hide_values(message)
    assert hidden not in found and HIDDEN in found and kept in found


@pytest.mark.parametrize(
    "message",
    [
        'column "iban" does not exist',
        'Referenced column "iban" not found in FROM clause! Candidate bindings: "account", "bic"',
        'relation "bank.tx" does not exist',
        'syntax error at or near "selct"',
        "Unknown column 'iban' in 'field list'",
        "there is no column 'remedy' (did you mean 'cure'?)",
        'password authentication failed for user "reader"',
        "Table 'books.tx' doesn't exist",
    ],
)
def test_names_are_not(message: str) -> None:
    assert hide_values(message) == message


CSV = "'{}', delim = ';', header = true"
LATE = "".join(f"{number};2024-01-01;CZ{number}\n" for number in range(21_000))  # more than DuckDB looks at beforehand


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("select 'it''s ''CZ12'' or' :: integer", "to INT32"),
        ("select x :: date from (values ('CZ12')) t(x)", "when casting from source column x"),
        ("select strptime(x, '%d.%m.%Y') from (values ('31.02.2024 CZ12')) t(x)", "is no time of the format %d.%m.%Y"),
        ("select '{a: CZ12' :: struct(a integer)", "can't be cast to the destination type STRUCT(a INTEGER)"),
        ("select '{CZ12' :: json", "Malformed JSON at byte 1"),
        ("select x :: tinyint from (values (712345)) t(x)", "out of range for the destination type INT8"),
        ("from read_json('rows.jsonl', columns = {a: 'integer'})", "in file rows.jsonl, in line 2"),
        (
            f"from read_csv({CSV.format('typed.csv')})",
            "line 21,002 of typed.csv has a value in the column id that is no",
        ),
        (f"from read_csv({CSV.format('long.csv')}, all_varchar = true)", "line 21,002 of long.csv has 4 fields, 3 are"),
        (f"from read_csv({CSV.format('latin.csv')})", "line 21,002 of latin.csv is not UTF-8"),
        (f"from read_csv({CSV.format('ragged.csv')})", "ragged.csv: line 3 has 2 fields, 3 are wanted"),
    ],
)
def test_duckdb_says_through_dbt_where_it_is_and_no_value(
    query: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    head = "id;at;iban\n"
    for name, text in {
        "rows.jsonl": '{"a": 1}\n{"a": "CZ12"}\n',
        "typed.csv": f"{head}{LATE}x;2024-01-01;CZ12\n",
        "long.csv": f"{head}{LATE}7;2024-01-01;CZ12;CZ12\n",
        "latin.csv": f"{head}{LATE}7;2024-01-01;CZ12 J\xfcrgen\n",
        "ragged.csv": f"{head}7;2024-01-01;CZ12\n8;CZ12\n9;2024-01-02;CZ12\n",
    }.items():
        Path(name).write_bytes(text.encode("latin-1"))
    with pytest.raises(duckdb.Error) as raised:
        duckdb.sql(query).fetchall()
    said = explain_dbt_error(f"Runtime Error in model a (models/a.sql)\n  {raised.value}", tmp_path)
    assert "CZ12" not in said and "712345" not in said
    assert said.startswith("Runtime Error: ") and kept in said
