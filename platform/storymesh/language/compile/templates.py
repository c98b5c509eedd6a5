"""Templates as ibis expressions: their text, and what is printed between, as one column.

A name of `set` stands for its expression wherever it is read; `engine.cse` makes one column of it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import or_

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.engine.dialect import UNPRINTABLE
from storymesh.errors import TooLarge
from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.compile.expressions import ExpressionCompiler, Names
from storymesh.language.filters.registry import FILTERS
from storymesh.language.variants import SLOTS, draw_table

MAX_PARTS = 50_000


def compile_template(
    template: Template,
    names: Names,
    case_id: ir.StringValue,
    key: bytes,
    guard: Callable[[ir.StringValue], ir.StringValue] | None = None,
) -> ir.StringValue:
    """Return the text of a typed template. `names` are values over one table, `key` is that of the pseudonyms, and
    `guard` is applied to every text that is printed.

    An expression that is used twice is in the result twice: pass the result through `engine.cse.eliminate_common`. A
    text that contains UNPRINTABLE has a number in it that cannot be printed exactly. Raises TooLarge for templates
    whose expression would be past the bound.
    """
    return TemplateCompiler(names, case_id, key, guard).text_of(template)


def _shows_unfit(expression: Expression) -> bool:
    """Return True if what does not fit in an expression shows in its value, as null or UNPRINTABLE."""
    match expression:
        case ast.Literal() | ast.Name() | ast.Attribute():
            return True
        case ast.Arithmetic():
            return _shows_unfit(expression.left) and _shows_unfit(expression.right)
        case ast.Negate():
            return _shows_unfit(expression.operand)
        case ast.Concat():
            return all(_shows_unfit(part) for part in expression.parts)
        case ast.FilterCall():
            return FILTERS[expression.name].keeps_unprintable and _shows_unfit(expression.base)
        case _:
            return False


def _marked(text: ir.StringValue, unfit: ir.BooleanValue | None) -> ir.StringValue:
    return text if unfit is None else ibis.ifelse(unfit, UNPRINTABLE, text)


class TemplateCompiler(ExpressionCompiler):
    """The compiler of one template."""

    def __init__(
        self,
        names: Names,
        case_id: ir.StringValue,
        key: bytes,
        guard: Callable[[ir.StringValue], ir.StringValue] | None,
    ) -> None:
        super().__init__(names, key)
        self.case_id = case_id
        self.guard = guard
        self.file = ""
        self.parts = 0

    def text_of(self, template: Template) -> ir.StringValue:
        outer, self.file = self.file, template.name
        text = dialect.concat_texts(self.pieces(template.body))
        self.file = outer
        return text

    def pieces(self, statements: Sequence[Statement]) -> list[ir.StringValue]:
        pieces: list[ir.StringValue] = []
        unfits: list[ir.BooleanValue] = []
        for statement in statements:
            self.parts += 1
            if self.parts > MAX_PARTS:
                raise TooLarge(f"{self.file} grows past {MAX_PARTS:,} parts when it is compiled", "use fewer includes")
            match statement:
                case ast.TemplateText():
                    pieces.append(ibis.literal(statement.text))
                case ast.Output():
                    pieces.append(self.printed(statement.value))
                case ast.Assign():
                    self.names[statement.name], unfit = self._watched(partial(self.value, statement.value))
                    unfits += [unfit] if unfit is not None else []
                case ast.If():
                    pieces.append(self.if_statement(statement))
                case ast.For():
                    pieces.append(self.loop(statement))
                case ast.Include():
                    before = dict(self.names)
                    assert statement.partial is not None, "the checker puts the partial here"
                    pieces.append(self.text_of(statement.partial))
                    self.names = before
                case ast.Draw():
                    texts = [dialect.concat_texts(self.pieces([include])) for include in statement.includes]
                    pieces.append(self.of_drawn(statement, texts))
        # One mark for all variables: of a long chain each is long computed when the last is.
        return [*pieces, _marked(ibis.literal(""), reduce(or_, unfits))] if unfits else pieces

    def printed(self, expression: Expression) -> ir.StringValue:
        value, unfit = self._watched(lambda: self.value(expression))
        text = self.text(value)
        if self.guard is not None and value.type().is_string():
            text = self.guard(text)
        if not _shows_unfit(expression):
            text = _marked(text, unfit)
        # The checker knows that nothing printed is null, so what was computed and is null did not fit.
        plain = isinstance(expression, ast.Name | ast.Attribute | ast.Literal)
        return text if plain and not value.type().is_numeric() else text.fill_null(UNPRINTABLE)

    def if_statement(self, statement: ast.If) -> ir.StringValue:
        test, unfit = self._watched(lambda: self.test(statement.test))
        before = dict(self.names)
        body = dialect.concat_texts(self.pieces(statement.body))
        after_body, self.names = self.names, dict(before)
        otherwise = dialect.concat_texts(self.pieces(statement.otherwise))
        after_otherwise = self.names
        self.names = before | self.merged_names(test, after_body, after_otherwise)
        return _marked(ibis.ifelse(test, body, otherwise), unfit)

    def merged_names(self, test: ir.BooleanValue, after_body: Names, after_otherwise: Names) -> dict[str, ir.Value]:
        """Return what names stand for after an `if`, by what they stand for after its body and after its `else`."""
        merged: dict[str, ir.Value] = {}
        for name in {**after_body, **after_otherwise}:
            left, right = after_body.get(name), after_otherwise.get(name)
            if left is right or left is None or right is None:
                if left is right and left is not None:
                    merged[name] = left
                continue
            # What is of two kinds in the two branches is not read afterwards: the checker refuses that.
            if type(left.type()) is type(right.type()) or (left.type().is_numeric() and right.type().is_numeric()):
                merged[name] = self.either(test, left, right)
        return merged

    def loop(self, statement: ast.For) -> ir.StringValue:
        items, unfit = self._watched(lambda: self.items(statement))
        before = dict(self.names)
        count = items.length().cast("int64")

        def body(item: ir.Value, place: ir.IntegerValue) -> ir.StringValue:
            self.names = {**before, statement.target: item, "loop": loop_values(place, count)}
            return dialect.concat_texts(self.pieces(statement.body))

        if uses_loop(statement.body):
            texts = dialect.map_indexed(items, body)
        else:
            texts = dialect.map_items(items, lambda item: body(item, ibis.literal(0)))
        self.names = dict(before)
        text = _marked(dialect.concat_items(texts).fill_null(""), unfit)
        if not statement.otherwise:
            return text
        # What the else sets stays, as in Jinja only where nothing of that name was set before.
        nothing = dialect.concat_texts(self.pieces(statement.otherwise))
        self.names = before
        return _marked(ibis.ifelse((items.length() > 0).fill_null(False), text, nothing), unfit)

    def items(self, statement: ast.For) -> ir.ArrayValue:
        """Return what a loop goes through: the items of its list that pass its test."""
        items, test, before = self.value(statement.items), statement.test, dict(self.names)
        if test is None:
            return items

        found: list[ir.BooleanValue | None] = []

        def tested(item: ir.Value) -> ir.BooleanValue:
            self.names = {**before, statement.target: item}
            holds, unfit = self._watched(lambda: self.test(test))
            self.names = dict(before)
            found.append(unfit)
            return holds

        passing = dialect.filter_items(items, tested)
        if found[-1] is not None:

            def unfit(item: ir.Value) -> ir.BooleanValue:
                tested(item)
                assert found[-1] is not None
                return found[-1]

            self.unfit.append((dialect.filter_items(items, unfit).length() > 0).fill_null(False))
        return passing

    def choose(self, expression: ast.Choose) -> ir.StringValue:
        options = [self.text(self.value(option)) for option in expression.options]
        return self.drawn(expression).cases(*enumerate(options[:-1]), else_=options[-1])

    def of_drawn(self, statement: ast.Draw, values: Sequence[ir.Value]) -> ir.Value:
        """Return the value of the template that a case draws, given that of each."""
        slot = dialect.hash_choice(self.case_id.concat(f":{statement.place}"), SLOTS)
        drawn = dialect.substring(ibis.literal(draw_table(statement.names)), slot * 2, 2)
        # Conditions, not one value compared: what they share becomes a column, which an engine computes once.
        cases = [(drawn == f"{index:02x}", value) for index, value in enumerate(values[:-1])]
        return ibis.cases(*cases, else_=values[-1])

    def drawn(self, expression: ast.Choose) -> ir.IntegerValue:
        """Return the place of the option that a case draws."""
        return dialect.hash_choice(self.case_id.concat(f":{self.file}:{expression.place}"), len(expression.options))


def loop_values(place: ir.IntegerValue, count: ir.IntegerValue) -> Mapping[str, ir.Value]:
    return {
        "index": place + 1,
        "index0": place,
        "revindex": count - place,
        "revindex0": count - place - 1,
        "first": place == 0,
        "last": place == count - 1,
        "length": count,
    }


def uses_loop(part: object) -> bool:
    if isinstance(part, ast.Name):
        return part.name == "loop"
    if isinstance(part, tuple):
        return any(uses_loop(inner) for inner in part)
    return hasattr(part, "__dataclass_fields__") and any(uses_loop(inner) for inner in vars(part).values())
