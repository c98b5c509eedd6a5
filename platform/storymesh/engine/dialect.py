"""What differs between engines, on one page. Everything else is ibis; nothing above this page asks which engine runs."""

import ibis
import ibis.expr.datatypes as dt
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


def item(values: ir.ArrayValue, index: int) -> ir.Value:
    """The item at `index` (from 0, negative from the end), null when there is none."""
    return values[index]


def sha256(text: ir.StringValue) -> ir.StringValue:
    return text.hexdigest("sha256")
