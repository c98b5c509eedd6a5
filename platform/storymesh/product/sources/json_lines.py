"""JSON Lines files as sources. Every value comes as the text that it is in JSON, a string without its quotes: a number
in a text column is no reason to refuse a file."""

import gzip
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.errors import EngineFailed
from storymesh.product.sources.bounds import OpensTooFar, require_bounded_gzip
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa


def _open_rows(source: SourceFile, engine: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa

    names = list(source.contract.properties)
    schema = pa.schema([(name, pa.string()) for name in names])
    if not source.path.stat().st_size:
        return pa.RecordBatchReader.from_batches(schema, iter(()))
    try:
        if source.path.suffix.lower() == ".gz":
            require_bounded_gzip(source.path)
        reader = engine.stream_json_texts(source.path, names, BATCH_ROWS)
    except EngineFailed as error:
        raise source.unreadable(str(error)) from None
    except OpensTooFar as error:
        raise source.opens_too_far(error) from None
    except (gzip.BadGzipFile, EOFError, OSError, zlib.error) as error:
        raise source.unreadable(f"the file is damaged: {error}") from None

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except EngineFailed as error:
            raise source.unreadable(str(error)) from None

    return pa.RecordBatchReader.from_batches(schema, batches())


JSON_LINES = SourceFormat((".jsonl", ".jsonl.gz", ".ndjson"), _open_rows)
