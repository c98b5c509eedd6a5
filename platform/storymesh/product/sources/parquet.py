"""Parquet files as sources, with their own types."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.product.sources.bounds import OpensTooFar, most_bytes
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 128 * 2**20


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = most_bytes(source.path)
    damaged = (pa.ArrowException, OSError, RecursionError, MemoryError)
    try:
        file = pq.ParquetFile(source.path)
        columns = source.choose_columns(file.schema_arrow.names)
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        if sum(max(group.total_byte_size, 0) for group in groups) > limit:
            raise source.unreadable("the Parquet file opens to more than it may", "split it")
        # A text that stands once in a dictionary and in a million rows is counted before it is written out.
        texts = [name for name in columns if _is_text(schema.field(name).type)]
        file = pq.ParquetFile(source.path, read_dictionary=texts)
    except damaged as error:
        raise source.unreadable(f"the Parquet file is damaged: {error}", "write it again") from None

    def batches() -> Iterator[pa.RecordBatch]:
        left = limit
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                size = sum(_written_out(column) for column in batch.columns)
                left -= size
                if left < 0:
                    raise source.opens_too_far(OpensTooFar(f"opens to more than {limit / 2**30:,.1f} GiB"))
                rows = max(1, batch.num_rows // (1 + size // BATCH_BYTES))
                for start in range(0, batch.num_rows, rows):
                    part = batch.slice(start, rows).select(columns)
                    written = [column.cast(field.type) for column, field in zip(part.columns, schema, strict=True)]
                    yield pa.RecordBatch.from_arrays(written, schema=schema)
        except damaged as error:
            raise source.unreadable(f"the Parquet file is damaged: {error}", "write it again") from None

    return pa.RecordBatchReader.from_batches(schema, batches())


PARQUET = SourceFormat((".parquet",), _open_rows)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow.types as at

    return bool(at.is_string(kind) or at.is_large_string(kind) or at.is_binary(kind) or at.is_large_binary(kind))


def _written_out(column: "pa.Array") -> int:
    """Return the bytes of a column once each row has its own value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64()).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0) + 8 * len(column)
