"""Reads what a text says in values: numbers with their units, shares, dates and times of day, in digits or in words.

A value keeps how exactly it was said: "about 1,200", "two and a half days" and "a third" are spans of numbers, not
points. Everything runs in time linear in the text: tokens come from one regular expression without nested repetition.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

from storymesh.grounding.lexicon import listed

Dimension = Literal["duration", "money", "share", "mass", "length", "count"]
Direction = Literal[-1, 0, 1]


class Token(NamedTuple):
    """A word, number, code or mark; `low` is the word in lower case, straight apostrophes."""

    kind: str
    text: str
    low: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was said: any value from `low` to `high` fits it. `at` is the first token, `to` one past the last.

    Durations are in hours, shares from 0 to 1, masses in kg, lengths in metres; money and counts as said. `bound` is 1
    for "at least", -1 for "fewer than". `factor` marks "6.4 times as long".
    """

    low: float
    high: float
    said: float
    dimension: Dimension
    at: int
    to: int
    bound: Direction = 0
    hedged: bool = False
    factor: bool = False
    scale: float = 1.0
    """What one of the unit said is: 24 for days, 0.01 for percent."""


@dataclass(frozen=True, slots=True)
class When:
    """A date as it was said; what it left out is None. `readings` holds the second reading of 03/04/2024."""

    year: int | None
    month: int | None
    day: int | None
    weekday: int | None
    at: int
    to: int
    clock: int | None = None
    """Minutes after midnight, for a time of day."""
    shift: int | None = None
    """Days from a date said before: "the next day" is 1."""
    swapped: bool = False
    """Day and month may be the other way round."""


TOKEN = re.compile(
    r"(?P<plain>(?!p-[0-9a-f]{12})[a-z]+(?![^\W_]|['’]))"
    r"|(?P<code>\bp-[0-9a-f]{12}\b|\b[A-Z][A-Z0-9]{0,15}(?:[-/_][A-Z0-9]{1,15}){0,6}?[-/_]\d[A-Z0-9]{0,15}(?:[-/_][A-Z0-9]{1,15}){0,6}\b)"
    r"|(?P<iso>\b\d{4}-\d{2}-\d{2}\b)"
    r"|(?P<slashed>\b\d{1,2}[/.]\d{1,2}[/.]\d{4}\b)"
    r"|(?P<clock>\b\d{1,2}:\d{2}(?::\d{2})?\b)"
    r"|(?P<number>\d{1,30}(?:,\d{3}){0,8}(?:\.\d{1,20})?)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+){0,3})"
    r"|(?P<mark>[^\w\s]|\n)"
)

ONES = {
    word: value
    for value, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        )
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}
SUFFIX_SCALES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 1_000_000_000}
TIMES = {"once": 1, "twice": 2, "thrice": 3}
FRACTIONS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
ORDINALS = {
    word: value
    for value, word in enumerate(
        listed(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
            "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        start=1,
    )
} | {"thirtieth": 30}
UNITS: dict[str, tuple[Dimension, float]] = {
    **dict.fromkeys(("hour", "hours", "h", "hr", "hrs"), ("duration", 1.0)),
    **dict.fromkeys(("day", "days", "d"), ("duration", 24.0)),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), ("duration", 1 / 60)),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), ("duration", 1 / 3600)),
    **dict.fromkeys(("week", "weeks"), ("duration", 168.0)),
    **dict.fromkeys(("fortnight", "fortnights"), ("duration", 336.0)),
    **dict.fromkeys(("month", "months"), ("duration", 730.5)),
    **dict.fromkeys(("year", "years"), ("duration", 8766.0)),
    **dict.fromkeys(("dollar", "dollars", "usd", "bucks", "euro", "euros", "eur", "pounds", "gbp"), ("money", 1.0)),
    **dict.fromkeys(("cent", "cents"), ("money", 0.01)),
    **dict.fromkeys(("percent", "pct"), ("share", 0.01)),
    **dict.fromkeys(("kg", "kilogram", "kilograms", "kilo", "kilos"), ("mass", 1.0)),
    **dict.fromkeys(("tonne", "tonnes"), ("mass", 1000.0)),
    **dict.fromkeys(("nm", "nmi"), ("length", 1852.0)),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), ("length", 1000.0)),
    **dict.fromkeys(("ft", "foot", "feet"), ("length", 0.3048)),
    **dict.fromkeys(("mile", "miles"), ("length", 1609.344)),
    **dict.fromkeys(("metre", "metres", "meter", "meters"), ("length", 1.0)),
}
CURRENCIES = frozenset("$€£")
MONTHS = {
    name: index
    for index, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
            "september sept sep", "october oct", "november nov", "december dec",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
WEEKDAYS = {
    name: index
    for index, name in enumerate(listed("monday tuesday wednesday thursday friday saturday sunday"))
}  # fmt: skip
ABOUT = frozenset(
    listed(
        "about around roughly approximately approx circa some near nearly almost close say ~ ≈ or so something like "
        "practically virtually"
    )
)
UNDER = frozenset(listed("under below fewer less within"))
OVER = frozenset(listed("over above more exceeding beyond least upwards"))
MONTH_LEADS = frozenset(listed("in of since by until till during early late mid through from to last next and for"))
YEAR_LEADS = MONTH_LEADS | {"year"}
LATER = frozenset(listed("later after afterwards afterward on"))
EARLIER = frozenset(listed("earlier before prior previously ago beforehand"))
CALENDAR = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "morning": 1, "evening": 1, "afternoon": 1}
DASHES = frozenset("-–—‑")


def tokens_of(text: str) -> list[Token]:
    """The words, numbers, codes and marks of `text`, in order."""
    tokens = []
    for met in TOKEN.finditer(text):
        said = met.group()
        kind = met.lastgroup or "mark"
        if kind == "plain":
            tokens.append(Token("word", said, said, *met.span()))
            continue
        low = said.lower().replace("’", "'") if kind == "word" else said
        if kind == "word" and low.endswith("'s"):
            low = low[:-2]
        tokens.append(Token(kind, said, low, met.start(), met.end()))
    return tokens


def values_of(tokens: list[Token]) -> tuple[list[Quantity], list[When]]:
    """The numbers and the dates that the tokens say, each in order; a token belongs to one of them at most."""
    dates: list[When] = []
    quantities: list[Quantity] = []
    at, count = 0, len(tokens)
    while at < count:
        token = tokens[at]
        if token.kind == "word" and token.low not in _STARTS:
            at += 1
            continue
        if token.kind in ("mark", "code"):
            at += 1
            continue
        when = _when(tokens, at)
        if when is not None:
            # "23 to 29 March": the number before belongs to the date.
            listed: list[When] = []
            first = at
            while when.month and when.day and quantities and first >= 2 and tokens[first - 1].low in _LISTED:
                before = quantities[-1]
                joined = before.to == first - 1 or (before.to == first - 2 and tokens[first - 2].low in ",;")
                if not (
                    joined
                    and before.to == before.at + 1
                    and before.dimension == "count"
                    and before.said in range(1, 32)
                    and _low(tokens, before.at - 1) != "to"
                    and day_exists(When(when.year, when.month, int(before.said), None, before.at, before.to))
                ):
                    break
                quantities.pop()
                listed.append(When(when.year, when.month, int(before.said), None, before.at, before.to))
                first = before.at
            dates += reversed(listed)
            dates.append(when)
            at = when.to
            continue
        quantity = _quantity(tokens, at)
        if quantity is not None:
            quantities.append(quantity)
            at = quantity.to
            continue
        at += 1
    return _joined(tokens, quantities), dates


_LISTED = frozenset({"to", "and", "until", "till", "through", ",", "or", *"-–—‑"})
_RANGES = frozenset({"to", "and", "until", "till", "through", *DASHES})
_STARTS = (
    frozenset(ONES) | frozenset(TENS) | frozenset(TIMES) | frozenset(MONTHS) | frozenset(WEEKDAYS)
    | frozenset({"single", "half", "a", "an", "the", "quarter", "next", "same", "following", "dozen",
                 "overnight", "that",
                 "day", "all", "both"})
    | frozenset(ORDINALS)
)  # fmt: skip


def _low(tokens: list[Token], at: int) -> str:
    return tokens[at].low if 0 <= at < len(tokens) else ""


# Dates ------------------------------------------------------------------------------------------------------------


def _when(tokens: list[Token], at: int) -> When | None:
    token = tokens[at]
    if token.kind == "iso":
        year, month, day = (int(part) for part in token.text.split("-"))
        return When(year, month, day, None, at, at + 1) if 1 <= month <= 12 and 1 <= day <= 31 else None
    if token.kind == "slashed":
        first, second, year = (int(part) for part in re.split(r"[/.]", token.text))
        if first > 12 >= second:
            return When(year, second, first, None, at, at + 1)
        if second > 12 >= first:
            return When(year, first, second, None, at, at + 1)
        return When(year, second, first, None, at, at + 1, swapped=True)
    if token.kind == "clock":
        return _clock(tokens, at)
    low = token.low
    if low in WEEKDAYS and token.text[0].isupper():
        after = at + 1
        if _low(tokens, after) == ",":
            after += 1
        if _low(tokens, after) == "the":
            after += 1
        said = _calendar_date(tokens, after) if after < len(tokens) else None
        if said is not None:
            return When(said.year, said.month, said.day, WEEKDAYS[low], at, said.to, swapped=said.swapped)
        return When(None, None, None, WEEKDAYS[low], at, at + 1)
    return _calendar_date(tokens, at) or _relative(tokens, at) or _hour(tokens, at)


def _hour(tokens: list[Token], at: int) -> When | None:
    """ "five in the afternoon", "9 pm", "eleven o'clock"."""
    token = tokens[at]
    hour = ONES.get(token.low) if token.kind == "word" else int(token.text) if token.text in _HOURS else None
    if hour is None or not 1 <= hour <= 12:
        return None
    following = _low(tokens, at + 1)
    if following in ("am", "pm"):
        to, late = at + 2, following == "pm"
    elif following == "in" and _low(tokens, at + 3) in ("morning", "afternoon", "evening"):
        to, late = at + 4, _low(tokens, at + 3) != "morning"
    else:
        return None
    return When(None, None, None, None, at, to, clock=(hour % 12 + 12 * late) * 60)


_HOURS = frozenset(str(hour) for hour in range(1, 13))


def _clock(tokens: list[Token], at: int) -> When | None:
    parts = tokens[at].text.split(":")
    hour, minute = int(parts[0]), int(parts[1])
    to = at + 1
    half = _low(tokens, to)
    if half in ("am", "pm") or (half in ("a", "p") and _low(tokens, to + 1) == "." and _low(tokens, to + 2) == "m"):
        if half[0] == "p" and hour < 12:
            hour += 12
        elif half[0] == "a" and hour == 12:
            hour = 0
        to += 1 if len(half) == 2 else 3
    if hour > 24 or minute > 59:
        return None
    return When(None, None, None, None, at, to, clock=hour * 60 + minute)


def _day(tokens: list[Token], at: int) -> tuple[int, int, bool] | None:
    """The day of a month at `at`: its number, the token after it, and whether it was an ordinal."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    if token.kind == "number" and token.text.isdigit() and len(token.text) <= 2:
        after = at + 1
        ordinal = _low(tokens, after) in ("st", "nd", "rd", "th") and tokens[after].begin == token.end
        day = int(token.text)
        return (day, after + ordinal, ordinal) if 1 <= day <= 31 else None
    if token.low in TENS and TENS[token.low] <= 30 and _low(tokens, at + 1) in DASHES:
        ones = ORDINALS.get(_low(tokens, at + 2), 0)
        if 1 <= ones <= 9:
            return TENS[token.low] + ones, at + 3, True
    if token.low in ORDINALS:
        return ORDINALS[token.low], at + 1, True
    return None


def _year(tokens: list[Token], at: int) -> int | None:
    if at < len(tokens) and tokens[at].kind == "number" and len(tokens[at].text) == 4 and tokens[at].text.isdigit():
        year = int(tokens[at].text)
        return year if 1900 <= year <= 2100 else None
    return None


def _calendar_date(tokens: list[Token], at: int) -> When | None:
    token = tokens[at]
    day = _day(tokens, at)
    if day is not None:
        number, after, ordinal = day
        month_at = after + 1 if _low(tokens, after) == "of" and ordinal else after
        if month_at < len(tokens) and tokens[month_at].low in MONTHS and tokens[month_at].text[0].isupper():
            to = month_at + 1
            dot = _low(tokens, to) == "." and len(tokens[month_at].low) <= 4 and _year(tokens, to + 1) is not None
            year_at = to + dot + (_low(tokens, to) == ",")
            year = _year(tokens, year_at)
            return When(year, MONTHS[tokens[month_at].low], number, None, at, year_at + 1 if year is not None else to)
        if ordinal and token.kind == "number" and _low(tokens, at - 1) == "the":
            following = _low(tokens, after)
            if (
                not following
                or not following[0].isalpha()
                or following in _AFTER_DAY
                or _low(tokens, at - 2) in _DAY_LEADS
            ):
                return When(None, None, number, None, at, after)
        return None
    if token.low in MONTHS and token.text[0].isupper():
        after = at + 1
        if _low(tokens, after) == ".":
            after += 1
        if _low(tokens, after) == "the":
            after += 1
        said = _day(tokens, after)
        if said is not None and (said[2] or tokens[after].kind == "number"):
            to = said[1]
            year_at = to + (_low(tokens, to) == ",")
            year = _year(tokens, year_at)
            return When(year, MONTHS[token.low], said[0], None, at, year_at + 1 if year is not None else to)
        year_at = at + 1 + (_low(tokens, at + 1) in (",", "of"))
        year = _year(tokens, year_at)
        if year is not None:
            return When(year, MONTHS[token.low], None, None, at, year_at + 1)
        if _low(tokens, at - 1) in MONTH_LEADS or _low(tokens, at - 1) in DASHES:
            return When(None, MONTHS[token.low], None, None, at, at + 1)
        return None
    year = _year(tokens, at)
    if year is not None and (_low(tokens, at - 1) in YEAR_LEADS or _low(tokens, at - 1) in DASHES):
        return When(year, None, None, None, at, at + 1)
    return None


_DAY_LEADS = frozenset(("on", "by", "until", "since", "till"))
_AFTER_DAY = frozenset(listed("of at and it the with after before to when for but in by they was until"))


def _relative(tokens: list[Token], at: int) -> When | None:
    """ "the same day", "the next day", "two days later", "a week earlier", "the day before": days from a date
    before."""
    low = tokens[at].low
    start = at
    if low in ("the", "that"):
        at += 1
        low = _low(tokens, at)
        after = _low(tokens, at + 1)
        if low == "day" and after in ("after", "before"):
            return When(None, None, None, None, start, at + 2, shift=1 if after == "after" else -1)
    after = _low(tokens, at + 1)
    if low == "same" and after in ("day", "date", "morning", "evening"):
        return When(None, None, None, None, start, at + 2, shift=0)
    if low in ("next", "following") and after in ("day", "morning", "evening", "afternoon"):
        return When(None, None, None, None, start, at + 2, shift=1)
    if low in ("next", "following") and after == "week":
        return None
    if start != at:
        return None
    counted = 1.0 if low in ("a", "an") else _plain_number(tokens, at)[0]
    if counted is None or counted != int(counted) or not 0 < counted < 10_000:
        return None
    unit_at = at + 1 if low in ("a", "an") else _plain_number(tokens, at)[1]
    if _low(tokens, unit_at) in DASHES:
        return None
    unit = _low(tokens, unit_at)
    if unit not in ("day", "days", "week", "weeks", "fortnight"):
        return None
    direction = _low(tokens, unit_at + 1)
    # "two days after the plan" is a length of time, not a day counted from the one before.
    following = _low(tokens, unit_at + 2)
    if direction in ("after", "before") and following[:1].isalpha() and following not in ("that", "this", "and"):
        return None
    if following == "than":
        return None
    if direction in LATER and direction != "on":
        return When(None, None, None, None, start, unit_at + 2, shift=int(counted) * CALENDAR[unit])
    if direction in EARLIER:
        return When(None, None, None, None, start, unit_at + 2, shift=-int(counted) * CALENDAR[unit])
    return None


def fits(when: When, known: date) -> bool:
    """Whether `known` is a day that `when` may mean. A shift or a time of day is not looked at."""
    if when.weekday is not None and known.weekday() != when.weekday:
        return False
    if when.year is not None and known.year != when.year:
        return False
    if when.month is None and when.day is None:
        return True
    if (when.month is None or known.month == when.month) and (when.day is None or known.day == when.day):
        return True
    return when.swapped and known.month == when.day and known.day == when.month


def day_exists(when: When) -> bool:
    """Whether a day with this month and number exists (30 February does not)."""
    if when.month is None or when.day is None:
        return True
    return when.day <= monthrange(when.year or 2024, when.month)[1]


# Numbers ----------------------------------------------------------------------------------------------------------


def _plain_number(tokens: list[Token], at: int) -> tuple[float | None, int, float]:
    """The number at `at` without unit: its value, the token after it, and the size of its last stated place."""
    if at >= len(tokens):
        return None, at, 1.0
    token = tokens[at]
    if token.kind == "number":
        text = token.text.replace(",", "")
        value = float(text)
        places = len(text.partition(".")[2])
        step = 10.0**-places
        to = at + 1
        following = _low(tokens, to)
        if following in SCALES and following != "dozen":
            value, step, to = value * SCALES[following], step * SCALES[following], to + 1
        elif following in SUFFIX_SCALES and tokens[to].begin == token.end:
            value, step, to = value * SUFFIX_SCALES[following], step * SUFFIX_SCALES[following], to + 1
        elif (_low(tokens, to) == "½" or following == "½") and tokens[to].begin == token.end:
            value, step, to = value + 0.5, 0.5, to + 1
        return value, to, step
    return _spelled(tokens, at)


def _spelled(tokens: list[Token], at: int) -> tuple[float | None, int, float]:
    total, current, seen, step = 0.0, 0.0, False, 1.0
    to = at
    last = ""
    while to < min(len(tokens), at + 14):
        low = tokens[to].low
        if low in ONES and last not in ("ones",) and not (last == "tens" and ONES[low] >= 10):
            current += ONES[low]
            last, seen = "ones", True
        elif low in TENS and last not in ("ones", "tens"):
            current += TENS[low]
            last, seen = "tens", True
        elif low in SCALES and (seen or low == "dozen"):
            scale = SCALES[low]
            if scale >= 1_000:
                total += max(current, 1.0) * scale
                current = 0.0
            else:
                current = max(current, 1.0) * scale
            last, seen = "scale", True
            step = 1.0 if low in ("hundred", "dozen") else max(step, 1.0)
        elif low in ("a", "an") and not seen and _low(tokens, to + 1) in SCALES:
            current = 1.0
            last = "scale"
            seen = True
        elif seen and _joins(tokens, to, last):
            pass
        elif seen and low == "point" and _low(tokens, to + 1) in ONES:
            digits = ""
            to += 1
            while ONES.get(_low(tokens, to), 10) < 10:
                digits += str(ONES[_low(tokens, to)])
                to += 1
            value = total + current + float("0." + digits)
            return value, to, 10.0 ** -len(digits)
        else:
            break
        to += 1
    if not seen:
        return None, at, 1.0
    value = total + current
    words_end = tokens[to - 1].low
    if words_end in ("thousand", "million", "billion"):
        step = float(SCALES[words_end])
    elif words_end == "hundred":
        step = 100.0 if value >= 1000 else 1.0
    return value, to, step


def _joins(tokens: list[Token], at: int, last: str) -> bool:
    """Whether a token only joins the words of a number: the dash of "thirty-seven", "and" in "one hundred and five"."""
    following = _low(tokens, at + 1)
    if tokens[at].low in DASHES:
        return last == "tens" and ONES.get(following, 10) < 10
    return tokens[at].low == "and" and last == "scale" and (following in ONES or following in TENS)


def _fraction(tokens: list[Token], at: int) -> tuple[float, int] | None:
    """ "half", "a third of", "two thirds", "three quarters": the share, and the token after it."""
    low = tokens[at].low
    if low == "half":
        if _low(tokens, at + 1) in ("a", "an") and (_low(tokens, at + 2) in UNITS or _low(tokens, at + 2) in SCALES):
            return None
        return 0.5, at + 1
    after = at + 1 + (_low(tokens, at + 1) in DASHES)
    if _low(tokens, after + 1) == "of" and _low(tokens, after + 2) == "a" and _low(tokens, after + 3) in SCALES:
        return None
    if low in ("a", "an", "one") and _low(tokens, after) in FRACTIONS and _low(tokens, after + 1) in ("of", "as"):
        return 1 / FRACTIONS[_low(tokens, after)], after + 1
    if low in ONES and 2 <= ONES[low] <= 9 and _low(tokens, after) in FRACTIONS and _low(tokens, after).endswith("s"):
        parts = FRACTIONS[_low(tokens, after)]
        return (ONES[low] / parts, after + 1) if ONES[low] < parts else None
    return None


def _hedge(tokens: list[Token], at: int) -> tuple[bool, Direction, Direction, int]:
    """What stands before a number: hedged, rounded from which side, a bound, and where its words begin."""
    hedged = False
    side: Direction = 0
    bound: Direction = 0
    begin = at
    looked = at - 1
    while looked >= max(0, at - 4):
        low = tokens[looked].low
        if low in ("a", "an", "the", "us", "just", "a", "little", "well", "of", "by", "$", "usd", "lost", "total"):
            looked -= 1
            continue
        if low in ("than", "at", "to"):
            before = _low(tokens, looked - 1)
            if low == "than" and before in OVER:
                negated = _low(tokens, looked - 2) in ("no", "not")
                bound = -1 if negated else 1
                begin = looked - 1
            elif low == "than" and before in UNDER:
                negated = _low(tokens, looked - 2) in ("no", "not")
                bound = 1 if negated else -1
                begin = looked - 1
            elif low == "to" and before in ("close", "up", "nearer"):
                hedged, begin = True, looked - 1
            break
        if low == "least" and _low(tokens, looked - 1) == "at":
            bound, begin = 1, looked - 1
            break
        if low == "most" and _low(tokens, looked - 1) == "at":
            bound, begin = -1, looked - 1
            break
        if low in ("nearly", "almost"):
            hedged, side, begin = True, -1, looked
            break
        if low in ABOUT and low not in ("or", "so", "like"):
            hedged, begin = True, looked
            break
        if low in ("under", "below"):
            hedged, side, begin = True, -1, looked
            break
        if low == "over" and _low(tokens, looked - 1) not in ("split", "spread", "divided", "splitting", "spreading"):
            hedged, side, begin = True, 1, looked
            break
        if low in ("above", "exceeding"):
            hedged, side, begin = True, 1, looked
            break
        break
    return hedged, side, bound, begin


def _quantity(tokens: list[Token], at: int) -> Quantity | None:
    token = tokens[at]
    fraction = _fraction(tokens, at) if token.kind == "word" else None
    if fraction is not None:
        value, to = fraction
        hedged, side, bound, _ = _hedge(tokens, at)
        slack = 0.05 if hedged or bound else 0.021
        low, high = value - slack, value + slack
        if bound > 0 or side > 0:
            low, high = value, value + 0.17
        elif bound < 0 or side < 0:
            low, high = value - 0.1, value
        if _low(tokens, to) in ("as", "again"):
            return Quantity(low, high, value, "count", at, to, bound, hedged, True)
        return Quantity(low, high, value, "share", at, to, bound, hedged)
    if token.low in TIMES:
        value = float(TIMES[token.low])
        if token.low == "once":
            # "once" is a conjunction as often as a number.
            if _low(tokens, at - 1) not in ("just", "only", "tried", "used", "worked", "succeeded", "but", "failed"):
                return None
            if _low(tokens, at - 1) == "but" and _low(tokens, at + 1) not in (".", ",", ";", ")", "and"):
                return None
        if token.low == "twice" and _low(tokens, at + 1) in ("as", "the"):
            return Quantity(1.85, 2.15, 2.0, "count", at, at + 1, factor=True)
        return Quantity(value, value, value, "count", at, at + 1)
    start = at
    value_or_none: float | None
    if token.low == "half" and _low(tokens, at + 1) in ("a", "an") and _low(tokens, at + 2) in UNITS:
        value_or_none, to, step = 0.5, at + 2, 0.25
    elif token.low == "single" and _low(tokens, at + 1) in UNITS:
        value_or_none, to, step = 1.0, at + 1, 1.0
    elif (
        token.low in ("a", "one")
        and _low(tokens, at + 1) in FRACTIONS
        and _low(tokens, at + 2) == "of"
        and _low(tokens, at + 3) == "a"
        and _low(tokens, at + 4) in SCALES
    ):
        scaled = float(SCALES[_low(tokens, at + 4)])
        value_or_none, to, step = scaled / FRACTIONS[_low(tokens, at + 1)], at + 5, 0.1 * scaled
    elif token.low == "half" and _low(tokens, at + 1) == "a" and _low(tokens, at + 2) in SCALES:
        scaled = float(SCALES[_low(tokens, at + 2)])
        value_or_none, to, step = 0.5 * scaled, at + 3, 0.1 * scaled
    elif token.low in ("a", "an") and _low(tokens, at + 1) not in SCALES:
        # "a day and a half"; a bare "a day" is as often a rate ("56 a day") as a length, and is not read.
        unit = _low(tokens, at + 1)
        if unit not in UNITS or _low(tokens, at + 2) != "and":
            return None
        if not (_low(tokens, at + 3) in ("a", "one") and _low(tokens, at + 4) in ("half", "quarter", "third")):
            rest, rest_to, _ = _plain_number(tokens, at + 3)
            if rest is None or UNITS.get(_low(tokens, rest_to), ("count", 0.0))[0] != "duration":
                return None
        value_or_none, to, step = 1.0, at + 1, 1.0
    elif token.kind == "number" or token.low in ONES or token.low in TENS or token.low in ("a", "an", "dozen"):
        value_or_none, to, step = _plain_number(tokens, at)
    else:
        return None
    if value_or_none is None:
        return None
    value = value_or_none
    following = _low(tokens, to)
    if token.kind == "number" and following in ("st", "nd", "rd", "th") and tokens[to].begin == tokens[to - 1].end:
        return None
    if (
        following in ("and", "&")
        and _low(tokens, to + 1) in ("a", "one", "three")
        and _low(tokens, to + 2) in FRACTIONS
    ):
        parts = FRACTIONS[_low(tokens, to + 2)]
        value += (3 if _low(tokens, to + 1) == "three" else 1) / parts
        step = 1 / parts
        to += 3
    elif following == "½":
        value, step, to = value + 0.5, 0.5, to + 1
    hedged, side, bound, _ = _hedge(tokens, start)
    dimension: Dimension = "count"
    factor = False
    scale = 1.0
    before = _low(tokens, start - 1)
    if before in CURRENCIES or before in ("usd", "eur", "gbp"):
        dimension = "money"
    unit_at = to
    if _low(tokens, unit_at) in DASHES:
        unit_at += 1
    unit = _low(tokens, unit_at)
    if unit in ("us", "american") and _low(tokens, unit_at + 1) in UNITS:
        unit_at += 1
        unit = _low(tokens, unit_at)
    if unit in ("full", "whole", "entire", "more", "further", "extra", "additional", "elapsed") and (
        _low(tokens, unit_at + 1) in UNITS
    ):
        unit_at += 1
        unit = _low(tokens, unit_at)
    if unit == "u" and _low(tokens, unit_at + 1) == "." and _low(tokens, unit_at + 2) == "s":
        unit_at += 4
        unit = _low(tokens, unit_at)
    if unit == "%":
        dimension, scale, to = "share", 0.01, unit_at + 1
    elif unit == "per" and _low(tokens, unit_at + 1) == "cent":
        dimension, scale, to = "share", 0.01, unit_at + 2
    elif unit in ("nautical", "sea") and _low(tokens, unit_at + 1) in ("mile", "miles"):
        dimension, scale, to = "length", 1852.0, unit_at + 2
    elif unit in UNITS and not (unit == "d" and tokens[unit_at].begin != tokens[unit_at - 1].end):
        dimension, scale = UNITS[unit]
        to = unit_at + 1
        if _low(tokens, to) == "and" and _low(tokens, to + 1) in ("a", "one") and _low(tokens, to + 2) in FRACTIONS:
            value += 1 / FRACTIONS[_low(tokens, to + 2)]
            step = 1 / FRACTIONS[_low(tokens, to + 2)]
            to += 3
    elif dimension == "count" and unit in ("times", "fold") and _low(tokens, unit_at + 1) in (
        "as", "longer", "more", "the", "higher", "what", "greater", "its",
    ):  # fmt: skip
        factor = True
    elif (
        token.low == "one"
        and following in ("of", "in", "out")
        and _is_number(tokens, to + 1 + (_low(tokens, to + 1) == "of"))
    ):
        pass
    elif (
        token.low == "one"
        and to == start + 1
        and not hedged
        and following not in ("container", "case", "time", "ship", "pack", "attempt")
    ):
        return None
    slack = step / 2
    if (
        dimension == "duration"
        and step == 1.0
        and unit in ("day", "days", "week", "weeks", "month", "months")
        and value < 2
    ):
        slack = 0.45  # "one day" for 35 hours would be too coarse to be called rounded
    if hedged or bound:
        slack = max(slack, _last_place(value, step) / 2, 0.05 * value)
    low, high = value - slack, value + slack
    if dimension == "count" and not hedged and not bound and step == 1.0:
        low, high = value - 0.49, value + 0.49
    if bound > 0 or side > 0:
        low, high = value, max(high, value * 1.25) if bound else high
    elif bound < 0 or side < 0:
        low, high = min(low, value * 0.75) if bound else low, value
    return Quantity(low * scale, high * scale, value * scale, dimension, start, to, bound, hedged, factor, scale)


def _is_number(tokens: list[Token], at: int) -> bool:
    return at < len(tokens) and (tokens[at].kind == "number" or tokens[at].low in ONES or tokens[at].low in TENS)


def _last_place(value: float, step: float) -> float:
    """The place of the last digit that is not zero: 100 for 1,200, 1 for 17."""
    place = step
    while value and place < value and abs(value / (place * 10) - round(value / (place * 10))) < 1e-9:
        place *= 10
    return place


def _joined(tokens: list[Token], quantities: list[Quantity]) -> list[Quantity]:
    """Makes one of "3 days and 4 hours"; gives "between 20 and 30 hours" the unit of its end."""
    joined: list[Quantity] = []
    for quantity in quantities:
        before = joined[-1] if joined else None
        between = [token.low for token in tokens[before.to : quantity.at]] if before is not None else []
        if (
            before is not None
            and before.dimension == quantity.dimension == "duration"
            and len(between) <= 2
            and all(word in ("and", ",", "plus") for word in between)
            and before.said > quantity.said
            and _unit_size(tokens, before) > _unit_size(tokens, quantity)
            and quantity.said < _unit_size(tokens, before)
        ):
            size = _unit_size(tokens, quantity)
            said = before.said + quantity.said
            joined[-1] = Quantity(
                said - size / 2, said + size * 0.999, said, "duration", before.at, quantity.to,
                before.bound or quantity.bound, before.hedged,
            )  # fmt: skip
            continue
        if (
            before is not None
            and before.dimension == "count"
            and quantity.dimension != "count"
            and len(between) == 1
            and between[0] in _RANGES
            and (between[0] != "and" or _low(tokens, before.at - 1) == "between")
            and before.said
        ):
            scale = quantity.said / max(_said_plain(tokens, quantity), 1e-9)
            joined[-1] = Quantity(
                before.low * scale, before.high * scale, before.said * scale, quantity.dimension, before.at, before.to,
                before.bound, before.hedged,
            )  # fmt: skip
        joined.append(quantity)
    return joined


def _said_plain(tokens: list[Token], quantity: Quantity) -> float:
    return _plain_number(tokens, quantity.at)[0] or 1.0


def _unit_size(tokens: list[Token], quantity: Quantity) -> float:
    for at in range(quantity.to - 1, quantity.at - 1, -1):
        if tokens[at].low in UNITS:
            return UNITS[tokens[at].low][1]
    return 1.0
