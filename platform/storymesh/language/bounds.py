"""What a template may cost at most: its steps, and the characters of the texts that it makes on its way.

Both are polynomials in the lengths of the lists and texts that it reads, known from the typed tree before any data
exists. So they can be evaluated for each record before anything of it is rendered, and a record that would cost too
much drops with one reason, whatever renders it. Each part counts once for each round of the loops around it, whichever
branch is taken: an upper bound, linear where no loop stands inside another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.filters.base import SizedCall
from storymesh.language.filters.registry import FILTERS
from storymesh.language.sizes import (
    MAX_COUNT,
    ONE,
    PRINTED,
    ZERO,
    Polynomial,
    Size,
    Term,
    constant,
    most_characters,
    size_of_data,
)
from storymesh.language.types import Array

MAX_STEPS = 2_000_000
MAX_CHARACTERS = 8 * 1024 * 1024  # of all the texts on the way to one that is printed, at most
MAX_COPIES = 4_096  # of one value in the facts of a case, which have no bound of their own
MAX_COPIES_IN_TEXT = 65_536
_MANY = 256  # copies of one value in a text, from which its characters are looked at
_LONG = 16_384  # characters for each item of a list


@dataclass(frozen=True)
class TemplateCost:
    """What a template costs at most."""

    steps: Polynomial
    characters: Polynomial

    @property
    def static_fault(self) -> str | None:
        """Why it costs too much whatever the data is, None if it does not."""
        if self.steps.constant > MAX_STEPS:
            return f"the template takes more than {MAX_STEPS:,} steps"
        if self.characters.constant > MAX_CHARACTERS:
            return f"the texts of the template grow past {MAX_CHARACTERS // 1024:,} KiB"
        if any(count > MAX_COPIES_IN_TEXT for term, count in self.characters.terms.items() if term):
            return f"the texts of the template have more than {MAX_COPIES_IN_TEXT:,} copies of one value"
        return None

    @property
    def bounds_characters(self) -> bool:
        """True if its texts can grow faster than what it reads: by copies of copies, loops in loops, or `replace`."""
        characters = self.characters
        return (
            any(count > _most(term) for term, count in characters.terms.items() if term)
            or characters.degree("items") > 1
            or characters.degree("characters") > 1
        )

    @property
    def bounds_steps(self) -> bool:
        """True if it takes more steps than there are items in any list: a loop stands inside another."""
        return self.steps.degree("items") > 1


def _most(term: Term) -> int:
    """Return how often a product may count that nobody has to look at: copies of a value, or text for an item."""
    return _MANY if any(factor.measure == "characters" for factor in term) else _LONG


def template_cost(template: Template) -> TemplateCost:
    """Return what a typed template costs at most."""
    estimate = _Estimate()
    estimate.body(template.body, ONE)
    return TemplateCost(estimate.steps, estimate.characters)


def copies_in_facts(facts: Iterable[tuple[str, Expression]]) -> Mapping[str, int]:
    """Return the facts (typed, in their order) -> how many copies of one value it has in a text at most."""
    estimate = _Estimate()
    copies: dict[str, int] = {}
    for name, expression in facts:
        estimate.characters = ZERO
        size = estimate.value(expression, ONE)
        estimate.names[name] = size
        worst = max((*size.characters.terms.values(), *estimate.characters.terms.values()), default=0)
        copies[name] = worst if estimate.characters.degree("characters") <= 4 else MAX_COUNT
    return copies


class _Estimate:
    """One walk over a typed tree."""

    def __init__(self) -> None:
        self.steps = ZERO
        self.characters = ZERO
        self.names: dict[str, Size] = {}

    def body(self, statements: Iterable[Statement], rounds: Polynomial) -> None:
        for statement in statements:
            self.steps += rounds
            match statement:
                case ast.TemplateText():
                    self.characters += rounds * constant(len(statement.text))
                case ast.Output():
                    printed = self.value(statement.value, rounds).characters  # which counts what is made on its way
                    self.characters += rounds * printed
                case ast.Assign():
                    self.names[statement.name] = self.value(statement.value, rounds)
                case ast.If():
                    self.value(statement.test, rounds)
                    before = dict(self.names)
                    self.body(statement.body, rounds)
                    after, self.names = self.names, dict(before)
                    self.body(statement.otherwise, rounds)
                    self.names = _merged(after, self.names)
                case ast.For():
                    self._for(statement, rounds)
                case ast.Include():
                    assert statement.partial is not None, "the checker puts the partial here"
                    before = dict(self.names)
                    self.body(statement.partial.body, rounds)
                    self.names = before
                case ast.Draw():
                    self._draw(statement, rounds)

    def _for(self, statement: ast.For, rounds: Polynomial) -> None:
        listed = self.value(statement.items, rounds)
        before, inner = dict(self.names), rounds * listed.items
        self.names.pop(statement.target, None)
        kind = statement.items.typed.type
        if not (isinstance(kind, Array) and isinstance(kind.item.type, Array)):
            self.names[statement.target] = Size(ONE, listed.characters)
        self.names["loop"] = Size(ONE, constant(PRINTED))
        self.steps += inner
        if statement.test is not None:
            self.value(statement.test, inner)
        self.body(statement.body, inner)
        self.names = dict(before)
        self.body(statement.otherwise, rounds)
        self.names = before

    def _draw(self, statement: ast.Draw, rounds: Polynomial) -> None:
        """Count the most that any of the templates costs: a case draws one of them."""
        costs = [template_cost(template) for template in statement.templates]
        self.steps += rounds * reduce(Polynomial.merged, (cost.steps for cost in costs))
        self.characters += rounds * reduce(Polynomial.merged, (cost.characters for cost in costs))

    def value(self, expression: Expression, rounds: Polynomial) -> Size:
        """Return the size of a value that is computed in each of `rounds`, and count what that costs."""
        self.steps += rounds
        match expression:
            case ast.Literal():
                return Size(ONE, constant(len(expression.value) if isinstance(expression.value, str) else PRINTED))
            case ast.Name() if expression.name in self.names:
                return self.names[expression.name]
            case ast.Name():
                return size_of_data(expression.typed)
            case ast.Attribute():
                self.value(expression.base, rounds)
                return size_of_data(expression.typed)
            case ast.ListLiteral():
                sizes = [self.value(item, rounds) for item in expression.items]
                return Size(constant(len(sizes)), most_characters(sizes))
            case ast.Concat():
                return self._text([self.value(part, rounds).characters for part in expression.parts], rounds)
            case ast.Choose():
                return Size(ONE, most_characters([self.value(option, rounds) for option in expression.options]))
            case ast.Conditional():
                self.value(expression.test, rounds)
                return self._either(expression.then, expression.otherwise, rounds)
            case ast.And() | ast.Or():
                return self._either(expression.left, expression.right, rounds)
            case ast.Arithmetic() | ast.Compare():
                self.value(expression.left, rounds)
                right = self.value(expression.right, rounds)
                self.steps += rounds * right.items  # `in` looks at each item
                return Size(ONE, constant(PRINTED))
            case ast.Negate() | ast.Not():
                self.value(expression.operand, rounds)
                return Size(ONE, constant(PRINTED))
            case ast.IsTest():
                self.value(expression.base, rounds)
                return Size(ONE, constant(PRINTED))
            case ast.FilterCall():
                return self._filter(expression, rounds)

    def _either(self, left: Expression, right: Expression, rounds: Polynomial) -> Size:
        return self.value(left, rounds).merged(self.value(right, rounds))

    def _text(self, parts: Iterable[Polynomial], rounds: Polynomial) -> Size:
        """Return the size of a text of parts, which is made on the way."""
        together = sum(parts, ZERO)
        self.characters += rounds * together
        return Size(ONE, together)

    def _filter(self, call: ast.FilterCall, rounds: Polynomial) -> Size:
        base = self.value(call.base, rounds)
        filter_ = FILTERS[call.name]
        arguments = filter_.arguments_by_name(call)
        sized = SizedCall(call, base, arguments, {name: self.value(part, rounds) for name, part in arguments.items()})
        self.steps += rounds * filter_.estimate_steps(sized)
        size = filter_.estimate_size(sized)
        return self._text([size.characters], rounds) if filter_.builds_text else size


def _merged(left: Mapping[str, Size], right: Mapping[str, Size]) -> dict[str, Size]:
    return {**left, **right, **{name: left[name].merged(right[name]) for name in left.keys() & right.keys()}}
