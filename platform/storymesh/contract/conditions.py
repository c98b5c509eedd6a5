"""Conditions over one row as ibis expressions: what a contract asks of a value beyond what an expectation can say.

Each function takes what is fixed and returns a `RowCondition`, which gets a table and returns a boolean column. Nothing
here is computed when a contract is read, so ibis is imported only where an audit runs.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal as Exact
from typing import TYPE_CHECKING, Any

from storymesh.contract.quality_rules import LibraryMetric
from storymesh.language.types import Array, Field, Struct, Type

if TYPE_CHECKING:
    import ibis.expr.types as ir

RowCondition = Callable[["ir.Table"], "ir.BooleanValue"]
"""A condition over one row; null counts as true."""

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_Places = Iterator[tuple[str, Callable[["ir.Value"], "ir.BooleanValue"]]]


def has_value(name: str) -> RowCondition:
    """Return the condition that a property has a value; what is not a number is none."""

    def holds(table: "ir.Table") -> "ir.BooleanValue":
        value = table[name]
        return value.notnull() & ~value.isnan() if value.type().is_floating() else value.notnull()

    return holds


def is_one_of(name: str, values: Sequence[Any]) -> RowCondition:
    """Return the condition that a text, a whole number or a boolean is one of `values`."""
    return lambda table: table[name].isin(values)


def is_between(
    name: str,
    minimum: float | None,
    maximum: float | None,
    strict_minimum: bool = False,
    strict_maximum: bool = False,
) -> RowCondition:
    """Return the condition that a number lies between two bounds, or on one that is not strict."""

    def holds(table: "ir.Table") -> "ir.BooleanValue":
        import ibis

        value = table[name]
        held: ir.BooleanValue = ibis.literal(True)
        if minimum is not None:
            held = value > minimum if strict_minimum else value >= minimum
        if maximum is not None:
            held = held & (value < maximum if strict_maximum else value <= maximum)
        return value.isnan() | held if value.type().is_floating() else held

    return holds


def has_length(name: str, low: int | None, high: int | None) -> RowCondition:
    """Return the condition that a text has `low` to `high` characters."""
    return lambda table: table[name].length().between(low or 0, high if high is not None else 2**62)


def matches(name: str, pattern: str, length: tuple[int, int] | None = None) -> RowCondition:
    """Return the condition that a pattern is found in a text, which has as many characters as `length` says."""

    def holds(table: "ir.Table") -> "ir.BooleanValue":
        from storymesh.engine.dialect import regex_found

        found = regex_found(table[name], pattern)
        return found & table[name].length().between(*length) if length else found

    return holds


def matches_patterns(name: str, patterns: Sequence[str], *, every: bool, wanted: bool) -> RowCondition:
    """Return the condition that all or any of `patterns` are found in a value's text; not `wanted`: that none is."""

    def holds(table: "ir.Table") -> "ir.BooleanValue":
        from functools import reduce
        from operator import and_, or_

        import ibis

        from storymesh.engine.dialect import regex_found

        text = table[name].cast("string")
        found = reduce(
            and_ if every else or_, (regex_found(text, pattern) for pattern in patterns), ibis.literal(every)
        )
        return ibis.ifelse(text.notnull(), found if wanted else ~found, ibis.null("boolean"))

    return holds


def is_one_of_moments(name: str, moments: Sequence[datetime]) -> RowCondition:
    """Return the condition that a date or timestamp is one of `moments`."""
    return lambda table: table[name].cast("timestamp").isin(moments)


def is_one_of_numbers(name: str, values: Sequence[Any]) -> RowCondition:
    """Return the condition that a float or a decimal is one of `values`."""
    return lambda table: table[name].isin([_exact_number(value) for value in values])


def compares_number(name: str, operator: str, bound: Any) -> RowCondition:
    """Return the condition `name operator bound`, exact in decimals; `operator` is `<`, `<=`, `>` or `>=`."""
    return lambda table: COMPARISONS[operator](table[name], _exact_number(bound))


def compares_moment(name: str, operator: str, bound: datetime) -> RowCondition:
    """Return the condition `name operator bound` for a date or a timestamp."""
    return lambda table: COMPARISONS[operator](table[name].cast("timestamp"), bound)


def compares_text(name: str, operator: str, bound: str) -> RowCondition:
    """Return the condition `name operator bound` for texts in the order of their characters, such as times of day."""
    return lambda table: COMPARISONS[operator](table[name], bound)


def has_item_count(name: str, low: int, high: int) -> RowCondition:
    """Return the condition that a list has `low` to `high` items."""
    return lambda table: table[name].length().between(low, high)


def has_distinct_items(name: str) -> RowCondition:
    """Return the condition that no item of a list stands in it twice; nulls are not compared."""

    def holds(table: "ir.Table") -> "ir.BooleanValue":
        from storymesh.engine.dialect import distinct_items, filter_items

        filled = filter_items(table[name], lambda item: item.notnull())
        return distinct_items(table[name]).length() == filled.length()

    return holds


def is_multiple_of(name: str, step: float, *, whole: bool) -> RowCondition:
    """Return the condition that a number is a multiple of `step`; `whole`: both are whole numbers."""

    def holds(table: "ir.Table") -> "ir.BooleanValue":
        from storymesh.engine.dialect import round_number

        if whole:
            return table[name] % step == 0
        quotient = table[name].cast("float64") / float(step)
        return (quotient - round_number(quotient)).abs() < 1e-9

    return holds


def required_places(name: str, kind: Type) -> Iterator[tuple[str, RowCondition]]:
    """Yield each required place inside a value: its path, and the condition that it is filled where it exists."""
    for path, condition in _places(kind):
        yield path, lambda table, condition=condition: condition(table[name])  # type: ignore[misc]


def _places(kind: Type) -> _Places:
    match kind:
        case Struct(fields):
            for name, field in fields.items():
                assert isinstance(field, Field)  # a contract hides nothing
                for path, condition in _filled(field):
                    yield f".{name}{path}", _inside_struct(name, condition)
        case Array(item):
            for path, condition in _filled(item):
                yield f"[]{path}", _inside_list(condition)
        case _:
            return


def _filled(field: Field) -> _Places:
    if not field.nullable:
        yield "", lambda value: value.notnull()
    yield from _places(field.type)


def _inside_struct(
    name: str, condition: Callable[["ir.Value"], "ir.BooleanValue"]
) -> Callable[["ir.Value"], "ir.BooleanValue"]:
    return lambda value: value.isnull() | condition(value[name])


def _inside_list(condition: Callable[["ir.Value"], "ir.BooleanValue"]) -> Callable[["ir.Value"], "ir.BooleanValue"]:
    def holds(value: "ir.Value") -> "ir.BooleanValue":
        from storymesh.engine.dialect import filter_items

        return filter_items(value, lambda item: ~condition(item).fill_null(True)).length() == 0

    return holds


def is_not_counted(metric: LibraryMetric, name: str) -> RowCondition:
    """Return the condition that a metric of the property `name` does not count a row."""
    return lambda table: ~counted(metric, table[name])


def counted(metric: LibraryMetric, value: "ir.Value") -> "ir.BooleanValue":
    """Return the condition under which a metric of a property counts a value; null does not count."""
    import ibis

    from storymesh.engine.dialect import regex_found

    match metric.metric:
        case "nullValues":
            return value.isnull()
        case "missingValues":
            null = value.isnull() if None in metric.missing_values else ibis.literal(False)
            return null | _is_among(value, [item for item in metric.missing_values if item is not None])
        case "invalidValues":
            invalid: ir.BooleanValue | None = None
            if metric.valid_values:
                invalid = ~_is_among(value, metric.valid_values)
            if metric.pattern is not None:
                unlike = ~regex_found(value.cast("string"), metric.pattern)
                invalid = unlike if invalid is None else invalid | unlike
            # An empty list of valid values and no pattern is refused when the contract is read.
            return value.notnull() & (ibis.literal(False) if invalid is None else invalid)
        case _:
            raise AssertionError(metric)


def _is_among(value: "ir.Value", listed: Sequence[Any]) -> "ir.BooleanValue":
    """Compare as text without a float's trailing `.0`, as people write a number in a list."""
    plain = value.cast("string").re_replace(r"^([+-]?[0-9]+)\.0+$", r"\1")
    return plain.isin([_plain_text(item) for item in listed])


def _plain_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _exact_number(value: Any) -> "ir.Scalar":
    """Return a number of a YAML file with exactly the digits that were written, as far as a decimal holds them."""
    import ibis
    import ibis.expr.datatypes as dt

    exact = Exact(repr(value)) if isinstance(value, int | float) else Exact("NaN")
    _, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int) or exponent > 0 or max(len(digits), -exponent) > 38:
        return ibis.literal(float(value), type="float64")
    return ibis.literal(exact, type=dt.Decimal(max(len(digits), -exponent), -exponent))
