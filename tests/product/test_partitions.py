"""Products in partitions: what is written again, and that what readers see is what a whole publication would give."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.contract.types import arrow_schema
from storymesh.engine.open import open_engine
from storymesh.errors import AuditRefused
from storymesh.product.content_version import content_version
from storymesh.product.publish import Publication, publish
from storymesh.product.quarantine import LINE
from storymesh.product.staging import open_staging
from tests.product.conftest import Desk, Row, a_row, as_reader

PARTITIONED = """\
      - {name: day, logicalType: date, partitioned: true, partitionKeyPosition: 2}
      - {name: port, logicalType: string, partitioned: true, partitionKeyPosition: 1}
      - {name: note, logicalType: string, quality: [{metric: nullValues, mustBe: 0, severity: warning}]}
"""
RULES = "[{metric: duplicateValues, arguments: {properties: [at, hours]}, mustBe: 0, severity: warning}]"


def row(number: int, **changes: Any) -> Row:
    placed: Row = {"day": f"2024-03-{1 + number % 4:02}", "port": "NS"[number % 2], "note": "calm"}
    return a_row(number) | placed | changes


def rows_of(count: int) -> list[Row]:
    return [row(number) for number in range(count)]


@pytest.fixture
def parted(desk: Desk) -> Desk:
    desk.properties = PARTITIONED
    return desk


class OwnNumbers:
    """Gives the numbers of rows as their lines."""

    def find(self, rows: Any) -> tuple[pa.Array, pa.Array]:
        return pa.array(["rows"] * len(rows)), pa.array(rows, pa.int64())


def files_of(done: Publication) -> set[str]:
    assert done.snapshot is not None
    return set(done.snapshot.files)


def test_only_partitions_that_changed_are_written(parted: Desk) -> None:
    first = parted.publish(rows_of(40))
    assert len(files_of(first)) == 4
    stored = sorted(parted.store.folder.rglob("*"))
    again = parted.publish([*rows_of(40)[::-1]])
    assert again.unchanged
    assert sorted(parted.store.folder.rglob("*")) == stored, "there is nothing that a branch would hold"
    assert files_of(again) == files_of(first), "the order of the rows is no change"
    changed = parted.publish([row(5, code="C") if number == 5 else row(number) for number in range(40)])
    assert len(files_of(changed) & files_of(first)) == 3
    assert len(files_of(changed)) == 4
    assert [found["code"] for found in parted.published() if found["id"] == "d5"] == ["C"]
    assert (changed.rows_in, changed.rows_out) == (40, 40)
    kept = [row(5, code="C") if number == 5 else row(number) for number in range(40) if number % 4]
    without_day = parted.publish(kept)
    assert files_of(without_day) < files_of(changed)
    assert len(parted.published()) == 30


def test_the_key_of_a_kept_row_cannot_come_twice(parted: Desk) -> None:
    parted.publish(rows_of(40))
    done = parted.publish([*rows_of(40), row(40, id="d1")])
    assert dict(done.quarantined) == {"primaryKey: id": 2}
    assert "d1" not in {found["id"] for found in parted.published()}
    assert done.rows_out == 39
    # The partition of the quarantined row is audited again, until nothing is wrong with it.
    assert dict(parted.publish([*rows_of(40), row(40, id="d1")]).quarantined) == {"primaryKey: id": 2}
    assert parted.publish(rows_of(40)).rows_out == 40


def test_a_damaged_file_of_a_kept_partition_is_written_again(parted: Desk) -> None:
    first = parted.publish(rows_of(40))
    damaged = Path(sorted(files_of(first))[0])
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    second = parted.publish([*rows_of(40), row(41)])
    assert str(damaged) not in files_of(second)
    assert len(parted.published()) == 41


def test_without_its_note_everything_is_written_again_and_noted(parted: Desk) -> None:
    first = parted.publish(rows_of(40))
    (note,) = parted.store.folder.glob("publications/*.partitions.json")
    note.unlink()
    assert parted.publish(rows_of(40)).unchanged
    assert files_of(parted.publish(rows_of(40))) == files_of(first)
    second = parted.publish([*rows_of(40), row(41)])
    assert len(files_of(parted.publish([*rows_of(40), row(41), row(42)])) & files_of(second)) == 3


def test_a_content_that_comes_back_is_the_snapshot_that_it_was(parted: Desk) -> None:
    first = parted.publish(rows_of(40)).snapshot
    parted.publish([*rows_of(40), row(41)])
    again = parted.publish(rows_of(40)).snapshot
    assert first is not None and again is not None
    assert (again.snapshot_id, again.files) == (first.snapshot_id, first.files)
    assert parted.publish([*rows_of(40), row(43)]).rows_out == 41


def test_a_stricter_contract_is_held_against_every_partition(parted: Desk) -> None:
    parted.publish([*rows_of(40), row(40, note=None)])
    parted.properties = PARTITIONED.replace("{name: note, ", "{name: note, required: true, ")
    done = parted.publish([*rows_of(40), row(40, note=None), row(41)])
    assert dict(done.quarantined) == {"required: note": 1}


def test_published_rows_that_a_rule_holds_back_now_are_said_to_be_those(
    parted: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted.quality = "[{metric: rowCount, mustBeGreaterThan: 5}]"
    parted.publish(rows_of(40))
    monkeypatch.setattr("storymesh.contract.quality_rules.Comparison.holds", lambda *_: False)
    with pytest.raises(AuditRefused) as refused:
        parted.publish(rows_of(40))
    assert "the rows are the published ones" in str(refused.value.hint)
    with pytest.raises(AuditRefused) as refused:
        parted.publish([*rows_of(40), row(41)])
    assert "the rows stay on the branch audit-run3 until the next run" in str(refused.value.hint)


def test_files_that_a_later_snapshot_shares_outlive_the_earlier_one(parted: Desk) -> None:
    first = parted.publish(rows_of(40)).snapshot
    parted.publish([*rows_of(40), row(41)])
    assert first is not None
    with open_staging(parted.store, "delays", arrow_schema(parted.contract()), 5.0) as staging:
        staging.remove_snapshots([first.snapshot_id])
    assert len(parted.published()) == 41
    assert parted.publish([*rows_of(40), row(41), row(42)]).rows_out == 42


def test_where_a_refused_row_stands_is_known_after_it_was_moved_to_its_partition(parted: Desk) -> None:
    rows = rows_of(40)
    rows[30] |= {"code": "X"}
    rows[7] |= {"code": "X"}
    with open_engine() as engine:
        given = as_reader(rows)
        done = publish(parted.product(), parted.contract(), given, parted.store, engine, "run", places=OwnNumbers())
    assert done.quarantine_path is not None
    found = pq.read_table(done.quarantine_path).to_pylist()
    assert {row["id"]: row[LINE] for row in found} == {"d7": 7, "d30": 30}


def test_columns_of_a_partition_are_in_the_order_of_their_positions(parted: Desk) -> None:
    contract = parted.contract()
    assert contract.partition_columns == ("port", "day")
    parted.properties = PARTITIONED + "      - {name: weight, logicalType: number, partitioned: true}\n"
    (warning,) = [found for found in parted.contract().warnings if found.rule == "not-run"]
    assert "weight" in warning.message


def test_a_position_alone_keeps_nothing_in_parts(parted: Desk) -> None:
    parted.properties = PARTITIONED.replace("partitioned: true, partitionKeyPosition: 2", "partitionKeyPosition: 2")
    (warning,) = [found for found in parted.contract().warnings if found.rule == "not-run"]
    assert "'day' has a partitionKeyPosition and is not partitioned" in warning.message
    assert parted.contract().partition_columns == ("port",)


def test_partitions_are_told_apart_by_every_sign_of_their_values(parted: Desk) -> None:
    ports = [
        "a/b",
        "..",
        "a=b",
        "a%2Fb",
        "a\x00b",
        "a\x00",
        "a",
        "A",
        "\u00e9",
        "e\u0301",
        None,
        "",
        "None",
        "x" * 300,
        " a",
    ]
    first = parted.publish([row(number, port=port, day="2024-03-01") for number, port in enumerate(ports)])
    assert len(files_of(first)) == len(ports)
    assert first.snapshot is not None
    with open_engine() as engine:
        assert first.snapshot.version == content_version(engine, first.snapshot.files, parted.contract())


def _changed(rows: list[Row], chance: random.Random) -> list[Row]:
    """Some rows come, go, change, move to another partition, break the contract, or have a key of others."""
    rows = [found for found in rows if chance.random() > 0.05]
    for _ in range(chance.randint(0, 3)):
        place = chance.randrange(len(rows))
        change: Row = chance.choice(
            [
                {"code": chance.choice(["W", "C", "X"])},
                {"hours": chance.choice([2, 4, 5])},
                {"day": chance.choice([None, "2024-03-09", "2024-03-01", "soon"])},
                {"port": chance.choice([None, "", "N", "../S", "Bremen/Überseehafen", "a=b\x00%2F"])},
                {"note": chance.choice([None, "", "rough"])},
                {"id": chance.choice(rows)["id"]},
            ]
        )
        rows[place] = rows[place] | change
    rows += [row(chance.randrange(1000)) for _ in range(chance.randint(0, 2))]
    chance.shuffle(rows)
    return rows


@pytest.mark.parametrize("seed", range(2))
def test_readers_see_what_a_whole_publication_gives(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("storymesh.product.publish.BATCH_ROWS", 7)
    monkeypatch.setattr("storymesh.product.partition_spool.BLOCK_ROWS", 20)
    monkeypatch.setattr("storymesh.contract.audited_files._FILES_AT_ONCE", 2)
    desk, rows = Desk(tmp_path / "parts", quality=RULES, properties=PARTITIONED), rows_of(60)
    unparted = PARTITIONED.replace("partitioned: true, ", "")
    for step in range(5):
        whole = Desk(tmp_path / f"whole-{step}", quality=RULES, properties=unparted)
        wanted, done = _published(whole, rows), _published(desk, rows)
        assert _described(done) == _described(wanted)
        assert desk.published() == whole.published()
        assert done.snapshot is not None
        with open_engine() as engine:
            assert done.snapshot.version == content_version(engine, done.snapshot.files, desk.contract())
        rows = _changed(rows, chance)


def _published(desk: Desk, rows: list[Row]) -> Publication:
    try:
        return desk.publish([found | {"hours": str(found["hours"])} for found in rows])
    except AuditRefused as refused:
        publication: Publication = refused.publication  # type: ignore[attr-defined]
        return publication


def _described(done: Publication) -> Any:
    assert done.snapshot is not None
    checks = [(check.name, check.properties, check.passed, check.failed_rows, check.observed) for check in done.checks]
    return done.rows_in, done.rows_out, dict(done.quarantined), checks
