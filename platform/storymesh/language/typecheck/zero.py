"""What may be zero: how guards remember that a number is not, and which expressions cannot be."""

from collections.abc import Callable

from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.evaluate import compare as compare_values

KeyOf = Callable[[Expression], str | None]
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def not_zero(key: str) -> str:
    """Return the name under which a guard remembers that a number is not zero."""
    return f"{key} ≠ 0"


def key_of(expression: Expression, known_as: KeyOf) -> str | None:
    """Return a text that two expressions of the same value have in common; None where nothing is known of it."""
    match expression:
        case ast.Literal(value=int() | float() | str() as value):
            return repr(value)
        case ast.Name() | ast.Attribute():
            return known_as(expression)
        case ast.Arithmetic():
            parts = [key_of(part, known_as) for part in (expression.left, expression.right)]
            return f"({parts[0]} {expression.operator} {parts[1]})" if None not in parts else None
        case ast.Negate():
            inner = key_of(expression.operand, known_as)
            return f"(-{inner})" if inner is not None else None
        case ast.FilterCall():
            arguments = [*expression.arguments, *(argument for _, argument in expression.named)]
            parts = [key_of(part, known_as) for part in (expression.base, *arguments)]
            return filtered(expression.name, *map(str, parts)) if None not in parts else None
        case _:
            return None


def filtered(name: str, *parts: str) -> str:
    """Return the key of a filter's result."""
    return f"{name}({', '.join(parts)})"


def nonzero_sides(compare: ast.Compare, known_as: KeyOf) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of what is not zero where a comparison with a number is true, and where it is false."""
    operator, number, other = compare.operator, constant(compare.right), compare.left
    if number is None:
        operator, number, other = _MIRRORED.get(operator, ""), constant(compare.left), compare.right
    key = key_of(other, known_as) if number is not None and operator in _MIRRORED else None
    if number is None or key is None:
        return frozenset(), frozenset()
    zero_holds = compare_values(operator, 0, number)
    known = frozenset({not_zero(key)})
    return (frozenset(), known) if zero_holds else (known, frozenset())


def constant(expression: Expression) -> int | float | None:
    """Return a number that is written out."""
    match expression:
        case ast.Literal(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.Negate(operand=ast.Literal(value=int() | float() as value)) if not isinstance(value, bool):
            return -value
        case _:
            return None


def is_above_zero(expression: Expression) -> bool:
    """Return True for what is positive by the way it is written, such as `(rows | length) + 1`."""
    return _least(expression) == 1


def _least(expression: Expression) -> int | None:
    """Return 1 for what is positive, 0 for what is at least zero, None where the text does not say."""
    match expression:
        case ast.Literal():
            number = constant(expression)
            return None if number is None or number < 0 else int(number > 0)
        case ast.FilterCall(name="length" | "abs"):
            return 0
        case ast.FilterCall(name="max", base=ast.ListLiteral(items=items), named=()):
            return max((bound for item in items if (bound := _least(item)) is not None), default=None)
        case ast.Arithmetic(operator="+" | "*" as operator):
            bounds = _least(expression.left), _least(expression.right)
            if bounds[0] is None or bounds[1] is None:
                return None
            return max(bounds[0], bounds[1]) if operator == "+" else 0
        case _:
            return None
