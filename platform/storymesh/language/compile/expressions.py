"""Expressions as ibis expressions: the interpreter's meaning, written as columns of the engine.

Null propagates; a condition that is null counts as false, as everywhere in the language. Types come from ibis, which
has them from the contracts, so this needs no second type system.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import TypeVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine import decimals, dialect
from storymesh.errors import NotInLanguage
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.compile.arithmetic import always_fits, calculate, compare, contains, signed, widened
from storymesh.language.compile.filters import CompiledCall
from storymesh.language.compile.values import is_test, truth
from storymesh.language.filters.base import Overflow
from storymesh.language.filters.order import end_in_order
from storymesh.language.filters.registry import FILTERS

Names = Mapping[str, ir.Value]
V = TypeVar("V")


def compile_expression(expression: Expression, names: Names) -> ir.Value:
    """Return a typed expression over `names`, which are columns of one table."""
    return ExpressionCompiler(names).value(expression)


class ExpressionCompiler:
    """Expressions becoming values. What does not fit (a whole number past 64 bits, a float that is not finite as text)
    is null there, or UNPRINTABLE in text; `unfit` gathers where that happens, so that no condition takes it for an
    answer. A side that the interpreter would not have looked at counts only where it would."""

    def __init__(self, names: Names, key: bytes | None = None) -> None:
        self.names: dict[str, ir.Value] = dict(names)
        self.key = key
        self.unfit: list[ir.BooleanValue] = []

    def value(self, expression: Expression) -> ir.Value:
        match expression:
            case ast.Literal(value=None):
                return ibis.null()
            case ast.Literal(value=bool() | str() as constant):
                return ibis.literal(constant)
            case ast.Literal(value=int() as constant):
                return ibis.literal(constant, type="int64")
            case ast.Literal(value=constant):
                return ibis.literal(constant, type="float64")
            case ast.ListLiteral():
                return ibis.array(self._of_one_kind([self.value(item) for item in expression.items]))
            case ast.Name():
                return self.names[expression.name]
            case ast.Attribute():
                base = self.value(expression.base)
                return base[expression.name]
            case ast.Arithmetic():
                return self._arithmetic(expression)
            case ast.Negate():
                operand = self.value(expression.operand)
                return self._fitting(-signed(operand), operand)
            case ast.Concat():
                parts = [self.text(self.value(part)) for part in expression.parts]
                return parts[0].concat(*parts[1:]) if len(parts) > 1 else parts[0]
            case ast.Compare():
                return self._compare(expression)
            case ast.And():
                left = self.value(expression.left)
                right = self._where(truth(left), lambda: self.value(expression.right))
                return self.either(truth(left), right, left)
            case ast.Or():
                left = self.value(expression.left)
                right = self._where(~truth(left), lambda: self.value(expression.right))
                return self.either(truth(left), left, right)
            case ast.Not():
                return ~self.test(expression.operand)
            case ast.Conditional():
                test = self.test(expression.test)
                then = self._where(test, lambda: self.value(expression.then))
                otherwise = self._where(~test, lambda: self.value(expression.otherwise))
                return self.either(test, then, otherwise)
            case ast.IsTest():
                return is_test(self.value(expression.base), expression.name)
            case ast.FilterCall():
                return self._filter(expression)
            case ast.Choose():
                return self.choose(expression)

    def test(self, expression: Expression) -> ir.BooleanValue:
        """Return a condition, which is never null; the sides of `and` and `or` may be of any type."""
        match expression:
            case ast.And():
                left = self.test(expression.left)
                return left & self._where(left, lambda: self.test(expression.right))
            case ast.Or():
                left = self.test(expression.left)
                return left | self._where(~left, lambda: self.test(expression.right))
            case ast.Not():
                return ~self.test(expression.operand)
            case _:
                return truth(self.value(expression))

    def _watched(self, make: Callable[[], V]) -> tuple[V, ir.BooleanValue | None]:
        """Return what `make` returns, and where something in it does not fit (None: nowhere)."""
        outer, self.unfit = self.unfit, []
        try:
            result = make()
            return result, reduce(or_, self.unfit) if self.unfit else None
        finally:
            self.unfit = outer

    def _where(self, looked_at: ir.BooleanValue, make: Callable[[], V]) -> V:
        """Return what `make` returns; what does not fit in it counts only where it is looked at."""
        result, unfit = self._watched(make)
        if unfit is not None:
            self.unfit.append(looked_at & unfit)
        return result

    def _fitting(self, result: ir.Value, *operands: ir.Value) -> ir.Value:
        """Return a result that is null only where one of the operands is null, or where it does not fit."""
        self.unfit.append(reduce(and_, [*(value.notnull() for value in operands), result.isnull()]))
        return result

    def choose(self, expression: ast.Choose) -> ir.StringValue:
        raise NotInLanguage("choose stands in templates only")

    def text(self, value: ir.Value) -> ir.StringValue:
        """Return a value as it stands in text: what Python's `str` prints."""
        kind = value.type()
        if kind.is_string():
            return value
        if kind.is_boolean():
            return ibis.ifelse(value, "True", "False")
        if kind.is_timestamp():
            seconds = value.strftime("%Y-%m-%d %H:%M:%S")
            fraction = value.microsecond()
            padded = fraction.cast("string").lpad(6, "0")
            return ibis.ifelse(fraction == 0, seconds, seconds.concat(".", padded))
        return value.cast("string")

    def item_text(self, value: ir.Value) -> ir.StringValue:
        """Return an item of a list in text. The checker knows that none is null, so one that is did not fit."""
        return self.text(value).fill_null(dialect.UNPRINTABLE)

    def either(self, test: ir.BooleanValue, then: ir.Value, otherwise: ir.Value) -> ir.Value:
        """Return one of two values; two numbers of different kinds are cast to the type that they have together."""
        kind = _number_type([then.type(), otherwise.type()])
        if kind is None:
            return ibis.ifelse(test, then, otherwise)
        return ibis.ifelse(test, self._as_number(then, kind, test), self._as_number(otherwise, kind, ~test))

    def _of_one_kind(self, values: list[ir.Value]) -> list[ir.Value]:
        """Return numbers of several kinds as numbers of the one type that they have together."""
        kind = _number_type([value.type() for value in values])
        return values if kind is None else [self._as_number(value, kind, ibis.literal(True)) for value in values]

    def _as_number(self, value: ir.NumericValue, kind: dt.DataType, used: ir.BooleanValue) -> ir.NumericValue:
        """Return a number of another kind; a decimal past 38 digits does not fit, which counts where it is `used`."""
        if not isinstance(kind, dt.Decimal):
            return decimals.to_float(value) if kind.is_floating() else value.cast(kind)
        result = widened(value, kind)
        self.unfit.append(used & value.notnull() & result.isnull())
        return result

    def _arithmetic(self, expression: ast.Arithmetic) -> ir.Value:
        left, right = self.value(expression.left), self.value(expression.right)
        result = calculate(expression.operator, left, right)
        if result.type().is_floating() or always_fits(expression.operator, left, right):
            return result
        return self._fitting(result, left, right.nullif(0) if expression.operator in ("//", "%") else right)

    def _compare(self, expression: ast.Compare) -> ir.Value:
        left, right = self.value(expression.left), self.value(expression.right)
        if expression.operator in ("in", "not in"):
            found = contains(right, left) if right.type().is_array() else right.contains(left)
            return ~found if expression.operator == "not in" else found
        return compare(expression.operator, left, right)

    def _filter(self, expression: ast.FilterCall) -> ir.Value:
        sorted_ = expression.base
        if expression.name in ("first", "last") and isinstance(sorted_, ast.FilterCall) and sorted_.name == "sort":
            arguments = FILTERS["sort"].arguments_by_name(sorted_)
            call = CompiledCall(self, sorted_, self.value(sorted_.base), arguments)
            return end_in_order(call, reverse=bool(call.literal("reverse", False)), last=expression.name == "last")
        base = self.value(expression.base)
        filter_ = FILTERS[expression.name]
        if filter_.is_identity(expression):
            return base
        result = filter_.compile(CompiledCall(self, expression, base, filter_.arguments_by_name(expression)))
        match filter_.overflow:
            case Overflow.IN_TEXT:
                self.unfit.append(base.notnull() & (result.isnull() | result.contains(dialect.UNPRINTABLE)))
            case Overflow.AS_NULL if result is not base:  # what is left as it is fits
                self._fitting(result, base)
        return result


def _number_type(kinds: Sequence[dt.DataType]) -> dt.DataType | None:
    """Return the type to which numbers of several kinds are cast; None where there is nothing to cast."""
    if len(set(kinds)) < 2 or not all(kind.is_numeric() for kind in kinds):
        return None
    if any(kind.is_floating() for kind in kinds):
        return dt.float64
    scales = [kind.scale or 0 for kind in kinds if isinstance(kind, dt.Decimal)]
    return dt.Decimal(38, max(scales)) if scales else dt.int64
