"""Parquet files as sources, with their own types."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.input_file import InputFileRefused, open_input
from storymesh.product.sources.bounds import OpensTooFar, most_bytes
from storymesh.product.sources.parquet_pages import (
    PagesRefused,
    is_text,
    require_bounded_pages,
    require_footer,
    written_out_bytes,
)
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
        with open_input(source.path, source.folder) as opened:
            require_footer(opened)
            require_bounded_pages(opened, pq.read_metadata(opened), limit)
        file = pq.ParquetFile(source.path)
        columns = source.choose_columns(file.schema_arrow.names)
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        if sum(max(group.total_byte_size, 0) for group in groups) > limit:
            raise source.unreadable("the Parquet file opens to more than it may", "split it")
        # A text that stands once in a dictionary and in a million rows is counted before it is written out.
        texts = [name for name in columns if is_text(schema.field(name).type)]
        file = pq.ParquetFile(source.path, read_dictionary=texts)
    except PagesRefused as refused:
        raise source.unreadable(f"the Parquet file {refused}", "write it again, or split it") from None
    except InputFileRefused as refused:
        raise source.unreadable(f"the file {refused.reason}", refused.hint) from None
    except damaged as error:
        raise source.unreadable(f"the Parquet file is damaged: {error}", "write it again") from None

    def batches() -> Iterator[pa.RecordBatch]:
        left = limit
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                size = sum(map(written_out_bytes, batch.columns))
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
