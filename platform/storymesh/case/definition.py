"""The definition of a case in `narrative.yaml`: anchor, moments, links, facts, outcome, precedents."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from storymesh.document import Definition, ExpressionText
from storymesh.printable import shortened

NAME = re.compile(r"^[a-z][a-z0-9_]*$")
DURATION = re.compile(r"(?P<sign>-?)(?P<parts>([0-9]+[wdhms])+)")
MAX_DURATION = timedelta(days=36_525)  # a hundred years: moments stay such that an engine can hold them
QUOTED_FIELDS = ("id", "cited_as", "at", "closes", "score", "worked")
"""Names of what a quoted case has of its own, beside its facts: where there are precedents no fact has one of them."""
UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = repr(value) if len(str(value)) < 80 else f"{str(value)[:60]!r}…"
        raise ValueError(f"{shown} is no duration; write days, hours or minutes such as 14d, 36h, -90m")
    counts = re.findall(r"([0-9]+)([wdhms])", match["parts"])
    if all(len(count) <= 12 for count, _ in counts):
        with suppress(OverflowError):
            length = sum((timedelta(**{UNITS[unit]: int(count)}) for count, unit in counts), timedelta(0))
            if length <= MAX_DURATION:
                return -length if match["sign"] else length
    raise ValueError(f"{value[:60]!r} is longer than a hundred years")


def pattern_check(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    """Return a validator that refuses a text which `pattern` does not match, since it is not `wanted`."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):  # `$` alone lets a line end through
            shown = shortened(value, 200)
            raise ValueError(f"{shown!r} is not {wanted}" if not shown.isprintable() else f"'{shown}' is not {wanted}")
        return value

    return AfterValidator(check)


def _whole_days(value: timedelta) -> timedelta:
    if value < timedelta(days=1) or value % timedelta(days=1):
        raise ValueError("it is counted in whole days, at least one; write days or weeks such as 365d, 26w")
    return value


# What JSON Schemas say of how it is written.
_WRITTEN_DURATION = Annotated[
    str, Field(pattern=r"^-?([0-9]+[wdhms])+$", json_schema_extra={"format": "storymesh-duration"})
]
Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=_WRITTEN_DURATION)]
Days = Annotated[Duration, AfterValidator(_whole_days)]
Name = Annotated[str, pattern_check(NAME, "a name: small letters, digits and _, a letter first")]
Expect = Literal["one", "optional", "some", "any"]


class Within(Definition):
    """A link by time: after <= role.eventTime - case.at <= before; either may be negative."""

    after: Duration
    before: Duration

    @model_validator(mode="after")
    def _ordered(self) -> "Within":
        if self.after > self.before:
            raise ValueError("`after` is later than `before`: no row can match")
        return self


class Overlaps(Definition):
    """A link by time: the role's interval, widened by `slack` at both ends, contains case.at."""

    slack: Duration = timedelta(0)

    @model_validator(mode="after")
    def _not_negative(self) -> "Overlaps":
        if self.slack < timedelta(0):
            raise ValueError("`slack` widens the interval, so it cannot be negative")
        return self


class AsOf(Definition):
    """A link by time: the latest row with eventTime at or before case.at."""


class Link(Definition):
    """The rule by which rows of a role belong to a case: by key (`on`), by time, or both."""

    expect: Expect
    on: Mapping[str, str] | None = None
    within: Within | None = None
    overlaps: Overlaps | None = None
    as_of: AsOf | None = None

    @model_validator(mode="after")
    def _one_rule_of_time(self) -> "Link":
        given = [name for name in ("within", "overlaps", "as_of") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} cannot be combined; one rule of time a link")
        if self.on is not None and not self.on and not given:
            raise ValueError("an empty `on` and no rule of time would link every row to every case")
        return self

    @property
    def single(self) -> bool:
        """True if templates see a row or null, not a list."""
        return self.expect in ("one", "optional")


class Outcome(Definition):
    """Expressions for what was done in a case, how it went, and whether it worked."""

    action: ExpressionText
    score: ExpressionText
    worked: ExpressionText


Share = Annotated[float, Field(ge=0, lt=1)]


class Withheld(Definition):
    """From which cases precedents are withheld: from a share of the `cases`, and from all cases of some `values` of an
    expression that every level matches on, a share or those that are listed, so that of some nothing is known."""

    cases: Share = 0
    values: Mapping[ExpressionText, Share | Annotated[tuple[str | int, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )


def match_column(level: int, position: int) -> str:
    """Return the name of a value that precedents match on: of the level, from 0, and its position there."""
    return f"match_{level}_{position}"


class Precedents(Definition):
    """Which earlier, judged cases count for a case: levels of values to match, the strictest first. From some cases
    they are withheld, so that there is something to learn to say too little is known of; a share alone is of cases."""

    match: tuple[tuple[ExpressionText, ...], ...] = Field(min_length=1)
    min: int = Field(default=5, ge=1, le=10**9)
    quote: int = Field(default=3, ge=0, le=100)
    since: Days | None = None
    withhold: Share | Withheld = 0

    @property
    def withheld(self) -> Withheld:
        """From which cases precedents are withheld, whichever way it is written."""
        return self.withhold if isinstance(self.withhold, Withheld) else Withheld(cases=self.withhold)

    @property
    def withheld_columns(self) -> Mapping[str, str]:
        """The match column of each expression of which values are withheld."""
        strictest = self.match[0]
        named = [text for text in self.withheld.values if text in strictest]
        return {text: match_column(0, strictest.index(text)) for text in named}

    @model_validator(mode="after")
    def _levels(self) -> "Precedents":
        if any(not level for level in self.match):
            raise ValueError("a level of `match` needs at least one value to match on")
        return self


class Case(Definition):
    """The part `case` of a narrative: one case for each row of the anchor for which `where` holds."""

    anchor: Name
    where: ExpressionText | None = None
    at: str
    closes: str | None = None
    links: Mapping[Name, Link] = Field(default_factory=dict)
    facts: Mapping[Name, ExpressionText] = Field(default_factory=dict)
    outcome: Outcome | None = None
    precedents: Precedents | None = None
