"""The data files of a config: what stays, in its order and with its digest; what drops, with its reason."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import EngineFailed
from storymesh.release import data_files, record_sample
from storymesh.release.data_files import DataFiles
from storymesh.release.record_sample import sample_files

SPLITS = {"train": 70, "validation": 20, "test": 10}
KINDS = pa.schema([("id", pa.string()), ("dropped", pa.string()), ("same_as", pa.string())])


def record(number: int, split: str) -> dict[str, Any]:
    at = datetime(2024, 1, 1) + timedelta(days=number // 3)  # three at one moment
    facts = {"tried": number % 5, "of": [{"kind": "x", "gain": number / 7}] * (number % 4)}
    return {"id": f"a/{number:03}", "split": split, "text": f"story {number}" * (number % 9), "at": at, "facts": facts}


def records(order: str) -> pa.Table:
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    rows = [record(number, split) for number, split in enumerate(splits)]
    if order == "other":
        Random(1).shuffle(rows)
    return pa.Table.from_pylist(rows).append_column("unfit", pa.nulls(len(rows), pa.string()))


def write(folder: Path, engine: Engine, rows: pa.Table, gone: set[int], **other_counts: int) -> str | None:
    pq.write_table(rows, folder / "records.parquet", row_group_size=33)
    judged = [
        {"id": id_, "dropped": "twin" if int(id_[2:]) in gone else None, "same_as": "a/000"}
        for id_ in rows["id"].to_pylist()
    ]
    first = {"train": 0, "validation": 70, "test": 90}
    kept = {
        split: other_counts.get(split, count - len(gone & set(range(first[split], first[split] + count))))
        for split, count in SPLITS.items()
    }
    files = [(folder / f"{split}.parquet", count) for split, count in kept.items() if count]
    curated = engine.materialize(pa.Table.from_pylist(judged, KINDS))
    writing = DataFiles(engine, kept, files, folder / "dropped", folder / "sample", {"key": "value"})
    return writing.write(folder / "records.parquet", curated)


@pytest.mark.parametrize("order", ["that of the release", "other"])
@pytest.mark.parametrize("gone", [set(), {3, 40, 71, 99}, set(range(0, 40, 2)), set(range(90, 100)), set(range(100))])
def test_each_record_is_in_the_file_of_its_split_or_among_the_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, gone: set[int]
) -> None:
    monkeypatch.setattr(data_files, "BATCH", 16)
    monkeypatch.setattr(record_sample, "SAMPLE_SIZE", 3)
    monkeypatch.setattr(record_sample, "_MARGIN", 3)
    monkeypatch.setattr(data_files, "_STRETCH", 4)  # copies between few that go, by stretches and one by one
    rows = records(order)
    with open_engine() as engine:
        digest = write(tmp_path, engine, rows, gone)
        found = {split: tmp_path / f"{split}.parquet" for split in SPLITS if (tmp_path / f"{split}.parquet").is_file()}
        kept = [id_ for path in found.values() for id_ in pq.read_table(path)["id"].to_pylist()]
        assert kept == [f"a/{number:03}" for number in range(100) if number not in gone]
        for path in found.values():
            assert pq.read_schema(path).names == ["id", "text", "at", "facts"]
            assert pq.read_schema(path).metadata == {b"key": b"value"}
        tables = [engine.read_parquet(path).mutate(split=ibis.literal(split)) for split, path in found.items()]
        if tables:
            whole = ibis.union(*tables) if len(tables) > 1 else tables[0]
            assert digest == engine.content_digest(whole)
    assert (tmp_path / "dropped").is_file() == bool(gone)
    if gone:
        left_out = pq.read_table(tmp_path / "dropped").to_pylist()
        own = {row["id"]: row for row in rows.drop_columns("unfit").to_pylist()}
        assert {row["id"]: row for row in left_out} == {
            id_: own[id_] | {"reason": "twin", "same_as": "a/000"} for id_ in own if int(id_[2:]) in gone
        }
    assert not list(tmp_path.glob("*ordered*"))
    # Of training and of the others, the first by the digests of their ids are kept aside, and few more.
    sampled = {
        split: pq.read_table(path)["id"].to_pylist() for split, (path,) in sample_files(tmp_path / "sample").items()
    }
    for part in ([id_ for id_ in kept if id_ < "a/070"], [id_ for id_ in kept if id_ >= "a/070"]):
        first = sorted(part, key=lambda id_: hashlib.md5(id_.encode()).hexdigest())
        aside = [id_ for ids in sampled.values() for id_ in ids if id_ in part]
        assert set(first[:3]) <= set(aside) <= set(first[:15])


@pytest.mark.parametrize("count", [69, 71])
def test_another_number_of_records_than_was_counted_is_an_error(tmp_path: Path, count: int) -> None:
    with open_engine() as engine, pytest.raises(EngineFailed, match="rows"):
        write(tmp_path, engine, records("that of the release"), set(), train=count)


def test_a_record_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    rows = records("that of the release")
    with open_engine() as engine, pytest.raises(EngineFailed, match="more than once"):
        write(tmp_path, engine, pa.concat_tables([rows, rows.slice(5, 1)]), set(), train=71)
