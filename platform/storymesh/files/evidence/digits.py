"""Numbers in digits as people of any language write them: 1,250.5 and 1.250,5 and 1 250,5 are one number.

Where the signs in a number say which of them parts thousands, they are believed. One sign with three digits behind it
says neither: 1,250 is read as the other numbers of the text are, or else by the rules of its language (CLDR's, by
Babel).
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Final

# A part of a code, a date, a time of day, a version, an address, a fraction or a power is no number by itself.
_BEFORE = r"(?<![\w#^])(?<!\w[-.,:/'])(?!(?<=\d )\d{3}(?!\d))(?<![⁄½¼¾])"
_DIGITS = r"(?:\d{1,3}(?: \d{3})++(?:[.,]\d++)?+(?![ ]\d)|\d++(?:[.,']\d++)*+)"
_BEHIND = (
    r"(?![:/'-]?\d)(?![-/:][^\W\d_]{0,3}\d)(?![²³¹⁰⁴-⁹½¼¾⅓⅔^⁄]| \d+[/⁄]\d)(?!(?:st|nd|rd|th)\b)(?![eE][+-]?\d)"
    r"(?! ?[x×*·] ?10[\^²³¹⁰⁴-⁹])"
)
NUMBER: Final = re.compile(rf"{_BEFORE}(?P<sign>(?:(?<!\S)-|(?<!\w)(?:minus|Minus) ))?(?P<digits>{_DIGITS}){_BEHIND}")
_GROUPS = re.compile(r"\d{1,3}(?:(?P<sign>[.,'])\d{3})(?:(?P=sign)\d{3})*|\d{1,2}(?:,\d\d)+,\d{3}")


def numbers_in_digits(text: str, language: str) -> Iterator[tuple[int, int, Decimal]]:
    """Yield begin, end and value of the numbers of a folded text."""
    found = list(NUMBER.finditer(text))
    points = {point for match in found if (point := _own_point(match["digits"])) is not None}
    point = points.pop() if len(points) == 1 else _point(language)
    for match in found:
        value = number_of_digits(match["digits"], point)
        if value is not None:
            yield match.start(), match.end(), -value if match["sign"] else value


def _own_point(written: str) -> str | None:
    """Return the sign before the fraction of a number, None where its own signs do not tell."""
    signs = [sign for sign in written if sign in ".,"]
    if not signs:
        return None
    other = "," if signs[-1] == "." else "."
    if signs.count(signs[-1]) > 1:
        return other if len(set(signs)) == 1 and _whole(written) is not None else None
    if len(signs) > 1:
        return signs[-1]
    before, _, behind = written.partition(signs[0])
    return signs[0] if len(behind) != 3 or before == "0" or len(before) > 3 else None


def number_of_digits(written: str, point: str) -> Decimal | None:
    """Return the number that digits with signs between them are; None where they are none, as 1.2.3. `point` is what
    stands before a fraction where the signs do not tell."""
    plain = written.replace(" ", "")
    signs = [sign for sign in plain if not sign.isdigit()]
    if not signs:
        return Decimal(plain)
    last = plain.rpartition(signs[-1])
    fraction_sign = signs.count(signs[-1]) == 1 and signs[-1] != "'"
    if len(set(signs)) > 1 or " " in written:
        return _with_fraction(last[0], last[2]) if fraction_sign else _whole(plain)
    if not fraction_sign:
        return _whole(plain)
    if len(last[2]) == 3 and 1 <= len(last[0]) <= 3 and last[0] != "0" and signs[-1] != point:
        return _whole(plain)
    return _with_fraction(last[0], last[2])


def _with_fraction(whole: str, fraction: str) -> Decimal | None:
    found = Decimal(whole) if whole.isdigit() else _whole(whole)
    return None if found is None else Decimal(f"{found}.{fraction}")


def _whole(written: str) -> Decimal | None:
    if not _GROUPS.fullmatch(written):
        return None
    return Decimal(re.sub(r"[.,']", "", written))


@lru_cache(maxsize=16)
def _point(language: str) -> str:
    from babel.numbers import get_decimal_symbol

    return str(get_decimal_symbol(language))
