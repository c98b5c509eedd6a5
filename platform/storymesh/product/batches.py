"""Batches of rows put together to tables of a size that memory holds."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def gather_batches(batches: Iterable["pa.RecordBatch"], most_rows: int, most_bytes: int) -> Iterator["pa.Table"]:
    """Yield batches put together to tables that end with the batch with which they have so many rows or bytes."""
    import pyarrow as pa

    gathered: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        gathered.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= most_rows or size >= most_bytes:
            yield pa.Table.from_batches(gathered)
            gathered, rows, size = [], 0, 0
    if gathered:
        yield pa.Table.from_batches(gathered)
