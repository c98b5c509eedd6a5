"""What an engine writes is whole or not there, and its memory is a setting."""

from pathlib import Path

import ibis
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import OutOfMemory, WrongUsage


def test_parts_become_one_file(tmp_path: Path) -> None:
    parts = [ibis.memtable({"number": [number, number + 1]}) for number in (0, 2, 4)]
    with open_engine() as engine:
        assert engine.write_parquet_parts(parts, tmp_path / "numbers.parquet") == 6
    assert sorted(pq.read_table(tmp_path / "numbers.parquet")["number"].to_pylist()) == [0, 1, 2, 3, 4, 5]
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.parquet"]


def test_what_does_not_fit_into_memory_says_what_to_do(tmp_path: Path) -> None:
    rows = ibis.range(3_000_000).unnest().name("number").as_table()
    listed = rows.group_by(half=rows["number"] % 2).agg(all=rows["number"].cast("string").collect())
    with open_engine(memory="20MB") as engine, pytest.raises(OutOfMemory, match="give STORYMESH_MEMORY more"):
        engine.write_parquet(listed, tmp_path / "lists.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_memory_that_is_no_size_is_told() -> None:
    with pytest.raises(WrongUsage, match="STORYMESH_MEMORY is 'lots'"):
        open_engine(memory="lots")
