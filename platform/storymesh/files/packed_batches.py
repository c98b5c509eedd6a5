"""Readings packed for the inventory: Arrow batches as bytes, and which of them are better put together."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MERGED_ROWS, MERGED_BYTES = 4_000, 8 * 2**20


def pack_batch(batch: "pa.RecordBatch") -> bytes:
    """Return a batch as bytes."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack_batch(data: bytes) -> "pa.Table":
    """Return the rows of a packed batch."""
    import pyarrow as pa

    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def rows_of_contents(table: "pa.Table", contents: list[str]) -> "pa.Table":
    """Return the rows about some contents, by their `sha256`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table.column("sha256"), pa.array(contents, pa.string())))


def is_small(rows: int, size: int) -> bool:
    """Return True for a batch that is better put together with others."""
    return rows < MERGED_ROWS // 4 and size < MERGED_BYTES // 4


def group_small(batches: Iterable[tuple[int, int, int]]) -> Iterator[list[int]]:
    """Yield small batches that make one of a good size together."""
    group: list[int] = []
    rows = size = 0
    for id_, more_rows, more_bytes in batches:
        group.append(id_)
        rows, size = rows + more_rows, size + more_bytes
        if rows >= MERGED_ROWS or size >= MERGED_BYTES or len(group) == 64:
            yield group
            group, rows, size = [], 0, 0
    if len(group) > 8:
        yield group


def chunks(ids: Iterable[int], size: int) -> Iterator[list[int]]:
    """Yield numbers, so many at once."""
    waiting = iter(ids)
    while some := list(islice(waiting, size)):
        yield some
