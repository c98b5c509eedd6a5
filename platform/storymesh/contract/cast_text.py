"""Texts as values of the contract's types: what a CSV has, what stands in JSON, and what a workbook shows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storymesh.contract.written_values import checked_json, time_of_day
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
    Time,
    Timestamp,
    Type,
)

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir

ERROR_MARK = "\ufdd1"
"""The mark that a source puts before the text of an error, such as that of a cell: a noncharacter."""

WITH_ERRORS = {b"storymesh:errors": b"marked"}
"""The metadata of a text column in which a source marks errors."""

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NOT_ZERO = r"^[+-]?[0.]*[1-9]"
_EXPONENT = r"([+-]?)([0-9]*)\.?([0-9]*)[eE]([+-]?[0-9]{1,3})"
_WHOLE = r"[+-]?[0-9]+(\.0*)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_SECONDS = r":[0-9]{2}(\.[0-9]{1,6}0*)?"
_MOMENT = rf"{_DAY}([ T][0-9]{{2}}:[0-9]{{2}}({_SECONDS})?)?"
_ZONED = rf"{_DAY}[ T][0-9]{{2}}:[0-9]{{2}}({_SECONDS})? ?(Z|UTC|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
_MAX_SHIFT = 60  # digits by which an exponent moves the point: more than any decimal has


def cast_text(text: "ir.StringValue", kind: Type, target: "dt.DataType") -> "ir.Value":
    """Return a text without spaces around it as a value of a type that is not nested; null where it does not fit."""
    import ibis

    from storymesh.engine.dialect import is_finite, regex_found, regex_group, regex_matches_whole

    nothing = ibis.null(target)
    match kind:
        case Integer():
            plain = plain_number(text)
            whole = regex_group(plain, "^[+-]?[0-9]+", 0)
            return ibis.ifelse(regex_matches_whole(plain, _WHOLE), whole.try_cast(target), nothing)
        case Float():
            number = text.try_cast(target)
            # What is too large for a double is infinite there, what is too small is zero.
            held = is_finite(number) & ((number != 0) | ~regex_found(text, _NOT_ZERO))
            return ibis.ifelse(regex_matches_whole(text, _NUMBER) & held, number, nothing)
        case Decimal(_, scale):
            digits = rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)"
            plain = plain_number(text)
            return ibis.ifelse(regex_matches_whole(plain, digits), plain.try_cast(target), nothing)
        case Boolean():
            lower = text.lower()
            return ibis.cases(
                (lower.isin(["true", "t", "yes", "y", "1"]), True), (lower.isin(["false", "f", "no", "n", "0"]), False)
            )
        case Timestamp():
            return _moment(text)
        case Date():
            return whole_day(_moment(text))
        case Time():
            return time_of_day(text)
        case Json():
            return checked_json(text)
        case _:
            return text.try_cast(target)


def plain_number(text: "ir.StringValue") -> "ir.StringValue":
    """Return a number without an exponent: 1.5e3 is 1500. A text that is none is returned as it is."""
    import ibis

    from storymesh.engine.dialect import regex_group, regex_matches_whole, substring

    sign, before, after = (regex_group(text, f"^{_EXPONENT}$", group) for group in (1, 2, 3))
    shift = regex_group(text, f"^{_EXPONENT}$", 4).try_cast("int64")
    digits = before.concat(after)
    point = before.length() + shift
    zeros = ibis.literal("0")
    shifted = ibis.cases(
        (point <= 0, ibis.literal("0.").concat(zeros.repeat(-point), digits)),
        (point >= digits.length(), digits.concat(zeros.repeat(point - digits.length()))),
        else_=substring(digits, 0, point).concat(".", substring(digits, point)),
    )
    movable = regex_matches_whole(text, _EXPONENT) & (digits != "") & point.between(-_MAX_SHIFT, _MAX_SHIFT)
    return ibis.ifelse(movable, sign.concat(shifted), text)


def in_calendar(moment: "ir.Value") -> "ir.Value":
    """Return a date or a timestamp of the years 1 to 9999, which every reader of a product has; null for any other."""
    import ibis

    first, last = (
        ("0001-01-01", "9999-12-31") if moment.type().is_date() else ("0001-01-01", "9999-12-31 23:59:59.999999")
    )
    bounds = (ibis.literal(bound).cast(moment.type()) for bound in (first, last))
    return ibis.ifelse(moment.between(*bounds), moment, ibis.null(moment.type()))


def whole_day(moment: "ir.TimestampValue") -> "ir.DateValue":
    """Return the day of a moment at midnight, null for any other: a part of a day is not cut off."""
    import ibis

    day = moment.cast("date")
    return ibis.ifelse(day.cast("timestamp") == moment, day, ibis.null("date"))


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
    return in_calendar(
        ibis.cases(
            (regex_matches_whole(text, _MOMENT), text.try_cast("timestamp")),
            (regex_matches_whole(text, _ZONED), utc_microseconds(full.try_cast(dt.Timestamp(timezone="UTC")))),
        )
    )


def json_texts(text: "ir.StringValue", kind: Type) -> "ir.Value":
    """Return a JSON text in the shape of a list or an object of the contract, with each value inside as a text.

    Null stands where the JSON has another shape.
    """
    from storymesh.engine.json_text import mark_numbers

    return _nested_texts(mark_numbers(text), kind)


def _nested_texts(text: "ir.StringValue", kind: Type) -> "ir.Value":
    import ibis

    from storymesh.engine.dialect import map_items
    from storymesh.engine.json_text import json_items, json_kind, json_member, unmark_number

    match kind:
        case Struct(fields):
            inside = {
                name: _nested_texts(json_member(text, name), item.type)
                for name, item in fields.items()
                if isinstance(item, Field)
            }
            value = ibis.struct(inside)
            return ibis.ifelse(json_kind(text) == "OBJECT", value, ibis.null(value.type()))
        case Array(item):
            items = map_items(json_items(text), lambda below: _nested_texts(below, item.type))
            return ibis.ifelse(json_kind(text) == "ARRAY", items, ibis.null(items.type()))
        case _:
            return unmark_number(text)


def count_json_values(text: "ir.StringValue", kind: Type) -> "ir.IntegerValue":
    """Return how many values a JSON text has in the places of a list or an object of the contract, itself among them.

    It is negative for a text of which not every number can be told from a text. A name that stands twice in an object
    and one that is the contract's in another case count as one more: no value there could be told to be the one.
    """
    import ibis

    from storymesh.engine.json_text import is_markable

    return ibis.ifelse(text.isnull() | is_markable(text), _count_nested(text, kind), -1)


def _count_nested(text: "ir.StringValue", kind: Type) -> "ir.IntegerValue":
    import ibis

    from storymesh.engine.dialect import map_items, sum_items
    from storymesh.engine.json_text import json_items, json_kind, json_member

    one = ibis.literal(1, "int64")
    match kind:
        case Struct(fields):
            counts = [
                _count_nested(json_member(text, name), item.type)
                for name, item in fields.items()
                if isinstance(item, Field)
            ]
            counts.append(_count_unclear_names(text, list(fields)))
            inside = ibis.ifelse(json_kind(text) == "OBJECT", sum(counts, one), one)
        case Array(item):
            counts = map_items(json_items(text), lambda below: _count_nested(below, item.type))
            inside = ibis.ifelse(json_kind(text) == "ARRAY", sum_items(counts) + 1, one)
        case _:
            inside = one
    return ibis.ifelse(text.isnull(), 0, inside)


def _count_unclear_names(text: "ir.StringValue", names: Sequence[str]) -> "ir.IntegerValue":
    """Return how many names of a JSON object stand twice, or are one of `names` but for the case of letters."""
    from storymesh.engine.dialect import distinct_items, map_items
    from storymesh.engine.json_text import json_keys

    keys = json_keys(text)
    lower = map_items(keys, lambda key: key.lower())
    unclear = [(lower.contains(name.lower()) & ~keys.contains(name)).cast("int64") for name in names]
    return sum(unclear, keys.length() - distinct_items(keys).length())
