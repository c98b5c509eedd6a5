"""The rows of a publication in a temporary file, partition by partition: memory holds a block of them, never all.

Of each partition it has a fingerprint: how many rows, and two sums over a hash of the engine's, in any order of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storymesh.product.batches import gather_batches
from storymesh.product.partitions import partition_key
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import pyarrow as pa

BLOCK_ROWS = 500_000
BLOCK_BYTES = 64 * 2**20
HASH = "storymesh:hash"
ROW = "storymesh:row"
"""The column that numbers rows as they came in: it says where they stand, and is no part of what they are."""

# The hash is split in two below a sum of which no product has enough rows to overflow.
_LOW, _HIGH = 2_147_483_647, 1_073_741_789


@dataclass
class Partition:
    """Rows of one partition that came in: what their columns hold, and where in the spool they are."""

    values: tuple[Any, ...]
    rows: int = 0
    low: int = 0
    high: int = 0
    batches: list[int] = field(default_factory=list)

    def add(self, part: "Partition", batch: int) -> None:
        """Add further rows of this partition, which are a `batch` of the spool."""
        self.rows, self.low, self.high = self.rows + part.rows, self.low + part.low, self.high + part.high
        self.batches.append(batch)

    def order(self) -> list[tuple[bool, Any]]:
        """Return what partitions are ordered by: their values, missing ones last."""
        return [(value is None, value) for value in self.values]

    @property
    def key(self) -> str:
        return partition_key(self.values)

    @property
    def fingerprint(self) -> str:
        return f"{self.rows}-{self.low}-{self.high}"


def with_hash(rows: "ir.Table") -> "ir.Table":
    """Return rows with a hash of all their columns after them, as `spool_partitions` wants them."""
    import ibis

    from storymesh.engine.dialect import materialization_barrier  # which imports ibis

    rows = materialization_barrier(rows)
    return rows.mutate(**{HASH: ibis.struct({name: rows[name] for name in rows.columns}).hash()})


@contextmanager
def spool_partitions(batches: Iterable["pa.RecordBatch"], columns: Sequence[str]) -> Iterator["PartitionedRows"]:
    """Spool rows that have their hash in the last column, and find their partitions: what the `columns` hold."""
    import pyarrow as pa

    with temporary_folder("partitions") as folder, ExitStack() as stack:
        path = folder / "rows.arrow"
        found: dict[str, Partition] = {}
        with ExitStack() as writing:
            writer: pa.ipc.RecordBatchFileWriter | None = None
            written = 0
            for block in _blocks(batches):
                for partition, rows in _divide(block, columns):
                    if writer is None:
                        options = pa.ipc.IpcWriteOptions(compression="lz4")
                        writer = writing.enter_context(pa.ipc.new_file(str(path), rows.schema, options=options))
                    writer.write_batch(rows)
                    found.setdefault(partition.key, Partition(partition.values)).add(partition, written)
                    written += 1
        reader = stack.enter_context(pa.ipc.open_file(stack.enter_context(pa.OSFile(str(path))))) if found else None
        yield PartitionedRows(reader, tuple(sorted(found.values(), key=Partition.order)))


@dataclass(frozen=True)
class PartitionedRows:
    """All rows of a publication in a spool, and their partitions in the order of their values."""

    spool: "pa.ipc.RecordBatchFileReader | None"
    partitions: tuple[Partition, ...]

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each partition by its key."""
        return {partition.key: partition.fingerprint for partition in self.partitions}

    def tables(self, partitions: Iterable[Partition], most_rows: int, most_bytes: int) -> Iterator["pa.Table"]:
        """Yield the rows of the partitions one after another, each in tables of about so many rows or bytes at most.

        Their last column is `ROW`.
        """
        for partition in partitions:
            yield from gather_batches(self._batches(partition), most_rows, most_bytes)

    def numbers(self, partitions: Iterable[Partition], places: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Return the numbers, as they came in, of the rows at these `places`, ascending, of what `tables` yields."""
        import numpy as np

        found, start = [np.empty(0, np.int64)], 0
        for partition in partitions:
            begin, end = np.searchsorted(places, [start, start + partition.rows])
            if begin < end:
                rows = np.concatenate([batch.column(ROW).to_numpy() for batch in self._batches(partition)])
                found.append(rows[places[begin:end] - start])
            start += partition.rows
        return np.concatenate(found)

    def _batches(self, partition: Partition) -> Iterator["pa.RecordBatch"]:
        assert self.spool is not None
        return map(self.spool.get_batch, partition.batches)


def _blocks(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.Table"]:
    """Yield the rows in tables of about `BLOCK_ROWS` rows or `BLOCK_BYTES` bytes, numbered in `ROW`."""
    import numpy as np
    import pyarrow as pa

    start = 0
    for block in gather_batches(batches, BLOCK_ROWS, BLOCK_BYTES):
        yield block.append_column(ROW, pa.array(np.arange(start, start + len(block))))
        start += len(block)


def _divide(block: "pa.Table", columns: Sequence[str]) -> Iterator[tuple[Partition, "pa.RecordBatch"]]:
    """Yield the partitions in a block with their rows there, in their order, without the hash."""
    import numpy as np

    codes, hashes = _codes(block, columns), block.column(HASH).to_numpy().astype(np.int64, copy=False)
    rows = block.drop_columns(HASH)
    if np.any(codes[1:] < codes[:-1]):
        order = np.argsort(codes, kind="stable")
        codes, hashes, rows = codes[order], hashes[order], rows.take(order)
    (rows,) = rows.combine_chunks().to_batches()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    values = zip(*(rows.column(name).take(starts).to_pylist() for name in columns), strict=True)
    counts = np.diff(starts, append=len(codes)).tolist()
    sums = zip(*(np.add.reduceat(hashes % prime, starts).tolist() for prime in (_LOW, _HIGH)), strict=True)
    for value, start, count, (low, high) in zip(values, starts.tolist(), counts, sums, strict=True):
        yield Partition(value, count, low, high), rows.slice(start, count)


def _codes(block: "pa.Table", columns: Sequence[str]) -> "np.ndarray[Any, Any]":
    """Return a number from 0 for each row: the same for rows that have equal values in all of the columns."""
    import numpy as np

    codes = np.zeros(len(block), np.int64)
    for name in columns:
        values = block.column(name).combine_chunks().dictionary_encode()
        count = len(values.dictionary)
        codes = codes * (count + 1) + values.indices.fill_null(count).to_numpy()
        if len(columns) > 1:
            codes = np.unique(codes, return_inverse=True)[1]
    return codes.astype(np.int16) if codes.max() < 2**15 else codes  # NumPy sorts the short ones by their digits
