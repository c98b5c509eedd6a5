"""A tree of the language as a tree of Jinja's nodes, for the interpreters.

What only the tree knows goes into Jinja's nodes as arguments of filters whose names no template can spell: the place of
each `choose`, the labels of a code, the type to which numbers are cast, and what each loop and list costs in steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import assert_never

from jinja2 import nodes

from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.filters.registry import FILTERS
from storymesh.language.types import Array, Decimal, Float, Type

STEPWISE, COST, CONCAT, COMPARE, CAST = " stepwise", " cost", " concat", " compare", " cast"
DRAW = " draw"
_ARITHMETIC: dict[str, type[nodes.BinExpr]] = {
    "+": nodes.Add,
    "-": nodes.Sub,
    "*": nodes.Mul,
    "/": nodes.Div,
    "//": nodes.FloorDiv,
    "%": nodes.Mod,
}


class JinjaWriter:
    """Writes one template. A partial is included by a name of its own, since it is typed for its place: `partials` are
    those that were met."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.file = ""
        self.partials: dict[str, Template] = {}

    def write_template(self, template: Template) -> nodes.Template:
        """Return a template as Jinja compiles it; the first thing that it does is to pay for its own nodes."""
        self.file = template.name
        cost = apply_filter(nodes.Const(""), COST, nodes.Const(_count(template.body)))
        return nodes.Template([nodes.Output([cost]), *self._statements(template.body)], lineno=1)

    def write_output(self, statement: ast.Output) -> nodes.Expr:
        """Return what a printed expression prints."""
        return self.write(statement.value)

    def write_text(self, statement: ast.TemplateText) -> nodes.Expr:
        """Return text of the template itself."""
        return nodes.TemplateData(statement.text)

    def write_condition(self, expression: Expression) -> nodes.Expr:
        """Return the condition of a statement."""
        return self.write(expression)

    def write_assigned(self, expression: Expression) -> nodes.Expr:
        """Return a value that gets a name."""
        return self.write(expression)

    def _statements(self, statements: Iterable[Statement]) -> list[nodes.Node]:
        return [self._statement(statement) for statement in statements]

    def _statement(self, statement: Statement) -> nodes.Node:
        match statement:
            case ast.TemplateText():
                return nodes.Output([self.write_text(statement)])
            case ast.Output():
                return nodes.Output([self.write_output(statement)])
            case ast.Assign():
                return nodes.Assign(nodes.Name(statement.name, "store"), self.write_assigned(statement.value))
            case ast.If():
                return self._if(statement)
            case ast.For():
                return self._for(statement)
            case ast.Include():
                return self._include(statement)
            case ast.Draw():
                return self._draw(statement)
            case _:
                assert_never(statement)

    def _if(self, statement: ast.If) -> nodes.If:
        # Branches that stand inside each other are flat again: Python nests only so deep.
        elifs: list[nodes.If] = []
        otherwise = statement.otherwise
        while len(otherwise) == 1 and isinstance(inner := otherwise[0], ast.If):
            elifs.append(nodes.If(self.write_condition(inner.test), self._statements(inner.body), [], []))
            otherwise = inner.otherwise
        test, body = self.write_condition(statement.test), self._statements(statement.body)
        return nodes.If(test, body, elifs, self._statements(otherwise))

    def _for(self, statement: ast.For) -> nodes.For:
        cost = nodes.Const(1 + _count(statement.body))
        return nodes.For(
            nodes.Name(statement.target, "store"),
            apply_filter(self.write(statement.items), STEPWISE, cost),
            self._statements(statement.body),
            self._statements(statement.otherwise),
            self.write_condition(statement.test) if statement.test is not None else None,
            False,
        )

    def _include(self, statement: ast.Include) -> nodes.Include:
        return nodes.Include(nodes.Const(self._partial_name(statement)), True, False)

    def _partial_name(self, statement: ast.Include) -> str:
        # One name for one tree: a partial that is not typed apart for this place is compiled once.
        name = f"{statement.template} {id(statement.partial):x}"
        if statement.partial is not None:
            self.partials[name] = statement.partial
        return name

    def _draw(self, statement: ast.Draw) -> nodes.Include:
        partials = tuple(map(self._partial_name, statement.includes))
        drawn = apply_filter(nodes.Const(partials), DRAW, nodes.Const(statement.place), nodes.Const(statement.names))
        return nodes.Include(drawn, True, False)

    def write(self, expression: Expression) -> nodes.Expr:
        """Return an expression as Jinja evaluates it."""
        match expression:
            case ast.Literal():
                return nodes.Const(expression.value)
            case ast.Name():
                return nodes.Name(expression.name, "load")
            case ast.Attribute():
                return nodes.Getattr(self.write(expression.base), expression.name, "load")
            case ast.ListLiteral():
                items = self._written(expression.items)
                return nodes.List([_cast(item, _number_type(expression)) for item in items])
            case ast.Arithmetic():
                return _ARITHMETIC[expression.operator](self.write(expression.left), self.write(expression.right))
            case ast.Negate():
                return nodes.Neg(self.write(expression.operand))
            case ast.Concat():
                return apply_filter(self.write(expression.parts[0]), CONCAT, *self._written(expression.parts[1:]))
            case ast.Compare():
                operator = nodes.Const(expression.operator)
                return apply_filter(self.write(expression.left), COMPARE, operator, self.write(expression.right))
            case ast.And():
                return self._joined(expression, nodes.And(self.write(expression.left), self.write(expression.right)))
            case ast.Or():
                return self._joined(expression, nodes.Or(self.write(expression.left), self.write(expression.right)))
            case ast.Not():
                return nodes.Not(self.write(expression.operand))
            case ast.Conditional():
                parts = (expression.test, expression.then, expression.otherwise)
                return self._joined(expression, nodes.CondExpr(*self._written(parts)))
            case ast.FilterCall():
                return self._filter(expression)
            case ast.IsTest():
                return nodes.Test(self.write(expression.base), expression.name, [], [], None, None)
            case ast.Choose():
                arguments = [nodes.Const(self.file), nodes.Const(expression.place), *self._written(expression.options)]
                return nodes.Call(nodes.Name("choose", "load"), arguments, [], None, None)
            case _:
                assert_never(expression)

    def _written(self, expressions: Sequence[Expression]) -> list[nodes.Expr]:
        return [self.write(expression) for expression in expressions]

    def _joined(self, expression: Expression, written: nodes.Expr) -> nodes.Expr:
        """Cast what may be one of several values to the one type that they have together."""
        return _cast(written, _number_type(expression))

    def _filter(self, expression: ast.FilterCall) -> nodes.Expr:
        base, filter_ = self.write(expression.base), FILTERS.get(expression.name)
        bound = filter_.bound_arguments(expression) if filter_ is not None else ()
        if filter_ is not None and filter_.is_identity(expression):
            return base
        arguments = [*map(nodes.Const, bound), *self._written(expression.arguments)]
        named = [nodes.Keyword(name, self.write(argument)) for name, argument in expression.named]
        call = nodes.Filter(base, expression.name, arguments, named, None, None)
        return _cast(call, filter_.result_cast(expression) if filter_ is not None else None)


def apply_filter(value: nodes.Expr, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    """Return a value to which one of the interpreter's own filters is applied."""
    return nodes.Filter(value, name, list(arguments), [], None, None)


def _number_type(expression: Expression) -> Type | None:
    """Return the type to which the parts of an expression are cast, where they are numbers of several kinds."""
    type_ = expression.static.type if expression.static is not None else None
    if isinstance(type_, Array) and isinstance(expression, ast.ListLiteral):
        type_ = type_.item.type
    return type_ if isinstance(type_, Float | Decimal) else None


def _cast(value: nodes.Expr, type_: Type | None) -> nodes.Expr:
    if type_ is None:
        return value
    return apply_filter(value, CAST, nodes.Const(type_.scale if isinstance(type_, Decimal) else None))


def _count(part: object) -> int:
    """Return how many nodes stand in a part of a tree, without those of its partials."""
    return sum(1 for _ in _nodes_in(part))


def _nodes_in(part: object) -> Iterator[object]:
    if isinstance(part, tuple):
        for item in part:
            yield from _nodes_in(item)
    elif isinstance(part, ast.ExpressionNode | ast.Output | ast.If | ast.For | ast.Assign | ast.Include | ast.Draw):
        yield part
        for name, inner in vars(part).items():
            if name not in ("at", "static", "partial") and (isinstance(inner, tuple) or is_dataclass(inner)):
                yield from _nodes_in(inner)
    elif isinstance(part, ast.TemplateText):
        yield part
