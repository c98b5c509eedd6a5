"""Values that are published as texts of a fixed form, which no engine's types have alike: times of day, and JSON."""

from typing import TYPE_CHECKING

from storymesh.language.types import Array, Field, Json, Struct, Time, Type

if TYPE_CHECKING:
    import ibis.expr.types as ir

_TIME = r"T?([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6}0*)?)?Z?"


def is_written_out(kind: Type) -> bool:
    """Return True for a type whose values, or some inside, are such texts: they have to be checked in a text column."""
    match kind:
        case Array(item):
            return is_written_out(item.type)
        case Struct(fields):
            return any(isinstance(below, Field) and is_written_out(below.type) for below in fields.values())
        case _:
            return isinstance(kind, Time | Json)


def time_of_day(text: "ir.StringValue") -> "ir.StringValue":
    """Return a time of day in ISO 8601 in its one spelling, with seconds and without zeros at the end of their parts;
    null for any other text, also for one with a zone other than UTC: no day says what its offset is."""
    import ibis

    from storymesh.engine.dialect import concat_texts, regex_group, regex_matches_whole

    minutes = regex_group(text, "[0-9]{2}:[0-9]{2}", 0)
    seconds = regex_group(text, "[0-9]{2}:[0-9]{2}(:[0-9]{2})", 1).nullif("").fill_null(":00")
    fraction = regex_group(text, r"(\.[0-9]*[1-9])0*Z?$", 1)
    full = concat_texts([minutes, seconds, fraction])
    return ibis.ifelse(regex_matches_whole(text, _TIME), full, ibis.null("string"))


def checked_json(text: "ir.StringValue") -> "ir.StringValue":
    """Return a text that is JSON as it is, null for any other."""
    import ibis

    from storymesh.engine.dialect import is_strict_json

    return ibis.ifelse(is_strict_json(text), text, ibis.null("string"))


def json_of(value: "ir.Value") -> "ir.StringValue":
    """Return a value that is no text as JSON; null for one that JSON does not have, such as infinity."""
    return checked_json(value.cast("json").cast("string"))
