"""What all parts of the checker stand on: its state, the one place where a finding is made, and how a value is used."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language import ast
from storymesh.language.ast import Expression, Template
from storymesh.language.locale_formats import ENGLISH
from storymesh.language.static_values import ANYTHING, Path, StaticValue, a_kind, higher, joined_codes, joined_type
from storymesh.language.typecheck.scope import Guards, Scope, dotted_name, guard_for
from storymesh.language.typecheck.zero import not_zero
from storymesh.language.types import Array, Classification, Float, Hidden, Null, Struct
from storymesh.location import Location

MAX_WORK = 100_000


class TypeCheckerBase:
    """The state of one check, and what filters and expressions both need of it."""

    def value(self, expression: Expression) -> StaticValue:
        """Return what is known of an expression, or raise findings."""
        raise NotImplementedError

    def value_or_absent(self, expression: Expression) -> StaticValue:
        """Return the same, where a row on the way may be absent: then the value is null."""
        raise NotImplementedError

    def test(self, expression: Expression) -> StaticValue:
        """Return what is known of a condition, or raise findings."""
        raise NotImplementedError

    def blamable_parts(self, node: ast.FilterCall, value: StaticValue) -> tuple[Expression, ...]:
        """Return the parts of a filter's call that a finding about its result may be about."""
        raise NotImplementedError

    def __init__(
        self,
        scope: Scope,
        *,
        strict: bool,
        partial: Callable[[str], Template | None] = lambda name: None,
        unprintable: Mapping[Path, Hidden] = MappingProxyType({}),
        locale: str = ENGLISH,
    ) -> None:
        self.scope = scope
        self.unprintable = unprintable
        self.locale = locale
        self.strict = strict
        self.partial = partial
        self.findings: dict[Finding, None] = {}
        self.warnings: dict[Finding, None] = {}
        self.variables: dict[str, StaticValue | Hidden] = {}
        self.sure: frozenset[str] = frozenset()  # what the guards around here say is not null
        self.counter = 0
        self.stack: list[str] = []
        self.names: set[str] = set()
        self.reads: set[Path] = set()
        self.prints: dict[Path, Classification] = {}
        self.static: dict[int, StaticValue] = {}  # by the identity of a node of the file that is being checked
        self.partials: dict[int, Template] = {}  # the same for its includes
        self.statements = 0
        self.work = 0  # how many expressions were looked at, each as often as it was
        self.guards: dict[str, Guards] = {}
        self.written: dict[str, bool] = {}  # of a fact, whether its expression writes something out

    def fail(self, at: Location, rule: str, words: str, hint: str = "") -> StaticValue:
        """Note a finding, and return a value that raises no second one: the one place where findings are made."""
        self.findings[Finding(at, rule, words, hint)] = None
        return StaticValue(ANYTHING)

    def count_work(self, at: Location) -> None:
        """Note that an expression is looked at. Raises DefinitionErrors when that is more than anybody would write."""
        self.work += 1
        if self.work > MAX_WORK:
            words = f"with its includes the template takes more than {MAX_WORK:,} looks at its expressions"
            raise DefinitionErrors([Finding(Location(at.path), "too-large", words, "include less"), *self.findings])

    def divisor(self, expression: Expression, value: StaticValue) -> None:
        """Check what is divided by: zero gives no finite number. In narrative.yaml that is a warning."""
        if value.nonzero or value.type is ANYTHING:
            return
        name = dotted_name(expression) or "…"
        words = f"{value.words or 'this'} may be zero and is divided by"
        if self.strict:
            self.fail(expression.at, "may-be-zero", words, f"guard it with `if {name} != 0`")
        else:
            hint = f"write `… / {name} if {name} != 0 else none`"
            self.warnings[Finding(expression.at, "may-be-zero", words, hint, "warning")] = None

    def compared_codes(self, left: Expression, mine: StaticValue, right: Expression, other: StaticValue) -> None:
        """Check that two values that are compared can be equal: each code is one of the other's."""
        if isinstance(right, ast.ListLiteral):
            for item in right.items:
                self.compared_codes(left, mine, item, self.static.get(id(item), StaticValue(ANYTHING)))
            return
        if isinstance(other.type, Array):
            other = replace(other, type=other.type.item.type, codes=other.type.item.codes)
        if mine.codes is None or other.codes is None or mine.codes & other.codes or not mine.paths | other.paths:
            return
        for expression, place in ((left, other), (right, mine)):
            if isinstance(expression, ast.Literal):
                hint = suggest_name(str(expression.value), map(str, place.codes or ()))
                words = f"{place.words or 'this'} is never {expression.value!r}"
                self.fail(expression.at, "unknown-code", words, hint)
                return
        words = f"{mine.words or 'this'} and {other.words or 'the other'} have no code in common"
        hint = f"the first is one of {', '.join(sorted(map(str, mine.codes))[:12])}"
        self.fail(left.at, "unknown-code", words, hint)

    def present(
        self, expression: Expression, value: StaticValue, doing: str, *, replaceable: bool = True
    ) -> StaticValue:
        """Return a value that is known to be present; in a template it is a finding where it may be null."""
        if self.strict and value.nullable:
            expression, value = self.blamed(expression, value, lambda part: part.nullable)
            words = f"{value.words or 'this'} may be null and is {doing} unguarded"
            self.fail(expression.at, "may-be-null", words, guard_for(value, expression, replaceable=replaceable))
        return replace(value, nullable=False) if self.strict else value

    def blamed(
        self, expression: Expression, value: StaticValue, wrong: Callable[[StaticValue], bool]
    ) -> tuple[Expression, StaticValue]:
        """Return the part of an expression that a finding is about: the branch, the option, the joined piece."""
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
                parts = [(none, piece) for piece in self.blamable_parts(expression, value)]
            case _:
                parts = []
        for given, part in parts:
            found = self.given(given, lambda part=part: self.value_or_absent(part))  # type: ignore[misc]
            if wrong(found):
                return self.blamed(part, found, wrong)
        return expression, value

    def text(self, expression: Expression, value: StaticValue) -> None:
        """Check a value that becomes part of a text without being printed yet."""
        if value.type is ANYTHING:
            return
        match value.type:
            case Array() | Struct() | Float() | Null():
                hint = "add `| number(2)` or another format" if isinstance(value.type, Float) else ""
                rule = "float-unformatted" if isinstance(value.type, Float) else "wrong-type"
                self.fail(expression.at, rule, f"{value.words or 'this'} is {a_kind(value.type)}, text is wanted", hint)
            case _:
                self.present(expression, value, "joined to a text")

    def joined(self, left: StaticValue, right: StaticValue) -> StaticValue | None:
        """Return a value that is one of two; None where they have no type together."""
        type_ = joined_type(left.type, right.type)
        if type_ is None:
            return None
        return StaticValue(
            type_,
            left.nullable or right.nullable or isinstance(left.type, Null) or isinstance(right.type, Null),
            higher(left.classification, right),
            left.paths | right.paths,
            counted=left.counted | right.counted if left.counted and right.counted else frozenset(),
            pseudonym=left.pseudonym and right.pseudonym,
            written=left.written or right.written,
            codes=joined_codes(left, right),
            nonzero=all(value.nonzero or isinstance(value.type, Null) for value in (left, right)),
        )

    def given(self, known: frozenset[str], work: Callable[[], StaticValue]) -> StaticValue:
        """Return what `work` returns where these names are known not to be null."""
        sure = self.sure
        self.sure = sure | known
        try:
            return work()
        finally:
            self.sure = sure

    def narrowed(self, value: StaticValue) -> StaticValue:
        """Return the value as the guards around here leave it."""
        if value.known_as is None:
            return value
        nullable = value.nullable and value.known_as not in self.sure
        nonzero = value.nonzero or not_zero(value.known_as) in self.sure
        return replace(value, nullable=nullable, nonzero=nonzero)

    def side(self, expression: ast.And | ast.Or) -> frozenset[str]:
        """Return what is not null where the right side is looked at."""
        left = self.test(expression.left)
        return left.when_true if isinstance(expression, ast.And) else left.when_false
