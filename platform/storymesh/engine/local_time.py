"""Moments as people and their clocks write them. Only the local engine reads raw files, so only that has these."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine.dialect import utc_microseconds

_DAY = 86_400_000_000
_UTC = dt.Timestamp(timezone="UTC")


@ibis.udf.scalar.builtin(name="try_strptime", signature=((dt.string, dt.string), dt.timestamp))
def _try_strptime(text, pattern):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, dt.timestamp), _UTC))
def _at_zone(zone, local):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, _UTC), dt.timestamp))
def _in_zone(zone, moment):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.timestamp,), dt.int64))
def _microseconds(moment):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="make_timestamp", signature=((dt.int64,), dt.timestamp))
def moment_of_microseconds(microseconds):  # type: ignore[no-untyped-def]
    """Return the moment so many microseconds after 1970 began in UTC."""


def parse_moment(text: ir.StringValue, pattern: str) -> ir.TimestampValue:
    """Return the moment that a text means by a format of `strptime`, in UTC where it has an offset; null otherwise.

    The engine is lenient: `%Y` takes 24 for the year 24.
    """
    return utc_microseconds(_try_strptime(text, pattern))


def utc_by_offsets(local: ir.TimestampValue, zone: str) -> tuple[ir.TimestampValue, ir.TimestampValue]:
    """Return a local time in UTC by the offset that its zone has a day before, and by that of a day after."""
    count = _microseconds(local)
    before, after = (moment_of_microseconds(count - _offset(count + shift, zone)) for shift in (-_DAY, _DAY))
    return before, after


def local_of_utc(moment: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """Return what the clock of a zone shows at a moment of UTC."""
    return _in_zone(zone, _at_zone("UTC", moment))


def _offset(count: ir.IntegerValue, zone: str) -> ir.IntegerValue:
    """Return by how many microseconds a zone is ahead of UTC at a moment, which is counted in microseconds."""
    return _microseconds(local_of_utc(moment_of_microseconds(count), zone)) - count
