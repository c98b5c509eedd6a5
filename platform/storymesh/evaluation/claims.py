"""The numbers, names and codes of an answer, and whether what is known of its case has them.

The rule is narrow and stated: a number holds if some known number is it as precisely as it is said; a name (a word with
a capital inside a sentence) or a code (letters with digits) if it stands in what is known. What a sentence says of them
is not read.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

_TOKEN = re.compile(r"[^\W_][\w.,:'’/&-]*[\w%]|[\w%]", re.UNICODE)
_NUMBER = re.compile(r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<percent>%?)")
_LIST_NUMBER = re.compile(r"^\s*\d{1,3}[.)]\s", re.MULTILINE)
PARTS_OF_A_MOMENT = ("year", "month", "day", "hour", "minute")


@dataclass(frozen=True, slots=True)
class Claim:
    """A number, name or code of an answer, as it is written; `holds` if it is known."""

    kind: Literal["number", "name", "code"]
    words: str
    holds: bool


class KnownValues:
    """The numbers and words of what is known."""

    def __init__(self, texts: Iterable[str], values: Iterable[Any]) -> None:
        plain = list(texts)
        self._numbers: set[Decimal] = set()
        for value in values:
            if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
                self._add(Decimal(str(value)))
            elif isinstance(value, date):
                parts = PARTS_OF_A_MOMENT if isinstance(value, datetime) else PARTS_OF_A_MOMENT[:3]
                self._numbers |= {Decimal(getattr(value, part)) for part in parts}
            else:
                plain.append(str(value))
        self._words: set[str] = set()
        for text in plain:
            for match in _TOKEN.finditer(text):
                self._words |= {word.lower() for word in (match[0], *re.findall(r"[^\W_]+", match[0]))}
            for match in _NUMBER.finditer(text):
                self._add(Decimal(match["digits"].replace(",", "")))

    def _add(self, number: Decimal) -> None:
        if number.is_finite():
            self._numbers |= {abs(number), abs(number) * 100, abs(number) / 100}

    def has_number(self, said: str) -> bool:
        """Return True if a known number is the one that is said, as precisely as it is said."""
        number = Decimal(said.replace(",", ""))
        half = Decimal(1).scaleb(min(int(number.as_tuple().exponent), 0)) / 2
        return any(abs(known - number) <= half for known in self._numbers)

    def has_word(self, word: str) -> bool:
        """Return True if a word stands in what is known, whatever its capitals."""
        return all(part.lower() in self._words for part in re.findall(r"[^\W_]+", word))


def claims_in(text: str, known: KnownValues) -> Iterator[Claim]:
    """Yield the claims of an answer, in order."""
    read = _LIST_NUMBER.sub(" ", text)
    for match in _TOKEN.finditer(read):
        word = match[0].removesuffix("'s").removesuffix("’s")
        has_letters = re.search(r"[^\W\d_]", word) is not None
        if re.search(r"\d", word) and has_letters:
            yield Claim("code", word, known.has_word(word))
        elif not has_letters:
            numbers = [found["digits"] for found in _NUMBER.finditer(word)]
            yield from (Claim("number", number, known.has_number(number)) for number in numbers)
        elif word[0].isupper() and re.search(r"[\w,;)]\s+$", read[: match.start()]):
            yield Claim("name", word, known.has_word(word))
