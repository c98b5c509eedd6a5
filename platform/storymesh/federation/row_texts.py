"""A driver's Python rows as batches of texts, which the contract casts value by value."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 50_000


def text_batches(fetch: Callable[[int], Sequence[Sequence[Any]]], schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    """Yield what `fetch` gives of a number of rows, until it gives none."""
    import pyarrow as pa

    while rows := fetch(BATCH_ROWS):
        columns = [_texts(column) for column in zip(*rows, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _texts(values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    try:
        return pa.array(values).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):  # of several types
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
