"""Texts in plain spelling, for a search: what looks like a letter, digit or sign of ASCII is one, and what nobody sees
is gone. Each sign of the plain text knows where it stands in the text that it comes from."""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_ALIKE = ("<wide>", "<narrow>", "<font>", "<noBreak>")  # of Unicode's decompositions, those that only look otherwise
_SIGNS = {
    "\u3002": ".",
    "\uff61": ".",
    "\u2024": ".",
    "\ufe52": ".",
    "\ufe6b": "@",
    "\u2044": "/",
    "\u2215": "/",
    "\t": " ",
}


@dataclass(frozen=True)
class PlainText:
    """A text in plain spelling; `places` are where its signs stand in the original, None where all are the same."""

    text: str
    places: tuple[int, ...] | None

    def original(self, begin: int, end: int) -> tuple[int, int]:
        """Return the stretch of the original that a stretch of the plain text stands for."""
        return (begin, end) if self.places is None else (self.places[begin], self.places[end - 1] + 1)


def plain_text(text: str) -> PlainText:
    """Return a text, in Unicode's form C, in plain spelling."""
    if text.isascii():
        return PlainText(text, None)
    signs = [(plain, place) for place, sign in enumerate(text) if (plain := _plain(sign))]
    return PlainText("".join(plain for plain, _ in signs), tuple(place for _, place in signs))


@lru_cache(maxsize=8192)
def _plain(sign: str) -> str:
    """Return one sign that stands for another, or the empty text for one that nobody sees."""
    if sign.isascii():
        return sign
    if sign in _SIGNS:
        return _SIGNS[sign]
    match unicodedata.category(sign):
        case "Cf":
            return ""
        case "Nd":
            return str(unicodedata.decimal(sign))
        case "Zs":
            return " "
        case "Pd":
            return "-"
    if unicodedata.decomposition(sign).startswith(_ALIKE):
        plain = unicodedata.normalize("NFKC", sign)
        return plain if len(plain) == 1 else sign
    return sign


def without_accents(word: str) -> str:
    """Return a word without the marks on its letters."""
    return "".join(sign for sign in unicodedata.normalize("NFD", word) if not unicodedata.combining(sign))
