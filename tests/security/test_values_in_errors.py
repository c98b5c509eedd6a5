"""Errors of databases say what is wrong, and quote no value of a row: it may be one that nobody may see."""

import pytest

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
