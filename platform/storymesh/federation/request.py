"""What a narrative asks of a product at another premise: a closed form, from which the gate there makes the statement.

Nothing in a request is SQL. Whoever sends one can name columns of the contract and values, and combine them in the ways
below; there is no way to write anything else, so what a statement touches is what its request says.
"""

import hashlib
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from storymesh.contract.leaving import Form, Grain, Purpose

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
PremiseName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Value = bool | int | Decimal | float | datetime | date | str
MAX_DEPTH = 32
MAX_VALUES = 10_000
COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestedColumn(_Part):
    """A column that is to come, raw or as its keyed hash."""

    name: ColumnName
    form: Literal["raw", "hashed"] = "raw"


class ColumnComparison(_Part):
    """`column operator value`; null where the column is null."""

    kind: Literal["comparison"] = "comparison"
    column: ColumnName
    operator: Literal["==", "!=", "<", "<=", ">", ">="]
    value: Value


class ColumnMembership(_Part):
    """`column in values`."""

    kind: Literal["membership"] = "membership"
    column: ColumnName
    values: Annotated[tuple[Value, ...], Field(min_length=1, max_length=MAX_VALUES)]


class ColumnIsNull(_Part):
    """`column is none`."""

    kind: Literal["is_null"] = "is_null"
    column: ColumnName


class Negation(_Part):
    """`not condition`."""

    kind: Literal["not"] = "not"
    condition: "Condition"


class Conjunction(_Part):
    """All of some conditions."""

    kind: Literal["all"] = "all"
    conditions: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=MAX_VALUES)]


class Disjunction(_Part):
    """Any of some conditions."""

    kind: Literal["any"] = "any"
    conditions: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=MAX_VALUES)]


Condition = Annotated[
    ColumnComparison | ColumnMembership | ColumnIsNull | Negation | Conjunction | Disjunction,
    Field(discriminator="kind"),
]


class TimeWindow(_Part):
    """Rows whose `column` lies between two moments, both inclusive; None: no bound. `or_null`: a null is within."""

    column: ColumnName
    start: datetime | None = None
    end: datetime | None = None
    or_null: bool = False

    def covers_whole(self, grain: Grain) -> bool:
        """Return True if the window cuts no period: it begins with one, and ends with the last moment of one."""
        after = None if self.end is None else self.end + timedelta(microseconds=1)
        return all(moment is None or _begins(moment, grain) for moment in (self.start, after))


class SentColumn(_Part):
    """A column of another product whose values are sent in as keys: `form` is how they cross."""

    product: ColumnName
    column: ColumnName
    form: Literal["raw", "hashed"] = "raw"


class SentKeys(_Part):
    """A set of keys that only rows of it are wanted: `columns` of the product equal those of `sent`, place by place.

    The values travel beside the request, as a table of `count` different rows whose columns are called as `columns`
    are; `digest` is the SHA-256 of their content.
    """

    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=100)]
    sent: Annotated[tuple[SentColumn, ...], Field(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=0)]
    digest: str = ""

    @model_validator(mode="after")
    def _in_pairs(self) -> "SentKeys":
        if len(self.columns) != len(self.sent):
            raise ValueError(f"{len(self.sent)} columns are sent for {len(self.columns)}")
        return self


class Figure(_Part):
    """A figure of a group: `function` of the values of `column`; `count` without a column counts rows."""

    name: ColumnName
    function: Literal["count", "sum", "min", "max"]
    column: ColumnName | None = None

    @model_validator(mode="after")
    def _of_a_column(self) -> "Figure":
        if self.column is None and self.function != "count":
            raise ValueError(f"{self.function} is of a column")
        return self


class FigureGroups(_Part):
    """Figures instead of rows: of each group of equal `by`, and of each whole period of `grain` of the column `period`.

    Of groups with fewer than `subjects` different values of `of` nothing comes.
    """

    by: tuple[RequestedColumn, ...] = ()
    period: ColumnName | None = None
    grain: Grain | None = None
    figures: Annotated[tuple[Figure, ...], Field(min_length=1, max_length=1_000)]
    subjects: Annotated[int, Field(ge=0)] = 0
    of: ColumnName | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that the groups are of."""
        return tuple(column.name for column in self.by)

    @model_validator(mode="after")
    def _together(self) -> "FigureGroups":
        if (self.period is None) != (self.grain is None):
            raise ValueError("a grain is of a column")
        if self.subjects and self.of is None:
            raise ValueError("a least group is of a column")
        return self


class ExtractRequest(_Part):
    """Which values of one product are wanted, where and what for.

    `columns` come for each row that fits; with `groups`, its figures come instead, and `columns` is empty. `role` and
    `narrative` say who asks, `contract` is the digest of the contract that the request was made against.
    """

    narrative: ColumnName
    role: ColumnName
    product: ColumnName
    contract: str
    from_premise: PremiseName
    to_premise: PremiseName
    purpose: Purpose | None = None
    columns: tuple[RequestedColumn, ...] = ()
    filters: tuple[Condition, ...] = ()
    window: TimeWindow | None = None
    keys: SentKeys | None = None
    groups: FigureGroups | None = None

    @model_validator(mode="after")
    def _rows_or_figures(self) -> "ExtractRequest":
        if bool(self.columns) == (self.groups is not None):
            raise ValueError("an extract is of columns or of figures")
        names = [column.name for column in self.columns]
        if len({*names}) < len(names):
            raise ValueError("a column is asked for twice")
        if any(depth(condition) > MAX_DEPTH for condition in self.filters):
            raise ValueError(f"a condition is more than {MAX_DEPTH} deep")
        return self

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the request: equal requests of equal data have equal extracts."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def forms(self) -> dict[str, Form]:
        """Return how each column comes, by name: of figures, `figures` but for what they are grouped by."""
        if self.groups is None:
            return {column.name: column.form for column in self.columns}
        figures: dict[str, Form] = {item.column: "figures" for item in self.groups.figures if item.column is not None}
        return figures | {column.name: column.form for column in self.groups.by}


def _begins(moment: datetime, grain: Grain) -> bool:
    """Return True if a period begins at this moment."""
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        return False
    match grain:
        case "day":
            return True
        case "week":
            return moment.weekday() == 0
        case "month":
            return moment.day == 1
        case "quarter":
            return moment.day == 1 and moment.month % 3 == 1
        case "year":
            return (moment.month, moment.day) == (1, 1)


def depth(condition: Condition) -> int:
    """Return how deep a condition is nested."""
    match condition:
        case Negation():
            return 1 + depth(condition.condition)
        case Conjunction() | Disjunction():
            return 1 + max(depth(inner) for inner in condition.conditions)
        case _:
            return 1


def columns_of(condition: Condition) -> Iterator[str]:
    """Yield the columns that a condition reads."""
    match condition:
        case Negation():
            yield from columns_of(condition.condition)
        case Conjunction() | Disjunction():
            for inner in condition.conditions:
                yield from columns_of(inner)
        case _:
            yield condition.column
