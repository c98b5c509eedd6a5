"""Casting rows of a source or of dbt to the contract's types, value by value; what does not fit is kept as text.

A cast never loses anything silently: 1.7 is not an integer, a moment of a day is not a date, and a text with three
decimals is no decimal of two. Such a value becomes null in the typed column, and a `raw` column has it as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_type
from storymesh.contract.written_values import checked_json, is_written_out, json_of, time_of_day
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Float,
    Integer,
    Json,
    Struct,
    Text,
    Time,
    Timestamp,
    Type,
)

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir
    import pyarrow as pa

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE = r"[+-]?[0-9]+(\.0*)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = rf"{_DAY}([ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]+)?)?)?"
_ZONED = rf"{_DAY}[ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]+)?)? ?(Z|UTC|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
_RAW_CHARACTERS = 1000


@dataclass(frozen=True)
class CastPlan:
    """A selection of one typed column for each property, then a `raw` column for each of `fallible`, in this order:
    the properties of which a value may not fit."""

    select: "Callable[[ir.Table], ir.Table]"
    fallible: tuple[str, ...]


def plan_cast(contract: Contract, source_schema: "pa.Schema", columns: dict[str, str]) -> CastPlan:
    """Return how to read rows of `source_schema` as rows of the contract; `columns` maps properties to its columns."""
    types = {name: source_schema.field(columns[name]).type for name in contract.properties}
    fallible = tuple(
        name
        for name, item in contract.properties.items()
        if not _is_stored_as(types[name], item.type) and not _always_fits(types[name], item.type)
    )

    def select(source: "ir.Table") -> "ir.Table":
        import ibis

        from storymesh.engine.dialect import substring

        typed = {
            name: _cast(source[columns[name]], types[name], item.type) for name, item in contract.properties.items()
        }
        raw = []
        for index, name in enumerate(fallible):
            column = source[columns[name]]
            text = substring(column.cast("string"), 0, _RAW_CHARACTERS)
            lost = column.notnull() & typed[name].isnull()
            raw.append(ibis.ifelse(lost, text, ibis.null("string")).name(f"storymesh:raw:{index}"))
        return source.select(*(value.name(name) for name, value in typed.items()), *raw)

    return CastPlan(select, fallible)


def _is_stored_as(source: "pa.DataType", kind: Type) -> bool:
    """Return True for a column that is already what is published."""
    return not is_written_out(kind) and source == arrow_type(kind)


def _always_fits(source: "pa.DataType", kind: Type) -> bool:
    import pyarrow.types as at

    match kind:
        case Text():
            return bool(not at.is_binary(source) and not at.is_large_binary(source))
        case Integer():
            return bool(at.is_integer(source) and source != "uint64")
        case Float():
            return bool(at.is_integer(source) or at.is_floating(source) or at.is_decimal(source))
        case Timestamp():
            return bool(at.is_timestamp(source) or at.is_date(source))
        case Date():
            return bool(at.is_date(source))
        case _:
            return bool(at.is_null(source))


def _cast(column: "ir.Value", source: "pa.DataType", kind: Type) -> "ir.Value":
    import ibis
    import ibis.expr.datatypes as dt
    import pyarrow.types as at

    from storymesh.engine.dialect import strip_characters, truncate_number, utc_microseconds

    if _is_stored_as(source, kind):
        return column
    target = dt.DataType.from_pyarrow(arrow_type(kind))
    nothing = ibis.null(target)
    if at.is_null(source):
        return nothing
    if at.is_dictionary(source):
        source = source.value_type
    is_text = at.is_string(source) or at.is_large_string(source) or at.is_string_view(source)
    if is_text and not isinstance(kind, Text):
        return _cast_text(strip_characters(column.cast("string"), " "), kind, target)
    is_number = at.is_integer(source) or at.is_floating(source) or at.is_decimal(source)
    match kind:
        case Integer() if at.is_floating(source) or at.is_decimal(source):
            return ibis.ifelse(column == truncate_number(column), column.try_cast(target), nothing)
        case Integer() | Float() if not is_number:
            return nothing
        case Decimal() if at.is_floating(source):
            # A double is the nearest binary number to what was meant, so it is rounded to the contract's digits.
            return column.try_cast(target)
        case Decimal() if is_number:
            return ibis.ifelse(column.try_cast(target) == column, column.try_cast(target), nothing)
        case Decimal():
            return nothing
        case Boolean() if is_number:
            return ibis.cases((column == 1, True), (column == 0, False))
        case Boolean() if not at.is_boolean(source):
            return nothing
        case Date() if at.is_timestamp(source):
            return _whole_day(utc_microseconds(column))
        case Date() | Timestamp() if not (at.is_date(source) or at.is_timestamp(source)):
            return nothing
        case Timestamp() if at.is_timestamp(source):
            return utc_microseconds(column)
        case Text() | Json() if at.is_binary(source) or at.is_large_binary(source):
            return nothing
        case Json():
            return json_of(column)
        case Time():
            return time_of_day(column.cast("string")) if at.is_time(source) else nothing
        case Array() | Struct() if is_written_out(kind) and at.is_nested(source):
            return json_of(column).try_cast("json").try_cast(target)
        case _:
            return column.try_cast(target)


def _cast_text(text: "ir.StringValue", kind: Type, target: "dt.DataType") -> "ir.Value":
    import ibis

    from storymesh.engine.dialect import regex_group, regex_matches_whole

    nothing = ibis.null(target)
    match kind:
        case Integer():
            whole = regex_group(text, "^[+-]?[0-9]+", 0)
            return ibis.ifelse(regex_matches_whole(text, _WHOLE), whole.try_cast(target), nothing)
        case Float():
            return ibis.ifelse(regex_matches_whole(text, _NUMBER), text.try_cast(target), nothing)
        case Decimal(_, scale):
            digits = rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)"
            return ibis.ifelse(regex_matches_whole(text, digits), text.try_cast(target), nothing)
        case Boolean():
            lower = text.lower()
            return ibis.cases(
                (lower.isin(["true", "t", "yes", "y", "1"]), True), (lower.isin(["false", "f", "no", "n", "0"]), False)
            )
        case Timestamp():
            return _moment(text)
        case Date():
            return _whole_day(_moment(text))
        case Time():
            return time_of_day(text)
        case Json():
            return checked_json(text)
        case Array() | Struct():
            return text.try_cast("json").try_cast(target)
        case _:
            return text.try_cast(target)


def _moment(text: "ir.StringValue") -> "ir.TimestampValue":
    """Return the moment that a text in ISO 8601 means, in UTC; null for any other text."""
    import ibis
    import ibis.expr.datatypes as dt

    from storymesh.engine.dialect import concat_texts, regex_group, regex_matches_whole, utc_microseconds

    # DuckDB ignores the offset of a text that is cast to TIMESTAMP and wants seconds before one.
    clock = regex_group(text, "[ T]([0-9]{2}:[0-9]{2})", 1)
    seconds = regex_group(text, r":[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)", 1)
    zone = regex_group(text, "[+-][0-9]{2}(:?[0-9]{2})?$", 0)
    colon = zone.re_replace("^([+-][0-9]{2})([0-9]{2})$", r"\1:\2")
    rest = [seconds.nullif("").fill_null(":00"), colon.nullif("").fill_null("+00")]
    full = concat_texts([regex_group(text, f"^{_DAY}", 0), ibis.literal(" "), clock, *rest])
    return ibis.cases(
        (regex_matches_whole(text, _MOMENT), text.try_cast("timestamp")),
        (regex_matches_whole(text, _ZONED), utc_microseconds(full.try_cast(dt.Timestamp(timezone="UTC")))),
    )


def _whole_day(moment: "ir.TimestampValue") -> "ir.DateValue":
    """Return the day of a moment at midnight, null for any other: a part of a day is not cut off."""
    import ibis

    day = moment.cast("date")
    return ibis.ifelse(day.cast("timestamp") == moment, day, ibis.null("date"))
