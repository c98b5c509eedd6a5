"""Documents, workbooks and presentations of Office: the text that a person sees, part by part.

Each is a ZIP of XML. None of its parts has a document type: one that has one wants to grow, or to read other files.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import FileRefused, damaged

REVISION = 1
MAX_PARTS = 10_000
FREE_BYTES = 2**28
RATIO = 20  # media, which are what makes a document large, are compressed already
MAX_XML = 2**26  # bytes of all parts that are parsed
_XML = (".xml", ".rels", ".vml")
_TYPE = [
    mark.encode(encoding) for mark in ("<!DOCTYPE", "<!ENTITY") for encoding in ("ascii", "utf-16-le", "utf-16-be")
]
_EMU = 12_700  # of a point
_MAX_DEPTH = 50
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_CHOICES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_LEFT_OUT = {f"{_WORD}del", f"{_WORD}moveFrom", f"{_CHOICES}Fallback"}
_SIGNS = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "\u2011"}
_BESIDE = ("header", "footer", "footnotes", "endnotes")
MAX_CELLS = 1_000_000
MAX_ROWS = 1_048_576  # of a sheet of Excel


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


def presentation_text(content: bytes) -> tuple[PassageWriter, dict[str, Any], Any]:
    """Return the text with the box of each shape in points, the slides as pages, and what is said of the whole."""
    from pptx import Presentation

    shown = Presentation(BytesIO(content))
    writer, pages = PassageWriter(), []
    for number, slide in enumerate(shown.slides, 1):
        if slide.element.get("show") in ("0", "false"):
            continue
        texts: list[str] = []
        for text, box in [*_texts(slide.shapes), *_notes(slide)]:
            writer.begin_block("\n" if texts else "\n\n")
            writer.add(text, page=number, box=box)
            texts.append(text)
        pages.append({"number": number, "text": "\n".join(texts), "confidence": None})
    return writer, {"pages": pages}, shown.core_properties


def _texts(shapes: Any, depth: int = 0) -> Iterator[tuple[str, tuple[float, ...] | None]]:
    for shape in shapes:
        if hasattr(shape, "shapes") and depth < _MAX_DEPTH:
            yield from _texts(shape.shapes, depth + 1)
        elif getattr(shape, "has_table", False):
            lines = ("\t".join(_line(cell.text_frame) for cell in row.cells) for row in shape.table.rows)
            yield "\n".join(lines), _box(shape)
        elif shape.has_text_frame and (text := shape.text_frame.text.replace("\v", "\n")).strip():
            yield text, _box(shape)


def _notes(slide: Any) -> Iterator[tuple[str, None]]:
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        yield frame.text.replace("\v", "\n"), None


def _line(frame: Any) -> str:
    return " ".join(frame.text.split())


def _box(shape: Any) -> tuple[float, ...] | None:
    sides = (shape.left, shape.top, shape.width, shape.height)
    if any(side is None for side in sides):
        return None
    left, top, width, height = (side / _EMU for side in sides)
    return round(left, 1), round(top, 1), round(left + width, 1), round(top + height, 1)


_PARAGRAPH, _TABLE, _BOX = f"{_WORD}p", f"{_WORD}tbl", f"{_WORD}txbxContent"


def document_text(content: bytes) -> tuple[PassageWriter, dict[str, Any], Any]:
    """Return the text paragraph by paragraph, no rows, and what is said of the document."""
    from docx.opc.package import OpcPackage

    package = OpcPackage.open(BytesIO(content))
    main = package.main_document_part
    writer = PassageWriter()
    _write(main, writer)
    beside = [
        link for link in main.rels.values() if link.reltype.rpartition("/")[2] in _BESIDE and not link.is_external
    ]
    for link in sorted(beside, key=lambda found: str(found.target_part.partname)):
        _write(link.target_part, writer)
    return writer, {}, package.core_properties


def _write(part: Any, writer: PassageWriter) -> None:
    from docx.oxml.parser import parse_xml

    # Some parts are parsed by the library, others, as those of a document with macros, are not.
    root = part.element if hasattr(part, "element") else parse_xml(part.blob)
    name = str(part.partname).lstrip("/")
    for text in _paragraphs(root):
        if text.strip():
            writer.begin_block("\n")
            writer.add(text, part=name)


def _paragraphs(element: Any) -> Iterator[str]:
    """Yield the texts of paragraphs and of rows of tables."""
    for child in element.iterchildren():
        if child.tag in _LEFT_OUT:
            continue
        if child.tag == _PARAGRAPH:
            pieces: list[str] = []
            boxes: list[Any] = []
            _gather(child, pieces, boxes)
            yield "".join(pieces)
            for box in boxes:
                yield from _paragraphs(box)
        elif child.tag == _TABLE:
            for row in child.iterchildren(f"{_WORD}tr"):
                yield "\t".join(" ".join(text for text in _paragraphs(cell) if text) for cell in _cells(row))
        else:
            yield from _paragraphs(child)


def _cells(row: Any) -> Iterator[Any]:
    for child in row.iterchildren():
        if child.tag == f"{_WORD}tc":
            yield child
        elif child.tag not in _LEFT_OUT:
            yield from _cells(child)


def _gather(element: Any, pieces: list[str], boxes: list[Any]) -> None:
    for child in element.iterchildren():
        if child.tag in _LEFT_OUT or (child.tag == f"{_WORD}r" and _is_hidden(child)):
            continue
        if child.tag == _BOX:
            boxes.append(child)
        elif child.tag == f"{_WORD}t":
            pieces.append(child.text or "")
        elif child.tag in _SIGNS:
            pieces.append(_SIGNS[child.tag])
        elif child.tag not in (f"{_WORD}pPr", f"{_WORD}rPr"):
            _gather(child, pieces, boxes)


def _is_hidden(run: Any) -> bool:
    found = run.find(f"{_WORD}rPr/{_WORD}vanish")
    return found is not None and found.get(f"{_WORD}val") not in ("0", "false", "off")


def workbook_text(content: bytes) -> tuple[PassageWriter, dict[str, Any], Any]:
    """Return the text, a line for each row, with every cell's name, the cells, and what is said of the workbook."""
    from openpyxl import load_workbook

    # What it says of a cell, the cell says too, as an error.
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    book = load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    writer, cells = PassageWriter(), list[dict[str, Any]]()
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        writer.begin_block()
        writer.add(sheet.title, part=sheet.title)
        # The size that a sheet says it has is a hint, and some writers leave it as it was.
        sheet.reset_dimensions()
        for row in sheet.iter_rows(max_row=MAX_ROWS):
            _write_row(sheet.title, row, writer, cells)
    return writer, {"cells": cells}, book.properties


def _write_row(sheet: str, row: Any, writer: PassageWriter, cells: list[dict[str, Any]]) -> None:
    begun = False
    for cell in row:
        text = _format_cell(cell)
        if not text.strip():
            continue
        if len(cells) >= MAX_CELLS:
            raise FileRefused("too large when opened", f"it has more than {MAX_CELLS:,} cells")
        writer.separate("\t" if begun else "\n")
        begun = True
        writer.add(text, part=sheet, cell=cell.coordinate)
        cells.append({"sheet": sheet, "cell": cell.coordinate, "row": cell.row, "column": cell.column, "text": text})


def _format_cell(cell: Any) -> str:
    """Return a value as text: days as YYYY-MM-DD, and a share with its sign where it is shown with one."""
    value = cell.value
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case datetime():
            midnight = value.time() == time()
            return value.date().isoformat() if midnight else value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case int() | float() if "%" in (cell.number_format or ""):
            return f"{_number(round(value * 100, 10))}%"
        case float():
            return _number(value)
        case _:
            return str(value)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


_TEXTS = {"docx": document_text, "xlsx": workbook_text, "pptx": presentation_text}
