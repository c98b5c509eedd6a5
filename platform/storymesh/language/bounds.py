"""What a template may cost at most: its steps, and the characters of the texts that it makes on its way.

Both are polynomials in the lengths of the lists and texts that it reads, known from the typed tree before any data
exists. So they can be evaluated for each record before anything of it is rendered, and a record that would cost too
much drops with one reason, whatever renders it. Each part counts once for each round of the loops around it, whichever
branch is taken: an upper bound, linear where no loop stands inside another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.filters.registry import FILTERS
from storymesh.language.static_values import Path, StaticValue
from storymesh.language.types import Array, Text

MAX_STEPS = 2_000_000
MAX_CHARACTERS = 8 * 1024 * 1024  # of all the texts on the way to one that is printed, at most
MAX_COPIES = 4_096  # of one value in the facts of a case, which have no bound of their own
MAX_COPIES_IN_TEXT = 65_536
_MANY = 256  # copies of one value in a text, from which its characters are looked at
_LONG = 16_384  # characters for each item of a list
_LARGEST = 2**100
_MOST_TERMS = 2_000  # and factors, in what anybody writes
_MOST_FACTORS = 24
PRINTED = 64  # characters of what is no text, when it is printed
_CONSTANT_TIME = frozenset({"length", "first", "last"})
_TWICE = frozenset({"unique"})  # each item is compared with all others


class Factor(NamedTuple):
    """How many items the lists at some paths have together, or how many characters the longest text there has."""

    measure: Literal["items", "characters"]
    paths: frozenset[Path]


Term = tuple[Factor, ...]


@dataclass(frozen=True)
class Polynomial:
    """A sum of products: factors -> how often they count."""

    terms: Mapping[Term, int]

    def __add__(self, other: "Polynomial") -> "Polynomial":
        terms = dict(self.terms)
        for term, count in other.terms.items():
            terms[term] = min(terms.get(term, 0) + count, _LARGEST)
        return Polynomial(_reduced(terms))

    def __mul__(self, other: "Polynomial") -> "Polynomial":
        if self.terms == ONE.terms:
            return other
        longest = max(map(len, self.terms), default=0) + max(map(len, other.terms), default=0)
        if len(self.terms) * len(other.terms) > _MOST_TERMS or longest > _MOST_FACTORS:
            return Polynomial({(): _LARGEST})
        terms: dict[Term, int] = {}
        for left, count in self.terms.items():
            for right, times in other.terms.items():
                term = tuple(sorted((*left, *right), key=_order))
                terms[term] = min(terms.get(term, 0) + count * times, _LARGEST)
        return Polynomial(_reduced(terms))

    def merged(self, other: "Polynomial") -> "Polynomial":
        """Return what is as large as both."""
        names = self.terms.keys() | other.terms.keys()
        return Polynomial({term: max(self.terms.get(term, 0), other.terms.get(term, 0)) for term in names})

    @property
    def constant(self) -> int:
        """What counts whatever the data is."""
        return self.terms.get((), 0)

    def degree(self, measure: str) -> int:
        """Return how many factors of one measure stand in a product at most."""
        return max((sum(factor.measure == measure for factor in term) for term in self.terms), default=0)


def _order(factor: Factor) -> tuple[str, list[Path]]:
    return factor.measure, sorted(factor.paths)


def _reduced(terms: dict[Term, int]) -> dict[Term, int]:
    """Return the terms, of which there are not more than anybody writes; else one that no data fits."""
    return terms if len(terms) <= _MOST_TERMS else {(): _LARGEST}


def constant(count: int) -> Polynomial:
    return Polynomial({(): count} if count else {})


ZERO, ONE = constant(0), constant(1)


@dataclass(frozen=True)
class Size:
    """Of a value: how many items it has, if it is a list, and how many characters, or each item of it has."""

    items: Polynomial = ONE
    characters: Polynomial = ZERO


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
        copies[name] = worst if estimate.characters.degree("characters") <= 4 else _LARGEST
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

    def value(self, expression: Expression, rounds: Polynomial) -> Size:
        """Return the size of a value that is computed in each of `rounds`, and count what that costs."""
        self.steps += rounds
        match expression:
            case ast.Literal():
                return Size(ONE, constant(len(expression.value) if isinstance(expression.value, str) else PRINTED))
            case ast.Name() if expression.name in self.names:
                return self.names[expression.name]
            case ast.Name():
                return _of_data(expression.typed)
            case ast.Attribute():
                self.value(expression.base, rounds)
                return _of_data(expression.typed)
            case ast.ListLiteral():
                sizes = [self.value(item, rounds) for item in expression.items]
                return Size(constant(len(sizes)), _largest(sizes))
            case ast.Concat():
                return self._text([self.value(part, rounds).characters for part in expression.parts], rounds)
            case ast.Choose():
                return Size(ONE, _largest([self.value(option, rounds) for option in expression.options]))
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

    def _either(self, one: Expression, two: Expression, rounds: Polynomial) -> Size:
        left, right = self.value(one, rounds), self.value(two, rounds)
        return Size(left.items.merged(right.items), left.characters.merged(right.characters))

    def _text(self, parts: Iterable[Polynomial], rounds: Polynomial) -> Size:
        """Return the size of a text of parts, which is made on the way."""
        together = sum(parts, ZERO)
        self.characters += rounds * together
        return Size(ONE, together)

    def _filter(self, call: ast.FilterCall, rounds: Polynomial) -> Size:
        base = self.value(call.base, rounds)
        filter_ = FILTERS[call.name]
        given = {name: self.value(part, rounds) for name, part in filter_.arguments_by_name(call).items()}
        if Array in filter_.accepts and call.name not in _CONSTANT_TIME:
            once = base.items * base.items if call.name in _TWICE else base.items
            self.steps += rounds * once * (given["value"].items if "value" in given else ONE)
        kind = call.typed.type
        match call.name:
            case "join" | "listing":
                between = given.get("separator") or given.get("last") or Size(ONE, constant(5))
                return self._text([base.items * (_items_of(call, base) + between.characters + constant(2))], rounds)
            case "replace":
                return self._text([_replaced(call, base, given)], rounds)
            case "date":
                return Size(ONE, given["format"].characters * constant(8) if "format" in given else constant(PRINTED))
            case "plural":
                return Size(ONE, sum((size.characters for size in given.values()), constant(PRINTED)))
            case "label":
                return Size(ONE, constant(max(map(len, _labels(call.base.typed)), default=0)) + base.characters)
            case "default":
                fallback = given["value"]
                return Size(base.items.merged(fallback.items), base.characters.merged(fallback.characters))
            case "map":
                return Size(base.items, _of_data(call.typed).characters)
            case _ if isinstance(kind, Array):
                return base
            case _ if isinstance(kind, Text) and call.name != "pseudonym":
                return Size(ONE, base.characters if base.characters.terms else _of_data(call.typed).characters)
            case _:
                return Size(ONE, constant(PRINTED))


def _labels(value: StaticValue) -> Iterable[str]:
    return value.type.labels.values() if isinstance(value.type, Text) else ()


def _items_of(call: ast.FilterCall, base: Size) -> Polynomial:
    """Return the characters of an item that is joined: of a row, those of what is joined of it."""
    return base.characters if base.characters.terms else _of_data(call.typed).characters + constant(PRINTED)


def _replaced(call: ast.FilterCall, base: Size, given: Mapping[str, Size]) -> Polynomial:
    """Return the characters of a text after `replace`: by less than was there, it does not grow."""
    arguments = FILTERS[call.name].arguments_by_name(call)
    old, new = arguments["old"], arguments["new"]
    if isinstance(new, ast.Literal) and isinstance(new.value, str):
        length = len(old.value) if isinstance(old, ast.Literal) and isinstance(old.value, str) else 1
        return base.characters * constant(max(1, -(-len(new.value) // max(1, length))))
    return base.characters + base.characters * given["new"].characters


def _of_data(value: StaticValue) -> Size:
    """Return the size of a value of the data, by the places where it may stand."""
    items = Polynomial({(Factor("items", value.counted or value.paths),): 1}) if isinstance(value.type, Array) else ONE
    kind = value.type.item.type if isinstance(value.type, Array) else value.type
    if not isinstance(kind, Text):
        return Size(items, ZERO if isinstance(value.type, Array) else constant(PRINTED))
    return Size(items, Polynomial({(Factor("characters", value.paths),): 1}) if value.paths else constant(PRINTED))


def _largest(sizes: Iterable[Size]) -> Polynomial:
    result = ZERO
    for size in sizes:
        result = result.merged(size.characters)
    return result


def _merged(one: Mapping[str, Size], two: Mapping[str, Size]) -> dict[str, Size]:
    both = {name: Size(one[name].items.merged(two[name].items), one[name].characters.merged(two[name].characters))
            for name in one.keys() & two.keys()}  # fmt: skip
    return {**one, **two, **both}
