"""The forms in which a source writes numbers, moments and missing values where it does not write them as the rest of
the world does: a comma before the decimals, days first, the clock of a place, a word for nothing.

A text that is not of these forms fits no type: it is kept as it came, and nothing is guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from storymesh.contract.cast_text import cast_text, in_calendar, whole_day
from storymesh.contract.written_values import time_of_day
from storymesh.language.types import Date, Decimal, Float, Integer, Time, Timestamp, Type

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir

EPOCHS = {"%s": (r"[+-]?[0-9]{1,12}(\.[0-9]{1,6}0*)?", 10**6), "%Q": (r"[+-]?[0-9]{1,15}(\.[0-9]{1,3}0*)?", 10**3)}
"""Formats of moments as counted since 1970 in UTC: the regular expression, and microseconds of one."""

SPACE = " "
_SPACES = " \u00a0\u202f"  # between the thousands of many languages
_APOSTROPHES = "'\u2019"
_TWO, _WORD = "[0-9]{2}", "[A-Za-z]+"
_NUMERIC = {
    "Y": "[0-9]{4}",
    "y": _TWO,
    "m": _TWO,
    "d": _TWO,
    "H": _TWO,
    "I": _TWO,
    "M": _TWO,
    "S": _TWO,
    "j": "[0-9]{3}",
}
_OTHER = {"f": "[0-9]{1,6}", "p": "[AaPp][Mm]", "b": _WORD, "B": _WORD, "a": _WORD, "A": _WORD}
_ZONE = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_SHORT = "mdHI"  # written with one digit or two
DIRECTIVES = tuple(f"%{letter}" for letter in (*_NUMERIC, *_OTHER, "z"))
_DIRECTIVE = re.compile(r"%-?(.)|%$|[^%]+", re.DOTALL)

HourChoice = Literal["refuse", "first", "second"]
GapChoice = Literal["refuse", "shift"]


@dataclass(frozen=True)
class ValueForms:
    """The forms of a source's texts.

    `nulls` are texts that mean no value; `decimal` is the mark before the decimals and `thousands` that between three
    digits; `dates` and `times` are formats as strptime has them, besides ISO 8601. A moment without an offset is the
    local time of `zone`: `repeated_hour` says which of the two an hour is that comes twice, `skipped_hour` what one is
    that the clock leaves out. `columns` are columns whose values are written otherwise.
    """

    nulls: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str | None = None
    dates: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    zone: str | None = None
    repeated_hour: HourChoice = "refuse"
    skipped_hour: GapChoice = "refuse"
    columns: Mapping[str, "ValueForms"] = field(default_factory=dict, hash=False)

    def of(self, *names: str) -> "ValueForms":
        """Return the forms of a column that is called by one of `names`, in any case of letters."""
        spelt = {name.lower(): forms for name, forms in self.columns.items()}
        found = [self.columns.get(name) for name in names] + [spelt.get(name.lower()) for name in names]
        return next(filter(None, found), self)

    def describe(self, kind: Type) -> str:
        """Return in words how a value of a type is written; empty where its type says enough."""
        match kind:
            case Integer() if self.thousands:
                return f"written as 1{self.thousands}234"
            case Float() | Decimal():
                return f"written as 1{self.thousands or ''}234{self.decimal}5"
            case Date() | Timestamp():
                iso = "2024-01-31" if isinstance(kind, Date) else "2024-01-31T12:00:00Z"
                parts = [f"written as {' or '.join(self.dates) or iso}"]
                if self.zone is not None and isinstance(kind, Timestamp):
                    parts.append(f"an hour that {self.zone} has once")
                return ", ".join(parts)
            case Time() if self.times:
                return f"written as {' or '.join(self.times)}"
            case _:
                return ""

    @property
    def _has_number_forms(self) -> bool:
        return self.decimal != "." or self.thousands is not None

    def without_nulls(self, text: "ir.StringValue") -> "ir.StringValue":
        """Return a text, or null for a word that means no value, with spaces around it or without."""
        import ibis

        from storymesh.engine.dialect import strip_characters

        if not self.nulls:
            return text
        words = sorted({word.strip(" ") for word in self.nulls})
        return ibis.ifelse(strip_characters(text, " ").isin(words), ibis.null("string"), text)

    def cast_text(self, text: "ir.StringValue", kind: Type, target: "dt.DataType") -> "ir.Value":
        """Return what `cast_text` does of a text that is written in these forms; a local time stays as it is."""
        match kind:
            case Integer() | Float() | Decimal():
                return cast_text(self.plain_number(text), kind, target)
            case Timestamp() if self.dates:
                return self.moment(text)[0]
            case Date() if self.dates:
                return whole_day(self.moment(text)[0])
            case Time() if self.times:
                return self._time(text, target)
            case _:
                return cast_text(text, kind, target)

    def plain_number(self, text: "ir.StringValue") -> "ir.StringValue":
        """Return a number with a point before the decimals and nothing between thousands; null where it is none so."""
        import ibis

        from storymesh.engine.dialect import regex_matches_whole

        if not self._has_number_forms:
            return text
        plain = text.re_replace(_one_of(self.thousands), "") if self.thousands else text
        if self.decimal != ".":
            plain = plain.replace(self.decimal, ".")
        return ibis.ifelse(regex_matches_whole(text, self.number_pattern), plain, ibis.null("string"))

    @property
    def number_pattern(self) -> str:
        """The regular expression of a number."""
        mark, point = _one_of(self.thousands), re.escape(self.decimal)
        in_threes = f"[0-9]{{1,3}}({mark}[0-9]{{3}})+"
        in_twos = f"[0-9]{{1,2}}({mark}[0-9]{{2}})+{mark}[0-9]{{3}}"  # as in India
        whole = f"([0-9]+|{in_threes}|{in_twos})" if self.thousands else "[0-9]+"
        return rf"[+-]?({whole}({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)?"

    def moment(self, text: "ir.StringValue") -> "tuple[ir.TimestampValue, ir.BooleanValue]":
        """Return the moment that a text means by the first of the formats that it has, or else by ISO 8601, and whether
        it says its offset: then the moment is of UTC."""
        import ibis
        import ibis.expr.datatypes as dt

        from storymesh.engine.dialect import regex_found, regex_matches_whole

        iso = cast_text(text, Timestamp(), dt.timestamp)
        of_iso = regex_found(text, r"(Z|UTC|:[0-9]{2}(\.[0-9]+)? ?[+-][0-9:]+)$")
        if not self.dates:
            return iso, of_iso
        patterns = [format_pattern(format_) for format_ in self.dates]
        matches = [regex_matches_whole(text, pattern) for pattern in patterns]
        parsed = [_parse_texts(text, format_, found) for format_, found in zip(self.dates, matches, strict=True)]
        offsets = [(value.notnull(), "%z" in format_ or format_ in EPOCHS)
                   for format_, value in zip(self.dates, parsed, strict=True)]  # fmt: skip
        has_form = regex_matches_whole(text, "|".join(f"({pattern})" for pattern in patterns))
        moment = ibis.ifelse(has_form, in_calendar(ibis.coalesce(*parsed)), iso)
        return moment, ibis.ifelse(has_form, ibis.cases(*offsets, else_=False), of_iso)

    def _time(self, text: "ir.StringValue", target: "dt.DataType") -> "ir.Value":
        import ibis

        from storymesh.engine.dialect import regex_matches_whole, substring
        from storymesh.engine.local_time import parse_moment

        value = cast_text(text, Time(), target)
        for format_ in reversed(self.times):
            parsed = time_of_day(substring(parse_moment(text, format_).cast("string"), 11))
            value = ibis.ifelse(regex_matches_whole(text, format_pattern(format_)), parsed, value)
        return value

    def choose_utc(
        self, local: "ir.TimestampValue", before: "ir.TimestampValue", after: "ir.TimestampValue"
    ) -> "ir.TimestampValue":
        """Return a local time of `zone` in UTC, of the two that `utc_by_offsets` has: those hold that lead back to it,
        none in an hour that is skipped, two in one that comes twice. Null for an hour that is refused."""
        import ibis

        from storymesh.engine.local_time import local_of_utc

        assert self.zone is not None
        nothing = ibis.null("timestamp")
        by_before, by_after = (local_of_utc(moment, self.zone) == local for moment in (before, after))
        twice = {"refuse": nothing, "first": before, "second": after}[self.repeated_hour]
        chosen = ibis.cases(
            (before == after, before),
            (by_before & by_after, twice),
            (by_before, before),
            (by_after, after),
            else_=before if self.skipped_hour == "shift" else nothing,
        )
        return in_calendar(chosen)


PLAIN = ValueForms()


def _one_of(mark: str | None) -> str:
    alike = {SPACE: _SPACES, "'": _APOSTROPHES}.get(mark or "", mark or "")
    return f"[{re.escape(alike)}]"


def _parse_texts(text: "ir.StringValue", format_: str, matches: "ir.BooleanValue") -> "ir.TimestampValue":
    import ibis

    from storymesh.engine.local_time import moment_of_microseconds, parse_moment

    if format_ in EPOCHS:
        number = ibis.ifelse(matches, text, ibis.null("string")).try_cast("decimal(21,6)") * EPOCHS[format_][1]
        return moment_of_microseconds(number.try_cast("int64"))
    given = text.re_replace("Z$", "+00") if "%z" in format_ else text
    return ibis.ifelse(matches, parse_moment(given, format_), ibis.null("timestamp"))


def format_pattern(format_: str) -> str:
    """Return the regular expression of the texts that have a format: that of `%Y` is `[0-9]{4}`."""
    if format_ in EPOCHS:
        return EPOCHS[format_][0]
    tokens = [(match[0], match[1]) for match in _DIRECTIVE.finditer(format_)]
    parts = []
    for index, (token, letter) in enumerate(tokens):
        beside = [tokens[place][1] in _NUMERIC for place in (index - 1, index + 1) if 0 <= place < len(tokens)]
        if letter is None or letter == "%":
            parts.append(re.escape(letter or token))
        elif letter == "z":
            parts.append(_ZONE)
        elif letter in _SHORT and not any(beside):
            parts.append("[0-9]{1,2}")
        else:
            parts.append(_NUMERIC.get(letter) or _OTHER[letter])
    return "".join(parts)


def format_fault(format_: str, *, of_day: bool) -> str | None:
    """Return what is wrong with the format of a date or moment (`of_day`), or of a time of day; None: nothing."""
    if of_day and format_ in EPOCHS:
        return None
    letters = [match[1] or ("" if match[0] == "%" else None) for match in _DIRECTIVE.finditer(format_)]
    given = {letter for letter in letters if letter is not None}
    if unknown := sorted(given - {*_NUMERIC, *_OTHER, "z", "%"}):
        return f"'{format_}' has %{unknown[0]}, which is not read; known: {', '.join((*DIRECTIVES, *EPOCHS))}"
    wanted = ["Yy", "mbBj", "dj"] if of_day else ["HI", "M"]
    names = {"Yy": "%Y", "mbBj": "%m", "dj": "%d", "HI": "%H", "M": "%M"}
    if lacking := [names[letters_] for letters_ in wanted if not given & set(letters_)]:
        return f"'{format_}' lacks {', '.join(lacking)}"
    if not of_day and given & {*"YymdbBj", "z"}:
        return f"'{format_}' is of a day, and a time of day is wanted"
    return "%I wants %p" if "I" in given and "p" not in given else None
