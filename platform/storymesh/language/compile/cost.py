"""The cost of a template, which `language.bounds` knows as a polynomial, as a column of the engine."""

from collections.abc import Callable, Mapping

import ibis
import ibis.expr.datatypes as dt
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
    """Return the items, or distinct values, of all lists together, or the characters of the longest text, at the paths
    of a factor."""
    found: list[ir.FloatingValue] = []
    for path in sorted(factor.paths):
        if factor.measure == "distinct":
            values = [_most_distinct(value, path[1:]) for value in names.get(path[0], ())]
        else:
            measure = _count_items if factor.measure == "items" else _count_characters
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


def _most_distinct(value: ir.Value, steps: Path) -> ir.FloatingValue:
    """Return the most distinct values at `steps` that the innermost of the lists on the way has."""
    kind = value.type()
    if kind.is_struct() and steps and steps[0] in kind.names:
        return _most_distinct(value[steps[0]], steps[1:])
    if not kind.is_array():
        return ibis.literal(1.0, type="float64")
    if _leads_to_list(kind.value_type, steps):
        return dialect.map_items(value, lambda item: _most_distinct(item, steps)).maxs().fill_null(0.0)
    values = dialect.map_items(value, lambda item: _value_at(item, steps)) if steps else value
    return dialect.distinct_items(values).length().cast("float64").fill_null(0.0)


def _leads_to_list(kind: dt.DataType, steps: Path) -> bool:
    """Return True if a value of a type is a list, or one of its parts on the way along `steps`."""
    while kind.is_struct() and steps and steps[0] in kind.names:
        kind, steps = kind[steps[0]], steps[1:]
    return bool(kind.is_array())


def _value_at(value: ir.Value, steps: Path) -> ir.Value:
    for step in steps:
        if not value.type().is_struct() or step not in value.type().names:
            break
        value = value[step]
    return value


def _count_items(value: ir.Value) -> ir.FloatingValue:
    if not value.type().is_array():
        return ibis.literal(1.0, type="float64")
    return value.length().cast("float64").fill_null(0.0)


def _count_characters(value: ir.Value) -> ir.FloatingValue:
    if not value.type().is_string():
        return ibis.literal(float(PRINTED), type="float64")
    return value.length().cast("float64").fill_null(0.0)
