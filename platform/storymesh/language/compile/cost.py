"""The cost of a template, which `language.bounds` knows as a polynomial, as a column of the engine."""

from collections.abc import Callable, Mapping

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.language.sizes import PRINTED, Factor, Polynomial
from storymesh.language.static_values import Path

Names = Mapping[str, tuple[ir.Value, ...]]


def evaluate_polynomial(polynomial: Polynomial, names: Names) -> ir.FloatingValue:
    """Return a polynomial as a column. `names` are the values that a name of the template may have, over one table."""
    lengths: dict[Factor, ir.FloatingValue] = {}
    total: ir.FloatingValue = ibis.literal(float(polynomial.constant), type="float64")
    for term, count in polynomial.terms.items():
        if not term:
            continue
        product: ir.FloatingValue = ibis.literal(float(count), type="float64")
        for factor in term:
            if factor not in lengths:
                lengths[factor] = _length(factor, names)
            product = product * lengths[factor]
        total = total + product
    return total


def _length(factor: Factor, names: Names) -> ir.FloatingValue:
    """Return the items of all lists together, or the characters of the longest text, at the paths of a factor."""
    measure = _count_items if factor.measure == "items" else _count_characters
    found: list[ir.FloatingValue] = []
    for path in sorted(factor.paths):
        values = [_longest(value, path[1:], measure) for value in names.get(path[0], ())]
        if values:
            found.append(ibis.greatest(*values) if len(values) > 1 else values[0])
    if not found:
        return ibis.literal(float(PRINTED), type="float64")
    if factor.measure == "characters":
        return ibis.greatest(*found) if len(found) > 1 else found[0]
    return sum(found[1:], found[0])


def _longest(value: ir.Value, steps: Path, measure: Callable[[ir.Value], ir.FloatingValue]) -> ir.FloatingValue:
    """Return the largest measure of what stands at `steps` of a value, over all items of the lists on the way."""
    kind = value.type()
    if kind.is_array() and (steps or measure is _count_characters):
        return dialect.map_items(value, lambda item: _longest(item, steps, measure)).maxs().fill_null(0.0)
    if not steps or not kind.is_struct() or steps[0] not in kind.names:
        return measure(value)
    return _longest(value[steps[0]], steps[1:], measure)


def _count_items(value: ir.Value) -> ir.FloatingValue:
    if not value.type().is_array():
        return ibis.literal(1.0, type="float64")
    return value.length().cast("float64").fill_null(0.0)


def _count_characters(value: ir.Value) -> ir.FloatingValue:
    if not value.type().is_string():
        return ibis.literal(float(PRINTED), type="float64")
    return value.length().cast("float64").fill_null(0.0)
