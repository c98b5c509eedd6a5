"""Documents, workbooks and presentations of Office: the text that a person sees, part by part.

Each is a ZIP of XML. None of its parts has a document type: one that has one wants to grow, or to read other files.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.passages import FileContent
from storymesh.files.reading.presentation import presentation_text
from storymesh.files.reading.reading import FileRefused, damaged
from storymesh.files.reading.word_document import document_text
from storymesh.files.reading.workbook import workbook_text

REVISION = 1
MAX_PARTS = 10_000
FREE_BYTES = 2**28
RATIO = 20  # media, which are what makes a document large, are compressed already
MAX_XML = 2**26  # bytes of all parts that are parsed
_XML = (".xml", ".rels", ".vml")
_TYPE = [
    mark.encode(encoding) for mark in ("<!DOCTYPE", "<!ENTITY") for encoding in ("ascii", "utf-16-le", "utf-16-be")
]
_TEXTS = {"docx": document_text, "xlsx": workbook_text, "pptx": presentation_text}


def open_reader(_: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Return the reader of documents."""
    import pptx  # noqa: F401

    return read_office


def read_office(content: bytes) -> FileContent:
    """Return the text of a document with its parts, slides or cells, and what is said of it as a whole."""
    found = require_type(content, "office")
    try:
        with ZipFile(BytesIO(content)) as archive:
            _require_bounded(archive, len(content))
        if found not in _TEXTS:
            raise FileRefused("wrong type", "office was expected, and the content is an archive of other files")
        writer, rows, told = _TEXTS[found](content)
    except (FileRefused, MemoryError, RecursionError):
        raise
    except Exception as error:  # whatever the libraries find in a package that is not what they expect
        raise damaged(error) from None
    if not writer.text.strip():
        raise FileRefused("no text")
    values = {
        "format": found,
        "title": getattr(told, "title", None) or None,
        "author": getattr(told, "author", None) or getattr(told, "creator", None) or None,
        "created": _in_utc(getattr(told, "created", None)),
        "modified": _in_utc(getattr(told, "modified", None)),
    }
    return FileContent(writer.text, {"office": values, **rows}, writer.passages)


def _in_utc(moment: Any) -> datetime | None:
    if not isinstance(moment, datetime):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _require_bounded(archive: ZipFile, packed: int) -> None:
    """Raise FileRefused for a package that opens to too much, has a password, or XML with a document type."""
    parts = archive.infolist()
    if any(part.flag_bits & 1 for part in parts):
        raise FileRefused("encrypted", "the package has a password")
    size = sum(part.file_size for part in parts)
    if len(parts) > MAX_PARTS or size > max(FREE_BYTES, RATIO * packed):
        raise FileRefused("too large when opened", f"it opens to {len(parts):,} parts of {size:,} bytes")
    texts = [part for part in parts if part.filename.lower().endswith(_XML)]
    if (size := sum(part.file_size for part in texts)) > MAX_XML:
        raise FileRefused("too large when opened", f"its XML opens to {size:,} bytes")
    for part in texts:
        text = archive.read(part)
        if any(mark in text for mark in _TYPE):
            raise FileRefused("damaged", f"{part.filename} has a document type, which no document of Office has")
