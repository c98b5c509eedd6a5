"""Moments of a clock that a source does not name with each of them, in UTC.

What the steps need more than once is a column of its own: written into one expression, it would be computed dozens of
times.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from storymesh.contract.value_forms import ValueForms

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_UTC, _LOCAL, _FIXED, _BEFORE, _AFTER = (f"storymesh:{part}:" for part in ("utc", "local", "fixed", "before", "after"))


def utc_column(name: str) -> str:
    """Return the name of the column in which `add_utc_moments` puts the moments of a property."""
    return f"{_UTC}{name}"


def add_utc_moments(
    source: "ir.Table", columns: Mapping[str, str], types: "Mapping[str, pa.DataType]", forms: ValueForms
) -> "ir.Table":
    """Return rows with the moments of `columns` (property -> column) in UTC, null where one is none, or is refused.

    `types` are those in which they come: texts, days, or moments without a zone.
    """
    import ibis

    from storymesh.engine.dialect import materialization_barrier
    from storymesh.engine.local_time import utc_by_offsets

    assert forms.zone is not None
    local: dict[str, ir.Value] = {}
    for name, column in columns.items():
        local[f"{_LOCAL}{name}"], local[f"{_FIXED}{name}"] = _moment(source[column], types[name], forms.of(column))
    source = materialization_barrier(source.mutate(**local))
    both: dict[str, ir.Value] = {}
    for name in columns:
        pair = utc_by_offsets(source[f"{_LOCAL}{name}"], forms.zone)
        both |= dict(zip((f"{_BEFORE}{name}", f"{_AFTER}{name}"), pair, strict=True))
    source = materialization_barrier(source.mutate(**both))
    chosen = {}
    for name in columns:
        moment = source[f"{_LOCAL}{name}"]
        utc = forms.choose_utc(moment, source[f"{_BEFORE}{name}"], source[f"{_AFTER}{name}"])
        chosen[utc_column(name)] = ibis.ifelse(source[f"{_FIXED}{name}"], moment, utc)
    return materialization_barrier(source.mutate(**chosen))


def _moment(value: "ir.Value", found: "pa.DataType", forms: ValueForms) -> "tuple[ir.TimestampValue, ir.BooleanValue]":
    import ibis
    import pyarrow.types as at

    from storymesh.contract.cast_text import in_calendar
    from storymesh.engine.dialect import has_whole_microseconds, strip_characters, utc_microseconds

    if at.is_date(found):
        return in_calendar(value.cast("timestamp")), ibis.literal(False)
    if not at.is_timestamp(found):
        return forms.moment(strip_characters(value.cast("string"), " "))
    moment = in_calendar(utc_microseconds(value))
    if found.unit == "ns":
        moment = ibis.ifelse(has_whole_microseconds(value), moment, ibis.null("timestamp"))
    return moment, ibis.literal(False)
