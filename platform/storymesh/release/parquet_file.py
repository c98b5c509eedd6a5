"""Parquet files of strangers: what is looked at before a library or an engine reads one.

A file of a few bytes can claim billions of rows, a million columns or a column whose name is SQL. Releases have few
columns, of the types that contracts have, and their names are plain.
"""

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from storymesh.case.definition import NAME
from storymesh.product.sources.parquet_pages import PagesRefused, require_bounded_pages, require_footer
from storymesh.release.manifest import printable_value

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FOOTER_BYTES = 16 * 2**20
MAX_COLUMNS = 5_000  # with those inside of others
MAX_NAME_LENGTH = 255
ROWS_OF_BYTE = 16  # an id compresses to about a byte
ROWS_BEYOND = 1_000_000
OPENED_RATIO = 2_000  # uncompressed bytes for each byte of the file; texts of one template reach some hundred
OPENED_BEYOND = 64 * 2**20
_QUOTES = frozenset("\"'`;\\")
_FEATURES = ("Value", "List", "LargeList", "Sequence", "ClassLabel")


def parquet_faults(file: BinaryIO) -> Iterator[str]:
    """Yield what no Parquet file of a release has, each as the end of a sentence that begins with the file's name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = file.seek(0, os.SEEK_END)
    try:
        require_footer(file, MAX_FOOTER_BYTES)
        metadata = pq.read_metadata(file)
        if metadata.num_columns > MAX_COLUMNS:
            yield f"has {metadata.num_columns:,} columns, more than any release has"
            return
        schema = metadata.schema.to_arrow_schema()
        opened = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        rows = sum(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
        most = OPENED_RATIO * size + OPENED_BEYOND
        require_bounded_pages(file, metadata, most)
    except PagesRefused as refused:
        yield f"cannot be read: it {refused}"
        return
    except (OSError, ValueError, OverflowError, RecursionError, MemoryError, pa.ArrowException) as error:
        yield f"cannot be read: {printable_value(' '.join(str(error).split())[:120])}"
        return
    if rows != metadata.num_rows:
        yield f"says that it has {metadata.num_rows:,} rows, and its parts say {rows:,}"
    elif rows > ROWS_OF_BYTE * size + ROWS_BEYOND or opened > most:
        yield f"says that its {size:,} bytes hold {rows:,} rows of {opened:,} bytes, more than such a file can"
    yield from _schema_faults(schema)


def _schema_faults(schema: "pa.Schema") -> Iterator[str]:
    if len(set(schema.names)) < len(schema.names):
        yield "has two columns of one name"
    for field in schema:
        if not NAME.fullmatch(field.name) or len(field.name) > MAX_NAME_LENGTH:
            yield f"has a column {printable_value(repr(field.name))}, which no format of records has"
            return
        if fault := _type_fault(field.type):
            yield f"has in its column '{field.name}' {fault}"
            return
    features = (schema.metadata or {}).get(b"huggingface")
    if features and (kind := _foreign_feature(features)):
        yield f"asks `datasets` to read {printable_value(kind)}, which no release holds"


def _type_fault(kind: "pa.DataType") -> str | None:
    """Return the part of a type that no contract can have: its kind, or the name of a field in it."""
    import pyarrow.types as pt

    if pt.is_struct(kind):
        names = [field.name for field in kind]
        if (unfit := next((name for name in names if not _is_plain(name)), None)) is not None:
            return f"a part {printable_value(repr(unfit))}, which no property is called"
        if len(set(names)) < len(names):
            return "two parts of one name"
        return next((fault for field in kind if (fault := _type_fault(field.type))), None)
    if pt.is_list(kind) or pt.is_large_list(kind):
        return _type_fault(kind.value_type)
    scalar = (pt.is_string, pt.is_large_string, pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_boolean)
    if any(test(kind) for test in (*scalar, pt.is_date, pt.is_timestamp, pt.is_null)):
        return None
    return f"the type {printable_value(str(kind))}, which no contract has"


def _is_plain(name: str) -> bool:
    return bool(name) and len(name) <= MAX_NAME_LENGTH and name.isprintable() and _QUOTES.isdisjoint(name)


def _foreign_feature(metadata: bytes) -> str | None:
    """Return a type of features of `datasets` that would open other files or run code for a value."""
    try:
        pending: list[Any] = [json.loads(metadata)]
    except (ValueError, RecursionError):
        return "metadata that is no JSON"
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            kind = value.get("_type")
            if isinstance(kind, str) and kind not in _FEATURES:
                return kind
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return None
