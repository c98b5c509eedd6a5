"""Parquet files as sources, with their own types."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.input_file import InputFileRefused, open_input
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.bounds import OpensTooFar, most_bytes
from storymesh.product.sources.int96 import exact_moments, type_with_texts
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
    import pyarrow.parquet as pq

BATCH_BYTES = 128 * 2**20


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = most_bytes(source.path)
    # What a name in the file is that is no UTF-8, Arrow raises as a ValueError.
    damaged = (pa.ArrowException, OSError, ValueError, RecursionError, MemoryError)
    try:
        with open_input(source.path, source.folder) as opened:
            require_footer(opened)
            require_bounded_pages(opened, pq.read_metadata(opened), limit)
        file = pq.ParquetFile(source.path, coerce_int96_timestamp_unit="us")
        columns = source.choose_columns(file.schema_arrow.names)
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        if sum(max(group.total_byte_size, 0) for group in groups) > limit:
            raise source.unreadable("the Parquet file opens to more than it may", "split it")
        int96 = _int96_types(source, file, columns)
        # A text that stands once in a dictionary and in a million rows is counted before it is written out.
        texts = [name for name in columns if is_text(schema.field(name).type)]
        file = pq.ParquetFile(source.path, read_dictionary=texts, coerce_int96_timestamp_unit="us")
        nanoseconds = pq.ParquetFile(source.path) if int96 else None
    except PagesRefused as refused:
        raise source.unreadable(f"the Parquet file {refused}", "write it again, or split it") from None
    except InputFileRefused as refused:
        raise source.unreadable(f"the file {refused.reason}", refused.hint) from None
    except damaged as error:
        raise source.unreadable(f"the Parquet file is damaged: {_in_words(error)}", "write it again") from None
    read_types = [type_with_texts(field.type, int96.get(field.name, field.type)) for field in schema]
    given = pa.schema(list(zip(columns, read_types, strict=True)))

    def batches() -> Iterator[pa.RecordBatch]:
        left = limit
        exact = nanoseconds.iter_batches(BATCH_ROWS, columns=list(int96)) if nanoseconds else itertools.repeat(None)
        try:
            for batch, moments in zip(file.iter_batches(BATCH_ROWS, columns=columns), exact, strict=False):
                size = sum(map(written_out_bytes, batch.columns))
                left -= size
                if left < 0:
                    raise source.opens_too_far(OpensTooFar(f"opens to more than {limit / 2**30:,.1f} GiB"))
                rows = max(1, batch.num_rows // (1 + size // BATCH_BYTES))
                for start in range(0, batch.num_rows, rows):
                    part = batch.slice(start, rows).select(columns)
                    written = [column.cast(field.type) for column, field in zip(part.columns, schema, strict=True)]
                    for name in int96 if moments is not None else ():
                        index = columns.index(name)
                        written[index] = exact_moments(written[index], moments.column(name).slice(start, rows))
                    yield pa.RecordBatch.from_arrays(written, schema=given)
        except damaged as error:
            raise source.unreadable(f"the Parquet file is damaged: {_in_words(error)}", "write it again") from None

    return plain_columns(given, batches(), source.unreadable)


PARQUET = SourceFormat((".parquet",), _open_rows)


def _int96_types(source: SourceFile, file: "pq.ParquetFile", columns: Sequence[str]) -> "Mapping[str, pa.DataType]":
    """Return the types in nanoseconds of those of `columns` that hold moments as INT96, themselves or inside."""
    import pyarrow.parquet as pq

    if all(file.schema.column(index).physical_type != "INT96" for index in range(len(file.schema))):
        return {}
    given, exact = file.schema_arrow, pq.ParquetFile(source.path).schema_arrow
    return {name: exact.field(name).type for name in columns if exact.field(name).type != given.field(name).type}


def _in_words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
