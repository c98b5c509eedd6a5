"""The text of a Word document in the order in which it stands, without what is deleted or hidden."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from storymesh.files.reading.passages import PassageWriter

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_CHOICES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_LEFT_OUT = {f"{_WORD}del", f"{_WORD}moveFrom", f"{_CHOICES}Fallback"}
_SIGNS = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "\u2011"}
_PARAGRAPH, _TABLE, _BOX = f"{_WORD}p", f"{_WORD}tbl", f"{_WORD}txbxContent"
_BESIDE = ("header", "footer", "footnotes", "endnotes")


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
