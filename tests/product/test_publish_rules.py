"""The rules of a contract at publishing: which hold rows back, which the whole snapshot, and which only warn."""

import json
from pathlib import Path
from typing import Any

import pytest

from storymesh.contract.checks import checks_of
from storymesh.errors import DefinitionErrors
from storymesh.product.publish import PublicationRefused
from tests.product.conftest import Desk, a_row, good_rows

GX = "{type: custom, engine: greatExpectations, implementation: IMPLEMENTATION}"
MOSTLY_CLOSURES = json.dumps({
    "expectation_type": "expect_column_values_to_be_in_set",
    "kwargs": {"column": "code", "value_set": ["C"], "mostly": 0.9},
})  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [
        "{metric: rowCount, mustBeGreaterThan: 5}",
        "{metric: duplicateValues, arguments: {properties: [code, hours]}, mustBeLessThan: 1}",
        "{type: sql, query: 'select count(*) from ${table} where code = ''W''', mustBeLessThan: 2}",
        "{type: sql, query: 'select bool_and(hours > 0) from {object}', mustBe: true}",
        GX.replace("IMPLEMENTATION", "{type: expect_column_mean_to_be_between, kwargs: {column: hours, minValue: 90}}"),
        GX.replace("IMPLEMENTATION", f"'{MOSTLY_CLOSURES}'"),
    ],
)
def test_a_failed_rule_about_the_table_stops_the_publication(rule: str, desk: Desk) -> None:
    rows = [a_row(0, hours=0), a_row(1, hours=0)]
    first = desk.publish(good_rows(1)).snapshot
    desk.quality = f"[{rule}]"
    with pytest.raises(PublicationRefused, match="is held back"):
        desk.publish(rows)
    assert desk.store.latest_snapshot("delays") == first
    desk.quality = f"[{rule[:-1]}, severity: warning}}]"
    done = desk.publish(rows)
    assert done.rows_out == 2
    assert [check.severity for check in done.checks if not check.passed] == ["warning"]


def test_metrics_of_properties_count_rows_or_percent(desk: Desk) -> None:
    desk.properties = """\
      - name: note
        logicalType: string
        quality:
          - {name: nulls, metric: nullValues, mustBe: 1}
          - {name: share, metric: nullValues, mustBe: 25, unit: percent}
          - {name: missing, metric: missingValues, arguments: {missingValues: [null, 'n/a']}, mustBe: 2}
          - {name: invalid, metric: invalidValues, arguments: {pattern: '^[a-z]$'}, mustBe: 1}
          - {name: twice, metric: duplicateValues, mustBeBetween: [0, 1]}
          - {name: sql, type: sql, query: 'select max(length({property})) from {object}', mustBeLessOrEqualTo: 3}
"""
    done = desk.publish([a_row(n, note=note) for n, note in enumerate(["a", "a", "n/a", None])])
    observed = {check.name: (check.passed, check.observed) for check in done.checks if check.kind == "table"}
    assert observed == {
        "nulls": (True, 1),
        "share": (True, 25.0),
        "missing": (True, 2),
        "invalid": (True, 1),
        "twice": (True, 1),
        "sql": (True, 3),
    }


def test_a_metric_that_must_be_zero_quarantines_the_rows_that_it_counts(desk: Desk) -> None:
    desk.quality = "[{name: pairs, metric: duplicateValues, arguments: {properties: [note, hours]}, mustBe: 0}]"
    desk.properties = """\
      - name: note
        logicalType: string
        quality:
          - {name: nulls, metric: nullValues, mustBe: 0}
          - {name: missing, metric: missingValues, arguments: {missingValues: ['n/a', "it's"]}, mustBe: 0}
          - {name: letters, metric: invalidValues, arguments: {pattern: '^[a-z]'}, mustBe: 0, unit: percent}
          - {name: known, metric: invalidValues, arguments: {validValues: [a, b, d, n/a, "it's", 7]}, mustBe: 0}
          - {name: once, metric: duplicateValues, mustBe: 0, severity: warning}
      - name: level
        logicalType: integer
        quality:
          - {name: levels, metric: invalidValues, arguments: {validValues: [1, 2.0], pattern: '^1|^3'}, mustBe: 0}
"""
    notes = ["a", "b", "d", None, "n/a", "it's", "7", "d", "d"]
    levels = [1, None, 2, 3, 1, 1, 1, 1, 1]
    rows = [a_row(n, note=note, level=level) for n, (note, level) in enumerate(zip(notes, levels, strict=True))]
    rows[-1]["hours"] = rows[-2]["hours"]
    desk.limit = 1.0
    done = desk.publish(rows)
    assert done.quarantined == {
        "levels: level": 2,
        "missing: note": 2,
        "pairs: note, hours": 2,
        "letters: note": 1,
        "nulls: note": 1,
    }
    assert [row["id"] for row in desk.published()] == ["d0", "d1"]
    assert [check.name for check in done.checks if not check.passed and check.severity == "warning"] == ["once"]


def test_a_row_level_expectation_quarantines_rows(desk: Desk) -> None:
    desk.quality = """
      - name: cost pays for hours
        type: custom
        engine: greatExpectations
        implementation:
          type: expect_column_pair_values_a_to_be_greater_than_b
          kwargs: {column_A: hours, column_B: floor, or_equal: true}"""
    desk.properties = "      - {name: floor, logicalType: integer}\n"
    done = desk.publish([a_row(n, floor=floor) for n, floor in enumerate([0, 2, 9, 1])])
    assert dict(done.quarantined) == {"cost pays for hours: hours, floor": 1}


def test_rules_of_the_standard_run_without_great_expectations(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storymesh.contract.audit.run_expectations", None)
    desk.limit = 1.0
    desk.properties = """\
      - {name: berths, logicalType: array, unique: true, items: {logicalType: string}}
      - {name: note, logicalType: string, logicalTypeOptions: {pattern: '^[a-z]'}}
"""
    berths, notes = [["a", "b"], ["b", "a"], ["a", "b"], None, None], ["x", "x", "x", "7", None]
    rows = [a_row(n, berths=berths[n], note=notes[n]) for n in range(5)]
    done = desk.publish([*rows, a_row(1, berths=["c"], code="X"), a_row(6, id=None, berths=["d"])])
    assert dict(done.quarantined) == {
        "primaryKey: id": 2,
        "unique: berths": 2,
        "enum: code": 1,
        "pattern: note": 1,
        "required: id": 1,
    }


@pytest.mark.parametrize(
    ("implementation", "words"),
    [
        ("{type: expect_column_maen_to_be_between}", "did you mean 'expect_column_mean_to_be_between'?"),
        ("{type: expect_table_row_count_to_be_between, kwargs: {min: 3}}", "no argument 'min' that may be given"),
        ("{type: expect_column_mean_to_be_between, kwargs: {column: nope, min_value: 1}}", "no property"),
    ],
)
def test_an_expectation_that_cannot_run_is_a_finding_in_the_contract(
    implementation: str, words: str, desk: Desk
) -> None:
    desk.quality = f"[{{type: custom, engine: greatExpectations, implementation: {implementation}}}]"
    with pytest.raises(DefinitionErrors) as raised:
        desk.publish(good_rows(2))
    assert words in str(raised.value)
    assert str(raised.value).startswith("contracts/shipping/delays.odcs.yaml:11:")


@pytest.mark.parametrize(
    ("implementation", "problem"),
    [
        ("{type: expect_table_column_count_to_equal, kwargs: {value: 5}}", None),
        ("{type: expect_table_columns_to_match_set, kwargs: {column_set: [id, at]}}", "is held back"),
        ("{type: expect_column_max_to_be_between, kwargs: {column: hours, max_value: 1}}", "is held back"),
    ],
)
def test_an_expectation_sees_all_columns_of_the_table(implementation: str, problem: str | None, desk: Desk) -> None:
    desk.quality = f"[{GX.replace('IMPLEMENTATION', implementation)}]"
    if problem is None:
        assert desk.publish(good_rows(3)).rows_out == 3
    else:
        with pytest.raises(PublicationRefused, match=problem):
            desk.publish([*good_rows(3), a_row(4, hours=4)])


def test_a_number_that_is_not_finite_quarantines_its_row(desk: Desk) -> None:
    desk.properties = """\
      - {name: level, logicalType: number, logicalTypeOptions: {minimum: 0, maximum: 9}}
      - {name: share, logicalType: number, required: true}
"""
    nan, infinite = float("nan"), float("inf")
    levels, shares = [nan, 1.0, infinite, None], [1.0, nan, 2.0, infinite]
    desk.limit = 1.0
    done = desk.publish([a_row(n, level=levels[n], share=shares[n]) for n in range(4)])
    assert dict(done.quarantined) == {"type: level": 2, "type: share": 2}


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from read_csv(''/etc/passwd'')",
        "select count(*) from ''/etc/passwd''",
        "select content from read_text(''/etc/hostname'')",
        "attach ''/tmp/x.db'' as x",
        "copy (select 1) to ''/tmp/x.csv''",
        "install httpfs",
        "set enable_external_access = true",
        "select 1; select 2",
        "select * from {object}",
        "select getenv(''HOME'') from nowhere",
    ],
)
def test_a_sql_rule_can_read_only_the_staged_rows(query: str, desk: Desk) -> None:
    desk.quality = f"[{{type: sql, query: '{query}', mustBeGreaterThan: -1}}]"
    with pytest.raises(PublicationRefused, match="the query did not run"):
        desk.publish(good_rows(2))


def test_rules_for_texts_and_ranges_of_timestamps(desk: Desk) -> None:
    desk.limit = 1
    desk.properties = """\
      - {name: mail, logicalType: string, logicalTypeOptions: {format: email, maxLength: 12}}
      - {name: ip, logicalType: string, logicalTypeOptions: {format: ipv4}}
      - {name: day, logicalType: date, logicalTypeOptions: {minimum: "2024-01-01"}}
      - {name: nr, logicalType: string, unique: true}
"""
    fine: dict[str, Any] = {"mail": "a@b.example", "ip": "10.0.0.255", "day": "2024-01-01", "nr": None}
    bad: list[dict[str, Any]] = [
        {"mail": "nobody"},
        {"mail": "longer@than.twelve"},
        {"ip": "10.0.0.256"},
        {"day": "2023-12-31"},
        {"day": "2024-01-01T10:00:00"},
        {"nr": "x"},
        {"nr": "x"},
    ]
    rows = [a_row(n, **(fine | change)) for n, change in enumerate([{}, {}, *bad])]
    done = desk.publish(rows)
    assert dict(done.quarantined) == {
        "unique: nr": 2,
        "format: ip": 1,
        "format: mail": 1,
        "length: mail": 1,
        "range: day": 1,
        "type: day": 1,
    }
    assert done.rows_out == 2


def test_rules_for_values_of_every_type(desk: Desk) -> None:
    desk.limit = 1
    desk.properties = """\
      - {name: share, logicalType: number, physicalType: "decimal(6,3)", enum: [{value: 0.125}, {value: 1.5}]}
      - {name: ratio, logicalType: number, physicalType: double, enum: [{value: 0.1}, {value: 2}]}
      - {name: day, logicalType: date, enum: [{value: "2024-02-29"}]}
      - {name: hour, logicalType: time, enum: [{value: "09:30:00"}]}
      - {name: size, logicalType: integer, logicalTypeOptions: {format: u8}}
      - {name: nick, logicalType: string, logicalTypeOptions: {minLength: 2, maxLength: 3}}
"""
    fine: dict[str, Any] = {"share": 1.5, "ratio": 0.1, "day": "2024-02-29", "hour": "09:30", "size": 255, "nick": "ab"}
    bad = {"share": 1.25, "ratio": 0.25, "day": "2024-02-28", "hour": "09:31", "size": 256, "nick": "abcd"}
    rows = [a_row(n, **fine | change) for n, change in enumerate([{}, *({name: bad[name]} for name in bad)])]
    done = desk.publish(rows)
    rules = {"share": "enum", "ratio": "enum", "day": "enum", "hour": "enum", "size": "format", "nick": "length"}
    assert dict(done.quarantined) == {f"{rule}: {name}": 1 for name, rule in rules.items()}
    words = {check.words for check in checks_of(desk.contract())}
    assert {"size fits u8", "nick has 2 to 3 characters"} <= words


def test_freshness_only_warns(desk: Desk) -> None:
    contract = desk.contract()
    path = desk.root / contract.document.path
    text = path.read_text() + "slaProperties: [{property: freshness, value: 1, unit: h}]\n"
    desk.contract = lambda: _rewritten(path, text, desk)  # type: ignore[method-assign]
    done = desk.publish(good_rows(2))
    (late,) = [check for check in done.checks if not check.passed]
    assert (late.name, late.severity, done.rows_out) == ("freshness", "warning", 2)
    assert [words.partition(": met ")[0] for words in done.warnings()] == [late.words]


def _rewritten(path: Path, text: str, desk: Desk) -> Any:
    from storymesh.contract.read import read_contract

    path.write_text(text)
    return read_contract(path, desk.root)
