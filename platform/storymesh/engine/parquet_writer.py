"""Parquet files from batches of Arrow rows: how every engine's rows are laid out in a file.

Arrow's writer takes a third of the time of DuckDB's for nested columns. Values that repeat are written once for each
row group; of others, such as texts of their own, a dictionary would only cost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import staged_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 20_480  # rows, fewer where those are large
ROW_GROUP_BYTES = 128 * 2**20  # in memory, from which on a row group is large enough
COMPRESSION_LEVEL = 1  # of zstd
_ITEM = ".list.element"  # in the path of a column inside of lists
_SAMPLE = 2_048  # values of a column that are looked at
_REPEATS = 4  # times that each of them occurs on average, at least, in a column that gets a dictionary


def write_parquet_file(
    batches: Iterable["pa.RecordBatch"],
    schema: "pa.Schema",
    path: Path,
    metadata: Mapping[str, str] | None,
    row_group: int = ROW_GROUP,
) -> int:
    """Write all rows to one file, `row_group` together, whole or not at all. Return their number."""
    rows, total = RowStream(batches, schema), 0
    with staged_file(path) as staged, _open_writer(rows, staged, metadata, COMPRESSION_LEVEL) as writer:
        while table := rows.take(row_group):
            writer.write_table(table)
            total += table.num_rows
    return total


def write_parquet_files(
    batches: Iterable["pa.RecordBatch"],
    schema: "pa.Schema",
    files: Sequence[tuple[Path, int]],
    metadata: Mapping[str, str] | None,
    compression_level: int = COMPRESSION_LEVEL,
) -> None:
    """Write rows to files one after another, to each as many as it says. Raises ValueError for more or fewer rows."""
    rows = RowStream(batches, schema)
    for path, count in files:
        with staged_file(path) as staged, _open_writer(rows, staged, metadata, compression_level) as writer:
            missing = count
            while missing and (table := rows.take(min(missing, ROW_GROUP))):
                writer.write_table(table)
                missing -= table.num_rows
        if missing:
            raise ValueError(f"{missing} rows of {count} for {path.name} are missing")
    if rows.take(1):
        raise ValueError("there are more rows than the files are to have")


class RowStream:
    """Batches of rows that are taken in tables of any size."""

    def __init__(self, batches: Iterable["pa.RecordBatch"], schema: "pa.Schema") -> None:
        self.schema = schema
        self._batches = iter(batches)
        self._pending: list[pa.RecordBatch] = []

    def take(self, count: int) -> "pa.Table":
        """Return the next `count` rows, fewer where they are large; none at the end, and such a table is false."""
        taken, missing, size = [], count, 0
        while missing and size < ROW_GROUP_BYTES and self._fill(1):
            batch = self._pending.pop(0)
            taken.append(batch.slice(0, missing))
            if batch.num_rows > missing:
                self._pending.insert(0, batch.slice(missing))
            missing -= taken[-1].num_rows
            size += taken[-1].nbytes
        # Texts that come as codes would be written out in a group of rows where their codes change.
        return self._table(taken).unify_dictionaries()

    def peek(self, count: int) -> "pa.Table":
        """Return the rows that come next, at least `count` where there are as many."""
        self._fill(count)
        return self._table(self._pending)

    def _fill(self, count: int) -> bool:
        """Fetch batches until `count` rows are there. Return True if there is any."""
        missing = count - sum(batch.num_rows for batch in self._pending)
        while missing > 0 and (batch := next(self._batches, None)) is not None:
            if batch.num_rows:
                self._pending.append(batch)
                missing -= batch.num_rows
        return bool(self._pending)

    def _table(self, batches: Sequence["pa.RecordBatch"]) -> "pa.Table":
        import pyarrow as pa

        return pa.Table.from_batches(batches, self.schema)


@contextmanager
def _open_writer(
    rows: RowStream, path: Path, metadata: Mapping[str, str] | None, compression_level: int
) -> Iterator["pq.ParquetWriter"]:
    import pyarrow.parquet as pq

    first = rows.peek(_SAMPLE).slice(0, _SAMPLE)
    leaves = {
        path: values for name in first.column_names for path, values in _leaves(name, first[name].combine_chunks())
    }
    with pq.ParquetWriter(
        path,
        rows.schema,
        compression="zstd",
        compression_level=compression_level,
        use_dictionary=[path for path, values in leaves.items() if _repeats(values)] or False,
        # Nobody looks for rows by the least item of all their lists.
        write_statistics=[path for path in leaves if _ITEM not in path] or False,
        store_schema=False,
        store_decimal_as_integer=True,
    ) as writer:
        if metadata:
            writer.add_key_value_metadata(dict(metadata))
        yield writer


def _repeats(values: "pa.Array") -> bool:
    return 0 < len(values[:_SAMPLE].unique()) * _REPEATS <= len(values[:_SAMPLE])


def _leaves(path: str, values: "pa.Array") -> Iterator[tuple[str, "pa.Array"]]:
    """Yield each leaf column of an array with its path, as Parquet names it, and its values."""
    import pyarrow as pa

    if pa.types.is_struct(values.type):
        for field, part in zip(values.type, values.flatten(), strict=True):
            yield from _leaves(f"{path}.{field.name}", part)
    elif pa.types.is_list(values.type):
        yield from _leaves(f"{path}{_ITEM}", values.flatten())
    elif not pa.types.is_nested(values.type):
        yield path, values
