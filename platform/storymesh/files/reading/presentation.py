"""The text of a presentation, slide by slide: what is shown, and the notes below it."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from storymesh.files.reading.passages import PassageWriter

_EMU = 12_700  # of a point
_DEEPEST = 50


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
        if hasattr(shape, "shapes") and depth < _DEEPEST:
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
