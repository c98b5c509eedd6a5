"""The lines of a template that do something many times: its loops and includes, and filters of lists in loops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Literal

from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.types import Array
from storymesh.location import Location

LineKind = Literal["loop", "include", "filter"]
TimedNode = ast.For | ast.Include | ast.ExpressionNode


@dataclass(frozen=True)
class TemplateLine:
    """One place of a typed template that makes rows: a round of a loop, a run of an include, an item that a filter in a
    loop looks at, or the `if` of a loop in a loop. `over` is the list or the partial as it is written; `around` are the
    lines that it stands in, the outermost first."""

    kind: LineKind
    location: Location
    over: str
    around: tuple["TemplateLine", ...]
    node: TimedNode

    @property
    def loops_around(self) -> tuple["TemplateLine", ...]:
        """The loops that it stands in, the outermost first."""
        return tuple(line for line in self.around if line.kind == "loop")

    @property
    def item(self) -> str:
        """The name of the items of a loop; of others none."""
        return self.node.target if isinstance(self.node, ast.For) else ""

    @property
    def differs_by_round(self) -> bool:
        """True if it reads what differs from round to round of the loop around it: the item, or what is set there."""
        loops = self.loops_around
        if not loops:
            return False
        loop = loops[-1].node
        assert isinstance(loop, ast.For)
        return not {loop.target, *_names_set(loop.body)}.isdisjoint(_names_read(self.node))

    @property
    def place(self) -> tuple[Location, ...]:
        """Where it stands: the locations of the lines around it, then its own."""
        return (*(line.location for line in self.around), self.location)


def template_lines(template: Template) -> tuple[TemplateLine, ...]:
    """Return the lines of a typed template and of its partials, each as often as it is included, from top to bottom."""
    return tuple(_in_body(template.body, ()))


def _in_body(statements: Sequence[Statement], around: tuple[TemplateLine, ...]) -> Iterator[TemplateLine]:
    for statement in statements:
        match statement:
            case ast.Output(value=value) | ast.Assign(value=value):
                yield from _in_expression(value, around)
            case ast.If():
                yield from _in_expression(statement.test, around)
                yield from _in_body(statement.body, around)
                yield from _in_body(statement.otherwise, around)
            case ast.For():
                yield from _in_expression(statement.items, around)
                if statement.test is not None and any(line.kind == "loop" for line in around):
                    yield TemplateLine(
                        "filter", statement.test.at, expression_text(statement.items), around, statement.test
                    )
                line = TemplateLine("loop", statement.at, expression_text(statement.items), around, statement)
                yield line
                yield from _in_body(statement.body, (*around, line))
                yield from _in_body(statement.otherwise, around)
            case ast.Include(partial=Template() as partial):
                line = TemplateLine("include", statement.at, statement.template, around, statement)
                yield line
                yield from _in_body(partial.body, (*around, line))
            case ast.Draw():
                yield from _in_body(statement.includes, around)


def _in_expression(expression: Expression, around: tuple[TemplateLine, ...]) -> Iterator[TemplateLine]:
    """Yield the filters that go over a whole list in each round of a loop; outside loops they cost what they read."""
    if any(line.kind == "loop" for line in around):
        for call in list_filters(expression):
            yield TemplateLine("filter", call.at, expression_text(call.base), around, call)


def list_filters(expression: Expression) -> Iterator[ast.FilterCall]:
    """Yield the filters in an expression that go over a list which no other filter has made smaller before."""
    if isinstance(expression, ast.FilterCall) and _goes_over_list(expression):
        inner = expression.base
        if not (isinstance(inner, ast.FilterCall) and _goes_over_list(inner)):
            yield expression
    for part in vars(expression).values():
        for inner in part if isinstance(part, tuple) else (part,):
            for value in inner if isinstance(inner, tuple) else (inner,):
                if isinstance(value, ast.ExpressionNode) and is_dataclass(value):
                    yield from list_filters(value)  # type: ignore[arg-type]


def _goes_over_list(call: ast.FilterCall) -> bool:
    return isinstance(call.base.typed.type, Array) and call.name not in ("length", "first", "last")


def _names_set(statements: Sequence[Statement]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, ast.Assign):
            yield statement.name
        elif isinstance(statement, ast.If):
            yield from _names_set((*statement.body, *statement.otherwise))


def _names_read(part: object) -> Iterator[str]:
    """Yield the names that stand in a part of a template, with its partials."""
    if isinstance(part, ast.Name):
        yield part.name
    elif isinstance(part, tuple):
        for inner in part:
            yield from _names_read(inner)
    elif isinstance(part, ast.ExpressionNode | Statement | Template):
        yield from _names_read(tuple(vars(part).values()))


def expression_text(expression: Expression) -> str:
    """Return an expression about as it is written: names and properties whole, of filters the names."""
    match expression:
        case ast.Name():
            return expression.name
        case ast.Attribute():
            return f"{expression_text(expression.base)}.{expression.name}"
        case ast.FilterCall():
            arguments = "(…)" if expression.arguments or expression.named else ""
            return f"{expression_text(expression.base)} | {expression.name}{arguments}"
        case ast.Literal():
            return str(expression.value)
        case ast.ListLiteral():
            return "[…]"
        case _:
            return "…"


def excerpt(template: Template, kept: Statement) -> Template:
    """Return the template with one statement of its own alone, under the conditions that it stands under.

    What is `set` stays, for the statement may read it; no loop and no include sets anything for what comes after.
    """
    return replace(template, body=_only(template.body, kept))


def _only(statements: Sequence[Statement], kept: Statement) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for statement in statements:
        if statement is kept or isinstance(statement, ast.Assign):
            found.append(statement)
        elif isinstance(statement, ast.If):
            body, otherwise = _only(statement.body, kept), _only(statement.otherwise, kept)
            if body or otherwise:
                found.append(replace(statement, body=body, otherwise=otherwise))
    return tuple(found)
