"""Stories whose printed values are numbered pieces, which a model may move but not change.

A model is shown `[[3: 18 March 2024]]` and answers with `[[3]]` or the same again; what it wrote inside is only
compared, and the piece is put back as it was. So a value of a retelling is the story's in every language.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

OPEN, CLOSE = "[[", "]]"
_PIECE = re.compile(r"\[\[\s*(?P<number>\d{1,6})\s*(?::(?P<text>.*?))?\]\]", re.DOTALL)
_HALF_FENCED = re.compile(r"(?<!\[)\[\s*(?P<number>\d{1,6})\s*:(?P<text>[^\[\]]*)\](?!\])")
PieceKind = Literal["moment", "number", "text"]
Part = str | int  # of a text: words, or the number of a piece


@dataclass(frozen=True, slots=True)
class Piece:
    """A value where a story prints it: its characters `begin` to `end`. The same value has the same `number` wherever
    it stands. `meaning` tells a model what it is; `path` are the steps to it, with the place of a row of a list."""

    number: int
    begin: int
    end: int
    kind: PieceKind = "text"
    meaning: str = ""
    path: tuple[str | int, ...] = ()

    @property
    def row(self) -> tuple[str | int, ...]:
        """The steps to the row of a list that the value is of; empty if it is of none."""
        last = max((place for place, step in enumerate(self.path) if isinstance(step, int)), default=-1)
        return self.path[: last + 1]

    @property
    def property(self) -> str:
        """The name of the property that the value is of; empty if it is of none."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), "")


@dataclass(frozen=True)
class GroundingSource:
    """The source of a retelling, which it is checked against: the story with its pieces in order, the code of its
    language, and words beside the story's that the narrative allows."""

    story: str
    pieces: tuple[Piece, ...] = ()
    language: str = "en"
    vocabulary: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> Mapping[int, str]:
        """The text of each piece, by its number."""
        return {piece.number: self.story[piece.begin : piece.end] for piece in self.pieces}

    @cached_property
    def numbers(self) -> Set[int]:
        """The pieces that are numbers."""
        return {piece.number for piece in self.pieces if piece.kind == "number"}

    @cached_property
    def fenced(self) -> str:
        """The story as a model is shown it: each piece fenced, and nothing else that looks like a fence."""
        shown = (
            _harmless(part) if isinstance(part, str) else f"{OPEN}{part}: {_harmless(self.texts[part])}{CLOSE}"
            for part in self.parts
        )
        return "".join(shown)

    @cached_property
    def parts(self) -> tuple[str | int, ...]:
        """The story as words between pieces and numbers of pieces, in order."""
        parts: list[str | int] = []
        done = 0
        for piece in self.pieces:
            parts += [self.story[done : piece.begin], piece.number]
            done = piece.end
        return tuple(part for part in (*parts, self.story[done:]) if part != "")

    def is_changed(self, number: int, written: str) -> bool:
        """Return True if a piece is not there, or was written otherwise than it was shown."""
        text = self.texts.get(number)
        return text is None or (bool(written.strip()) and _normalize(written) != _normalize(_harmless(text)))


def _harmless(text: str) -> str:
    """Return a text with each mark taken apart that could begin or end a fence."""
    while OPEN in text or CLOSE in text:
        text = text.replace(OPEN, "[ [").replace(CLOSE, "] ]")
    return f"{text} " if text.endswith(CLOSE[0]) else text


def _normalize(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


@dataclass(frozen=True, slots=True)
class PlacedPiece:
    """A piece in a retelling, at its characters `begin` to `end`; `origin` is where the story first prints it."""

    begin: int
    end: int
    origin: int


@dataclass(frozen=True)
class Draft:
    """A parsed answer: words and piece numbers in order, and the pieces that differ from how they were shown, which
    stand among the words as written."""

    parts: tuple[str | int, ...]
    changed: tuple[str, ...]

    def cut_to(self, parts: list[str | int]) -> "Draft":
        """Return the draft of some of the parts, without white space at either end."""
        changed = tuple(part for part in parts if isinstance(part, str) and part in self.changed)
        return Draft(tuple(_strip_parts(parts)), changed)

    def put_back(self, source: GroundingSource) -> tuple[str, tuple[PlacedPiece, ...]]:
        """Return the text with each piece as the story has it, and where the pieces stand."""
        origins: dict[int, int] = {}
        for piece in source.pieces:
            origins.setdefault(piece.number, piece.begin)
        texts: list[str] = []
        placed: list[PlacedPiece] = []
        length = 0
        for part in self.parts:
            text = part if isinstance(part, str) else source.texts[part]
            if isinstance(part, int):
                placed.append(PlacedPiece(length, length + len(text), origins[part]))
            texts.append(text)
            length += len(text)
        return "".join(texts), tuple(placed)


def _strip_parts(parts: list[str | int]) -> list[str | int]:
    """Return parts without white space at either end."""
    for place in (0, -1):
        while parts and isinstance(end := parts[place], str):
            parts[place] = end.strip() if len(parts) == 1 else end.lstrip() if place == 0 else end.rstrip()
            if parts[place]:
                break
            parts.pop(place)
    return parts


def read_answer(answer: str, source: GroundingSource) -> Draft:
    """Parse an answer into its words and the source's pieces. Small models write one bracket for two: number and text
    identify the piece all the same, unless the story has brackets of its own."""
    if not any(isinstance(part, str) and "[" in part for part in source.parts):
        answer = _HALF_FENCED.sub(
            lambda match: (
                match[0] if source.is_changed(int(match["number"]), match["text"] or "?") else f"[{match[0]}]"
            ),
            answer,
        )
    parts: list[str | int] = []
    changed: list[str] = []
    done = 0
    for match in _PIECE.finditer(answer):
        number = int(match["number"])
        parts += [answer[done : match.start()]]
        if source.is_changed(number, match["text"] or ""):
            changed.append(" ".join(match[0].split()))
            parts.append(changed[-1])
        else:
            parts.append(number)
        done = match.end()
    return Draft(tuple(part for part in (*parts, answer[done:]) if part != ""), tuple(changed))


def lines_of(draft: Draft) -> Iterator[tuple[str | int, ...]]:
    """Yield the lines of a draft, each with its pieces and the sign that ends it."""
    line: list[str | int] = []
    for part in draft.parts:
        if isinstance(part, int):
            line.append(part)
            continue
        *whole, rest = part.splitlines(keepends=True) or [""]
        if rest.endswith(("\n", "\r")):
            whole, rest = [*whole, rest], ""
        for text in whole:
            yield (*line, text)
            line = []
        if rest:
            line.append(rest)
    if line:
        yield tuple(line)
