"""A case as its author writes it: anchor, clock, links, facts, outcome, precedents; read strictly and frozen."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

NAME = re.compile(r"^[a-z][a-z0-9_]*$")
DURATION = re.compile(r"^(?P<sign>-?)(?P<parts>(\d+[wdhms])+)$")
UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    met = DURATION.match(value) if isinstance(value, str) else None
    if met is None:
        raise ValueError(f"{value!r} is no duration; write days, hours or minutes such as 14d, 36h, -90m")
    parts = {UNITS[unit]: int(count) for count, unit in re.findall(r"(\d+)([wdhms])", met["parts"])}
    length = timedelta(**parts)
    return -length if met["sign"] else length


def matching(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.match(value):
            raise ValueError(f"'{value}' is not {wanted}")
        return value

    return AfterValidator(check)


def _expression(value: Any) -> Any:
    """YAML reads `worked: true` and `score: 1` as a boolean and a number; both are expressions too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Name = Annotated[str, matching(NAME, "a name: small letters, digits and _, a letter first")]
Expression = Annotated[str, BeforeValidator(_expression)]
Expect = Literal["one", "optional", "some", "any"]


class Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Within(Definition):
    """after <= role.eventTime - case.at <= before, both inclusive, either may be negative."""

    after: Duration
    before: Duration

    @model_validator(mode="after")
    def _ordered(self) -> "Within":
        if self.after > self.before:
            raise ValueError("`after` lies behind `before`: no row can be within")
        return self


class Overlaps(Definition):
    """The role's interval, widened by `slack` at both ends, contains case.at."""

    slack: Duration = timedelta(0)

    @model_validator(mode="after")
    def _not_negative(self) -> "Overlaps":
        if self.slack < timedelta(0):
            raise ValueError("`slack` widens the interval, so it cannot be negative")
        return self


class AsOf(Definition):
    """The latest row with eventTime at or before case.at."""


class Link(Definition):
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
        """Whether templates see a row (or null) rather than a list."""
        return self.expect in ("one", "optional")


class Outcome(Definition):
    action: Expression
    score: Expression
    worked: Expression


class Precedents(Definition):
    match: tuple[tuple[Expression, ...], ...] = Field(min_length=1)
    min: int = Field(default=5, ge=1)
    quote: int = Field(default=3, ge=0, le=100)

    @model_validator(mode="after")
    def _levels(self) -> "Precedents":
        if any(not level for level in self.match):
            raise ValueError("a level of `match` needs at least one value to match on")
        return self


class Case(Definition):
    anchor: Name
    at: str
    closes: str | None = None
    links: Mapping[Name, Link] = Field(default_factory=dict)
    facts: Mapping[Name, Expression] = Field(default_factory=dict)
    outcome: Outcome | None = None
    precedents: Precedents | None = None
