"""Arithmetic and comparison of the language on the engine.

Decimals stay exact, integers have 64 bits, and what does not fit is null, where an engine would fail, wrap or round.
"""

from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from storymesh.engine import decimals, dialect
from storymesh.language.evaluate import EXACT


def calculate(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    """Return `left operator right`: of floats a float, which always fits; else null where it does not fit. Of two
    moments, the seconds between them."""
    if left.type().is_temporal():
        apart = dialect.microseconds(left) - dialect.microseconds(right)
        millionth = ibis.literal(Decimal("0.000001"), type=dt.Decimal(19, 6))
        return (apart.cast(dt.Decimal(19, 0)) * millionth).cast(dt.Decimal(18, 6))
    if left.type().is_floating() or right.type().is_floating() or operator == "/":
        left, right = decimals.to_float(left), decimals.to_float(right)
        return dialect.float_division(left, right) if operator == "/" else _plain(operator, left, right)
    if operator in ("//", "%"):
        return _floored(operator, left, right)
    if left.type().is_integer() and right.type().is_integer():
        # Wide enough that nothing overflows.
        wide = dt.Decimal(19 if operator == "*" else 38, 0)
        return dialect.decimal_to_int64(_plain(operator, left.cast(wide), right.cast(wide)))
    kind = _exact_type(operator, left, right)
    if kind is not None:
        return _exactly(operator, left, right, kind)
    wide = dt.Decimal(decimals.MAX_DIGITS, _scale(operator, left.type(), right.type()))
    if operator == "*":
        return _product(left, right).cast(wide)
    return _added(operator, widened(left, wide), widened(right, wide))


def always_fits(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> bool:
    """Return True where `calculate` never gives null for two numbers, or two moments."""
    return left.type().is_temporal() or (operator in "+-*" and _exact_type(operator, left, right) is not None)


def _exact_type(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> dt.Decimal | None:
    """Return the type of decimals that holds every sum, difference or product of two numbers, one of them a decimal;
    None where there is none. The narrower a type, the quicker an engine is: 18 digits are one machine word."""
    if not any(isinstance(value.type(), dt.Decimal) for value in (left, right)):
        return None
    (left_whole, left_behind), (right_whole, right_behind) = _digits(left), _digits(right)
    if operator == "*":
        kind = left_whole + left_behind + right_whole + right_behind, left_behind + right_behind
        return dt.Decimal(*kind) if kind[0] <= _WORD else None
    behind = max(left_behind, right_behind)
    digits = max(left_whole, right_whole) + 1 + behind
    return dt.Decimal(digits, behind) if digits <= decimals.MAX_DIGITS else None


_WORD = 18  # an engine checks a product or sum of shorter decimals against so many digits


def _digits(value: ir.NumericValue) -> tuple[int, int]:
    """Return how many digits a number has at most before the point and after it."""
    kind, node = value.type(), value.op()
    if isinstance(kind, dt.Decimal):
        return (kind.precision or decimals.MAX_DIGITS) - (kind.scale or 0), kind.scale or 0
    if isinstance(node, ops.Literal) and node.value is not None:
        return len(str(abs(node.value))), 0
    return 19, 0


def _exactly(operator: str, left: ir.NumericValue, right: ir.NumericValue, kind: dt.Decimal) -> ir.DecimalValue:
    """Return a result that `kind` always holds."""
    if operator == "*":
        operands = [dt.Decimal(sum(digits), digits[1]) for digits in (_digits(left), _digits(right))]
    else:
        precision = kind.precision or decimals.MAX_DIGITS
        # An engine gives a sum of two decimals one digit more than they have, and 18 where they have no more.
        operands = [dt.Decimal(precision - (precision <= _WORD), kind.scale)] * 2
    return _plain(operator, left.cast(operands[0]), right.cast(operands[1])).cast(kind)


def _floored(operator: str, left: ir.IntegerValue, right: ir.IntegerValue) -> ir.IntegerValue:
    """Return `//` and `%` as Python has them, rounded down; null for a divisor of zero and where 64 bits do not do.

    An engine cuts quotients off towards zero and gives a remainder the sign of the dividend.
    """
    minus = ibis.literal(-1, type="int64")
    divisor = right.nullif(0).nullif(minus)
    rest = left % divisor
    other_side = (rest != 0) & ((rest < 0) != (divisor < 0))
    if operator == "%":
        return ibis.ifelse(right == minus, 0, ibis.ifelse(other_side, rest + divisor, rest))
    cut = dialect.integer_division(left, divisor)
    return ibis.ifelse(right == minus, -signed(left), ibis.ifelse(other_side, cut - 1, cut))


def _plain(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case _:
            return left * right


def widened(value: ir.NumericValue, wide: dt.Decimal) -> ir.DecimalValue:
    """Return the value with other digits after the decimal point; null where it does not fit."""
    fits = _digits(value)[0] <= 38 - (wide.scale or 0)
    return value.cast(wide) if fits else value.try_cast(wide)


def _added(operator: str, left: ir.DecimalValue, right: ir.DecimalValue) -> ir.DecimalValue:
    """Return a sum or difference of decimals of 38 digits; null where it has more, which engines take for an error."""
    kind = left.type()
    most = ibis.literal(Decimal(10**38 - 1).scaleb(-(kind.scale or 0), EXACT), type=kind)
    apart = (left < 0) != (right < 0) if operator == "+" else (left < 0) == (right < 0)
    fits = apart | (right.abs() <= most - left.abs())
    nothing = ibis.null(kind)
    return _plain(operator, ibis.ifelse(fits, left, nothing), ibis.ifelse(fits, right, nothing)).cast(kind)


def _product(left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    """Return a product of decimals; null where the digits of the two do not fit into 38."""
    return _narrow(left) * _narrow(right)


def _narrow(value: ir.NumericValue) -> ir.DecimalValue:
    """Return at most 19 digits, so that two make a product of 38: an engine checks shorter ones against 18."""
    kind = value.type()
    if not isinstance(kind, dt.Decimal):
        return value.cast(dt.Decimal(19, 0))
    if (kind.scale or 0) > 19:
        return ibis.null(dt.Decimal(19, 19))
    fits = (kind.precision or 38) <= 19
    narrow = dt.Decimal(19, min(kind.scale or 0, 19))
    return value.cast(narrow) if fits else value.try_cast(narrow)


def signed(value: ir.NumericValue) -> ir.NumericValue:
    """Return a number whose sign can be turned: the smallest integer of 64 bits has no counterpart and is null."""
    return value.nullif(-(2**63)) if value.type().is_integer() else value


def _scale(operator: str, left: dt.DataType, right: dt.DataType) -> int:
    scales = [operand.scale or 0 if isinstance(operand, dt.Decimal) else 0 for operand in (left, right)]
    return min(sum(scales), 37) if operator == "*" else max(scales)


def sum_type(kind: dt.DataType) -> dt.DataType:
    return dt.Decimal(38, kind.scale) if isinstance(kind, dt.Decimal) else kind


def compare(operator: str, left: ir.Value, right: Any) -> ir.BooleanValue:
    if left.type().is_date() != right.type().is_date():
        left, right = left.cast("timestamp"), right.cast("timestamp")
    kinds = left.type(), right.type()
    if all(isinstance(kind, dt.Decimal) for kind in kinds) and kinds[0] != kinds[1]:
        digits = _digits(left), _digits(right)
        whole, behind = (max(counts) for counts in zip(*digits, strict=True))
        if whole + behind <= decimals.MAX_DIGITS:
            wide = dt.Decimal(whole + behind, behind)
            return _ordered(operator, left.cast(wide), right.cast(wide))
        # Exactly, where both fit into one type; where one does not, they are far apart.
        wide = dt.Decimal(decimals.MAX_DIGITS, behind)
        one, two = widened(left, wide), widened(right, wide)
        near = _ordered(operator, one, two)
        return near.coalesce(_ordered(operator, left.cast("float64"), right.cast("float64")))
    if any(kind.is_floating() for kind in kinds):
        left, right = (decimals.to_float(side) if side.type().is_decimal() else side for side in (left, right))
    return _ordered(operator, left, right)


def contains(items: ir.ArrayValue, value: ir.Value) -> ir.BooleanValue:
    """Return True for a value that is one of some items; a float makes floats of both."""
    item, kind = items.type().value_type, value.type()
    if item.is_floating() and kind.is_decimal():
        value = decimals.to_float(value)
    elif item.is_decimal() and kind.is_floating():
        items = dialect.map_items(items, decimals.to_float)
    return items.contains(value)


def _ordered(operator: str, left: ir.Value, right: Any) -> ir.BooleanValue:
    match operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right


def cut_off(value: ir.NumericValue) -> ir.IntegerValue:
    if isinstance(value.type(), dt.Decimal):
        down = ibis.ifelse(value < 0, -(-value).floor(), value.floor())
        return dialect.decimal_to_int64(down.cast(dt.Decimal(38, 0)))
    floating = value.cast("float64")
    cut = ibis.ifelse(floating < 0, floating.ceil(), floating.floor())
    return ibis.ifelse(dialect.is_exactly_printable(floating), cut, ibis.null("float64")).cast("int64")


def round_number(value: ir.NumericValue, precision: int) -> ir.NumericValue:
    if value.type().is_integer():
        return value
    if isinstance(value.type(), dt.Decimal):
        return decimals.round_half_even(value, precision)
    return dialect.round_half_even(value, precision)


def number(value: ir.NumericValue, digits: int) -> ir.StringValue:
    """Return a number in text; a decimal from its exact value."""
    if isinstance(value.type(), dt.Decimal):
        return decimals.format_decimal(value, digits)
    return dialect.format_thousands(value, digits)


def hundredfold(value: ir.NumericValue, digits: int) -> ir.StringValue:
    """Return 100 times a number in text."""
    if value.type().is_floating():
        return dialect.format_thousands(value.cast("float64") * 100, digits)
    exact = value.cast(dt.Decimal(19, 0)) if value.type().is_integer() else value
    return decimals.format_decimal(exact, digits, shift=2)


def _minutes(value: ir.DecimalValue, unit: int) -> ir.IntegerValue:
    """Return the whole minutes of a decimal that is not negative, null past 64 bits."""
    whole = dialect.decimal_to_int64(decimals.truncate(value, 0))
    if unit < 60:
        return dialect.integer_division(whole, ibis.literal(60))
    each = unit // 60
    rest = decimals.truncate(value, 30) - decimals.truncate(value, 0)
    scale = decimals.scale_of(rest)
    wide = dt.Decimal(min(scale, 34) + 4, min(scale, 34))
    part = decimals.truncate(rest.cast(wide) * each, 0).cast("int64")
    fits = whole <= (2**63 - 1 - each) // each
    return ibis.ifelse(fits, whole, ibis.null("int64")) * each + part


def whole_minutes(value: ir.NumericValue, unit: int) -> ir.IntegerValue:
    """Return the whole minutes of a time without its sign, null past 64 bits; `unit` is the seconds that one counts."""
    if value.type().is_integer():
        minutes_each = unit // 60
        if not minutes_each:
            return dialect.integer_division(value, ibis.literal(60)).abs()
        fits = signed(value).abs() <= (2**63 - 1) // minutes_each
        return ibis.ifelse(fits, value, ibis.null("int64")).abs() * minutes_each
    if isinstance(value.type(), dt.Decimal):
        return _minutes(value.abs(), unit)
    # Seconds are rounded to six digits first: 0.7 hours, which no float holds, are 42 minutes and not 41.
    seconds = dialect.round_half_even(value.cast("float64").abs() * unit, 6)
    return ibis.ifelse(dialect.is_exactly_printable(seconds), cut_off(seconds / 60), ibis.null("int64"))
