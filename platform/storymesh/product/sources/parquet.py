"""Parquet files as sources, with their own types."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.bounds import ContentTooLarge, most_bytes
from storymesh.product.sources.int96 import exact_moments, type_with_texts
from storymesh.product.sources.parquet_pages import (
    PagesRefused,
    is_text,
    require_bounded_file,
    written_out_bytes,
)
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_BYTES = 128 * 2**20


@dataclass(frozen=True)
class _File:
    """A Parquet file that is read: the chosen columns with the types in which they come, and, where `int96` names the
    types of moments in nanoseconds, the file once more with these."""

    rows: "pq.ParquetFile"
    schema: "pa.Schema"
    int96: "Mapping[str, pa.DataType]"
    exact: "pq.ParquetFile | None"
    rows_at_once: int


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa

    limit = most_bytes(source.path)
    with ExitStack() as stack:
        opened = _open_file(source, stack, limit)
        closing = stack.pop_all()
    schema, int96 = opened.schema, opened.int96
    read_types = [type_with_texts(field.type, int96.get(field.name, field.type)) for field in schema]
    given = pa.schema(list(zip(schema.names, read_types, strict=True)))

    def batches() -> Iterator[pa.RecordBatch]:
        left = limit
        with closing:
            try:
                for batch, moments in _read(opened):
                    size = sum(map(written_out_bytes, batch.columns))
                    left -= size
                    if left < 0:
                        raise source.refused(ContentTooLarge(f"opens to more than {limit / 2**30:,.1f} GiB"))
                    rows = max(1, batch.num_rows // (1 + size // BATCH_BYTES))
                    for start in range(0, batch.num_rows, rows):
                        part = batch.slice(start, rows).select(schema.names)
                        written = [column.cast(field.type) for column, field in zip(part.columns, schema, strict=True)]
                        for name in int96:
                            index = schema.names.index(name)
                            written[index] = exact_moments(written[index], moments.column(name).slice(start, rows))
                        yield pa.RecordBatch.from_arrays(written, schema=given)
            except _damages() as error:
                raise _damage_error(source, error) from None

    return plain_columns(given, batches(), source.unreadable)


def _open_file(source: SourceFile, stack: ExitStack, limit: int) -> _File:
    """Return the file, open until `stack` is closed, where nothing in it opens to more than `limit` bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = stack.enter_context(source.open_file())
    try:
        longest = require_bounded_file(file, limit)
        looked_at = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")
        columns = source.choose_columns(looked_at.schema_arrow.names)
        schema = pa.schema([looked_at.schema_arrow.field(name) for name in columns])
        groups = [looked_at.metadata.row_group(index) for index in range(looked_at.metadata.num_row_groups)]
        if sum(max(group.total_byte_size, 0) for group in groups) > limit:
            raise source.unreadable("the Parquet file opens to more than it may", "split it")
        # A long text that stands once in a dictionary and in a million rows is counted before it is written out.
        texts = [
            name
            for name in columns
            if is_text(schema.field(name).type) and longest.get(name, 0) * BATCH_ROWS > BATCH_BYTES
        ]
        # Arrow would keep what it has read ahead until the file is closed, which is all of it in the end.
        rows = pq.ParquetFile(file, pre_buffer=False, read_dictionary=texts, coerce_int96_timestamp_unit="us")
        at_once = _rows_at_once(groups)
        if all(rows.schema.column(index).physical_type != "INT96" for index in range(len(rows.schema))):
            return _File(rows, schema, {}, None, at_once)
        exact = pq.ParquetFile(stack.enter_context(source.open_file()), pre_buffer=False)
        kinds = {name: exact.schema_arrow.field(name).type for name in columns}
        int96 = {name: kind for name, kind in kinds.items() if kind != schema.field(name).type}
        return _File(rows, schema, int96, exact if int96 else None, at_once)
    except PagesRefused as refused:
        raise source.unreadable(f"the Parquet file {refused}", "write it again, or split it") from None
    except _damages() as error:
        raise _damage_error(source, error) from None


def _rows_at_once(groups: "Sequence[pq.RowGroupMetaData]") -> int:
    """Return how many rows are read at once, by the size that they have in the file on average, where it is largest."""
    sizes: list[int] = [group.total_byte_size // group.num_rows for group in groups if group.num_rows > 0]
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max([*sizes, 1])))


def _read(file: _File) -> "Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]":
    """Yield the rows, and the same ones with moments in nanoseconds where there are such."""
    given = file.rows.iter_batches(file.rows_at_once, columns=file.schema.names)
    if file.exact is None:
        return ((batch, batch) for batch in given)
    return zip(given, file.exact.iter_batches(file.rows_at_once, columns=list(file.int96)), strict=True)


def _damages() -> tuple[type[BaseException], ...]:
    """Return what is raised about a damaged file. A name in it that is no UTF-8, Arrow raises as a ValueError."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, RecursionError, MemoryError)


def _damage_error(source: SourceFile, error: BaseException) -> SourceUnreadable:
    words = " ".join(str(error).split())[:300]
    return source.unreadable(f"the Parquet file is damaged: {words}", "write it again")


def _record_numbers(source: SourceFile) -> "Iterator[np.ndarray[Any, Any]]":
    """Yield the numbers of the rows: a Parquet file has no lines."""
    import numpy as np
    import pyarrow.parquet as pq

    with source.open_file() as file:
        yield np.arange(1, pq.read_metadata(file).num_rows + 1)


PARQUET = SourceFormat(_open_rows, _record_numbers)
