"""What differs between engines, on one page. Everything else is ibis; nothing above this page asks which engine runs."""

from collections.abc import Callable
from contextvars import ContextVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir


@ibis.udf.scalar.builtin(name="format", signature=((dt.string, dt.float64), dt.string))
def _format_float(pattern, value):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="format", signature=((dt.string, dt.int64), dt.string))
def _format_integer(pattern, value):  # type: ignore[no-untyped-def]
    ...


def grouped(value: ir.NumericValue, digits: int) -> ir.StringValue:
    """Thousands by comma, `digits` behind the point, ties to even on the binary value, no minus zero."""
    text: ir.StringValue
    if digits == 0 and value.type().is_integer():
        return _format_integer("{:,d}", value.cast("int64"))  # type: ignore[no-any-return]
    text = _format_float(f"{{:,.{digits}f}}", value.cast("float64"))
    zero = "-0" + ("." + "0" * digits if digits else "")
    return ibis.ifelse(text == zero, zero[1:], text)


def fixed(value: ir.NumericValue, digits: int) -> ir.FloatingValue:
    """A float rounded to `digits`, ties to even on the binary value, as Python's round does."""
    return _format_float(f"{{:.{digits}f}}", value.cast("float64")).cast("float64")  # type: ignore[no-any-return]


def divided(left: ir.NumericValue, right: ir.NumericValue) -> ir.FloatingValue:
    """IEEE 754's division: by zero it is infinite or not a number, never an error."""
    return left.cast("float64") / right.cast("float64")


def total(value: ir.IntegerValue) -> ir.IntegerValue:
    """A sum of whole numbers as an integer of 64 bits: DuckDB adds them as HUGEINT, which ibis takes for int64."""
    return value.cast(dt.Decimal(38, 0)).cast("int64")


def item(values: ir.ArrayValue, index: int) -> ir.Value:
    """The item at `index` (from 0, negative from the end), null when there is none."""
    return values[index]


def sha256(text: ir.StringValue) -> ir.StringValue:
    return text.hexdigest("sha256")


def each(values: ir.ArrayValue, function: Callable[[ir.Value], ir.Value]) -> ir.ArrayValue:
    """`function` of every item."""
    argument, body = _body(values, function)
    return ops.ArrayMap(values, body=body, param=argument, index=None).to_expr()  # type: ignore[no-any-return]


def those(values: ir.ArrayValue, holds: Callable[[ir.Value], ir.BooleanValue]) -> ir.ArrayValue:
    """The items for which `holds` is true."""
    argument, body = _body(values, holds)
    return ops.ArrayFilter(values, body=body, param=argument, index=None).to_expr()  # type: ignore[no-any-return]


# ibis names a lambda's argument after Python's, so that an inner one hides an outer one of the same name. Here the name
# is the depth: inner arguments differ from outer ones, and the same expression gives the same SQL every time.
_depth: ContextVar[int] = ContextVar("depth", default=0)


def _body(values: ir.ArrayValue, function: Callable[[ir.Value], ir.Value]) -> tuple[ops.Argument, ir.Value]:
    depth = _depth.get()
    argument = ops.Argument(name=f"item{depth}", shape=values.op().shape, dtype=values.type().value_type)
    token = _depth.set(depth + 1)
    try:
        return argument, function(argument.to_expr())
    finally:
        _depth.reset(token)
