"""Mentions of exact numbers in a text: ranges, bounds and parts of something else do not count. Number words are
English.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from storymesh.files.evidence.date_mentions import date_mentions
from storymesh.files.evidence.measures import Measure, currency_signs, measures
from storymesh.lexicon.language import LANGUAGES, language_of

_BEFORE = r"(?<![\w#^])(?<!\w[-.,:/'])(?!(?<=\d )\d{3}(?!\d))(?<![⁄½¼¾])"
_DIGITS = r"(?:\d{1,3}(?: \d{3})++(?:[.,]\d++)?+(?![ ]\d)|\d++(?:[.,']\d++)*+)"
_BEHIND = (
    r"(?![:/'-]?\d)(?![-/:][^\W\d_]{0,3}\d)(?![²³¹⁰⁴-⁹½¼¾⅓⅔^⁄]| \d+[/⁄]\d)(?!(?:st|nd|rd|th)\b)(?![eE][+-]?\d)"
    r"(?! ?[x×*·] ?10[\^²³¹⁰⁴-⁹])"
)
NUMBER: Final = re.compile(rf"{_BEFORE}(?P<sign>(?:(?<!\S)-|(?<!\w)(?:minus|Minus) ))?(?P<digits>{_DIGITS}){_BEHIND}")
_GROUPS = re.compile(r"\d{1,3}(?:(?P<sign>[.,'])\d{3})(?:(?P=sign)\d{3})*|\d{1,2}(?:,\d\d)+,\d{3}")


@dataclass(frozen=True)
class NumberMention:
    """A number that a folded text mentions, with its unit, if it has one. It is not `exact` as a bound or an end of a
    range."""

    begin: int
    end: int
    value: Decimal
    measure: Measure | None
    exact: bool


_ONES = {word: value for value, word in enumerate((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
))}  # fmt: skip
_TENS = {word: 10 * value for value, word in enumerate((
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
), 2)}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_WORDS = "|".join((*_ONES, *_TENS, *_SCALES))
_IN_WORDS = re.compile(rf"\b(?:{_WORDS})(?:(?: and |[ -])(?:{_WORDS}))*\b", re.IGNORECASE)
_LARGE = {
    "thousand": 10**3, "tausend": 10**3, "tsd": 10**3, "lakh": 10**5, "crore": 10**7, "dozen": 12, "dutzend": 12,
    "million": 10**6, "millionen": 10**6, "mio": 10**6, "mn": 10**6, "milliarde": 10**9, "milliarden": 10**9,
    "mrd": 10**9, "bn": 10**9, "billion": 10**9, "billionen": 10**12, "trillion": 10**12,
}  # fmt: skip
_LARGER = {"de": {"billion": 10**12, "trillion": 10**18}}
_LARGE_WORD = re.compile(r" ?([^\W\d_]{2,10})\b\.?")
_THOUSANDS = re.compile(r"[kK](?![\w/²³])")
_BESIDE_MONEY = {"k": 1_000, "m": 1_000_000, "bn": 1_000_000_000}
_MONEY = r"(?:[A-Z]{3} ?|[A-Z]{0,2}[$€£¥] ?)?"
_UNIT = re.compile(
    r"[ -]?(?:US(?=\$))?"
    r"(?P<word>[^\W\d_]+\.?[²³]?(?P<over>/[^\W\d_]+[²³]?)?(?: [^\W\d_]+)?|[%‰°$€£¥][CF]?)"
)
_RATE = re.compile(r" ?(?:/ ?|per )([^\W\d_]+)")
_MONEY_BEFORE = re.compile(r"(?:(?<![^\W\d_])([A-Z]{3})|(?<![^\W\d_])([A-Z]{0,2}[$€£¥])) ?$")
_CODE = re.compile(r" ?([A-Z]{3})\b")


def number_mentions(text: str, language: str = "en") -> list[NumberMention]:
    """Return the numbers of a folded text in their order, without those of its days; of "2 days 5 hours" their sum. A
    tab in it parts cells of a table, and no number or unit goes over it."""
    days = date_mentions(text, language)
    read = [*_in_digits(text, language), *(_in_words(text, language) if language == "en" else ())]
    found: list[NumberMention] = []
    for number in sorted(read, key=lambda item: item.begin):
        index = bisect_left(days, number.end, key=lambda day: day.begin)
        if index and number.begin < days[index - 1].end:
            continue
        before = found[-1] if found else None
        if before is not None and number.begin < before.end:
            continue
        if before is not None and _continues(text, before, number):
            assert before.measure and number.measure
            whole = before.value * before.measure.size + number.value * number.measure.size
            exact = before.exact and number.exact
            measure = Measure(before.measure.dimension, Decimal(1))
            found[-1] = NumberMention(before.begin, number.end, whole, measure, exact)
        else:
            found.append(number)
    return found


def _continues(text: str, before: NumberMention, number: NumberMention) -> bool:
    """Return True for the hours of "2 days and 5 hours": less than one of the unit before, right after it."""
    one, other = before.measure, number.measure
    if one is None or other is None or one.dimension != other.dimension or one.dimension == "share":
        return False
    between = text[before.end : number.begin].strip(" .,")
    return between in ("", "and", "und", "&") and 0 <= number.value * other.size < one.size


def _in_digits(text: str, language: str) -> Iterator[NumberMention]:
    for begin, end, value in numbers_in_digits(text, language):
        yield _with_unit(text, begin, end, value, language)


def _in_words(text: str, language: str) -> Iterator[NumberMention]:
    for match in _IN_WORDS.finditer(text):
        words = re.findall(r"[a-z]+", match[0].lower())
        value = None if words[0] in _SCALES else _value_of_words(words)
        if value is not None:
            yield _with_unit(text, match.start(), match.end(), Decimal(value), language)


def _value_of_words(words: list[str]) -> int | None:
    """Return the number that words say; None where they are none, as "one two" or "twenty fifty"."""
    total, part, last = 0, 0, 10**12
    for word in words:
        if word == "and":
            continue
        if word in _SCALES and _SCALES[word] > 100:
            total, part, last = total + max(part, 1) * _SCALES[word], 0, 10**12
        elif word == "hundred":
            if part >= 100:
                return None
            part, last = max(part, 1) * 100, 100
        else:
            value = _ONES.get(word, _TENS.get(word, 0))
            size = 10 if word in _ONES else 100
            if size > last or (word in _ONES and value > 9 and last == 10):
                return None
            part, last = part + value, 10 if word in _TENS else 1
    return total + part


def _with_unit(text: str, begin: int, end: int, value: Decimal, language: str) -> NumberMention:
    known = measures(language)
    money = _money_before(text[max(0, begin - 8) : begin], text[end : end + 5], known)
    size, end = _scaled(text, end, language)
    value *= size
    measure, last = money, end
    unit = _UNIT.match(text, end)
    if unit is not None:
        named = unit["word"]
        first = named.split(" ")[0]
        if money is not None and first.lower() in _BESIDE_MONEY and unit.start("word") == end:
            value, last = value * _BESIDE_MONEY[first.lower()], end + len(first)
        elif money is None:
            measure, last = _unit_of(unit, first, known, end)
    if measure is not None and (rate := _RATE.match(text, last)) and (measure != money or _is_time(rate[1], known)):
        measure = Measure(f"{text[begin:last]}/{rate[1]}", Decimal(1))  # so much a day is no sum, and km/h no length
    before, behind = text[max(0, begin - 60) : begin], text[last : last + 60]
    left, right = _bound_patterns(language)
    inexact = left.search(before) or right.match(behind) or right.match(text[end : end + 12])
    return NumberMention(begin, last, value, measure, not inexact)


def _scaled(text: str, end: int, language: str) -> tuple[int, int]:
    """Return the factor that a word or letter after a number stands for, and where the number then ends."""
    word = _LARGE_WORD.match(text, end)
    size = {**_LARGE, **_LARGER.get(language, {})}.get(word[1].lower()) if word else None
    if word is not None and size is not None:
        return size, word.end()
    letter = _THOUSANDS.match(text, end)
    return (1_000, letter.end()) if letter else (1, end)


def _unit_of(unit: re.Match[str], first: str, known: Mapping[str, Measure], end: int) -> tuple[Measure | None, int]:
    """Return the measure that the words after a number name, None for none, and where they end."""
    words = (unit["word"].rstrip("."), first.rstrip("."), first)
    for word in dict.fromkeys(words):
        if (found := known.get(word) or known.get(word.lower())) is not None:
            return found, unit.start("word") + len(word)
    if unit["over"] or first[-1] in "²³":  # a unit that nobody has a table of is another one
        return Measure(first, Decimal(1)), unit.start("word") + len(first)
    return None, end


def _is_time(word: str, known: Mapping[str, Measure]) -> bool:
    found = known.get(word.lower())
    return found is not None and found.dimension in ("duration", "months")


@lru_cache(maxsize=16)
def _bound_patterns(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what stands before and behind a number that is a bound or an end of a range: signs, and the words of the
    language where they are known."""
    known = language_of(language).words if language in LANGUAGES else lambda _: frozenset[str]()
    bounds, behind, to, between, both = (
        "|".join(sorted(map(re.escape, known(name)), key=len, reverse=True)) or r"(?!)"
        for name in ("bounds", "bounds_behind", "to", "between", "both")
    )
    article = rf"(?:{'|'.join(sorted(known('determiners')))}) "
    bound = rf"(?:(?<!\w)(?:{bounds}|{between})|[<>≤≥])\s?(?:{article})?{_MONEY}$"
    last = rf"\b(?:{between})\b[^.;!?]{{1,30}}\b(?:{both}) ?{_MONEY}$"
    end = rf"(?<![\w#/-])\d[\d.,']* ?[^\s\d]{{0,12}} ?(?:-|\b(?:{to})) ?{_MONEY}$"
    begin = rf" ?(?:-|(?:{to})\b) ?{_MONEY}\d"
    return (
        re.compile(f"{bound}|{last}|{end}", re.IGNORECASE),
        re.compile(rf"{begin}|[^.;!?]{{0,20}}?\b(?:{behind})\b", re.IGNORECASE),
    )


def _money_before(text: str, behind: str, known: Mapping[str, Measure]) -> Measure | None:
    """Return the currency before a number: its code, or its sign, of which the code after the number says more."""
    match = _MONEY_BEFORE.search(text)
    if match is None:
        return None
    if match[1]:
        return known.get(match[1])
    if (code := _CODE.match(behind)) and (found := known.get(code[1])):
        return found
    return currency_signs().get(match[2], Measure(match[2], Decimal(1)))


# A part of a code, a date, a time of day, a version, an address, a fraction or a power is no number by itself.


def numbers_in_digits(text: str, language: str) -> Iterator[tuple[int, int, Decimal]]:
    """Yield begin, end and value of the numbers of a folded text.

    Where the signs in a number say which of them parts thousands, they are believed. One sign with three digits after
    it says neither: 1,250 is read as the other numbers of the text are, or else by the rules of its language (CLDR's).
    """
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
