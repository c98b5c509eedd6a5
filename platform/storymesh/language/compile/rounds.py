"""Counts of how often each line of a template runs for a case, as ibis expressions beside its text."""

from collections.abc import Iterable, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.compile.expressions import Names
from storymesh.language.compile.templates import TemplateCompiler, loop_values, uses_loop
from storymesh.language.template_lines import TemplateLine, list_filters

Counts = dict[int, ir.IntegerValue]


def compile_rounds(
    template: Template, lines: Sequence[TemplateLine], names: Names, case_id: ir.StringValue, key: bytes
) -> list[ir.IntegerValue]:
    """Return how many rows each of `lines` makes in one text: rounds of a loop, runs of an include, items of a filter.

    `lines` are some of `template_lines(template)`. Conditions count as they hold for the case. `names`, `case_id` and
    `key` are those of `compile_template`.
    """
    counter = _RoundCounter(TemplateCompiler(names, case_id, key, None), lines)
    found = counter.of_body(template.body)
    return [found.get(number, _nothing()) for number in range(len(lines))]


class _RoundCounter:
    """The walk through one template. `compiler` has the values of the names at the place that is looked at."""

    def __init__(self, compiler: TemplateCompiler, lines: Sequence[TemplateLine]) -> None:
        self.compiler = compiler
        self.numbers = {id(line.node): number for number, line in enumerate(lines)}
        self.inside: dict[int, list[int]] = {}  # the node of a loop -> the numbers of the lines inside it
        for number, line in enumerate(lines):
            for outer in line.around:
                self.inside.setdefault(id(outer.node), []).append(number)

    def of_body(self, statements: Sequence[Statement]) -> Counts:
        """Return how often the lines in some statements run, by the numbers of the lines."""
        return _sums(self._of_statement(statement) for statement in statements)

    def _of_statement(self, statement: Statement) -> Counts:
        match statement:
            case ast.Output():
                return self._of_expression(statement.value)
            case ast.Assign():
                found = self._of_expression(statement.value)
                self.compiler.names[statement.name] = self.compiler.value(statement.value)
                return found
            case ast.If():
                return self._of_if(statement)
            case ast.For():
                return self._of_loop(statement)
            case ast.Include(partial=Template() as partial):
                outer, before = self.compiler.file, dict(self.compiler.names)
                self.compiler.file = partial.name
                found = self.of_body(partial.body)
                self.compiler.file, self.compiler.names = outer, before
                return _sums([found, self._numbered(statement, _one())])
            case ast.Draw():
                return self._of_draw(statement)
            case _:
                return {}

    def _of_draw(self, statement: ast.Draw) -> Counts:
        found = [self._of_statement(include) for include in statement.includes]
        numbers = sorted({number for counts in found for number in counts})
        return {
            number: self.compiler.of_drawn(statement, [counts.get(number, _nothing()) for counts in found])
            for number in numbers
        }

    def _numbered(self, node: object, count: ir.IntegerValue) -> Counts:
        number = self.numbers.get(id(node))
        return {} if number is None else {number: count}

    def _of_expression(self, expression: Expression) -> Counts:
        """Return how many items the filters of whole lists look at; what is counted is the list that they are given."""
        return _sums(
            self._numbered(call, _length(self.compiler.value(call.base)))
            for call in list_filters(expression)
            if id(call) in self.numbers
        )

    def _of_if(self, statement: ast.If) -> Counts:
        found, test = self._of_expression(statement.test), self.compiler.test(statement.test)
        before = dict(self.compiler.names)
        body = self.of_body(statement.body)
        after_body, self.compiler.names = self.compiler.names, dict(before)
        otherwise = self.of_body(statement.otherwise)
        self.compiler.names = before | self.compiler.merged_names(test, after_body, self.compiler.names)
        otherwise = {number: ibis.ifelse(test, _nothing(), count) for number, count in otherwise.items()}
        return _sums([found, _where(test, body), otherwise])

    def _of_loop(self, statement: ast.For) -> Counts:
        found = self._of_expression(statement.items)
        if statement.test is not None and id(statement.test) in self.numbers:
            listed = self._numbered(statement.test, _length(self.compiler.value(statement.items)))
            found = _sums([found, listed])
        before = dict(self.compiler.names)
        items = self.compiler.items(statement)
        count = _length(items)
        inside = self.inside.get(id(statement), [])

        def body(item: ir.Value, place: ir.IntegerValue) -> ir.StructValue:
            self.compiler.names = {**before, statement.target: item, "loop": loop_values(place, count)}
            counts = self.of_body(statement.body)
            return ibis.struct({f"line_{number}": counts.get(number, _nothing()) for number in inside})

        inner: Counts = {}
        if inside:
            if uses_loop(statement.body):
                rounds = dialect.map_indexed(items, body)
            else:
                rounds = dialect.map_items(items, lambda item: body(item, ibis.literal(0)))
            for number in inside:
                counts = dialect.map_items(rounds, lambda row, name=f"line_{number}": row[name])  # type: ignore[misc]
                inner[number] = counts.sums().cast("int64").fill_null(0)
        self.compiler.names = dict(before)
        otherwise = _where(count == 0, self.of_body(statement.otherwise))
        self.compiler.names = before
        return _sums([found, self._numbered(statement, count), inner, otherwise])


def _length(items: ir.ArrayValue) -> ir.IntegerValue:
    return items.length().cast("int64").fill_null(0)


def _one() -> ir.IntegerValue:
    return ibis.literal(1, type="int64")


def _nothing() -> ir.IntegerValue:
    return ibis.literal(0, type="int64")


def _where(test: ir.BooleanValue, counts: Mapping[int, ir.IntegerValue]) -> Counts:
    return {number: ibis.ifelse(test, count, _nothing()) for number, count in counts.items()}


def _sums(parts: Iterable[Mapping[int, ir.IntegerValue]]) -> Counts:
    sums: Counts = {}
    for part in parts:
        for number, count in part.items():
            sums[number] = sums[number] + count if number in sums else count
    return sums
