"""The documentation of storymesh as pages of the site: the Markdown files of `docs/`, which a wheel has too."""

import base64
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import storymesh
from storymesh.catalogue.lineage import Lineage, LineageNode, LineagePicture, draw_lineage

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PACKAGE = Path(storymesh.__file__).parent
FOLDERS = (PACKAGE / "handbook", PACKAGE.parents[1] / "docs")  # of a wheel, of a checkout
FIRST = "README.md"
SECTIONS = {
    "": "Overview",
    "tutorials": "Tutorials",
    "how-to": "How to",
    "reference": "Reference",
    "decisions": "Decisions",
}
_ARROW = re.compile(r"\s*(\w+) --> (\w+)")


@dataclass(frozen=True)
class HandbookPart:
    """A stretch of a page: markup that was made from Markdown, or a picture."""

    html: str
    picture: LineagePicture | None = None


@dataclass(frozen=True)
class HandbookPage:
    """A page: `href` from the root of the site, its headings as (anchor, text), and its content."""

    href: str
    section: str
    title: str
    headings: tuple[tuple[str, str], ...]
    parts: tuple[HandbookPart, ...]


def read_handbook() -> list[HandbookPage]:
    """Return the pages in the order of their sections; none where the documentation is not installed."""
    folder = next((folder for folder in FOLDERS if (folder / FIRST).is_file()), None)
    if folder is None:
        return []
    order = list(SECTIONS)
    paths = [
        path.relative_to(folder) for path in folder.rglob("*.md") if _section(path.relative_to(folder)) in SECTIONS
    ]
    paths.sort(key=lambda path: (order.index(_section(path)), path.name != FIRST, path.as_posix()))
    known = {path.as_posix() for path in paths}
    return [_PageReader(folder, path, known).read() for path in paths]


def _section(path: Path) -> str:
    return path.parent.as_posix() if path.parent != Path() else ""


def page_href(path: str) -> str:
    """Return where the page of a Markdown file is in the site."""
    name = path.removesuffix(".md")
    return f"docs/{name.removesuffix('README')}index.html" if name.endswith("README") else f"docs/{name}.html"


class _PageReader:
    """Reads one file. Markup inside it is dropped, links lead to pages of the site, pictures are inside the page."""

    def __init__(self, folder: Path, path: Path, known: set[str]) -> None:
        self.folder, self.path, self.known = folder, path, known
        self.headings: list[tuple[str, str]] = []

    def read(self) -> HandbookPage:
        from markdown_it import MarkdownIt

        markdown = MarkdownIt("commonmark").enable("table")
        tokens = markdown.parse((self.folder / self.path).read_text(encoding="utf-8"))
        kept = [token for token in tokens if token.type != "html_block" or not token.content.startswith("<!--")]
        self._set_anchors(kept)
        for token in kept:
            token.children = [self._fix_link(child) for child in token.children or () if child.type != "html_inline"]
        parts = tuple(self._parts(markdown, kept))
        title = self.headings[0][1] if self.headings else self.path.stem
        return HandbookPage(
            page_href(self.path.as_posix()), SECTIONS[_section(self.path)], title, tuple(self.headings[1:]), parts
        )

    def _set_anchors(self, tokens: "list[Token]") -> None:
        """Give each heading the anchor that GitHub gives it, so that links work in both places."""
        for heading, inline in pairwise(tokens):
            if heading.type == "heading_open":
                text = "".join(child.content for child in inline.children or ())
                anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
                heading.attrSet("id", anchor)
                self.headings.append((anchor, text))

    def _fix_link(self, token: "Token") -> "Token":
        if token.type == "link_open":
            href = self._href(str(token.attrGet("href") or ""))
            token.attrs = {"href": href} if href else {}
        elif token.type == "image":
            token.attrs["src"] = self._resolve_image(str(token.attrGet("src") or ""))
        return token

    def _href(self, target: str) -> str:
        """Return where a link leads in the site, "" for a file that is not in it."""
        parts = urlsplit(target)
        if parts.scheme or target.startswith("#"):
            return target
        path = posixpath.normpath(posixpath.join(self.path.parent.as_posix(), parts.path))
        if path not in self.known:
            return ""
        here = posixpath.dirname(page_href(self.path.as_posix()))
        return posixpath.relpath(page_href(path), here) + (f"#{parts.fragment}" if parts.fragment else "")

    def _resolve_image(self, target: str) -> str:
        """Return a picture as the address of its own content."""
        path = (self.folder / self.path.parent / target).resolve()
        if path.suffix != ".svg" or not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            return ""
        return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"

    def _parts(self, markdown: "MarkdownIt", tokens: "list[Token]") -> Iterator[HandbookPart]:
        begun = 0
        for index, token in enumerate(tokens):
            picture = _draw_flowchart(token.content) if token.type == "fence" and token.info == "mermaid" else None
            if picture is not None:
                yield HandbookPart(self._rendered(markdown, tokens[begun:index]))
                yield HandbookPart("", picture)
                begun = index + 1
        yield HandbookPart(self._rendered(markdown, tokens[begun:]))

    def _rendered(self, markdown: "MarkdownIt", tokens: "list[Token]") -> str:
        html: str = markdown.renderer.render(tokens, markdown.options, {})
        return html.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")


def _draw_flowchart(text: str) -> LineagePicture | None:
    """Return the picture of a Mermaid flowchart of plain arrows, None for one that says more."""
    head, *lines = text.strip().splitlines()
    arrows = [match.groups() for line in lines if (match := _ARROW.fullmatch(line))]
    if not head.startswith("flowchart") or len(arrows) != len(lines):
        return None
    names = dict.fromkeys(name for arrow in arrows for name in arrow)
    nodes = {name: LineageNode(name, "product", name, "", "", 0) for name in names}
    return draw_lineage(Lineage(nodes, tuple((begin, end) for begin, end in arrows)))
