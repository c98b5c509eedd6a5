"""Dates and times of day as a text says them: in full, in part, or relative to a date said before."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from storymesh.grounding.lexicon import listed
from storymesh.grounding.number_words import ONES, ORDINALS, TENS, plain_number
from storymesh.grounding.tokens import DASHES, Token, low_at


@dataclass(frozen=True, slots=True)
class DateExpression:
    """A date as a text says it; what is left out is None. `readings` holds the second reading of 03/04/2024."""

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
MONTH_LEADS = frozenset(listed("in of since by until till during early late mid through from to last next and for"))
YEAR_LEADS = MONTH_LEADS | {"year"}
LATER = frozenset(listed("later after afterwards afterward on"))
EARLIER = frozenset(listed("earlier before prior previously ago beforehand"))
CALENDAR = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "morning": 1, "evening": 1, "afternoon": 1}


def date_at(tokens: list[Token], at: int) -> DateExpression | None:
    token = tokens[at]
    if token.kind == "iso":
        year, month, day = (int(part) for part in token.text.split("-"))
        return DateExpression(year, month, day, None, at, at + 1) if 1 <= month <= 12 and 1 <= day <= 31 else None
    if token.kind == "slashed":
        first, second, year = (int(part) for part in re.split(r"[/.]", token.text))
        if first > 12 >= second:
            return DateExpression(year, second, first, None, at, at + 1)
        if second > 12 >= first:
            return DateExpression(year, first, second, None, at, at + 1)
        return DateExpression(year, second, first, None, at, at + 1, swapped=True)
    if token.kind == "clock":
        return _clock(tokens, at)
    low = token.low
    if low in WEEKDAYS and token.text[0].isupper():
        after = at + 1
        if low_at(tokens, after) == ",":
            after += 1
        if low_at(tokens, after) == "the":
            after += 1
        found = _calendar_date(tokens, after) if after < len(tokens) else None
        if found is not None:
            return DateExpression(
                found.year, found.month, found.day, WEEKDAYS[low], at, found.to, swapped=found.swapped
            )
        return DateExpression(None, None, None, WEEKDAYS[low], at, at + 1)
    return _calendar_date(tokens, at) or _relative(tokens, at) or _hour(tokens, at)


def _hour(tokens: list[Token], at: int) -> DateExpression | None:
    """ "five in the afternoon", "9 pm", "eleven o'clock"."""
    token = tokens[at]
    hour = ONES.get(token.low) if token.kind == "word" else int(token.text) if token.text in _HOURS else None
    if hour is None or not 1 <= hour <= 12:
        return None
    following = low_at(tokens, at + 1)
    if following in ("am", "pm"):
        to, late = at + 2, following == "pm"
    elif following == "in" and low_at(tokens, at + 3) in ("morning", "afternoon", "evening"):
        to, late = at + 4, low_at(tokens, at + 3) != "morning"
    else:
        return None
    return DateExpression(None, None, None, None, at, to, clock=(hour % 12 + 12 * late) * 60)


_HOURS = frozenset(str(hour) for hour in range(1, 13))


def _clock(tokens: list[Token], at: int) -> DateExpression | None:
    parts = tokens[at].text.split(":")
    hour, minute = int(parts[0]), int(parts[1])
    to = at + 1
    half = low_at(tokens, to)
    if half in ("am", "pm") or (half in ("a", "p") and low_at(tokens, to + 1) == "." and low_at(tokens, to + 2) == "m"):
        if half[0] == "p" and hour < 12:
            hour += 12
        elif half[0] == "a" and hour == 12:
            hour = 0
        to += 1 if len(half) == 2 else 3
    if hour > 24 or minute > 59:
        return None
    return DateExpression(None, None, None, None, at, to, clock=hour * 60 + minute)


def _day(tokens: list[Token], at: int) -> tuple[int, int, bool] | None:
    """Return the day of a month at `at`: its number, the token after it, and True if it was an ordinal."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    if token.kind == "number" and token.text.isdigit() and len(token.text) <= 2:
        after = at + 1
        ordinal = low_at(tokens, after) in ("st", "nd", "rd", "th") and tokens[after].begin == token.end
        day = int(token.text)
        return (day, after + ordinal, ordinal) if 1 <= day <= 31 else None
    if token.low in TENS and TENS[token.low] <= 30 and low_at(tokens, at + 1) in DASHES:
        ones = ORDINALS.get(low_at(tokens, at + 2), 0)
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


def _calendar_date(tokens: list[Token], at: int) -> DateExpression | None:
    token = tokens[at]
    day = _day(tokens, at)
    if day is not None:
        number, after, ordinal = day
        month_at = after + 1 if low_at(tokens, after) == "of" and ordinal else after
        if month_at < len(tokens) and tokens[month_at].low in MONTHS and tokens[month_at].text[0].isupper():
            to = month_at + 1
            dot = low_at(tokens, to) == "." and len(tokens[month_at].low) <= 4 and _year(tokens, to + 1) is not None
            year_at = to + dot + (low_at(tokens, to) == ",")
            year = _year(tokens, year_at)
            return DateExpression(
                year, MONTHS[tokens[month_at].low], number, None, at, year_at + 1 if year is not None else to
            )
        if ordinal and token.kind == "number" and low_at(tokens, at - 1) == "the":
            following = low_at(tokens, after)
            if (
                not following
                or not following[0].isalpha()
                or following in _AFTER_DAY
                or low_at(tokens, at - 2) in _DAY_LEADS
            ):
                return DateExpression(None, None, number, None, at, after)
        return None
    if token.low in MONTHS and token.text[0].isupper():
        after = at + 1
        if low_at(tokens, after) == ".":
            after += 1
        if low_at(tokens, after) == "the":
            after += 1
        day = _day(tokens, after)
        if day is not None and (day[2] or tokens[after].kind == "number"):
            to = day[1]
            year_at = to + (low_at(tokens, to) == ",")
            year = _year(tokens, year_at)
            return DateExpression(year, MONTHS[token.low], day[0], None, at, year_at + 1 if year is not None else to)
        year_at = at + 1 + (low_at(tokens, at + 1) in (",", "of"))
        year = _year(tokens, year_at)
        if year is not None:
            return DateExpression(year, MONTHS[token.low], None, None, at, year_at + 1)
        if low_at(tokens, at - 1) in MONTH_LEADS or low_at(tokens, at - 1) in DASHES:
            return DateExpression(None, MONTHS[token.low], None, None, at, at + 1)
        return None
    year = _year(tokens, at)
    if year is not None and (low_at(tokens, at - 1) in YEAR_LEADS or low_at(tokens, at - 1) in DASHES):
        return DateExpression(year, None, None, None, at, at + 1)
    return None


_DAY_LEADS = frozenset(("on", "by", "until", "since", "till"))
_AFTER_DAY = frozenset(listed("of at and it the with after before to when for but in by they was until"))


def _relative(tokens: list[Token], at: int) -> DateExpression | None:
    """ "the same day", "the next day", "two days later", "a week earlier", "the day before": days from a date
    before."""
    low = tokens[at].low
    start = at
    if low in ("the", "that"):
        at += 1
        low = low_at(tokens, at)
        after = low_at(tokens, at + 1)
        if low == "day" and after in ("after", "before"):
            return DateExpression(None, None, None, None, start, at + 2, shift=1 if after == "after" else -1)
    after = low_at(tokens, at + 1)
    if low == "same" and after in ("day", "date", "morning", "evening"):
        return DateExpression(None, None, None, None, start, at + 2, shift=0)
    if low in ("next", "following") and after in ("day", "morning", "evening", "afternoon"):
        return DateExpression(None, None, None, None, start, at + 2, shift=1)
    if low in ("next", "following") and after == "week":
        return None
    if start != at:
        return None
    counted = 1.0 if low in ("a", "an") else plain_number(tokens, at)[0]
    if counted is None or counted != int(counted) or not 0 < counted < 10_000:
        return None
    unit_at = at + 1 if low in ("a", "an") else plain_number(tokens, at)[1]
    if low_at(tokens, unit_at) in DASHES:
        return None
    unit = low_at(tokens, unit_at)
    if unit not in ("day", "days", "week", "weeks", "fortnight"):
        return None
    direction = low_at(tokens, unit_at + 1)
    # "two days after the plan" is a length of time, not a day counted from the one before.
    following = low_at(tokens, unit_at + 2)
    if direction in ("after", "before") and following[:1].isalpha() and following not in ("that", "this", "and"):
        return None
    if following == "than":
        return None
    if direction in LATER and direction != "on":
        return DateExpression(None, None, None, None, start, unit_at + 2, shift=int(counted) * CALENDAR[unit])
    if direction in EARLIER:
        return DateExpression(None, None, None, None, start, unit_at + 2, shift=-int(counted) * CALENDAR[unit])
    return None


def may_mean(when: DateExpression, known: date) -> bool:
    """Return True if `when` may mean the day `known`. A shift or a time of day is ignored."""
    if when.weekday is not None and known.weekday() != when.weekday:
        return False
    if when.year is not None and known.year != when.year:
        return False
    if when.month is None and when.day is None:
        return True
    if (when.month is None or known.month == when.month) and (when.day is None or known.day == when.day):
        return True
    return when.swapped and known.month == when.day and known.day == when.month


def day_exists(when: DateExpression) -> bool:
    """Return True if a day with this month and number exists (30 February does not)."""
    if when.month is None or when.day is None:
        return True
    return when.day <= monthrange(when.year or 2024, when.month)[1]
