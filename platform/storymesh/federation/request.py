"""A narrative's request to a product at another premise: a closed form, from which the gate there builds the statement.

Nothing in a request is SQL. Whoever sends one can name columns of the contract and values, and combine them in the ways
below; there is no way to write anything else, so what a statement touches is what its request says.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from storymesh.contract.egress_rules import AggregationThreshold, Form, Purpose

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
PremiseName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Value = bool | int | Decimal | float | datetime | date | str
MAX_DEPTH = 32
MAX_VALUES = 10_000


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


class ExtractRequest(_Part):
    """Which values of one product are wanted, where and what for.

    `columns` come for each row that fits. Or else of each of the columns `counted` it comes how many rows break its
    rules, where they are rows of at least the `least` group. `role` and `narrative` say who asks, `contract` is the
    digest of the contract that the request was made against.
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
    counted: tuple[ColumnName, ...] = ()
    least: AggregationThreshold | None = None

    @model_validator(mode="after")
    def _rows_or_counts(self) -> "ExtractRequest":
        if bool(self.columns) == bool(self.counted):
            raise ValueError("an extract is of columns or of counts")
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
        """The form in which each column comes, by name."""
        counts: dict[str, Form] = dict.fromkeys(self.counted, "figures")
        return counts | {column.name: column.form for column in self.columns}


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
