"""Readings in columns: the names that expressions use, and the passages that evidence needs."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from storymesh.contract.types import arrow_type
from storymesh.files.definition import FilesFile
from storymesh.files.inventory import SHA256
from storymesh.files.reading.reading import FileReading, Passage
from storymesh.files.typed import ATTACHMENTS, CONFIDENCE, TEXT, reading_fields

if TYPE_CHECKING:
    import pyarrow as pa

PASSAGES = "passages"
READER = "reader"
_PASSAGE_FIELDS = ("begin", "end", "part", "page", "box", "seconds", "cell", "confidence")


def reading_schema(file: FilesFile) -> "pa.Schema":
    """Return the columns of the readings of these files: `sha256`, what expressions see, `reader` and `passages`."""
    import pyarrow as pa

    number = pa.float64()
    passage = pa.struct(
        [
            ("begin", pa.int64()),
            ("end", pa.int64()),
            ("part", pa.string()),
            ("page", pa.int64()),
            ("box", pa.list_(number)),
            ("seconds", pa.list_(number)),
            ("cell", pa.string()),
            ("confidence", number),
        ]
    )
    fields = [pa.field(name, arrow_type(field.type)) for name, field in reading_fields(file).items()]
    own = [pa.field(SHA256, pa.string()), pa.field(READER, pa.string())]
    return pa.schema([*own, *fields, pa.field(PASSAGES, pa.list_(passage))])


def reading_row(sha256: str, reading: FileReading, attachments: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a reading as a row of `reading_schema`."""
    return {
        SHA256: sha256,
        READER: f"{reading.reader} {reading.version}",
        TEXT: reading.text,
        CONFIDENCE: reading.confidence,
        ATTACHMENTS: list(attachments),
        PASSAGES: list(map(_passage_row, reading.passages)),
        **reading.values,
    }


def _passage_row(passage: Passage) -> dict[str, Any]:
    return {name: getattr(passage, name) for name in _PASSAGE_FIELDS}


def reading_batch(rows: list[dict[str, Any]], schema: "pa.Schema") -> "pa.RecordBatch":
    """Return rows in columns."""
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(rows, schema)
