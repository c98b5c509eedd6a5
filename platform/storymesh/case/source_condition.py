"""`case: where:` as a condition that a source can decide: of at least the rows for which it holds.

Only what a source decides exactly as the language does is taken over: comparisons of a column with values that are
written out, and what is null. Of the rest nothing is left out at the source; it is held where the cases are made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal as ExactNumber

from storymesh.case.resolve import Role
from storymesh.federation.request import (
    MAX_DEPTH,
    MAX_VALUES,
    ColumnComparison,
    ColumnIsNull,
    ColumnMembership,
    Condition,
    Conjunction,
    Disjunction,
    Negation,
    Value,
    columns_of,
    depth,
)
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.types import Boolean, Decimal, Integer, Text

_NEGATED: Mapping[str, str] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED: Mapping[str, str] = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_DOUBLE_DIGITS = 15  # so many digits of a decimal a double tells apart, as which it is compared with a float


@dataclass(frozen=True)
class SourceCondition:
    """A condition for the source. `whole`: it is all that `where` says, and not only a part."""

    condition: Condition
    whole: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, sorted."""
        return tuple(sorted({*columns_of(self.condition)}))


def source_condition(where: Expression, anchor: Role) -> SourceCondition | None:
    """Return the part of a condition on the anchor's rows that a source can decide, or None."""
    translator = _Translator(anchor)
    condition = translator.translate(where, holds=True)
    if condition is None or depth(condition) > MAX_DEPTH:
        return None
    return SourceCondition(condition, not translator.partial)


class _Translator:
    def __init__(self, anchor: Role) -> None:
        self.anchor = anchor
        self.partial = False

    def translate(self, node: Expression, *, holds: bool) -> Condition | None:
        """Return a condition of every row for which the expression counts as true, or else as not true (`holds`); None
        where that may be any row."""
        match node:
            case ast.Not():
                return self.translate(node.operand, holds=not holds)
            case ast.And() | ast.Or():
                parts = [self.translate(part, holds=holds) for part in (node.left, node.right)]
                known = tuple(part for part in parts if part is not None)
                if isinstance(node, ast.And) == holds:
                    return Conjunction(conditions=known) if known else None
                return Disjunction(conditions=known) if len(known) == len(parts) else None
            case ast.IsTest(name="none"):
                found = self._is_null(node.base, holds=holds)
            case ast.Compare(operator="in" | "not in"):
                found = self._among(node, holds=holds)
            case ast.Compare():
                found = self._translate_comparison(node, holds=holds)
            case _:
                found = self._truth(node, holds=holds)
        self.partial |= found is None
        return found

    def _column(self, node: Expression) -> str | None:
        """Return the column of the anchor that an expression is, with its own values."""
        match node:
            case ast.Attribute(base=ast.Name(name=self.anchor.name), name=name):
                return name if self.anchor.contract.properties[name].hashed is None else None
            case _:
                return None

    def _is_null(self, node: Expression, *, holds: bool) -> Condition | None:
        if (column := self._column(node)) is None:
            return None
        condition = ColumnIsNull(column=column)
        return condition if holds else Negation(condition=condition)

    def _truth(self, node: Expression, *, holds: bool) -> Condition | None:
        column = self._column(node)
        if column is None or not isinstance(node.typed.type, Boolean):
            return None
        if holds:
            return ColumnComparison(column=column, operator="==", value=True)
        not_true = ColumnComparison(column=column, operator="==", value=False)
        return Disjunction(conditions=(not_true, ColumnIsNull(column=column)))

    def _translate_comparison(self, node: ast.Compare, *, holds: bool) -> Condition | None:
        left, right, operator = node.left, node.right, node.operator
        if self._column(left) is None:
            left, right, operator = right, left, _MIRRORED[operator]
        operator = operator if holds else _NEGATED[operator]
        column, value = self._column(left), _written(right)
        if column is None or value is None or not _decides(left, operator, value):
            return None
        return ColumnComparison.model_validate({"column": column, "operator": operator, "value": value})

    def _among(self, node: ast.Compare, *, holds: bool) -> Condition | None:
        column = self._column(node.left)
        if column is None or not isinstance(node.right, ast.ListLiteral) or (node.operator == "in") != holds:
            return None
        values = [_written(item) for item in node.right.items]
        if not 0 < len(values) <= MAX_VALUES or not all(
            value is not None and _decides(node.left, "==", value) for value in values
        ):
            return None
        return ColumnMembership(column=column, values=tuple(value for value in values if value is not None))


def _written(node: Expression) -> Value | None:
    """Return the value of what is written out; None for all else."""
    match node:
        case ast.Literal():
            value = node.value
        case ast.Negate(operand=ast.Literal(value=int() | float() as number)) if not isinstance(number, bool):
            value = -number
        case _:
            return None
    return ExactNumber(repr(value)) if isinstance(value, float) else value


def _decides(column: Expression, operator: str, value: Value) -> bool:
    """Return True if a source compares the values of a column with this one as the language does."""
    kind, equal = column.typed.type, operator == "=="
    match value:
        case bool():
            return isinstance(kind, Boolean) and operator in ("==", "!=")
        case int():
            return isinstance(kind, Integer | Decimal)
        case ExactNumber():
            return isinstance(kind, Decimal) and kind.precision <= _DOUBLE_DIGITS and value.is_finite()
        case str():
            # Free text may be there without the personal data that it held; then it is equal to less, never to more.
            return isinstance(kind, Text) and (equal or (operator == "!=" and column.typed.codes is not None))
        case _:
            return False
