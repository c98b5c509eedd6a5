"""Streams of Arrow batches as input of a DuckDB query, divided so that wide rows do not exhaust memory."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

INCOMING = "incoming"
_BYTES = 32 * 2**20


def divide_by_row_size(
    batches: "Iterable[pa.RecordBatch]", most_rows: int
) -> "Iterator[tuple[int, Iterator[pa.RecordBatch]]]":
    """Yield runs of batches with similar row sizes, each with the number of rows that may be in memory at once.

    A new stretch begins where rows are too large for that: DuckDB counts the rows that it hands on, whatever their
    size. The number only falls, so that there are few stretches.
    """
    following = filter(len, batches)
    pending = list(_take_one(following))

    def stretch(rows: int) -> "Iterator[pa.RecordBatch]":
        while pending and _rows_at_once(pending[0]) >= rows:
            batch = pending.pop()
            yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))
            del batch
            pending.extend(_take_one(following))

    while pending:
        most_rows = min(most_rows, _rows_at_once(pending[0]))
        part = stretch(most_rows)
        yield most_rows, part
        for _ in part:  # which the query did not want to see
            pass


def _take_one(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    if (batch := next(batches, None)) is not None:
        yield batch


def _rows_at_once(batch: "pa.RecordBatch") -> int:
    """Return the largest power of two of such rows that fits in `_BYTES`, at least 1."""
    rows: int = max(_BYTES * batch.num_rows // max(batch.nbytes, 1), 1)
    return 1 << (rows.bit_length() - 1)


class BatchStream:
    """A stream of batches that a session reads as the table `INCOMING`."""

    def __init__(self, batches: "Iterator[pa.RecordBatch]", schema: "pa.Schema") -> None:
        self._batches, self._schema = batches, schema
        self._failure: Exception | None = None

    def register(self, session: "duckdb.DuckDBPyConnection") -> None:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(self._schema, self._produced())
        # As a stream: of a reader, DuckDB has Arrow's scanner read ahead as far as its rows go.
        session.register(INCOMING, reader.__arrow_c_stream__())

    def raise_failure(self) -> None:
        """Raise the producer's own error, of which DuckDB passes on only the text."""
        if self._failure is not None:
            raise self._failure from None

    def _produced(self) -> "Iterator[pa.RecordBatch]":
        try:
            yield from self._batches
        except Exception as error:
            self._failure = error
            raise
