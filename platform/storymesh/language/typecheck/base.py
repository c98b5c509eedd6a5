"""What all parts of the checker stand on: its state, the one place where a finding is made, and how a value is used."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from storymesh.errors import DefinitionErrors, Finding
from storymesh.language import ast
from storymesh.language.ast import Expression, Template
from storymesh.language.typecheck.static_values import (
    ANYTHING,
    Checked,
    Guards,
    Path,
    Scope,
    Value,
    a_kind,
    guard_for,
    higher,
    joined_type,
    mixed,
)
from storymesh.language.types import (
    Array,
    Classification,
    Float,
    Hidden,
    Null,
    Struct,
    Type,
)
from storymesh.location import Location


class TypeCheckerBase:
    """The state of one check. `value` and `test` are what `ExpressionChecker` makes of an expression."""

    def value(self, expression: Expression) -> Value:
        raise NotImplementedError

    def test(self, expression: Expression) -> Value:
        raise NotImplementedError

    def __init__(
        self,
        scope: Scope,
        *,
        strict: bool,
        partial: Callable[[str], Template | None] = lambda name: None,
        unprintable: Mapping[Path, Hidden] = MappingProxyType({}),
    ) -> None:
        self.scope = scope
        self.unprintable = unprintable
        self.strict = strict
        self.partial = partial
        self.findings: dict[Finding, None] = {}
        self.variables: dict[str, Value | Hidden] = {}
        self.sure: frozenset[str] = frozenset()  # what the guards around here say is not null
        self.counter = 0
        self.stack: list[str] = []
        self.path = ""
        self.names: set[str] = set()
        self.reads: set[Path] = set()
        self.prints: dict[Path, Classification] = {}
        self.labels: dict[Location, Mapping[str, str]] = {}
        self.replaced: set[Location] = set()
        self.drawn: set[Location] = set()
        self.casts: dict[tuple[Location, str], Type] = {}
        self.statements = 0
        self.guards: dict[str, Guards] = {}

    def done(self, value: Value) -> Checked:
        if self.findings:
            raise DefinitionErrors(self.findings)
        return Checked(
            value,
            frozenset(self.names),
            frozenset(self.reads),
            MappingProxyType(dict(self.prints)),
            MappingProxyType(dict(self.labels)),
            frozenset(self.replaced),
            frozenset(self.drawn),
            MappingProxyType(dict(self.casts)),
        )

    def fail(self, at: Location, rule: str, words: str, hint: str = "") -> Value:
        """The one place where a finding is made; what failed goes on as a value that raises no second finding."""
        self.findings[Finding(at, rule, words, hint)] = None
        return Value(ANYTHING)

    def present(self, expression: Expression, value: Value, doing: str) -> Value:
        """In a template, `value` must be known not to be null before it is used."""
        if self.strict and value.nullable:
            expression, value = self.blamed(expression, value, lambda met: met.nullable)
            words = f"{value.words or 'this'} may be null and is {doing} unguarded"
            self.fail(expression.at, "may-be-null", words, guard_for(value, expression))
        return replace(value, nullable=False) if self.strict else value

    def blamed(self, expression: Expression, value: Value, wrong: Callable[[Value], bool]) -> tuple[Expression, Value]:
        """The part of an expression that a finding is about: the branch, the option, the joined piece."""
        none = frozenset[str]()
        match expression:
            case ast.Conditional():
                test = self.test(expression.test)
                parts = [(test.when_true, expression.then), (test.when_false, expression.otherwise)]
            case ast.Or() | ast.And():
                parts = [(none, expression.left), (self.side(expression), expression.right)]
                parts = parts[1:] if isinstance(expression, ast.Or) and value.nullable else parts
            case ast.Concat(parts=pieces) | ast.Choose(options=pieces) | ast.ListLiteral(items=pieces):
                parts = [(none, piece) for piece in pieces]
            case ast.Compare() | ast.Arithmetic():
                parts = [(none, expression.left), (none, expression.right)]
            case ast.Not(operand=part) | ast.IsTest(base=part):
                parts = [(none, part)]
            case ast.FilterCall():
                arguments = (*expression.arguments, *(argument for _, argument in expression.named))
                pieces = arguments if expression.name == "default" and value.nullable else (expression.base, *arguments)
                parts = [(none, piece) for piece in pieces]
            case _:
                parts = []
        for given, part in parts:
            met = self.given(given, lambda part=part: self.value(part))  # type: ignore[misc]
            if wrong(met):
                return self.blamed(part, met, wrong)
        return expression, value

    def text(self, expression: Expression, value: Value) -> None:
        """A value that becomes part of a text, without being printed yet."""
        if value.type is ANYTHING:
            return
        match value.type:
            case Array() | Struct() | Float() | Null():
                hint = "add `| number(2)` or another format" if isinstance(value.type, Float) else ""
                rule = "float-unformatted" if isinstance(value.type, Float) else "wrong-type"
                self.fail(expression.at, rule, f"{value.words or 'this'} is {a_kind(value.type)}, text is wanted", hint)
            case _:
                self.present(expression, value, "joined to a text")

    def joined(self, left: Value, right: Value) -> Value | None:
        type_ = joined_type(left.type, right.type)
        if type_ is None:
            return None
        return Value(
            type_,
            left.nullable or right.nullable or isinstance(left.type, Null) or isinstance(right.type, Null),
            higher(left.classification, right),
            left.paths | right.paths,
            counted=left.counted | right.counted if left.counted and right.counted else frozenset(),
            pseudonym=left.pseudonym and right.pseudonym,
        )

    def cast(self, expression: Expression, joined: Value, one: Value, two: Value) -> None:
        if mixed(one.type, two.type):
            self.casts[expression.at, type(expression).__name__] = joined.type

    def computed(self, base: Value, type_: Type) -> Value:
        return Value(type_, base.nullable, base.classification, base.paths, words=base.words)

    def given(self, known: frozenset[str], work: Callable[[], Value]) -> Value:
        sure = self.sure
        self.sure = sure | known
        try:
            return work()
        finally:
            self.sure = sure

    def narrowed(self, value: Value) -> Value:
        if value.nullable and value.known_as is not None and value.known_as in self.sure:
            return replace(value, nullable=False)
        return value

    def side(self, expression: ast.And | ast.Or) -> frozenset[str]:
        left = self.test(expression.left)
        return left.when_true if isinstance(expression, ast.And) else left.when_false
