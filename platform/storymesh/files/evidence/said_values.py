"""The numbers and days that a text says, exactly: what is said as a range, as a bound or as a part of something else is
no such number.

They are read by the rules of one language (CLDR's, by Babel): in English 1,250.5 is what 1.250,5 is in German. Numbers
in words are read in English.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from storymesh.files.evidence.measures import Measure, measures
from storymesh.lexicon.language import LANGUAGES, language_of


@dataclass(frozen=True)
class SaidNumber:
    """A number with its place in a folded text, and the unit that it is said in, None where it is said in none. It is
    not `exact` where the text says it as a bound or as an end of a range."""

    begin: int
    end: int
    value: Decimal
    measure: Measure | None
    exact: bool


@dataclass(frozen=True)
class SaidDay:
    """A day with its place in a folded text; the year is None where none is said."""

    begin: int
    end: int
    year: int | None
    month: int
    day: int

    def may_be(self, day: date, near: date | None = None) -> bool:
        """Return True if this says `day`; without a year it does where no other year would be nearer to `near`."""
        if (self.month, self.day) != (day.month, day.day):
            return False
        if self.year is not None:
            return self.year == day.year
        return near is not None and abs((day - near).days) < 183


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
_SCALED = re.compile(r" ?(thousand|million|billion)\b", re.IGNORECASE)
_BESIDE_MONEY = {"k": 1_000, "m": 1_000_000, "bn": 1_000_000_000}
_MONEY = r"(?:[A-Z]{3} ?|[$€£¥] ?)?"
_UNIT = re.compile(r"[ -]?(?:US)?([^\W\d_]+\.?(?: [^\W\d_]+)?|[%‰°$€£¥][CF]?)")
_MONEY_BEFORE = re.compile(r"(?:([A-Z]{3})|US)? ?([$€£¥])? ?$")
_ISO = re.compile(r"(?<![\w.,/:-])(\d{4})-(\d\d)-(\d\d)(?=T\d\d:|\b)(?![-\d])")
_CLOCK = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?: ?([ap])\.?m\b)?", re.IGNORECASE)


def said_numbers(text: str, language: str = "en") -> list[SaidNumber]:
    """Return the numbers of a folded text in their order, without those of its days; of "2 days 5 hours" their sum."""
    days = said_days(text, language)
    read = [*_in_digits(text, language), *(_in_words(text, language) if language == "en" else ())]
    found: list[SaidNumber] = []
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
            found[-1] = SaidNumber(before.begin, number.end, whole, measure, exact)
        else:
            found.append(number)
    return found


def _continues(text: str, before: SaidNumber, number: SaidNumber) -> bool:
    """Return True for the hours of "2 days and 5 hours": less than one of the unit before, right behind it."""
    one, other = before.measure, number.measure
    if one is None or other is None or one.dimension != other.dimension or one.dimension == "share":
        return False
    between = text[before.end : number.begin].strip(" .,")
    return between in ("", "and", "und", "&") and 0 <= number.value * other.size < one.size


def _in_digits(text: str, language: str) -> Iterator[SaidNumber]:
    pattern, group, point = _number_pattern(language)
    for match in pattern.finditer(text):
        value = Decimal(match[0].replace(group, "").replace(" ", "").replace(point, "."))
        yield _with_unit(text, match.start(), match.end(), value, language)


@lru_cache(maxsize=16)
def _number_pattern(language: str) -> tuple[re.Pattern[str], str, str]:
    """Return what a number looks like, and the signs between thousands and before the fraction."""
    from babel.numbers import get_decimal_symbol, get_group_symbol

    group, point = get_group_symbol(language), get_decimal_symbol(language)
    group = " " if group.isspace() else "'" if group == "’" else group
    grouped, fraction = rf"\d{{1,3}}(?:{re.escape(group)}\d{{3}})+", rf"(?:{re.escape(point)}\d+)?"
    # A part of a code, a date, a time of day, a version or an address is no number by itself.
    before, behind = r"(?<![\w#])(?<!\w[-.,:/'])", r"(?![.,:/'-]?\d)(?![-/:][^\W\d_]{0,3}\d)"
    return re.compile(rf"{before}(?:(?<!\S)-)?(?:{grouped}|\d+){fraction}{behind}"), group, point


def _in_words(text: str, language: str) -> Iterator[SaidNumber]:
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


def _with_unit(text: str, begin: int, end: int, value: Decimal, language: str) -> SaidNumber:
    known = measures(language)
    money = _money_before(text[max(0, begin - 5) : begin], known)
    scaled = _SCALED.match(text, end)
    if scaled:
        value, end = value * _SCALES[scaled[1].lower()], scaled.end()
    measure, last = money, end
    unit = _UNIT.match(text, end)
    if unit is not None:
        named = unit[1]
        first = named.split(" ")[0]
        if money is not None and first.lower() in _BESIDE_MONEY and unit.start(1) == end:
            value, last = value * _BESIDE_MONEY[first.lower()], end + len(first)
        elif money is None:
            for word in dict.fromkeys((named.rstrip("."), first.rstrip("."), first)):
                if (found := known.get(word) or known.get(word.lower())) is not None:
                    measure, last = found, unit.start(1) + len(word)
                    break
    before, behind = text[max(0, begin - 60) : begin], text[last : last + 60]
    left, right = _bound_patterns(language)
    inexact = left.search(before) or right.match(behind) or right.match(text[end : end + 12])
    return SaidNumber(begin, last, value, measure, not inexact)


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
    end = rf"\d ?\S{{0,12}} ?(?:-|\b(?:{to})) ?{_MONEY}$"
    begin = rf" ?(?:-|(?:{to})\b) ?{_MONEY}\d"
    return (
        re.compile(f"{bound}|{last}|{end}", re.IGNORECASE),
        re.compile(rf"{begin}|[^.;!?]{{0,20}}?\b(?:{behind})\b", re.IGNORECASE),
    )


def _money_before(text: str, known: Mapping[str, Measure]) -> Measure | None:
    match = _MONEY_BEFORE.search(text)
    if match is None:
        return None
    return known.get(match[1] or "") or known.get(match[2] or "")


def said_days(text: str, language: str = "en") -> list[SaidDay]:
    """Return the days of a folded text in their order; one that is written in figures alone only where it can be read
    in one way."""
    found = [
        SaidDay(match.start(), match.end(), int(match[1]), int(match[2]), int(match[3]))
        for match in _ISO.finditer(text)
    ]
    named, months, figures = _day_patterns(language)
    for match in named.finditer(text):
        groups = match.groupdict()
        year = groups["year"] or groups["year2"]
        month = months[(groups["month"] or groups["month2"]).lower().rstrip(".")]
        day = int(groups["day"] or groups["day2"])
        found.append(SaidDay(match.start(), match.end(), int(year) if year else None, month, day))
    for match in figures.finditer(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        if match[2] == "." or first > 12 or first == second:  # with dots the day is first everywhere
            found.append(SaidDay(match.start(), match.end(), year, second, first))
        elif second > 12:
            found.append(SaidDay(match.start(), match.end(), year, first, second))
    return sorted(found, key=lambda day: day.begin)


@lru_cache(maxsize=16)
def _day_patterns(language: str) -> tuple[re.Pattern[str], Mapping[str, int], re.Pattern[str]]:
    from babel.dates import get_month_names

    months: dict[str, int] = {}
    for place in dict.fromkeys((language, "en")):
        for width in ("wide", "abbreviated"):
            for form in ("format", "stand-alone"):
                for number, name in get_month_names(width, form, place).items():
                    months.setdefault(name.lower().rstrip("."), number)
    names = "|".join(sorted(map(re.escape, months), key=len, reverse=True))
    year = r"(?:,? (?P<year{0}>\d{{4}})\b)?"
    day_first = rf"(?<![\w.:/-])(?P<day>\d\d?)(?:st|nd|rd|th|\.)? (?:of )?(?P<month>{names})\b\.?" + year.format("")
    month_first = rf"\b(?P<month2>{names})\.? (?P<day2>\d\d?)(?:st|nd|rd|th)?\b(?![.:/]\d)" + year.format("2")
    named = re.compile(f"{day_first}|{month_first}", re.IGNORECASE)
    return named, months, re.compile(r"(?<![\w.,/:-])(\d\d?)([./-])(\d\d?)\2(\d{4})(?![\w/-])")


def said_clocks(text: str) -> list[tuple[int, int, int]]:
    """Return the times of day of a text as hour, minute and second."""
    found = []
    for match in _CLOCK.finditer(text):
        hour = int(match[1])
        if match[4] and hour <= 12:
            hour = hour % 12 + (12 if match[4].lower() == "p" else 0)
        found.append((hour, int(match[2]), int(match[3] or 0)))
    return found
