"""What the checker is given and what it returns: scopes with their facts, and typed trees."""

from collections.abc import Mapping
from dataclasses import dataclass

from storymesh.errors import Finding
from storymesh.language import ast
from storymesh.language.ast import Expression, Template
from storymesh.language.static_values import Path, StaticValue
from storymesh.language.types import Classification, Field, Hidden, Struct

Scope = Mapping[str, "Field | Hidden | Fact"]
Guards = tuple[frozenset[str], frozenset[str], frozenset[str]]  # not null when present, when true, when false


@dataclass(frozen=True)
class Fact:
    """A name that stands for an expression: a guard on it guards what the expression reads."""

    field: Field
    expression: Expression


@dataclass(frozen=True)
class CheckedExpression:
    """A typed expression, the names that it uses and the paths that it reads."""

    tree: Expression
    value: StaticValue
    names: frozenset[str]
    reads: frozenset[Path]
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CheckedTemplate:
    """A typed template with its partials, the names that it uses, and the paths that it reads and prints."""

    tree: Template
    names: frozenset[str]
    reads: frozenset[Path]
    prints: Mapping[Path, Classification]


Checked = CheckedExpression | CheckedTemplate


def dotted_name(expression: Expression) -> str | None:
    """Return an expression of names and dots as it is written; None for any other."""
    match expression:
        case ast.Name():
            return expression.name
        case ast.Attribute():
            base = dotted_name(expression.base)
            return f"{base}.{expression.name}" if base else None
        case _:
            return None


def guard_for(value: StaticValue, expression: Expression, *, replaceable: bool = True) -> str:
    """Return what to write so that a value is known to be present; `replaceable`: another may stand in for it."""
    name = dotted_name(expression)
    other = ", or add `| default(…)`" if replaceable else ""
    if name is None:
        return f"give it a name with `set` and guard that{other}"
    return (
        f"guard it with `if {name}`"
        if isinstance(value.type, Struct)
        else f"guard it with `if {name} is not none`{other}"
    )
