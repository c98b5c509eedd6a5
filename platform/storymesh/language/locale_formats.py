"""The formats of numbers, dates, counts and lists in a human language: from CLDR through Babel, so nobody's guess.

English is written down here, since a narrative that is told in nothing else needs no Babel, and since its lists have no
comma before the "and". What the engines and Python print is the same for every language, byte for byte.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from storymesh.errors import StorymeshError

ENGLISH = "en"
DATE_STYLES: tuple[Literal["medium", "long", "full"], ...] = ("medium", "long", "full")
FORMS = ("zero", "one", "two", "few", "many", "other")
"""CLDR's plural categories: which form of a word goes with a number."""

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
# Date patterns of CLDR in the codes of the filter `date`. An era or a two-digit year has no code.
_DATE_FIELDS = {
    "y": "%Y",
    "yyyy": "%Y",
    "M": "%-m",
    "MM": "%m",
    "MMM": "%b",
    "MMMM": "%B",
    "LLLL": "%B",
    "LLL": "%b",
    "d": "%-d",
    "dd": "%d",
    "EEEE": "%A",
    "cccc": "%A",
    "E": "%a",
    "EEE": "%a",
}
_DATE_PART = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']+")
_MAX_SAMPLE = 200  # every category of every language has a whole number below, but for multiples of a million


class UnknownLanguage(StorymeshError):
    """A language that CLDR does not have, or that writes in a way that is not printed here."""


@dataclass(frozen=True)
class LocaleFormats:
    """The formats of one language. `units` are, for day, hour and minute, the pattern of each plural form, with `{}`
    for the number; `plural` is Babel's rule, which English does without."""

    code: str
    group: str
    point: str
    minus: str
    percent: tuple[str, str]
    months: tuple[str, ...]
    short_months: tuple[str, ...]
    weekdays: tuple[str, ...]
    short_weekdays: tuple[str, ...]
    units: Mapping[str, Mapping[str, str]]
    unit_separator: str
    separator: str
    pair_separator: str
    last_separator: str
    date_styles: Mapping[str, str]
    forms: tuple[str, ...]
    plural: Any = field(default=None, repr=False, compare=False)

    def number(self, english: str) -> str:
        """Return a number that English has written."""
        return english.translate(self.signs)

    def percentage(self, english: str) -> str:
        """Return a number that English has written, with the percent sign."""
        before, after = self.percent
        number = self.number(english)
        digits = number.removeprefix(self.minus)
        return f"{number[: len(number) - len(digits)]}{before}{digits}{after}"

    @property
    def signs(self) -> Mapping[int, str]:
        """The signs of an English number that this language replaces, by code point."""
        signs = {",": self.group, ".": self.point, "-": self.minus}
        return {ord(sign): own for sign, own in signs.items() if own != sign}

    def form(self, count: int) -> str:
        """Return the plural form that a whole number goes with."""
        if self.plural is None:
            return "one" if count == 1 else "other"
        return str(self.plural(count))

    def names(self, code: str) -> Sequence[str] | None:
        """Return the names that a code of the filter `date` stands for; None where it is written in digits."""
        names = {"%B": self.months, "%b": self.short_months, "%A": self.weekdays, "%a": self.short_weekdays}
        return names.get(code)

    def between(self, last: str | None) -> str:
        """Return what stands before the last of several items, with an author's own word where there is one."""
        if last is None:
            return self.last_separator
        return f" {last} " if self.last_separator.endswith(" ") else last

    def list_items(self, texts: Sequence[str], last: str | None) -> str:
        """Return the items as a list in a sentence."""
        if len(texts) < 2:
            return "".join(texts)
        end = self.pair_separator if last is None and len(texts) == 2 else self.between(last)
        return self.separator.join(texts[:-1]) + end + texts[-1]


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EN = LocaleFormats(
    code=ENGLISH,
    group=",",
    point=".",
    minus="-",
    percent=("", "%"),
    months=_MONTHS,
    short_months=tuple(name[:3] for name in _MONTHS),
    weekdays=_WEEKDAYS,
    short_weekdays=tuple(name[:3] for name in _WEEKDAYS),
    units={unit: {"one": f"{{}} {unit}", "other": f"{{}} {unit}s"} for unit in ("day", "hour", "minute")},
    unit_separator=" ",
    separator=", ",
    pair_separator=" and ",
    last_separator=" and ",
    date_styles=MappingProxyType({"medium": "%b %-d, %Y", "long": "%B %-d, %Y", "full": "%A, %B %-d, %Y"}),
    forms=("one", "other"),
)


@cache
def locale_formats(code: str) -> LocaleFormats:
    """Return how a language (a tag of BCP 47: `de`, `pt-PT`) writes. Raises UnknownLanguage."""
    if code == ENGLISH:
        return _EN
    from babel import Locale, UnknownLocaleError

    if not _LANGUAGE_TAG.fullmatch(code):
        raise UnknownLanguage(f"'{code}' is no tag of a language", "write it as `de`, `fr` or `pt-PT`")
    try:
        locale = Locale.parse(code.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise UnknownLanguage(f"CLDR has no language '{code}'", "write it as `de`, `fr` or `pt-PT`") from None
    formats = _read_formats(code, locale)
    _check_numbers(formats, locale)
    return formats


def language_name(code: str) -> str:
    """Return what a language is called in English."""
    if code == ENGLISH:
        return "English"
    from babel import Locale

    return str(Locale.parse(code.replace("-", "_")).english_name)


def _read_formats(code: str, locale: Any) -> LocaleFormats:
    from babel.numbers import format_decimal, format_percent, get_decimal_symbol, get_group_symbol

    # What `babel.dates` would give, which reads the time zones of this machine when it is imported.
    months, short_months = locale.months["format"]["wide"], locale.months["format"]["abbreviated"]
    weekdays, short_weekdays = locale.days["format"]["wide"], locale.days["format"]["abbreviated"]
    before, _, after = format_percent(0.07, locale=locale).partition("7")
    samples = {locale.plural_form(count): count for count in [*range(_MAX_SAMPLE, -1, -1), 10**6]}
    pair, separator, last = _list_separators(locale)
    return LocaleFormats(
        code=code,
        group=get_group_symbol(locale),
        point=get_decimal_symbol(locale),
        minus=format_decimal(-1, locale=locale).removesuffix("1"),
        percent=(before, after),
        months=tuple(months[number] for number in range(1, 13)),
        short_months=tuple(short_months[number] for number in range(1, 13)),
        weekdays=tuple(weekdays[number] for number in range(7)),
        short_weekdays=tuple(short_weekdays[number] for number in range(7)),
        units={unit: _unit_patterns(unit, locale, samples) for unit in ("day", "hour", "minute")},
        unit_separator=pair,
        separator=separator,
        pair_separator=pair,
        last_separator=last,
        date_styles={style: _date_codes(code, str(locale.date_formats[style])) for style in DATE_STYLES},
        forms=tuple(form for form in FORMS if form in samples),
        plural=locale.plural_form,
    )


def _unit_patterns(unit: str, locale: Any, samples: Mapping[str, int]) -> dict[str, str]:
    """Return the pattern of each plural form, in full words where CLDR has them."""
    from babel.numbers import format_decimal
    from babel.units import format_unit

    name = f"duration-{unit}"
    patterns = {}
    for form, sample in samples.items():
        tries: list[tuple[int, Literal["long", "short"]]]
        tries = [(sample, "long"), (samples.get("other", sample), "long"), (sample, "short")]
        for count, length in tries:
            text = format_unit(count, name, length, locale=locale)
            if name not in text:  # the name of a unit stands for a pattern that is not there
                patterns[form] = text.replace(format_decimal(count, locale=locale), "{}")
                break
        else:
            raise UnknownLanguage(f"CLDR does not say how a {unit} is written in '{locale}'")
    return patterns


def _list_separators(locale: Any) -> tuple[str, str, str]:
    """Return what stands between two items, between items of more, and before the last of more."""
    from babel.lists import format_list

    pair = _between(format_list(["\0", "\1"], locale=locale), "\0\1")
    several = _between(format_list(["\0", "\1", "\2", "\3"], locale=locale), "\0\1\2\3")
    if len(pair) != 1 or len(several) != 3 or several[0] != several[1]:
        raise UnknownLanguage(f"lists of '{locale}' are written in a way that is not printed here")
    return pair[0], several[0], several[2]


def _between(text: str, marks: Iterable[str]) -> list[str]:
    """Return what stands between the marks; nothing where something stands before the first or after the last."""
    parts = re.split(f"[{''.join(marks)}]", text)
    return parts[1:-1] if not parts[0] and not parts[-1] else []


def _date_codes(code: str, pattern: str) -> str:
    """Return a date pattern of CLDR in the codes of the filter `date`."""
    codes = []
    for part in _DATE_PART.finditer(pattern):
        if part[1] is not None:
            codes.append(part[1].replace("%", "%%") or "'")
        elif part[2] is None:
            codes.append(part[0].replace("%", "%%"))
        elif part[0] in _DATE_FIELDS:
            codes.append(_DATE_FIELDS[part[0]])
        else:
            raise UnknownLanguage(f"dates of '{code}' are written in a way that is not printed here")
    return "".join(codes)


def _check_numbers(formats: LocaleFormats, locale: Any) -> None:
    """Raise UnknownLanguage where numbers are not written in groups of three of the digits 0 to 9."""
    from babel.numbers import format_decimal, format_percent

    before, after = formats.percent
    same = (
        all(len(sign) == 1 for sign in (formats.group, formats.point, formats.minus))
        and format_decimal(-12345678.5, locale=locale) == formats.number("-12,345,678.5")
        and format_percent(-0.07, locale=locale) == f"{formats.minus}{before}7{after}"
        and all(pattern.count("{}") <= 1 for forms in formats.units.values() for pattern in forms.values())
    )
    if not same:
        raise UnknownLanguage(f"numbers of '{formats.code}' are written in a way that is not printed here")
