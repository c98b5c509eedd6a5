"""Files of rows that come in batches: all rows in order, as many to each file as it says, encoded by what they hold."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine import parquet_writer
from storymesh.engine.open import open_engine
from storymesh.engine.parquet_writer import write_parquet_files


def write(table: pa.Table, files: list[tuple[Path, int]], batch: int = 3) -> None:
    write_parquet_files(table.to_batches(max_chunksize=batch), table.schema, files, {"key": "value"})


def test_rows_go_to_the_files_in_order(tmp_path: Path) -> None:
    table = pa.table({"n": range(10)})
    files = [(tmp_path / "a.parquet", 4), (tmp_path / "b.parquet", 1), (tmp_path / "c.parquet", 5)]
    write(table, files)
    assert [pq.read_table(path)["n"].to_pylist() for path, _ in files] == [[0, 1, 2, 3], [4], [5, 6, 7, 8, 9]]
    assert pq.read_schema(tmp_path / "b.parquet").metadata == {b"key": b"value"}


@pytest.mark.parametrize("count", [9, 11])
def test_another_number_of_rows_than_the_files_are_to_have_is_an_error(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        write(pa.table({"n": range(10)}), [(tmp_path / "a.parquet", count)])


def test_the_engine_writes_rows_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"n": (n * 7_919) % 50_000, "of": [{"cost": Decimal(n).scaleb(-1)}] * (n % 3)} for n in range(50_000)
    ]
    path = tmp_path / "a.parquet"
    with open_engine() as engine:
        table = engine.materialize(pa.Table.from_pylist(rows))
        assert engine.write_parquet(table, path, order=[-table["n"]]) == 50_000
        assert pq.read_table(path)["n"].to_pylist() == list(range(49_999, -1, -1))
        assert engine.content_digest(engine.read_parquet(path)) == engine.content_digest(table)
        # The sum of integers is wider than any of Arrow's, so the engine's own writer takes it.
        wide = table.mutate(wide=table["n"].sum().over(group_by="n")).drop("of")
        engine.write_parquet(wide, path, order=["n"])
    assert pq.read_table(path)["n"].to_pylist() == list(range(50_000))


def test_large_rows_make_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_BYTES", 2_000)
    write(pa.table({"text": ["x" * 500] * 12}), [(tmp_path / "a.parquet", 12)])
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 2
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows == 12


def test_values_that_repeat_have_a_dictionary_and_others_none(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": str(n), "of": [{"kind": "a", "key": n}]} for n in range(40)]
    write(pa.Table.from_pylist(rows), [(tmp_path / "a.parquet", 40)])
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    found = {group.column(n).path_in_schema: group.column(n).has_dictionary_page for n in range(group.num_columns)}
    assert found == {"id": False, "of.list.element.kind": True, "of.list.element.key": False}
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == rows
