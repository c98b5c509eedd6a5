"""Pages of PDF: their text line by line with its boxes, and pages that are pictures by recognition."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.ocr import MAX_PIXELS, Recogniser, open_recogniser
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import FileRefused, damaged

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

REVISION = 1
MAX_PAGES = 20_000
_DOTS = 200 / 72  # pixels a point, for recognition
_PASSWORD, _SECURITY = 4, 5  # PDFium's errors
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([-+])(\d\d)'?(\d\d)?)?")
_UNREADABLE = 0.3  # of the signs of a page, beyond which it is recognised as a picture is
_HYPHEN = "\ufffe"  # where PDFium has met a word that goes on in the next line
_SCANNED = (
    "its pages are pictures, or their fonts say no letters: pip install 'storymesh[ocr]', and let `ocr` be on, to have"
    " their text recognised"
)


def open_reader(options: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Return the reader of PDF; with `ocr` it recognises pages that are pictures."""
    import pypdfium2  # noqa: F401

    recognise = open_recogniser() if options["ocr"] else None
    return lambda content: read_pdf(content, recognise)


def read_pdf(content: bytes, recognise: Recogniser | None = None) -> FileContent:
    """Return the text of the pages, each line with its page and its box in points from the upper left corner."""
    import pypdfium2

    require_type(content, "pdf")
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in (_PASSWORD, _SECURITY):
            raise FileRefused("encrypted", "the document has a password") from None
        raise damaged(error) from None
    try:
        pages = _Pages(document, recognise)
        pages.read()
        return pages.content()
    except pypdfium2.PdfiumError as error:
        raise damaged(error) from None
    finally:
        document.close()


@dataclass
class _Pages:
    document: "PdfDocument"
    recognise: Recogniser | None
    writer: PassageWriter = field(default_factory=PassageWriter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: int = 0  # pages without text that show something

    def read(self) -> None:
        count = len(self.document)
        if count > MAX_PAGES:
            raise FileRefused("too large when opened", f"it has {count:,} pages, more than {MAX_PAGES:,}")
        has_form = bool(self.document.get_formtype())
        if has_form:
            self.document.init_forms()
        for number in range(1, count + 1):
            if has_form:  # what is filled in is text of the page then
                with closing(self.document[number - 1]) as form:
                    form.flatten()
            with closing(self.document[number - 1]) as page:
                self._read_page(page, number)

    def content(self) -> FileContent:
        text = self.writer.text
        if not text.strip():
            if self.pictures and self.recognise is None:
                raise FileRefused("scanned", _SCANNED)
            raise FileRefused("no text", f"none of its {len(self.rows):,} pages has text")
        told = self.document.get_metadata_dict()
        values = {
            "title": told.get("Title") or None,
            "author": told.get("Author") or None,
            "created": _moment(told.get("CreationDate") or ""),
            "pages": len(self.rows),
            "scanned": self.pictures > 0,
        }
        return FileContent(text, {"pdf": values, "pages": self.rows}, self.writer.passages)

    def _read_page(self, page: "PdfPage", number: int) -> None:
        with closing(page.get_textpage()) as text_page:
            lines = [line for line in _lines(text_page, page.get_height()) if line[0].strip()]
        if _is_unreadable("".join(text for text, _, _ in lines)):
            lines = []
        confidence = None
        if not lines and _shows_something(page):
            self.pictures += 1
            lines = self._recognised(page)
            confidence = min((sure for _, _, sure in lines if sure is not None), default=None)
        for index, (text, box, sure) in enumerate(lines):
            self.writer.begin_block("\n" if index else "\n\n")
            self.writer.add(text, page=number, box=box, confidence=sure)
        whole = "\n".join(text for text, _, _ in lines)
        self.rows.append({"number": number, "text": whole, "confidence": confidence})

    def _recognised(self, page: "PdfPage") -> list["_Line"]:
        if self.recognise is None:
            return []
        width, height = page.get_size()
        scale = min(_DOTS, (MAX_PIXELS / max(1.0, width * height)) ** 0.5)
        picture = page.render(scale=scale).to_pil()
        return [
            (line.text, tuple(round(side / scale, 1) for side in line.box), line.confidence)
            for line in self.recognise(picture)
        ]


_Line = tuple[str, Any, float | None]


def _lines(page: "PdfTextPage", height: float) -> Iterator[_Line]:
    """Yield the lines of a page with their boxes."""
    count = page.count_chars()
    if count <= 0:
        return
    text = page.get_text_range()
    placed = len(text) == count  # signs beyond the basic plane are counted in another way
    at = 0
    for line in text.splitlines(keepends=True):
        words = line.rstrip("\r\n")
        shown = words.replace(_HYPHEN, "\u00ad").replace("\x02", "\u00ad")
        yield shown, _box(page, at, len(words), height) if placed else None, None
        at += len(line)


def _box(page: "PdfTextPage", begin: int, length: int, height: float) -> tuple[float, float, float, float] | None:
    rectangles = [page.get_rect(index) for index in range(page.count_rects(begin, length))] if length else []
    if not rectangles:
        return None
    lefts, bottoms, rights, tops = zip(*rectangles, strict=True)
    left, top, right, bottom = min(lefts), height - max(tops), max(rights), height - min(bottoms)
    return round(left, 1), round(top, 1), round(right, 1), round(bottom, 1)


def _is_unreadable(text: str) -> bool:
    """Return True for what a font says that does not tell which letters its signs are."""
    unknown = sum(sign == "\ufffd" or unicodedata.category(sign) in ("Co", "Cn", "Cc") for sign in text)
    return unknown > _UNREADABLE * len(text)


def _shows_something(page: "PdfPage") -> bool:
    return next(iter(page.get_objects(max_depth=2)), None) is not None


def _moment(written: str) -> datetime | None:
    """Return a date of PDF in UTC; where it has no zone it is taken as UTC."""
    match = _DATE.match(written)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    sign, hours, minutes = match.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) if sign else timedelta()
    try:
        zone = timezone(-offset if sign == "-" else offset)
        return datetime(year or 1, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=zone).astimezone(
            UTC
        )
    except (ValueError, OverflowError):
        return None
