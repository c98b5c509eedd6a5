"""The visible text of HTML: no scripts, styles or hidden parts, which could tell a model what no person reads."""

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import FileRefused
from storymesh.files.reading.text import decode_text

REVISION = 1
_UNSEEN = frozenset({
    "script", "style", "template", "noscript", "head", "iframe", "object", "svg", "math", "canvas", "audio",
    "video", "select", "datalist",
})  # fmt: skip
_OF_HEAD = frozenset(["base", "link", "meta", "noscript", "script", "style", "template", "title"])
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "html", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr",
    "ul",
})  # fmt: skip
_PARAGRAPHS = frozenset({
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre", "section", "article",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
# An end tag that its document may leave out: a start of the same ends what is open.
_ENDED_BY_ITSELF = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "option"})
_HIDING = re.compile(
    r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?:\.0+)?(?:px|pt|em|rem|%)?"
    r"\s*(?:!|;|$)|opacity\s*:\s*0(?:\.0+)?\s*(?:!|;|$)|mso-hide\s*:\s*all)",
    re.IGNORECASE,
)
_RULE = re.compile(r"([^{}]{1,1000})\{([^{}]*)\}")
_SIMPLE_SELECTOR = re.compile(r"(?:[a-z][a-z0-9]*)?(?:[.#][\w-]+)?", re.IGNORECASE)
_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*["']?([\w-]{2,40})""", re.IGNORECASE)
_MAX_DEPTH = 2_000


def open_reader(_: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Return the reader of web pages."""
    return read_html


def read_html(content: bytes) -> FileContent:
    """Return the text of a page that is seen, and what its head says of it."""
    require_type(content, "html")
    declared = _CHARSET.search(content[:4096])
    page = parse_html(decode_text(content, declared[1].decode() if declared else None)[0])
    if not page.text.strip():
        raise FileRefused("no text")
    writer = PassageWriter()
    writer.add(page.text)
    values = {"title": page.title, "language": page.language, "description": page.description}
    return FileContent(writer.text, {"html": values}, writer.passages)


def parse_html(source: str) -> "SeenText":
    """Return the seen text of HTML."""
    seen = SeenText()
    seen.feed(source)
    seen.close()
    return seen


class SeenText(HTMLParser):
    """The text of a page that a person sees, block by block, with its title, language and description."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: str | None = None
        self.language: str | None = None
        self.description: str | None = None
        self._open: list[tuple[str, bool]] = []  # tags, and whether what is in them is seen
        self._pieces: list[str] = []
        self._breaks = 0  # line ends that are due before the next word
        self._space = ""
        self._in_row = False  # after a cell of a row
        self._hiding: set[str] = set()  # selectors of its style sheets

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def _is_visible(self) -> bool:
        return not self._open or self._open[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.language = given.get("lang") or self.language
        if tag == "meta" and given.get("name", "").lower() == "description":
            self.description = given.get("content") or None
        if tag not in _OF_HEAD and self._open and self._open[-1][0] == "head":  # its end tag may be left out
            self._open.pop()
        if tag in _ENDED_BY_ITSELF:
            self._end_of_same(tag)
        if self._is_visible and tag in _CELLS:
            self._begin_cell()
        elif self._is_visible:
            self._break_at(tag)
        if tag in _VOID:
            return
        if len(self._open) >= _MAX_DEPTH:
            raise FileRefused("too large when opened", f"its elements are nested more than {_MAX_DEPTH:,} deep")
        self._open.append((tag, self._is_visible and tag not in _UNSEEN and not self._is_hidden(tag, given)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID and tag in ("svg", "math"):
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not any(name == tag for name, _ in self._open):
            return
        while self._open:
            name, _ = self._open.pop()
            if name == tag:
                break
        if self._is_visible:
            self._break_at(tag)

    def handle_data(self, data: str) -> None:
        tag = self._open[-1][0] if self._open else ""
        if tag == "title" and self.title is None:
            self.title = " ".join(data.split()) or None
        elif tag == "style":
            self._learn_styles(data)
        elif self._is_visible:
            self._write(data, preformatted=any(name == "pre" for name, _ in self._open))

    def _write(self, data: str, *, preformatted: bool) -> None:
        words = data if preformatted else re.sub(r"[ \t\n\r\f]+", " ", data)
        if not words.strip(" \n"):
            self._space = self._space or (" " if words else "")
            return
        if self._breaks:
            self._pieces.append("\n" * self._breaks if self._pieces else "")
            words = words if preformatted else words.lstrip(" ")
        elif self._pieces and (self._space or words[0] == " "):
            self._pieces.append(self._space or " ")
            words = words.lstrip(" ")
        self._space = " " if words[-1] == " " else ""
        self._pieces.append(words.rstrip(" "))
        self._breaks = 0

    def _begin_cell(self) -> None:
        if self._in_row:
            self._breaks, self._space = 0, "\t"
        self._in_row = True

    def _break_at(self, tag: str) -> None:
        if tag == "tr":
            self._in_row = False
        if self._space == "\t":  # the first block of a cell begins where the cell does
            return
        if tag in _PARAGRAPHS and not any(name in _CELLS for name, _ in self._open):
            self._breaks = 2
        elif tag in _BLOCKS or tag == "br":
            self._breaks = max(self._breaks, 1)

    def _end_of_same(self, tag: str) -> None:
        for name, _ in reversed(self._open):
            if name == tag:
                self.handle_endtag(tag)
                return
            if name in ("table", "ul", "ol", "dl", "div", "tr", "tbody", "thead") and name != tag:
                return

    def _is_hidden(self, tag: str, given: Mapping[str, str]) -> bool:
        if "hidden" in given or _HIDING.search(given.get("style", "")):
            return True
        names = [f".{name}" for name in given.get("class", "").split()] + ([f"#{given['id']}"] if "id" in given else [])
        return any(selector in self._hiding for name in ("", *names) for selector in (name, tag + name) if selector)

    def _learn_styles(self, sheet: str) -> None:
        """Note what the sheet hides always: rules for some screens, in a block of their own, are passed over."""
        plain = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
        plain = re.sub(r"@[^{};]*(?:;|\{(?:[^{}]|\{[^{}]*\})*\})", "", plain)
        for selectors, body in _RULE.findall(plain):
            if _HIDING.search(body):
                chosen = (selector.strip() for selector in selectors.split(","))
                self._hiding.update(selector for selector in chosen if _SIMPLE_SELECTOR.fullmatch(selector))
