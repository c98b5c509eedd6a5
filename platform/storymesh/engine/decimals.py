"""Decimals on the engine: rounded and written from their exact value, ties to even, also beyond a float's 15 digits.

Engines round decimals half away from zero and format them through a float.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine import dialect

FLOAT_DIGITS = 15  # so many digits of any decimal survive a float
MAX_DIGITS = 38


def scale_of(value: ir.DecimalValue) -> int:
    """Return how many digits a decimal's type has after the decimal point."""
    return value.type().scale or 0


def to_widest(value: ir.NumericValue) -> ir.DecimalValue:
    """Return a decimal or a whole number in the widest type of its scale, in which sums are exact."""
    kind = value.type()
    return value.cast(dt.Decimal(MAX_DIGITS, (kind.scale or 0) if isinstance(kind, dt.Decimal) else 0))


def to_float(value: ir.NumericValue) -> ir.FloatingValue:
    """Return the float that is nearest to a number. An engine's cast may miss it by a bit where a decimal has more
    digits than any float holds; text is read as it should be."""
    kind, nearest = value.type(), value.cast("float64")
    if not isinstance(kind, dt.Decimal):
        return nearest
    from_text, most = value.cast("string").cast("float64"), FLOAT_DIGITS - (kind.scale or 0)
    if (kind.precision or MAX_DIGITS) <= FLOAT_DIGITS:
        return nearest
    return ibis.ifelse(value.abs() < _literal(Decimal(10) ** most, 0), nearest, from_text) if most >= 0 else from_text


def round_half_even(value: ir.DecimalValue, digits: int) -> ir.DecimalValue:
    """Return a decimal rounded to `digits`, ties to even; its scale is `digits`, or its own where that is less."""
    scale = scale_of(value)
    if digits >= scale:
        return value.cast(dt.Decimal(MAX_DIGITS, scale))
    result = dt.Decimal(MAX_DIGITS, digits)
    nearest = _to_digits("round", value.type(), result)(value, digits)
    half = _literal(Decimal(5).scaleb(-digits - 1), scale)
    if digits == 0 and scale == MAX_DIGITS:  # no room for a digit before the point
        tie = value.abs() == half
    else:
        # Of two units a half is left where an even digit stands before a tie.
        tie = (value % _literal(Decimal(2).scaleb(-digits), scale)).abs() == half
    return ibis.ifelse(tie, _to_digits("trunc", value.type(), result)(value, digits), nearest).cast(result)


def truncate(value: ir.DecimalValue, digits: int) -> ir.DecimalValue:
    """Return a decimal cut off to at most `digits` after the decimal point."""
    digits = min(digits, scale_of(value))
    result = dt.Decimal(MAX_DIGITS, digits)
    if digits == scale_of(value):
        return value.cast(result)
    return _to_digits("trunc", value.type(), result)(value, digits).cast(result)


def format_decimal(value: ir.DecimalValue, digits: int, *, shift: int = 0) -> ir.StringValue:
    """Return 10**shift times a decimal with commas and `digits` after the decimal point, ties to even, no minus
    zero."""
    short_enough = digits + shift >= scale_of(value)
    rounded = value if short_enough else round_half_even(value, digits + shift)
    near = FLOAT_DIGITS - digits - shift
    assert near > 0
    floating = rounded.cast("float64")
    short = dialect.format_float(f"{{:,.{digits}f}}", floating * 10**shift if shift else floating)
    kind = value.type()
    if (kind.precision or MAX_DIGITS) - scale_of(value) < near:
        return short
    return ibis.ifelse(rounded.abs() < _literal(Decimal(10) ** near, 0), short, _write_wide(rounded, digits, shift))


def _write_wide(rounded: ir.DecimalValue, digits: int, shift: int) -> ir.StringValue:
    """Return a rounded decimal of 10 or more in text, put together from its digits."""
    zeros = "0" * (digits + shift - scale_of(rounded))
    plain = rounded.abs().cast("string").replace(".", "")
    plain = plain.concat(zeros) if zeros else plain
    whole = plain.left(plain.length() - digits)
    text = whole.reverse().re_replace("([0-9]{3})", r"\1,").re_replace(",$", "").reverse()
    if digits:
        text = text.concat(".", plain.right(digits))
    # What stands here once is computed for the wide numbers alone.
    return ibis.ifelse(rounded < 0, "-", "").concat(text)


def _literal(value: Decimal, scale: int) -> ir.DecimalScalar:
    """Return a constant with no more digits than it needs, so that both sides keep one type."""
    whole = len(str(int(value))) if value >= 1 else 0
    # As text: ibis writes a small one as 5E-7, which an engine reads as a float.
    return ibis.literal(f"{value:f}").cast(dt.Decimal(max(whole + scale, 1), scale))


@lru_cache
def _to_digits(name: str, kind: dt.DataType, result: dt.DataType) -> Callable[[ir.Value, int], ir.DecimalValue]:
    def function(value, digits):  # type: ignore[no-untyped-def]
        ...

    return ibis.udf.scalar.builtin(function, name=name, signature=((kind, dt.int32), result))  # type: ignore[no-any-return]
