"""The row that a place in a text is about: the one whose key its sentence or paragraph mentions, and no other."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Protocol

from storymesh.files.evidence.folded_text import FoldedText
from storymesh.lexicon.language import language_of

Span = tuple[int, int]
IDENTIFIER: Final = re.compile(r"(?=.*[^\W\d_])(?=.*\d)[\w][\w./-]*[\w]")
WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


class RowText(Protocol):
    """A text whose rows have names in it."""

    language: str

    @property
    def folded(self) -> FoldedText: ...

    def around(self, at: int, kind: Literal["sentence", "paragraph"]) -> Span:
        """Return the sentence or the paragraph at a place of the folded text, in it."""
        ...

    def places_of(self, text: str, within: Span) -> Iterator[Span]:
        """Yield where a text stands as whole words."""
        ...


@dataclass
class RowMentions:
    """The mentions in a text of one row, by the texts of its key, and of other rows of the file."""

    text: "RowText"
    key: list[str]
    others: list[str]

    def fault(self, place: Span, *, found: bool) -> str | None:
        """Return why a place is not about this row: its sentence names another one, or its paragraph does not name this
        one. In a file of one row a quote need not name it, and for a place that was `found` the file has to."""
        if not self.key or not (self._mentions_of_row or self._mentions_of_others):
            return None
        begin, end = self.text.around(place[0], "sentence")
        own, other = self.named(begin, end)
        if other:
            begin, end = self._statement(place, begin, end)
            own, other = self.named(begin, end)
            return None if own and not other else "the sentence is of another row"
        if own or self._is_gone_on_with(begin):
            return None
        begin, end = self.text.around(place[0], "paragraph")
        own, other = self.named(begin, end)
        if other:
            return "the paragraph is of another row" if not own else "the sentence does not name the row"
        if own or not (found or self._mentions_of_others):
            return None
        return "neither sentence nor paragraph names the row"

    def _is_gone_on_with(self, begin: int) -> bool:
        """Return True if the previous sentence of the paragraph is about this row alone and the one at `begin` names no
        other: it continues it."""
        first, _ = self.text.around(begin, "paragraph")
        if begin <= first:
            return False
        own, other = self.named(*self.text.around(begin - 1, "sentence"))
        language = language_of(self.text.language)
        words = WORD.findall(self.text.folded.text[slice(*self.text.around(begin, "sentence"))])
        counted = (word for word in words if language.weight(word.casefold()) == "numbers")
        return own and not other and not any(True for _ in counted)

    @property
    def has_others(self) -> bool:
        """True if the text names other rows."""
        return bool(self._mentions_of_others)

    @property
    def places(self) -> list[Span]:
        """Where the text names the row."""
        return self._mentions_of_row

    @cached_property
    def _mentions_of_row(self) -> list[Span]:
        whole = (0, len(self.text.folded.text))
        return sorted(place for key in self.key for place in self.text.places_of(key, whole))

    @cached_property
    def _mentions_of_others(self) -> list[Span]:
        """Where the text names another row: by its key, or by a word that is written as the own key is."""
        whole = (0, len(self.text.folded.text))
        found = [place for key in self.others for place in self.text.places_of(key, whole)]
        for key in self.key:
            if IDENTIFIER.fullmatch(key):
                shape = "".join(map(_shape, key))
                found += [match.span() for match in re.finditer(rf"(?<!\w){shape}(?!\w)", self.text.folded.text)]
        own = set(self._mentions_of_row)
        return sorted(place for place in found if place not in own)

    def named(self, begin: int, end: int) -> tuple[bool, bool]:
        return _has_inside(self._mentions_of_row, begin, end), _has_inside(self._mentions_of_others, begin, end)

    def _statement(self, place: Span, begin: int, end: int) -> Span:
        """Return the part of a sentence that a place is in: between signs, or words that join two statements."""
        text, language = self.text.folded.text, language_of(self.text.language)
        cuts = [match.end() for match in re.finditer(r"[,;](?= )| - |\(|\)", text[begin:end])]
        cuts += [word.start() for word in WORD.finditer(text[begin:end]) if language.joins(word[0].casefold())]
        places = sorted({begin, end, *(begin + cut for cut in cuts)})
        before = max(at for at in places if at <= place[0])
        behind = min((at for at in places if at >= place[1]), default=end)
        return before, behind


def _has_inside(places: Sequence[Span], begin: int, end: int) -> bool:
    index = bisect_left(places, (begin, 0))
    return index < len(places) and places[index][1] <= end


def _shape(sign: str) -> str:
    return r"\d" if sign.isdigit() else r"[^\W\d_]" if sign.isalpha() else re.escape(sign)
