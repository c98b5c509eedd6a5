"""Texts in plain spelling, for a search: lookalikes become ASCII and invisible characters are removed. Each character
of the plain text maps to its place in the original."""

import re
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
    # Blanks that count as letters or symbols.
    "\u115f": " ",
    "\u1160": " ",
    "\u2800": " ",
    "\u3164": " ",
    "\uffa0": " ",
}
# Marks that are drawn over or around a sign, such as a stroke or a key's frame; in form C letters have their own.
_MARKS = re.compile("[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f]")
# Letters of other scripts that look like one of ASCII. Source: https://www.unicode.org/Public/security/latest/confusables.txt
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХЬаеѕіјкорсухԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορυχ",
    "ABESIJKMHOPCTYXbaesijkopcyxdqwhABEZHIKMNOPTYXaikvopux",
)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class PlainText:
    """A text in plain spelling; `places` are the original places of its characters, None if they are the same."""

    text: str
    places: tuple[int, ...] | None

    def original(self, begin: int, end: int) -> tuple[int, int]:
        """Return the stretch of the original that a stretch of the plain text stands for."""
        return (begin, end) if self.places is None else (self.places[begin], self.places[end - 1] + 1)


def plain_text(text: str) -> PlainText:
    """Return a text, in Unicode's form C, in plain spelling."""
    if text.isascii():
        return PlainText(text, None)
    signs = [(plain, place) for place, sign in enumerate(text) if (plain := _ascii_character(sign))]
    plain = _WORD.sub(_without_look_alikes, "".join(plain for plain, _ in signs))
    return PlainText(plain, tuple(place for _, place in signs))


def _without_look_alikes(word: re.Match[str]) -> str:
    """Return a word with letters of ASCII for those of other scripts that look like them, if it mixes them."""
    text = word[0]
    return text.translate(_LOOK_ALIKES) if not text.isascii() and any(map(str.isascii, text)) else text


@lru_cache(maxsize=8192)
def _ascii_character(sign: str) -> str:
    """Return the character that a lookalike stands for, or the empty text for an invisible one."""
    if sign.isascii():
        return sign
    if sign in _SIGNS:
        return _SIGNS[sign]
    if _MARKS.match(sign):
        return ""
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
