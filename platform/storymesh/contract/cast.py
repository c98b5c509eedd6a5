"""Casting rows of a source or of dbt to the contract's types, value by value; what does not fit is kept as text.

A cast never loses anything silently: 1.7 is not an integer, a moment of a day is not a date, a text with three decimals
is no decimal of two, nothing below a microsecond is cut off, and a number that is not finite is no value. Such a value
becomes null in the typed column, and a `raw` column has it as it was. A list or an object with such a value inside
becomes null as a whole.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.contract.cast_text import ERROR_MARK, WITH_ERRORS, count_json_values, json_texts
from storymesh.contract.definition import Contract
from storymesh.contract.local_moments import add_utc_moments, utc_column
from storymesh.contract.types import arrow_type
from storymesh.contract.value_forms import PLAIN, ValueForms
from storymesh.contract.written_values import json_of, time_of_day
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Field,
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

_RAW_CHARACTERS = 1000


@dataclass(frozen=True)
class CastPlan:
    """A selection of one typed column for each property, then a `raw` column for each of `fallible`, in this order:
    the properties of which a value may not fit."""

    select: "Callable[[ir.Table], ir.Table]"
    fallible: tuple[str, ...]


def plan_cast(
    contract: Contract, source_schema: "pa.Schema", columns: dict[str, str], forms: ValueForms = PLAIN
) -> CastPlan:
    """Return how to read rows of `source_schema`, whose texts are written in `forms`, as rows of the contract.

    `columns` maps properties to its columns.
    """
    types = {name: source_schema.field(columns[name]).type for name in contract.properties}
    marked = {name for name in contract.properties if source_schema.field(columns[name]).metadata == WITH_ERRORS}
    fallible = tuple(
        name for name, item in contract.properties.items() if name in marked or not _always_fits(types[name], item.type)
    )

    def select(source: "ir.Table") -> "ir.Table":
        import ibis

        from storymesh.engine.dialect import materialization_barrier, substring

        local = {name for name in contract.properties if forms.zone and _is_local(types[name], contract, name)}
        # Each step is a query of its own, so that what the next one reads more than once is computed once.
        source = _prepare(source, contract, columns, types, marked, forms)
        if local:
            source = add_utc_moments(source, {name: columns[name] for name in sorted(local)}, types, forms)
        typed = {
            f"storymesh:typed:{name}": source[utc_column(name)]
            if name in local
            else _cast_column(source, columns[name], name, types[name], item.type, forms)
            for name, item in contract.properties.items()
        }
        source = materialization_barrier(source.mutate(**typed))
        selected: dict[str, ir.Value] = {}
        raw: dict[str, ir.Value] = {}
        for name, item in contract.properties.items():
            column, value = source[columns[name]], source[f"storymesh:typed:{name}"]
            if name not in fallible:
                selected[name] = value
                continue
            lost = _lost(source, columns[name], name, types[name], item.type)
            text = column.cast("string")
            if name in marked:
                is_error = source[f"storymesh:error:{name}"].fill_null(False)
                value = ibis.ifelse(is_error, ibis.null(value.type()), value)
                text, lost = ibis.ifelse(is_error, substring(text, len(ERROR_MARK)), text), lost | is_error
            text = substring(text, 0, _RAW_CHARACTERS)
            selected[name] = ibis.ifelse(lost, ibis.null(value.type()), value) if _is_nested(item.type) else value
            raw[f"storymesh:raw:{len(raw)}"] = ibis.ifelse(lost, text, ibis.null("string"))
        return source.select(**selected, **raw)

    return CastPlan(select, fallible)


def _prepare(
    source: "ir.Table", contract: Contract, columns: Mapping[str, str], types: "Mapping[str, pa.DataType]",
    marked: Collection[str], forms: ValueForms,
) -> "ir.Table":  # fmt: skip
    """Return rows in which words for no value are null, with the parts of JSON texts and which values are errors."""
    from storymesh.engine.dialect import materialization_barrier

    texts = sorted(columns[name] for name in contract.properties if _is_text(types[name]))
    words = {name: own.without_nulls(source[name]) for name in texts if (own := forms.of(name)).nulls}
    if words:
        source = materialization_barrier(source.mutate(**words))
    errors = {f"storymesh:error:{name}": source[columns[name]].startswith(ERROR_MARK) for name in sorted(marked)}
    parts = {
        f"storymesh:texts:{name}": json_texts(_stripped(source[columns[name]]), item.type)
        for name, item in contract.properties.items()
        if _is_json(types[name], item.type)
    }
    return materialization_barrier(source.mutate(**parts, **errors)) if parts or errors else source


def _is_local(found: "pa.DataType", contract: Contract, name: str) -> bool:
    """Return True for moments that come without their offset, or may."""
    import pyarrow.types as at

    if not isinstance(contract.properties[name].type, Timestamp):
        return False
    return _is_text(found) or bool(at.is_date(found) or (at.is_timestamp(found) and found.tz is None))


def _cast_column(
    source: "ir.Table", column: str, name: str, found: "pa.DataType", kind: Type, forms: ValueForms
) -> "ir.Value":
    if _is_json(found, kind):
        return _cast(source[f"storymesh:texts:{name}"], _text_type(kind), kind)
    return _cast(source[column], found, kind, forms.of(column))


def _lost(source: "ir.Table", column: str, name: str, found: "pa.DataType", kind: Type) -> "ir.BooleanValue":
    """Return the condition that a value, or one inside it, did not fit: then the typed column has fewer of them."""
    value, typed = source[column], source[f"storymesh:typed:{name}"]
    if not _is_nested(kind):
        return value.notnull() & typed.isnull()
    is_json = _is_json(found, kind)
    given = count_json_values(_stripped(value), kind) if is_json else _count_values(value, found, kind)
    return given != _count_values(typed, arrow_type(kind), kind)


def _is_json(found: "pa.DataType", kind: Type) -> bool:
    """Return True where a text column holds objects or arrays of the contract, which are JSON then."""
    return _is_nested(kind) and _is_text(found)


def _is_nested(kind: Type) -> bool:
    return isinstance(kind, Array | Struct)


def _is_text(found: "pa.DataType") -> bool:
    import pyarrow.types as at

    return bool(at.is_string(found) or at.is_large_string(found) or at.is_string_view(found))


def _stripped(text: "ir.Value") -> "ir.StringValue":
    from storymesh.engine.dialect import strip_characters

    return strip_characters(text.cast("string"), " ")


def _text_type(kind: Type) -> "pa.DataType":
    """Return the type of `json_texts`: that of the contract, with a text in the place of every value that is none."""
    import pyarrow as pa

    match kind:
        case Array(item):
            return pa.list_(_text_type(item.type))
        case Struct(fields):
            return pa.struct(
                [(name, _text_type(item.type)) for name, item in fields.items() if isinstance(item, Field)]
            )
        case _:
            return pa.string()


def _always_fits(found: "pa.DataType", kind: Type) -> bool:
    import pyarrow.types as at

    if at.is_null(found):
        return True
    match kind:
        case Text():
            is_bytes = at.is_binary(found) or at.is_large_binary(found)
            return not (is_bytes or at.is_floating(found) or at.is_nested(found))
        case Integer():
            return bool(at.is_integer(found) and found != "uint64")
        case Float():
            return bool(at.is_integer(found) or at.is_decimal(found))  # a double may be NaN
        case Boolean():
            return bool(at.is_boolean(found))
        case Decimal():
            return bool(found == arrow_type(kind))
        case _:
            return False


def _fields(found: "pa.DataType", kind: Struct) -> "Mapping[str, tuple[int, pa.DataType, Type]]":
    """Return for each field of the contract that a source's struct has its place there, its type and its kind."""
    names = [found.field(index).name for index in range(found.num_fields)]
    places = {}
    for name, item in kind.fields.items():
        alike = [index for index, other in enumerate(names) if other.lower() == name.lower()]
        place = names.index(name) if name in names else alike[0] if len(alike) == 1 else None
        if place is not None and isinstance(item, Field):
            places[name] = (place, found.field(place).type, item.type)
    return places


def _count_values(value: "ir.Value", found: "pa.DataType", kind: Type) -> "ir.IntegerValue":
    """Return how many values there are in the places that the contract has, objects and lists among them."""
    import ibis
    import pyarrow.types as at

    from storymesh.engine.dialect import map_items, sum_items

    match kind:
        case Struct() if at.is_struct(found):
            inside = [
                _count_values(value[found.field(place).name], below, item)
                for place, below, item in _fields(found, kind).values()
            ]
            return ibis.ifelse(value.isnull(), 0, sum(inside, ibis.literal(1, "int64")))
        case Array(item) if at.is_list(found):
            counts = map_items(value, lambda below: _count_values(below, found.value_type, item.type))
            return ibis.ifelse(value.isnull(), 0, sum_items(counts) + 1)
        case _:
            return value.notnull().cast("int64")


def _cast(value: "ir.Value", found: "pa.DataType", kind: Type, forms: ValueForms = PLAIN) -> "ir.Value":
    """Return a value of the source's type `found` as one of the contract's; null where it does not fit."""
    import ibis
    import ibis.expr.datatypes as dt
    import pyarrow.types as at

    from storymesh.engine.dialect import is_finite

    target = dt.DataType.from_pyarrow(arrow_type(kind))
    nothing = ibis.null(target)
    if at.is_null(found):
        return nothing
    match kind:
        case Text() if _is_text(found):
            return value.cast("string")
        case Text() | Json() if at.is_binary(found) or at.is_large_binary(found):
            return nothing
        case Json() if not _is_text(found):
            return json_of(value)
        case Time() if at.is_time(found):
            return time_of_day(value.cast("string"))
        case Text() if at.is_nested(found):
            return json_of(value)
        case Text() if at.is_floating(found):
            return ibis.ifelse(is_finite(value), value.cast("string"), ibis.null("string"))
        case Text():
            return value.cast("string")
        case Struct() | Array():
            return _cast_nested(value, found, kind, nothing)
        case _ if _is_text(found):
            return forms.cast_text(_stripped(value), kind, target)
        case Time():
            return nothing
        case Boolean():
            if at.is_integer(found) or at.is_floating(found) or at.is_decimal(found):
                return ibis.cases((value == 1, True), (value == 0, False))
            return value if at.is_boolean(found) else nothing
        case Date() | Timestamp():
            return _cast_moment(value, found, kind, nothing)
        case _:
            return _cast_number(value, found, kind, target)


def _cast_nested(value: "ir.Value", found: "pa.DataType", kind: Array | Struct, nothing: "ir.Value") -> "ir.Value":
    import ibis
    import pyarrow.types as at

    from storymesh.engine.dialect import map_items

    if isinstance(kind, Array):
        if not at.is_list(found):
            return nothing
        return map_items(value, lambda item: _cast(item, found.value_type, kind.item.type)).cast(nothing.type())
    if not at.is_struct(found):
        return nothing
    inside: dict[str, ir.Value] = {name: ibis.null(nothing.type()[name]) for name in nothing.type().names}
    for name, (place, below, item) in _fields(found, kind).items():
        inside[name] = _cast(value[found.field(place).name], below, item)
    return ibis.ifelse(value.isnull(), nothing, ibis.struct(inside, type=nothing.type()))


def _cast_number(value: "ir.Value", found: "pa.DataType", kind: Type, target: "dt.DataType") -> "ir.Value":
    import ibis
    import ibis.expr.datatypes as dt
    import pyarrow.types as at

    from storymesh.contract.cast_text import plain_number
    from storymesh.engine.dialect import is_finite, truncate_number

    nothing = ibis.null(target)
    if not (at.is_integer(found) or at.is_floating(found) or at.is_decimal(found)):
        return nothing
    match kind:
        case Float() if at.is_floating(found):
            return ibis.ifelse(is_finite(value), value.cast(target), nothing)
        case Integer() if not at.is_integer(found):
            return ibis.ifelse(value == truncate_number(value), value.try_cast(target), nothing)
        case Decimal() if at.is_floating(found):
            # A double is the nearest binary number to what was meant, so it is rounded to the contract's digits.
            return plain_number(value.cast("string")).try_cast(target)
        case Decimal(_, scale) if at.is_decimal(found) and found.scale > scale:
            given = dt.DataType.from_pyarrow(found)
            fitted = value.try_cast(target)
            return ibis.ifelse(fitted.try_cast(given) == value, fitted, nothing)
        case _:
            return value.try_cast(target)


def _cast_moment(value: "ir.Value", found: "pa.DataType", kind: Type, nothing: "ir.Value") -> "ir.Value":
    import ibis
    import pyarrow.types as at

    from storymesh.contract.cast_text import in_calendar, whole_day
    from storymesh.engine.dialect import has_whole_microseconds, utc_microseconds

    if at.is_date(found):
        day = in_calendar(value.cast("date"))
        return day if isinstance(kind, Date) else day.cast("timestamp")
    if not at.is_timestamp(found):
        return nothing
    moment = in_calendar(utc_microseconds(value))
    if found.unit == "ns":
        moment = ibis.ifelse(has_whole_microseconds(value), moment, ibis.null("timestamp"))
    return whole_day(moment) if isinstance(kind, Date) else moment
