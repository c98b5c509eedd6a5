"""The words that describe a value in a text: in its clause, or in the header of its row and column.

"It is loaded on 1 March and arrives on 12 March" says "loaded" of the first day, and "arrives" of the other.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from storymesh.files.evidence.folded_text import FoldedText
from storymesh.files.evidence.measures import measures
from storymesh.lexicon.language import Language, language_of

Span = tuple[int, int]
_WORD = re.compile(r"[^\W\d_]+")
_CUT = re.compile(r"[,;:()!?.](?= |$)|(?<= )- |\t")
_HARD_CUT = re.compile(r"[;()]|[!?.](?= |$)|(?<= )- |\t")
_CELLS = re.compile(r"\t|\||\x20{3,}")
_NAMES = re.compile(r"[^\W\d_]+|[%‰€£$]|°[CF]?")
_STEM = 4
_MAX_ROW_LENGTH = 2_000  # signs of a line of a table


@dataclass(frozen=True)
class NearbyWords:
    """The words near the values of one text. `sentence` returns the bounds of the sentence at a place."""

    original: str
    folded: FoldedText
    sentence: Callable[[int], Span]
    language: str

    def words(self, place: Span, alike: Sequence[Span]) -> list[str]:
        """Return the lower-case words that describe a value. `alike` are the places of all values, ascending: those in
        one sentence share its words."""
        if (cells := self._in_table(place)) is not None:
            return _words(cells)
        begin, end = self.sentence(place[0])
        inside = alike[bisect_left(alike, (begin, begin)) : bisect_left(alike, (end, end))]
        places = sorted({place, *(other for other in inside if other[1] <= end)})
        index = places.index(place)
        text = self.folded.text
        left = text[places[index - 1][1] if index else begin : place[0]]
        right = text[place[1] : places[index + 1][0] if index + 1 < len(places) else end]
        labels_before = bool(_words(text[begin : places[0][0]]))
        labels_behind = bool(_words(text[places[-1][1] : end]))
        cut = self._first_cut(right)
        if cut < len(right):
            right = right[:cut]
        elif index + 1 < len(places) and labels_before and not labels_behind:
            right = ""
        if index and (cut := self._first_cut(left)) < len(left):
            left = left[cut:]
        elif index and not labels_before:
            left = ""
        return _words(left[self._last_hard_cut(left) :]) + _words(right)

    def _first_cut(self, text: str) -> int:
        """Return where the first clause of a text ends."""
        sign = _CUT.search(text)
        joined = (word.start() for word in _WORD.finditer(text) if language_of(self.language).joins(word[0]))
        return min(sign.start() if sign else len(text), next(joined, len(text)))

    def _last_hard_cut(self, text: str) -> int:
        """Return where the last clause of a text begins; a comma may stand inside it."""
        signs = [match.end() for match in _HARD_CUT.finditer(text)]
        joined = [word.end() for word in _WORD.finditer(text) if language_of(self.language).joins(word[0])]
        return max((*signs, *joined), default=0)

    # --- tables ---

    def column_unit(self, place: Span) -> str | None:
        """Return the unit in the column header of a place; None if there is none, or several."""
        head = self._head(place)
        if head is None:
            return None
        known = measures(self.language)
        language = language_of(self.language)
        words = (word for word in _NAMES.findall(head) if not language.says_nothing(word))
        units = [word for word in words if word in known or word.lower() in known]
        return units[0] if len(units) == 1 else None

    def _in_table(self, place: Span) -> str | None:
        """Return the row's first cell and the column header; None for a place outside tables."""
        line = self._line(place)
        if line is None:
            return None
        _, cells, index = line
        first = cells[0] if index else ""
        return f"{first} {self._head(place) or ''} {cells[index]}"

    def _head(self, place: Span) -> str | None:
        line = self._line(place)
        if line is None:
            return None
        begin, cells, index = line
        head = cells
        while begin > 0:
            above = self.original.rfind("\n", 0, begin - 1) + 1
            upper = _cells(self.original[above : begin - 1])
            if re.fullmatch(r"[\s|:+=-]*", self.original[above : begin - 1]) and begin - 1 > above:
                begin = above
                continue
            if len(upper) != len(cells):
                break
            head, begin = upper, above
        if head is cells or any(re.search(r"\d", cell) for cell in head[1:]):
            return None
        return head[index]

    def _line(self, place: Span) -> tuple[int, list[str], int] | None:
        """Return the start of a place's line in the original, the cells of the line, and the index of the place's
        cell."""
        at = self.folded.begins[place[0]]
        begin = self.original.rfind("\n", max(0, at - _MAX_ROW_LENGTH), at) + 1
        if not begin and at > _MAX_ROW_LENGTH:
            return None
        end = self.original.find("\n", at, at + _MAX_ROW_LENGTH)
        line = self.original[begin : end if end >= 0 else at + _MAX_ROW_LENGTH]
        if len(cells := _cells(line)) < 2:
            return None
        return begin, cells, min(len(cells) - 1, len(_cells(line[: at - begin] + "x")) - 1)


def _cells(line: str) -> list[str]:
    return _CELLS.split(line.strip(" |")) if _CELLS.search(line.strip(" |")) else [line]


def _words(text: str) -> list[str]:
    return [word[0].casefold() for word in _WORD.finditer(text)]


def count_of(wanted: Iterable[str], found: Sequence[str]) -> int:
    """Return how many of some words are among others, in any inflection: "arrives" matches "arrival"."""
    return sum(any(_is_form(word, other) for other in found) for word in wanted)


def _is_form(word: str, other: str) -> bool:
    if len(word) <= _STEM:
        return other == word or (len(word) == _STEM and other.startswith(word))
    return other.startswith(word[: max(_STEM, len(word) - 3)])


@lru_cache(maxsize=4_000)
def telling_words(text: str, code: str) -> list[str]:
    """Return the distinctive words of a property's names: no units and no function words."""
    language = language_of(code)
    known = measures(code)
    plain = language.words("moment") | language.words("number")
    return [
        word
        for word in dict.fromkeys(_words(text.replace("_", " ")))
        if word not in plain and word not in known and not _is_small(word, language)
    ]


def _is_small(word: str, language: Language) -> bool:
    """Return True for a function word. "From" and "taken" are none, since they tell one day from another."""
    return len(word) <= 2 or (len(word) <= _STEM and language.says_nothing(word) and not language.leads(word))
