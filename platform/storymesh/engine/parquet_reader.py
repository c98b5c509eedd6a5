"""Rows of a Parquet file as batches of Arrow: texts that the file keeps by their different values come so, as codes.

What is written again, or formed for a digest, is then formed once for each different text. The engines read files by
themselves; this is for rows that pass through this process as they are.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True)
class ParquetRows:
    """The rows of an open file. `schema` has the columns without codes, `coded_schema` as they come."""

    schema: "pa.Schema"
    coded_schema: "pa.Schema"
    file: "pq.ParquetFile"

    def batches(self, size: int) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in the order of the file, at most `size` at once."""
        for group in range(self.file.num_row_groups):  # no batch of nested columns can have the codes of two groups
            yield from self.file.iter_batches(size, row_groups=[group], columns=self.schema.names)


@contextmanager
def open_rows(path: Path, *, without: Collection[str] = (), plain: Collection[str] = ()) -> Iterator[ParquetRows]:
    """Open a file for the columns that are not in `without`. Those in `plain` come without codes."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = [name for name in file.schema_arrow.names if name not in without]
        schema, coded = _schema(file, columns), _coded_texts(file.metadata, plain)
    with pq.ParquetFile(path, pre_buffer=False, read_dictionary=coded) as file:
        yield ParquetRows(schema, _schema(file, columns), file)


def _schema(file: "pq.ParquetFile", columns: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([file.schema_arrow.field(name) for name in columns])


def _coded_texts(metadata: "pq.FileMetaData", plain: Collection[str]) -> list[str]:
    """Return the paths of the leaf columns of texts that have a dictionary in the first group of rows."""
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    chunks = [group.column(place) for place in range(group.num_columns)]
    return [
        chunk.path_in_schema
        for place, chunk in enumerate(chunks)
        if chunk.has_dictionary_page
        and metadata.schema.column(place).logical_type.type == "STRING"
        and chunk.path_in_schema not in plain
    ]
