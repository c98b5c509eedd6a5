"""Parquet files as sources, with their own types."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(source.path)
        columns = source.choose_columns(file.schema_arrow.names)
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    except (pa.ArrowException, OSError) as error:
        raise source.unreadable(f"the Parquet file is damaged: {error}", "write it again") from None

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield batch.select(columns)
        except (pa.ArrowException, OSError) as error:
            raise source.unreadable(f"the Parquet file is damaged: {error}", "write it again") from None

    return pa.RecordBatchReader.from_batches(schema, batches())


PARQUET = SourceFormat((".parquet",), _open_rows)
