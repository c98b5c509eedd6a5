"""Write, audit, publish: what readers see, what is quarantined and why, and what happens when a run dies."""

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.contract.types import arrow_schema
from storymesh.engine.duckdb.digest import relation_digest
from storymesh.errors import AuditRefused, NotPublished, PublishConflict, SourceUnreadable
from storymesh.product.publish import PublicationRefused
from tests.product.conftest import Desk, a_row, as_reader, good_rows


def test_rows_are_published_with_the_types_of_the_contract(desk: Desk) -> None:
    done = desk.publish(good_rows(3))
    assert (done.rows_in, done.rows_out, done.unchanged, done.quarantine_path) == (3, 3, False, None)
    assert desk.published()[1] == {
        "id": "d1",
        "at": pa.scalar("2024-03-01 12:00:00").cast(pa.timestamp("us")).as_py(),
        "code": "W",
        "hours": 2,
        "cost": Decimal("1.50"),
    }
    assert all(check.passed for check in done.checks)


BAD_VALUES: list[tuple[str, Any, str]] = [
    ("id", None, "required: id"),
    ("at", None, "required: at"),
    ("at", "yesterday", "type: at"),
    ("code", "X", "enum: code"),
    ("hours", -2, "range: hours"),
    ("hours", 3, "multipleOf: hours"),
    ("hours", 1.5, "type: hours"),
    ("hours", "many", "type: hours"),
    ("hours", 2**70, "type: hours"),
    ("cost", "1.005", "type: cost"),
]


@pytest.mark.parametrize(("name", "value", "reason"), BAD_VALUES, ids=[f"{n}={v}" for n, v, _ in BAD_VALUES])
def test_a_bad_row_is_quarantined_with_its_reason_and_the_others_are_published(
    name: str, value: Any, reason: str, desk: Desk
) -> None:
    bad = a_row(7, **{name: str(value) if isinstance(value, int | float) else value})
    done = desk.publish([*good_rows(3), bad])
    assert (done.rows_in, done.rows_out) == (4, 3)
    assert dict(done.quarantined) == {reason: 1}
    assert [row["id"] for row in desk.published()] == ["d0", "d1", "d2"]
    assert done.quarantine_path is not None
    (kept,) = pq.read_table(done.quarantine_path).to_pylist()
    assert kept["reasons"] == [reason]
    if value is not None:
        assert str(kept[name]) == str(value), "what did not fit is kept as it was"


def test_rows_with_a_null_key_are_quarantined_and_readers_keep_the_last_snapshot(desk: Desk) -> None:
    first = desk.publish(good_rows(2)).snapshot
    with pytest.raises(AuditRefused):
        desk.publish([a_row(1, id=None), a_row(2, id=None), a_row(3)])
    assert desk.store.latest_snapshot("delays") == first
    assert len(desk.published()) == 2


def test_all_rows_that_share_a_key_are_quarantined(desk: Desk) -> None:
    desk.limit = 0.8
    done = desk.publish([*good_rows(4), a_row(0, code="C"), a_row(1, hours=-2)])
    assert [row["id"] for row in desk.published()] == ["d2", "d3"]
    assert dict(done.quarantined) == {"primaryKey: id": 4, "range: hours": 1}
    assert done.quarantine_path is not None
    reasons = {tuple(row["reasons"]) for row in pq.read_table(done.quarantine_path).to_pylist()}
    assert reasons == {("primaryKey: id",), ("range: hours", "primaryKey: id")}


def test_over_the_quarantine_limit_nothing_is_published_and_quarantined_rows_can_be_read(desk: Desk) -> None:
    desk.limit = 0.25
    desk.publish(good_rows(4))
    with pytest.raises(PublicationRefused) as raised:
        desk.publish([*good_rows(2), a_row(8, code="X"), a_row(9, hours=-2, code="Y")])
    assert "2 of 4 rows break the contract, more than 25 %: enum: code (2); range: hours (1)" in str(raised.value)
    assert [row["id"] for row in desk.published()] == ["d0", "d1", "d2", "d3"]
    found = raised.value.publication
    assert found.quarantine_path is not None
    assert pq.read_table(found.quarantine_path).num_rows == 2
    assert desk.publish([*good_rows(3), a_row(8, code="X")]).rows_out == 3, "a quarter may fail"


def test_publishing_the_same_content_again_changes_nothing(desk: Desk) -> None:
    rows = good_rows(5)
    first = desk.publish(rows)
    random.Random(1).shuffle(rows)
    again = desk.publish(rows)
    assert again.unchanged
    assert again.snapshot == first.snapshot
    assert len(desk.store.list_snapshots("delays")) == 1


def test_the_version_is_the_digest_of_the_rows(desk: Desk) -> None:
    snapshot = desk.publish([a_row(0, code=None), a_row(1, hours=None)]).snapshot
    at = datetime(2024, 3, 1, 12)
    rows = [
        {"id": "d0", "at": at, "code": None, "hours": 0, "cost": Decimal("1.50")},
        {"id": "d1", "at": at, "code": "W", "hours": None, "cost": Decimal("1.50")},
    ]
    assert snapshot is not None
    assert snapshot.version == relation_digest(pa.Table.from_pylist(rows, schema=arrow_schema(desk.contract())))


def test_the_version_does_not_depend_on_order_folder_or_source_types(desks: Callable[[str], Desk]) -> None:
    rows = [a_row(n, code=None if n % 3 else "C") for n in range(20)]
    here, there = desks("here"), desks("there")
    first = here.publish(rows).snapshot
    typed = [row | {"hours": str(row["hours"]), "cost": Decimal("1.5")} for row in reversed(rows)]
    second = there.publish(typed).snapshot
    assert first is not None
    assert second is not None
    assert first.version == second.version
    # Held, so that no release of a dependency can change what a published version is called.
    assert first.version == "7703c48366199434a9850c97fc6ad4d780da23acc72440563854793844a2376d"


@pytest.mark.parametrize(
    "other",
    [
        [a_row(0), a_row(1, code="C")],
        [a_row(0), a_row(1, code=None)],
        [a_row(0), a_row(1, hours=4)],
        [a_row(0)],
        [],
    ],
)
def test_different_content_has_a_different_version(other: list[dict[str, Any]], desk: Desk) -> None:
    first = desk.publish([a_row(0), a_row(1)]).snapshot
    second = desk.publish(other).snapshot
    assert first is not None
    assert second is not None
    assert first.version != second.version
    assert second.rows == len(other) == len(desk.published())


def test_any_earlier_snapshot_can_be_read(desk: Desk) -> None:
    first = desk.publish(good_rows(1)).snapshot
    desk.publish(good_rows(2))
    assert first is not None
    store = desk.store
    assert store.find_snapshot("shipping.delays", first.version[:12]) == first
    assert pq.read_table(first.files[0]).num_rows == 1
    assert [snapshot.rows for snapshot in store.list_snapshots("delays")] == [1, 2]
    with pytest.raises(NotPublished, match="has no version ffffffffff"):
        store.find_snapshot("delays", "ffffffffff")


def test_content_that_was_published_before_gets_its_earlier_snapshot(desk: Desk) -> None:
    first = desk.publish(good_rows(1)).snapshot
    desk.publish(good_rows(2))
    back = desk.publish(good_rows(1)).snapshot
    assert first is not None
    assert back is not None
    assert (back.version, back.snapshot_id) == (first.version, first.snapshot_id)
    assert [snapshot.rows for snapshot in desk.store.list_snapshots("delays")] == [2, 1]


def test_a_contract_may_add_columns_and_change_types(desk: Desk) -> None:
    desk.publish(good_rows(1))
    desk.properties = "      - {name: note, logicalType: string}\n"
    desk.version = "1.1.0"
    snapshot = desk.publish([a_row(0, note="x")]).snapshot
    assert snapshot is not None
    assert (snapshot.contract_version, snapshot.schema.names[-1]) == ("1.1.0", "note")
    desk.properties = "      - {name: note, logicalType: integer}\n"
    assert desk.publish([a_row(0, note=5)]).rows_out == 1
    assert desk.published()[0]["note"] == 5
    assert [snapshot.schema.names[-1] for snapshot in desk.store.list_snapshots("delays")] == ["cost", "note", "note"]


@pytest.mark.parametrize("phase", ["stage", "audit", "publish"])
def test_a_killed_run_changes_nothing_for_readers_and_the_next_run_cleans_up(phase: str, desk: Desk) -> None:
    first = desk.publish(good_rows(2)).snapshot

    def die(met: str, rows: int) -> None:
        if met == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.publish([*good_rows(3), a_row(9, code="X")], die)
    assert desk.store.latest_snapshot("delays") == first
    done = desk.publish([*good_rows(3), a_row(9, code="X")])
    assert (done.rows_out, len(desk.published())) == (3, 3)
    table = desk.store.load_table("delays")
    assert table is not None
    assert sorted(table.metadata.refs) == sorted(["main", *(name for name in table.metadata.refs if name[:2] == "v-")])
    assert len(table.metadata.snapshots) == 2
    files = {path.name for path in (desk.store.folder / "warehouse/delays/data").rglob("*.parquet")}
    assert files == {Path(name).name for snapshot in desk.store.list_snapshots("delays") for name in snapshot.files}


def test_a_publication_reads_as_much_however_many_versions_there_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storymesh.product import staging, store

    read = 0

    def counting(table: Any, snapshot: Any) -> Any:
        nonlocal read
        read += 1
        return store.data_files(table, snapshot)

    monkeypatch.setattr(staging, "data_files", counting)
    counts = []
    for number in range(1, 6):
        read = 0
        desk.publish(good_rows(number))
        counts.append(read)
    assert counts[2:] == [counts[1]] * 3


def test_a_writer_without_the_lock_is_not_overwritten(desk: Desk) -> None:
    desk.publish(good_rows(1))

    def meddle(phase: str, rows: int) -> None:
        if phase == "publish":
            table = desk.store.load_table("delays")
            assert table is not None
            table.append(table.scan().to_arrow())

    with pytest.raises(PublishConflict, match="published by somebody else"):
        desk.publish(good_rows(3), meddle)


def test_two_runs_cannot_publish_the_same_product_at_once(desk: Desk) -> None:
    def second(phase: str, rows: int) -> None:
        if phase == "publish":
            desk.publish(good_rows(1), wait_s=0.1)

    with pytest.raises(PublishConflict, match="another run is publishing 'delays'"):
        desk.publish(good_rows(2), second)


def test_readers_see_the_last_snapshot_during_an_audit(desk: Desk) -> None:
    first = desk.publish(good_rows(1)).snapshot
    desk.properties = "      - {name: note, logicalType: string}\n"
    seen: list[Any] = []

    def look(phase: str, rows: int) -> None:
        table = desk.store.load_table("delays")
        assert table is not None
        seen.append(
            (desk.store.latest_snapshot("delays"), table.schema().column_names[-1], table.scan().to_arrow().num_rows)
        )

    desk.publish([a_row(n, note="x") for n in range(3)], look)
    assert seen == [(first, "cost", 1)] * 3
    assert len(desk.published()) == 3


def test_a_moved_mesh_can_still_read_and_publish(desks: Callable[[str], Desk], tmp_path: Path) -> None:
    here = desks("here")
    first = here.publish(good_rows(2)).snapshot
    shutil.move(tmp_path / "here", tmp_path / "elsewhere [1]")
    there = desks("elsewhere [1]")
    assert there.published() == [row for row in there.published() if row["code"] == "W"] != []
    moved = there.store.latest_snapshot("delays")
    assert first is not None
    assert moved is not None
    assert moved.version == first.version
    there.runs = ["run1"]
    assert there.publish(good_rows(3)).rows_out == 3
    assert there.publish(good_rows(2)).rows_out == 2


def test_nested_values_are_staged_audited_and_part_of_the_version(desk: Desk) -> None:
    desk.properties = """\
      - name: legs
        logicalType: array
        logicalTypeOptions: {maxItems: 2}
        items:
          logicalType: object
          properties:
            - {name: place, logicalType: string, required: true}
            - {name: km, logicalType: number}
"""
    legs = [
        [{"place": "A", "km": 1.5}],
        [],
        None,
        [{"place": None, "km": 2.0}],
        [{"place": "A", "km": None}] * 3,
    ]
    done = desk.publish([a_row(n, legs=value) for n, value in enumerate(legs)])
    assert dict(done.quarantined) == {"items: legs": 1, "required: legs": 1}
    assert [row["legs"] for row in desk.published()] == legs[:3]
    first = done.snapshot
    other = desk.publish([a_row(n, legs=value) for n, value in enumerate([legs[0], None, []])]).snapshot
    assert first is not None
    assert other is not None
    assert first.version != other.version


def test_a_missing_column_is_reported_with_the_most_similar_name(desk: Desk) -> None:
    rows = [{"id": "a", "at": None, "code": None, "hour": 1, "cost": None}]
    with pytest.raises(SourceUnreadable, match=r"no column 'hours'.*there is 'hour'"):
        desk.publish(rows)


def test_large_input_is_written_in_several_files(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storymesh.product.publish.ROWS_PER_FILE", 2048)
    # A source that hands over small batches, with a bad row in the last file and two that clash across files.
    rows = [*good_rows(5000), a_row(3), a_row(77, id="bad", code="X")]
    done = desk.publish(
        pa.RecordBatchReader.from_batches(as_reader(rows).schema, as_reader(rows).read_all().to_batches(500))
    )
    assert dict(done.quarantined) == {"primaryKey: id": 2, "enum: code": 1}
    assert done.snapshot is not None
    assert len(done.snapshot.files) == 3
    assert {row["id"] for row in desk.published()} == {f"d{n}" for n in range(5000) if n != 3}


def test_a_column_may_have_any_name(desk: Desk) -> None:
    desk.properties = """\
      - {name: 'my "odd" col', logicalType: string, required: true}
      - {name: select, logicalType: integer}
      - {name: ünïcode.x, logicalType: boolean}
"""
    rows = [a_row(n, **{'my "odd" col': "x", "select": n, "ünïcode.x": True}) for n in range(2)]
    desk.publish([*rows, a_row(3, **{'my "odd" col': None, "select": 1, "ünïcode.x": None})])
    assert [row['my "odd" col'] for row in desk.published()] == ["x", "x"]
    assert desk.published()[1]["ünïcode.x"] is True


def test_the_rows_of_a_written_file_are_gone_before_those_of_the_next_are_gathered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def a_row_each(batches: Iterable[pa.RecordBatch], *_: int) -> Iterator[pa.Table]:
        rows = pa.Table.from_batches(list(batches))
        for number in range(len(rows)):
            held.append(pa.total_allocated_bytes())
            yield rows.take([number])

    monkeypatch.setattr("storymesh.product.publish.gather_batches", a_row_each)
    desk.properties = "      - {name: note, logicalType: string}\n"
    assert desk.publish([a_row(number, note="x" * 2**22) for number in range(4)]).rows_out == 4
    assert max(held) < held[0] + 2**21
