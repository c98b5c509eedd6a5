"""What other snapshots of the same products make of the cases and of the release: rows that go, come late or move."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.stages import write_cases, write_precedents, write_records
from storymesh.errors import StorymeshError
from storymesh.release.catalog import Release
from storymesh.release.write import write_release
from tests.support.small_build import build_of
from tests.support.small_mesh import Product, Row

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: late-calls
version: 1.0.0
title: Late calls
owner: lab
license: cc-by-4.0
cast: {call: mesh.calls@1, ship: mesh.ships@1, note: mesh.notes@1}
case:
  anchor: call
  at: call.at
  closes: call.over
  links:
    ship: {on: {ship: call.ship}, expect: one}
    note: {on: {ship: call.ship}, within: {after: -1d, before: 0d}, expect: any}
  outcome: {action: call.act, score: call.gain, worked: call.gain > 0}
  precedents: {match: [[call.ship]], min: 1, quote: 1}
records:
  report: {format: messages, user: report.jinja, assistant: report.jinja}
"""
REPORT = "{{ call.call }} of {{ ship.ship }}: {{ note | length }} notes, {{ precedents.tried }} before\n"
CALLS = {"call": "string", "ship": "string", "at": "timestamp", "over": "timestamp", "act": "string", "gain": "integer"}
PRODUCTS = {
    "call": Product(
        "calls",
        CALLS,
        ("call",),
        "at",
        required=("at", "ship", "call"),
        known_of=dict.fromkeys(("act", "gain"), "over"),
    ),
    "ship": Product("ships", {"ship": "string", "flag": "string"}, ("ship",), timeless=True),
    "note": Product("notes", {"id": "string", "ship": "string", "said": "timestamp"}, event="said"),
}
DAY = timedelta(days=1)
FIRST = datetime(2024, 3, 1, 12)
Rows = Mapping[str, Sequence[Row]]


def rows() -> dict[str, list[Row]]:
    calls = [
        {"call": f"c{n}", "ship": f"s{n % 2}", "at": FIRST + n * DAY, "over": FIRST + n * DAY + DAY / 4}
        | {"act": "tow" if n % 3 else "wait", "gain": n % 4}
        for n in range(8)
    ]
    notes = [{"id": f"n{n}", "ship": f"s{n % 2}", "said": FIRST + n * DAY / 2} for n in range(16)]
    return {"call": calls, "ship": [{"ship": "s0", "flag": "NO"}, {"ship": "s1", "flag": "DK"}], "note": notes}


def told(root: Path, given: Rows, version: str) -> tuple[Build, Release]:
    build = build_of(root, NARRATIVE, REPORT, PRODUCTS, given, version)
    write_cases(build)
    write_precedents(build)
    write_records(build, "report")
    return build, write_release(build)


def texts(release: Release) -> dict[str, str]:
    import pyarrow.parquet as pq

    found = [row for path in sorted(release.path.rglob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["case_id"]: row["messages"][0]["content"] for row in found}


def test_a_row_that_was_taken_back_takes_its_case_along_and_leaves_the_earlier_release(tmp_path: Path) -> None:
    given = rows()
    _, first = told(tmp_path, given, "v1")
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    assert set(texts(first)) == {f"c{n}" for n in range(8)}

    fewer = {**given, "call": [row for row in given["call"] if row["call"] != "c2"]}
    _, second = told(tmp_path, fewer, "v2")
    assert set(texts(second)) == {f"c{n}" for n in range(8)} - {"c2"}
    assert texts(first)["c4"].endswith("2 before") and texts(second)["c4"].endswith("1 before")
    assert {path: path.read_bytes() for path in before} == before

    late = {**given, "note": [*given["note"], {"id": "late", "ship": "s0", "said": FIRST - DAY / 2}]}
    _, third = told(tmp_path, late, "v3")
    changed = {name for name, text in texts(third).items() if text != texts(first)[name]}
    assert changed == {"c0"}, "a row that came late is in the questions that knew it by their moment"
    assert second.digest != first.digest != third.digest


def test_the_order_of_rows_and_the_future_change_no_question(tmp_path: Path) -> None:
    given = rows()
    _, first = told(tmp_path / "a", given, "v1")
    turned = {role: list(reversed(some)) for role, some in given.items()}
    _, again = told(tmp_path / "b", turned, "v1")
    assert again.digest == first.digest

    ahead = {"ship": "s0", "at": FIRST + 99 * DAY, "over": FIRST + 100 * DAY, "act": "tow", "gain": 9}
    more = {
        **given,
        "call": [*given["call"], {"call": "later", **ahead}],
        "note": [*given["note"], {"id": "later", "ship": "s0", "said": FIRST + 98.5 * DAY}],
    }
    _, grown = told(tmp_path / "c", more, "v1")
    assert {name: text for name, text in texts(grown).items() if name != "later"} == texts(first)


def test_a_key_that_a_contract_calls_unique_and_that_stands_twice_is_refused_by_name(tmp_path: Path) -> None:
    given = rows()
    for role, double in (("ship", "ship = s1"), ("call", "call = c3")):
        twice = {**given, role: [*given[role], next(row for row in given[role] if row[role] == double[-2:])]}
        with pytest.raises(
            StorymeshError, match=rf"'mesh\.{role}s' has 1 key .* unique: {double} \(.* publish .* again"
        ):
            told(tmp_path / role, twice, "v1")
