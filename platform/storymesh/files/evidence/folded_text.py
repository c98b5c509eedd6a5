"""Folded texts, in which equal words are equal characters whatever blanks, dashes and quotation marks were used.

What a person would read as other words stays another text: letters keep their case and their script, digits their
height (10² is not 102). Each sign knows where it stands in the text that it comes from.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

_ALIKE = ("<wide>", "<narrow>", "<font>", "<noBreak>", "<compat>", "<initial>", "<medial>", "<final>", "<isolated>")
_WIDE = " " * 3  # as many blanks part columns
_UNSEEN = frozenset("\u200b\u200c\u200d\u2060\ufeff\u200e\u200f")
# A soft hyphen is nothing, with the line end after it; a sign stands with the marks above and below it.
_PIECE = re.compile(
    r"(?P<blanks>[ \t\r\n]+)|(?P<plain>[!-~]+(?![\u0300-\u036f]))|(?P<hyphen>\u00ad[\r\n]*)"
    r"|(?P<cluster>[^\u00ad][\u0300-\u036f]*)",
    re.DOTALL,
)
_QUOTES = str.maketrans("‘’‚‛′“”„‟″«»‹›", "'''''\"\"\"\"\"\"\"''")


@dataclass(frozen=True)
class FoldedText:
    """A folded text; sign i of it is what stands from `begins[i]` to `ends[i]` in the original. `gaps` are the blanks
    in it that part cells of a table."""

    text: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    gaps: tuple[int, ...] = ()

    def in_cells(self, more: Iterable[int]) -> str:
        """Return the text with a tab for each of its gaps, and for `more` of its blanks."""
        signs = list(self.text)
        for gap in (*self.gaps, *more):
            if signs[gap] == " ":
                signs[gap] = "\t"
        return "".join(signs)

    def original(self, begin: int, end: int) -> tuple[int, int]:
        """Return where a stretch of the folded text, which is not empty, stands in the original."""
        return self.begins[begin], self.ends[end - 1]

    def folded(self, at: int) -> int:
        """Return the place in the folded text of a place in the original."""
        return bisect_left(self.begins, at)

    def occurrences(self, words: str) -> Iterator[tuple[int, int]]:
        """Yield where some words stand, as whole words, in this folded text."""
        plain = fold_text(words).text.strip()
        at = self.text.find(plain) if plain else -1
        while at >= 0:
            end = at + len(plain)
            if is_whole(self.text, at, end):
                yield at, end
            at = self.text.find(plain, at + 1)


def is_whole(text: str, begin: int, end: int) -> bool:
    """Return True if a stretch of text begins and ends with a word or number, and not inside of one."""
    before, behind = text[begin - 1 : begin], text[end : end + 1]
    if _is_of_word(text[begin]) and _is_of_word(before):
        return False
    if _is_of_word(text[end - 1]) and _is_of_word(behind):
        return False
    # 53 is said neither by 53.5 nor by 1,253.
    inside_before = text[begin].isdigit() and before in (".", ",") and text[begin - 2 : begin - 1].isdigit()
    inside_behind = text[end - 1].isdigit() and behind in (".", ",") and text[end + 1 : end + 2].isdigit()
    return not inside_before and not inside_behind


def _is_of_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


@lru_cache(maxsize=16)
def fold_text(text: str) -> FoldedText:
    """Return a text folded: form C, one blank for any number of them, one hyphen for all dashes, nothing unseen."""
    signs: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    gaps: list[int] = []
    for match in _PIECE.finditer(text):
        begin, end = match.span()
        if match.lastgroup == "blanks":
            if signs and signs[-1] != " ":
                if "\t" in match[0] or _WIDE in match[0]:
                    gaps.append(len(signs))
                signs.append(" ")
                begins.append(begin)
                ends.append(begin + 1)
        elif match.lastgroup == "plain":
            signs += match[0]
            begins += range(begin, end)
            ends += range(begin + 1, end + 1)
        elif match.lastgroup == "cluster":
            for sign in _folded(match[0]):
                # A mark may stand after something unseen that stood between it and its letter.
                joined = unicodedata.normalize("NFC", signs[-1] + sign) if signs and unicodedata.combining(sign) else ""
                if len(joined) == 1:
                    signs[-1], ends[-1] = joined, end
                elif sign != " " or (signs and signs[-1] != " "):
                    signs.append(sign)
                    begins.append(begin)
                    ends.append(end)
    return FoldedText("".join(signs), tuple(begins), tuple(ends), tuple(gaps))


@lru_cache(maxsize=10_000)
def _folded(cluster: str) -> str:
    """Return a sign with its marks folded; none for what nobody sees."""
    if cluster in _UNSEEN:
        return ""
    if len(cluster) == 1 and (unicodedata.category(cluster) == "Pd" or cluster == "\u2212"):
        return "-"
    if cluster.isspace():
        return " "
    plain = unicodedata.normalize("NFC", "".join(map(_fold_character, cluster)))
    return " " if plain.isspace() else plain.translate(_QUOTES)


def _fold_character(sign: str) -> str:
    decomposition = unicodedata.decomposition(sign)
    return unicodedata.normalize("NFKC", sign) if decomposition.startswith(_ALIKE) else sign
