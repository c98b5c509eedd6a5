"""Mentions of days and times of day in a text; numeric dates count only where they are unambiguous."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache


@dataclass(frozen=True)
class DateMention:
    """A day that a folded text mentions; `year` is None if not given. `clock` is the time of day next to it (hour,
    minute, second), `ahead` of UTC by some minutes."""

    begin: int
    end: int
    year: int | None
    month: int
    day: int
    clock: tuple[int, int, int] | None = None
    ahead: int = 0

    def may_be(self, day: date, near: date | None) -> bool:
        """Return True if this is `day`; without a year, if no other year is nearer to `near`."""
        if (self.month, self.day) != (day.month, day.day):
            return False
        if self.year is not None:
            return self.year == day.year
        return near is not None and abs((day - near).days) < 183


_ISO = re.compile(r"(?<![\w.,/:-])(\d{4})-(\d\d)-(\d\d)(?=T\d\d:|\b)(?![-\d])")
_CLOCK = re.compile(r"(?:\b|(?<=T))([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?: ?([ap])\.?m\b)?", re.IGNORECASE)
_CLOCK_BEHIND = re.compile(r"T|,? (?:at |um |- |\()?", re.IGNORECASE)
_CLOCK_BEFORE = re.compile(r"(?: ?(?:Uhr|h|hrs|[A-Z]{2,4}|[+-]\d\d:?\d\d))?,? (?:on |am |of |the )*")
_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "MEZ": 60, "CEST": 120, "MESZ": 120, "EET": 120,
    "EEST": 180, "MSK": 180, "SGT": 480, "HKT": 480, "JST": 540, "AEST": 600, "EST": -300, "EDT": -240, "CDT": -300,
    "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
}  # fmt: skip
_ZONE = re.compile(rf" ?(?:Uhr |h |hrs )?(?:({'|'.join(_ZONES)})\b|(?:UTC|GMT)? ?([+-])(\d\d):?(\d\d)\b)")


def date_mentions(text: str, language: str = "en") -> list[DateMention]:
    """Return the days of a folded text in their order; one that is written in figures alone only where it can be read
    in one way."""
    found = [
        DateMention(match.start(), match.end(), int(match[1]), int(match[2]), int(match[3]))
        for match in _ISO.finditer(text)
    ]
    named, months, figures = _day_patterns(language)
    for match in named.finditer(text):
        groups = match.groupdict()
        year = groups["year"] or groups["year2"]
        month = months[(groups["month"] or groups["month2"]).lower().rstrip(".")]
        day = int(groups["day"] or groups["day2"])
        found.append(DateMention(match.start(), match.end(), int(year) if year else None, month, day))
    for match in figures.finditer(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        if match[2] == "." or first > 12 or first == second:  # with dots the day is first everywhere
            found.append(DateMention(match.start(), match.end(), year, second, first))
        elif second > 12:
            found.append(DateMention(match.start(), match.end(), year, first, second))
    return [_with_clock(day, text) for day in sorted(found, key=lambda day: day.begin)]


def _with_clock(day: DateMention, text: str) -> DateMention:
    """Return a day with the time of day that stands right after it, or right before."""
    behind = _CLOCK_BEHIND.match(text, day.end)
    if behind is None or (clock := _CLOCK.match(text, behind.end())) is None:
        clocks = list(_CLOCK.finditer(text, max(0, day.begin - 24), day.begin))
        if not clocks or not _CLOCK_BEFORE.fullmatch(text, clocks[-1].end(), day.begin):
            return day
        clock = clocks[-1]
    zone = _ZONE.match(text, clock.end())
    return replace(day, clock=_time_of(clock), ahead=_ahead(zone) if zone else 0)


def _ahead(zone: re.Match[str]) -> int:
    """Return how many minutes a zone is ahead of UTC."""
    if zone[1]:
        return _ZONES[zone[1]]
    minutes = int(zone[3]) * 60 + int(zone[4])
    return -minutes if zone[2] == "-" else minutes


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


def time_mentions(text: str) -> list[tuple[int, int, int]]:
    """Return the times of day of a text as hour, minute and second."""
    return [_time_of(match) for match in _CLOCK.finditer(text)]


def _time_of(match: re.Match[str]) -> tuple[int, int, int]:
    hour = int(match[1])
    if match[4] and hour <= 12:
        hour = hour % 12 + (12 if match[4].lower() == "p" else 0)
    return hour, int(match[2]), int(match[3] or 0)
