"""The condition of a record, `where`: which of the cases that it could tell it does tell.

A condition sees the most that any template of its record sees, and of a judged case also the score: a record in
hindsight everything, any other what was known at the moment of the case, and the outcome. So a question never depends
on its future but by the outcome, which its author has to name.
"""

from storymesh.case.scopes import TypedCase
from storymesh.errors import DefinitionErrors, Finding
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.parse import parse_expression
from storymesh.language.static_values import a_kind
from storymesh.language.typecheck.scope import CheckedExpression, Scope
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import Boolean, Field
from storymesh.location import Location

NOT_SELECTED = "not selected"  # the drop reason of a case that the condition of a record leaves out


def type_condition(text: str, location: Location, views: TypedCase, *, hindsight: bool) -> CheckedExpression:
    """Type the condition of a record at `location`. Raises DefinitionErrors with what is wrong in it."""
    checked = check_expression(parse_expression(text, location), _scope(views, hindsight=hindsight))
    if not isinstance(checked.value.type, Boolean):
        message = f"`where` is {a_kind(checked.value.type)}, it wants to be true or false"
        raise DefinitionErrors([Finding(location, "wrong-type", message, "compare it with something")])
    return checked


def _scope(views: TypedCase, *, hindsight: bool) -> Scope:
    if hindsight:
        return views.scopes["hindsight"]
    outcome = views.scopes["hindsight"]["outcome"]
    judged = Field(outcome.type) if isinstance(outcome, Field) else outcome
    return {**views.scopes["question"], "outcome": judged}


def requires_success(condition: Expression) -> bool:
    """Return True if a condition holds only where `outcome.worked` is true, as far as its form shows it."""
    match condition:
        case ast.And():
            return requires_success(condition.left) or requires_success(condition.right)
        case ast.Or():
            return requires_success(condition.left) and requires_success(condition.right)
        case ast.Compare(operator="==", left=left, right=ast.Literal(value=True)):
            return requires_success(left)
        case ast.Compare(operator="==", left=ast.Literal(value=True), right=right):
            return requires_success(right)
        case ast.IsTest(name="true"):
            return requires_success(condition.base)
        case ast.Attribute(base=ast.Name(name="outcome"), name="worked"):
            return True
        case _:
            return False
