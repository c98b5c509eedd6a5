"""Templates that mark what they print of values: so that of a text one knows what is data and what are words."""

from collections.abc import Sequence
from dataclasses import replace

from storymesh.language import ast
from storymesh.language.ast import Statement, Template
from storymesh.language.static_values import Path

# Noncharacters of Unicode, which no text of anybody has: around a value stand VALUE, its place, TEXT, the value, END.
VALUE, TEXT, END = "\ufdd1", "\ufdd2", "\ufdd3"


def mark_values(template: Template, known: frozenset[Path] = frozenset()) -> tuple[Template, tuple[ast.Output, ...]]:
    """Return a typed template whose text has each printed value marked, and its outputs by the number of their place.

    An output that only chooses between words of the template, as `choose` does, is none, nor is one that prints nothing
    but `known` paths. A partial has the same places wherever it is included.
    """
    marker = _Marker(known)
    return marker.template(template), tuple(marker.outputs)


class _Marker:
    def __init__(self, known: frozenset[Path]) -> None:
        self.known = known
        self.outputs: list[ast.Output] = []

    def template(self, template: Template) -> Template:
        return replace(template, body=self._body(template.body))

    def _body(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(part for statement in statements for part in self._marked(statement))

    def _marked(self, statement: Statement) -> tuple[Statement, ...]:
        match statement:
            case ast.Output(at=at, value=value) if value.typed.paths - self.known:
                before = ast.TemplateText(at, f"{VALUE}{self._place(statement)}{TEXT}")
                return before, statement, ast.TemplateText(at, END)
            case ast.If() | ast.For():
                return (replace(statement, body=self._body(statement.body), otherwise=self._body(statement.otherwise)),)
            case ast.Include(partial=Template() as partial):
                return (replace(statement, partial=self.template(partial)),)
            case ast.Draw():
                trees = zip(statement.includes, map(self.template, statement.templates), strict=True)
                return (replace(statement, includes=tuple(replace(include, partial=tree) for include, tree in trees)),)
            case _:
                return (statement,)

    def _place(self, output: ast.Output) -> int:
        places = {item.at: place for place, item in enumerate(self.outputs)}
        if output.at not in places:
            self.outputs.append(output)
        return places.get(output.at, len(self.outputs) - 1)
