"""A request as an expression over the published rows of its product, which reads the columns of the request alone."""

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from storymesh.contract.conditions import COMPARISONS
from storymesh.errors import StorymeshError
from storymesh.federation.request import (
    ColumnComparison,
    ColumnIsNull,
    ColumnMembership,
    Condition,
    Conjunction,
    Disjunction,
    ExtractRequest,
    Negation,
    Value,
)

if TYPE_CHECKING:
    from storymesh.federation.keyed_hash import HashText


def extract_expression(request: ExtractRequest, table: ir.Table, hashed: "HashText") -> ir.Table:
    """Return the rows that a request is for. `table` has the columns of the contract, and `hashed` makes the keyed hash
    of a value."""
    for condition in request.filters:
        table = table.filter(_condition(table, condition))
    forms = request.forms.items()
    return table.select(**{name: hashed(table[name]) if form == "hashed" else table[name] for name, form in forms})


def _condition(table: ir.Table, condition: Condition) -> ir.BooleanValue:
    match condition:
        case ColumnComparison():
            column = table[condition.column]
            return COMPARISONS[condition.operator](column, _literal(column, condition.value))
        case ColumnMembership():
            column = table[condition.column]
            return column.isin([_literal(column, value) for value in condition.values])
        case ColumnIsNull():
            return table[condition.column].isnull()
        case Negation():
            return ~_condition(table, condition.condition)
        case Conjunction():
            return reduce(and_, [_condition(table, inner) for inner in condition.conditions])
        case Disjunction():
            return reduce(or_, [_condition(table, inner) for inner in condition.conditions])


def _literal(column: ir.Value, value: Value) -> ir.Scalar:
    """Return a value of a request in the type of the column that it is compared with; also a moment that came as text.
    Raises StorymeshError for one that is not of it."""
    try:
        return ibis.literal(value, type=column.type())
    except (TypeError, ValueError, ArithmeticError):
        words = f"a request compares '{column.get_name()}', which is {column.type()}, with {value!r}"
        raise StorymeshError(words, "write a value of that type") from None
