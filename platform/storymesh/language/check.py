"""What an expression or a template gives, by the types alone: before any data exists.

In a *template* a value that may be null must be guarded before it is printed or computed with. In an *expression* of a
YAML file null propagates as in SQL: a fact of a missing value is a missing fact. Guards narrow: inside
`if x is not none` the checker knows that x is there, also through `set`, `and`, `or`, inline `if` and loops.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from types import MappingProxyType
from unicodedata import normalize

from storymesh.errors import Finding, Refused, nearest
from storymesh.language import syntax
from storymesh.language.filters import DATE_CODE, DATE_CODES, FILTERS, UNITS, Signature
from storymesh.language.syntax import Expression, Statement, Template
from storymesh.language.types import (
    MOMENTS,
    NUMBERS,
    Array,
    Boolean,
    Classification,
    Date,
    Decimal,
    Field,
    Float,
    Hidden,
    Integer,
    Null,
    Struct,
    Text,
    Timestamp,
    Type,
)
from storymesh.location import Location

Path = tuple[str, ...]
Scope = Mapping[str, "Field | Hidden | Fact"]
Casts = Mapping[tuple[Location, str], Type]
Guards = tuple[frozenset[str], frozenset[str], frozenset[str]]  # not null when there, when true, when false

MAX_INTEGER = 2**63 - 1
MAX_INCLUDES = 8
MAX_STATEMENTS = 20_000  # over all includes, each counted as often as it is included
MAX_DIGITS = 12
RESERVED = frozenset({"loop", "choose", "self", "super", "caller", "varargs", "kwargs", "none", "true", "false"})
TESTS = ("none", "defined", "true", "false")
_RANK: Mapping[Classification, int] = {"public": 0, "internal": 1, "restricted": 2}
_COMPARING = {"eq": "==", "==": "==", "equalto": "==", "ne": "!=", "!=": "!=", "lt": "<", "<": "<", "lessthan": "<"} | {
    "le": "<=",
    "<=": "<=",
    "gt": ">",
    ">": ">",
    "greaterthan": ">",
    "ge": ">=",
    ">=": ">=",
    "in": "in",
}


@dataclass(frozen=True)
class Fact:
    """A name that stands for an expression: a guard on it guards what the expression reads."""

    field: Field
    expression: Expression


@dataclass(frozen=True)
class Value:
    """What is known of an expression before any data exists. `paths` are the places whose values flow into it."""

    type: Type
    nullable: bool = False
    classification: Classification = "public"
    paths: frozenset[Path] = frozenset()
    known_as: str | None = None  # the name under which a guard remembers it
    where: Path | None = None  # the path it stands at, when it is one plain path
    pseudonym: bool = False  # it was replaced by its pseudonym already
    when_there: frozenset[str] = frozenset()  # what is not null where this is not null
    when_true: frozenset[str] = frozenset()
    when_false: frozenset[str] = frozenset()
    words: str = ""  # how to call it in a finding

    @property
    def field(self) -> Field:
        return Field(self.type, self.nullable, self.classification, pseudonym=self.pseudonym)


@dataclass(frozen=True)
class Checked:
    """What a template or an expression uses and prints.

    `labels` is what each `label` filter prints for which code; `replaced` are the `pseudonym` filters that leave their
    value alone, `drawn` those that replace it; `casts` are the places (with the kind of their node) where numbers of
    two kinds meet and stand for each other, or where a sum may have no item to take its kind from.
    """

    value: Value
    names: frozenset[str]
    reads: frozenset[Path]
    prints: Mapping[Path, Classification] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[Location, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    replaced: frozenset[Location] = frozenset()
    drawn: frozenset[Location] = frozenset()
    casts: Casts = field(default_factory=lambda: MappingProxyType({}))


def check_expression(expression: Expression, scope: Scope) -> Checked:
    """The type of an expression in which null propagates. Raises Refused with findings."""
    checking = _Checking(scope, strict=False)
    value = checking.value(expression)
    return checking.done(value)


def check_template(
    template: Template,
    scope: Scope,
    partial: Callable[[str], Template | None],
    unprintable: Mapping[Path, Hidden] = MappingProxyType({}),
) -> Checked:
    """What a template prints. `partial` gives the template that an include names; `unprintable` are paths that may be
    read but not printed. Raises Refused with findings."""
    checking = _Checking(scope, strict=True, partial=partial, unprintable=unprintable)
    checking.stack.append(template.name)
    checking.path = template.path
    checking.body(template.body)
    return checking.done(Value(Text()))


class _Checking:
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
            raise Refused(self.findings)
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
        return Value(_ANYTHING)

    # --- statements ---

    def body(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self.statements += 1
            if self.statements > MAX_STATEMENTS:
                path = statement.at.path if not isinstance(statement, syntax.Words) else ""
                words = f"with its includes the template has more than {MAX_STATEMENTS:,} parts"
                raise Refused(
                    [Finding(Location(path or self.path), "too-large", words, "include less"), *self.findings]
                )
            match statement:
                case syntax.Words():
                    pass
                case syntax.Print():
                    self.printed(statement.value, self.value(statement.value))
                case syntax.Assign():
                    self._assign(statement)
                case syntax.If():
                    self._if(statement)
                case syntax.For():
                    self._for(statement)
                case syntax.Include():
                    self._include(statement)

    def _assign(self, statement: syntax.Assign) -> None:
        value = self.value(statement.value)
        self._free(statement.at, statement.name)
        self.variables[statement.name] = self._renamed(value, statement.name)

    def _free(self, at: Location, name: str) -> None:
        if name in self.scope or name in RESERVED:
            self.fail(at, "reserved-name", f"'{name}' already has a meaning", "choose another name")
        elif normalize("NFKC", name) != name:
            self.fail(
                at, "reserved-name", f"'{name}' is written with letters that look like others", "use plain letters"
            )

    def _renamed(self, value: Value, name: str) -> Value:
        if value.known_as is None:
            self.counter += 1
            value = replace(value, known_as=f"{name}#{self.counter}")
        return replace(value, words=f"'{name}'")

    def _if(self, statement: syntax.If) -> None:
        test = self.test(statement.test)
        before, sure = dict(self.variables), self.sure
        self.sure = sure | test.when_true
        self.body(statement.body)
        after_body = self.variables
        self.variables, self.sure = dict(before), sure | test.when_false
        self.body(statement.otherwise)
        self.sure = sure
        self.variables = self._merged(before, after_body, self.variables)

    def _merged(
        self, before: Mapping[str, Value | Hidden], one: Mapping[str, Value | Hidden], two: Mapping[str, Value | Hidden]
    ) -> dict[str, Value | Hidden]:
        merged: dict[str, Value | Hidden] = {}
        for name in {**one, **two}:
            left, right = one.get(name), two.get(name)
            if left == right and left is not None:
                merged[name] = left
            elif isinstance(left, Value) and isinstance(right, Value):
                joined = self._joined(left, right)
                if joined and mixed(left.type, right.type):
                    joined = None
                words = f"'{name}' is {_a(left.type)} in one branch and {_a(right.type)} in the other"
                merged[name] = (
                    self._renamed(joined, name) if joined else Hidden("wrong-type", words, "set another name")
                )
            else:
                hint = f"set '{name}' before the `if`, or in each branch"
                merged[name] = Hidden("unknown-name", f"'{name}' is set in one branch only", hint)
        return merged

    def _joined(self, left: Value, right: Value) -> Value | None:
        type_ = joined_type(left.type, right.type)
        if type_ is None:
            return None
        return Value(
            type_,
            left.nullable or right.nullable or isinstance(left.type, Null) or isinstance(right.type, Null),
            _higher(left.classification, right),
            left.paths | right.paths,
            pseudonym=left.pseudonym and right.pseudonym,
        )

    def _for(self, statement: syntax.For) -> None:
        items = self._present(statement.items, self.value(statement.items), "looped over")
        item: Value
        if isinstance(items.type, Array):
            inner = items.type.item
            item = Value(
                inner.type, inner.nullable, _higher(inner.classification, items), items.paths, where=items.where
            )
        else:
            if items.type is not _ANYTHING:
                words = f"{items.words or 'this'} is {_a(items.type)}, a loop wants a list"
                self.fail(statement.items.at, "wrong-type", words)
            item = Value(_ANYTHING)
        before, sure = dict(self.variables), self.sure
        self.counter += 1
        name = statement.target
        self._free(statement.at, name)
        self.variables[name] = replace(item, known_as=f"{name}#{self.counter}", words=f"'{name}'")
        if statement.test is not None:
            self.sure = sure | self.test(statement.test).when_true
        self.variables["loop"] = _LOOP
        self.body(statement.body)
        self.variables, self.sure = dict(before), sure
        self.body(statement.otherwise)
        # What a loop sets ends with the loop, also in its `else`.
        self.variables = before

    def _include(self, statement: syntax.Include) -> None:
        template = self.partial(statement.template)
        if statement.template in self.stack:
            words = f"'{statement.template}' includes itself"
            self.fail(statement.at, "circle", words)
        elif len(self.stack) > MAX_INCLUDES:
            self.fail(statement.at, "too-large", f"more than {MAX_INCLUDES} includes inside each other")
        elif template is None:
            self.fail(statement.at, "unknown-name", f"there is no template '{statement.template}' in this folder")
        else:
            self.stack.append(statement.template)
            before, path = self.variables, self.path
            # Jinja gives a partial the names of its template but not `loop`, and takes none back.
            self.variables = {**before, "loop": _NO_LOOP} if "loop" in before else dict(before)
            self.path = template.path
            self.body(template.body)
            self.variables, self.path = before, path
            self.stack.pop()

    # --- values ---

    def printed(self, expression: Expression, value: Value, *, joined: bool = False) -> None:
        """Check that a value can stand in text, and remember what it prints."""
        if value.type is _ANYTHING:
            return
        at = expression.at
        words = value.words or "this"
        match value.type:
            case Array():
                hint = "loop over it, or use `listing`, `join` or `length`"
                self.fail(at, "list-printed", f"{words} is a list", hint)
            case Struct():
                self.fail(at, "row-printed", f"{words} is a row", "print one of its properties")
            case Float() if self.strict or joined:
                self.fail(at, "float-unformatted", f"{words} is a float", "add `| number(2)` or another format")
            case Null():
                self.fail(at, "may-be-null", f"{words} is none, there is nothing to print", "leave it out")
            case _:
                self._present(expression, value, "printed")
        if value.classification == "restricted":
            part, secret = self._blamed(expression, value, lambda met: met.classification == "restricted")
            words = f"{secret.words or 'this'} is restricted"
            self.fail(part.at, "restricted", words, "print it through `| pseudonym`")
        for path in value.paths:
            if (hidden := self.unprintable.get(path[:-1] if path[-1] == "~" else path)) is not None:
                self.fail(at, hidden.rule, hidden.words, hidden.hint)
            self.prints[path] = max(self.prints.get(path, "public"), value.classification, key=_RANK.__getitem__)

    def _present(self, expression: Expression, value: Value, doing: str) -> Value:
        """In a template, `value` must be known not to be null before it is used."""
        if self.strict and value.nullable:
            expression, value = self._blamed(expression, value, lambda met: met.nullable)
            words = f"{value.words or 'this'} may be null and is {doing} unguarded"
            self.fail(expression.at, "may-be-null", words, _guard(value, expression))
        return replace(value, nullable=False) if self.strict else value

    def _blamed(self, expression: Expression, value: Value, wrong: Callable[[Value], bool]) -> tuple[Expression, Value]:
        """The part of an expression that a finding is about: the branch, the option, the joined piece."""
        none = frozenset[str]()
        match expression:
            case syntax.Choice():
                test = self.test(expression.test)
                parts = [(test.when_true, expression.then), (test.when_false, expression.otherwise)]
            case syntax.Either() | syntax.Both():
                parts = [(none, expression.left), (self._side(expression), expression.right)]
                parts = parts[1:] if isinstance(expression, syntax.Either) and value.nullable else parts
            case syntax.Concat(parts=pieces) | syntax.Choose(options=pieces) | syntax.ListOf(items=pieces):
                parts = [(none, piece) for piece in pieces]
            case syntax.Compare() | syntax.Arithmetic():
                parts = [(none, expression.left), (none, expression.right)]
            case syntax.Filter():
                arguments = (*expression.arguments, *(argument for _, argument in expression.named))
                pieces = arguments if expression.name == "default" and value.nullable else (expression.base, *arguments)
                parts = [(none, piece) for piece in pieces]
            case _:
                parts = []
        for given, part in parts:
            met = self._given(given, lambda part=part: self.value(part))  # type: ignore[misc]
            if wrong(met):
                return self._blamed(part, met, wrong)
        return expression, value

    def test(self, expression: Expression) -> Value:
        """A condition: any value can stand there; null, zero and the empty count as false, as in Python."""
        match expression:
            case syntax.Not():
                inner = self.test(expression.operand)
                return Value(Boolean(), when_true=inner.when_false, when_false=inner.when_true)
            case syntax.Both():
                left = self.test(expression.left)
                right = self._given(left.when_true, lambda: self.test(expression.right))
                return Value(
                    Boolean(),
                    when_true=left.when_true | right.when_true,
                    when_false=left.when_false & (left.when_true | right.when_false),
                )
            case syntax.Either():
                left = self.test(expression.left)
                right = self._given(left.when_false, lambda: self.test(expression.right))
                return Value(
                    Boolean(),
                    when_true=left.when_true & (left.when_false | right.when_true),
                    when_false=left.when_false | right.when_false,
                )
            case _:
                value = self.value(expression)
                if value.known_as is not None and not isinstance(expression, syntax.Test | syntax.Compare):
                    return replace(value, when_true=value.when_true | {value.known_as} | _parents(value.known_as))
                return value

    def _given(self, known: frozenset[str], work: Callable[[], Value]) -> Value:
        sure = self.sure
        self.sure = sure | known
        try:
            return work()
        finally:
            self.sure = sure

    def value(self, expression: Expression) -> Value:
        match expression:
            case syntax.Literal():
                return self._literal(expression)
            case syntax.ListOf():
                return self._list(expression)
            case syntax.Name():
                return self._name(expression)
            case syntax.Attribute():
                return self._attribute(expression)
            case syntax.Arithmetic():
                return self._arithmetic(expression)
            case syntax.Negative():
                value = self._number(expression.operand, "-")
                return Value(value.type, value.nullable, value.classification, value.paths)
            case syntax.Concat():
                return self._concat(expression)
            case syntax.Compare():
                return self._compare(expression)
            case syntax.Both() | syntax.Either():
                return self._either(expression)
            case syntax.Not():
                return self.test(expression)
            case syntax.Choice():
                return self._choice(expression)
            case syntax.Filter():
                return self._filter(expression)
            case syntax.Test():
                return self._test(expression)
            case syntax.Choose():
                return self._choose(expression)

    def _literal(self, expression: syntax.Literal) -> Value:
        match expression.value:
            case None:
                return Value(Null(), nullable=True)
            case bool():
                return Value(Boolean(), words=str(expression.value).lower())
            case int() as number:
                if abs(number) > MAX_INTEGER:
                    return self.fail(expression.at, "too-large", "the number does not fit into 64 bits")
                return Value(Integer(), words=str(number))
            case float() as number:
                if not isfinite(number):
                    return self.fail(expression.at, "too-large", "the number is too large for a float")
                return Value(Float(), words=str(number))
            case str():
                return Value(Text(), words="this text")

    def _list(self, expression: syntax.ListOf) -> Value:
        joined: Value | None = None
        for part in expression.items:
            value = self.value(part)
            if value.type is _ANYTHING:
                return value
            together = value if joined is None else self._joined(joined, value)
            if together is None or joined is None:
                if together is None and joined is not None:
                    words = f"the items of a list have one type, here stand {_a(joined.type)} and {_a(value.type)}"
                    return self.fail(part.at, "wrong-type", words)
            elif mixed(joined.type, value.type):
                self.casts[expression.at, "ListOf"] = together.type
            joined = together
        if joined is None:
            return self.fail(expression.at, "wrong-type", "an empty list has no type", "leave it out")
        return Value(Array(joined.field), False, joined.classification, joined.paths)

    def _name(self, expression: syntax.Name) -> Value:
        name = expression.name
        found: Value | Hidden | Field | Fact | None = self.variables.get(name)
        if found is None:
            found = self.scope.get(name)
            if found is not None:
                self.names.add(name)
        match found:
            case None:
                known = [*self.scope, *self.variables]
                return self.fail(expression.at, "unknown-name", f"unknown name '{name}'", nearest(name, known))
            case Hidden():
                return self.fail(expression.at, found.rule, found.words, found.hint)
            case Value() if found is _LOOP:
                return self.fail(expression.at, "wrong-type", "'loop' is no value of its own", _LOOP_HINT)
            case Value():
                value = found
            case Fact():
                there, when_true, when_false = self._guards(name, found.expression)
                value = self._of_field(found.field, name, (name,))
                value = replace(value, when_there=there, when_true=there | when_true, when_false=when_false)
                self.reads.add((name,))
            case Field():
                value = self._of_field(found, name, (name,))
                if not isinstance(found.type, Struct | Array):
                    self.reads.add((name,))
        return self._narrowed(value)

    def _is_loop(self, expression: Expression) -> bool:
        return isinstance(expression, syntax.Name) and self.variables.get(expression.name) is _LOOP

    def _of_field(self, found: Field, name: str, path: Path) -> Value:
        return Value(
            found.type,
            found.nullable,
            found.classification,
            frozenset({path}),
            name,
            path,
            found.pseudonym,
            words=f"'{name}'",
        )

    def _narrowed(self, value: Value) -> Value:
        if value.nullable and value.known_as is not None and value.known_as in self.sure:
            return replace(value, nullable=False)
        return value

    def _guards(self, name: str, expression: Expression) -> Guards:
        """What a guard on a fact guards of what the fact reads."""
        if name not in self.guards:
            quiet = _Checking(self.scope, strict=False)
            quiet.guards = self.guards  # a fact of facts asks for each of them once
            value = quiet.test(expression)
            self.guards[name] = (self._implied(expression), value.when_true, value.when_false)
        return self.guards[name]

    def _implied(self, expression: Expression) -> frozenset[str]:
        """What cannot be null when the (propagating) expression is not null."""
        match expression:
            case syntax.Name() | syntax.Attribute():
                known = _spelled(expression)
                if known is None:
                    return frozenset()
                fact = self.scope.get(known)
                further = self._guards(known, fact.expression)[0] if isinstance(fact, Fact) else frozenset()
                return frozenset({known}) | _parents(known) | further
            case syntax.Filter() if expression.name in _PASSING_NULL:
                return self._implied(expression.base)
            case syntax.Arithmetic() | syntax.Compare():
                return self._implied(expression.left) | self._implied(expression.right)
            case syntax.Negative():
                return self._implied(expression.operand)
            case _:
                return frozenset()

    def _attribute(self, expression: syntax.Attribute) -> Value:
        base = self.value(expression.base) if not self._is_loop(expression.base) else _LOOP
        if base.type is _ANYTHING:
            return base
        if isinstance(base.type, Array):
            hint = "loop over it, or take one with `first` or `last`"
            return self.fail(expression.at, "wrong-type", f"{base.words or 'this'} is a list of rows", hint)
        if not isinstance(base.type, Struct):
            words = f"{base.words or 'this'} is {_a(base.type)} and has no property '{expression.name}'"
            return self.fail(expression.at, "wrong-type", words)
        found = base.type.fields.get(expression.name)
        spoken = f"{base.words.strip(chr(39))}.{expression.name}" if base.words else expression.name
        if found is None:
            words = f"{base.words or 'this'} has no property '{expression.name}'"
            return self.fail(expression.at, "unknown-name", words, nearest(expression.name, base.type.fields))
        if isinstance(found, Hidden):
            return self.fail(expression.at, found.rule, found.words, found.hint)
        if self.strict and base.nullable:
            words = f"{base.words or 'this'} may be absent and is used unguarded"
            self.fail(expression.base.at, "may-be-absent", words, _guard(base, expression.base))
        known_as = f"{base.known_as}.{expression.name}" if base.known_as else None
        where = (*base.where, expression.name) if base.where else None
        if where:
            self.reads.add(where)
        value = Value(
            found.type,
            found.nullable or (base.nullable and not self.strict),
            _higher(found.classification, base),
            frozenset({where}) if where else base.paths,
            known_as,
            where,
            found.pseudonym,
            words=f"'{spoken}'",
            when_true=frozenset(f"{base.known_as}.{name}" for name in found.implies if base.known_as),
        )
        return self._narrowed(value)

    def _number(self, expression: Expression, operator: str) -> Value:
        value = self._present(expression, self.value(expression), "computed with")
        if not isinstance(value.type, NUMBERS) and value.type is not _ANYTHING:
            words = f"{value.words or 'this'} is {_a(value.type)}, `{operator}` wants a number"
            self.fail(expression.at, "wrong-type", words, "join texts with ~" if isinstance(value.type, Text) else "")
            return Value(_ANYTHING)
        return value

    def _arithmetic(self, expression: syntax.Arithmetic) -> Value:
        left = self._number(expression.left, expression.operator)
        right = self._number(expression.right, expression.operator)
        if left.type is _ANYTHING or right.type is _ANYTHING:
            return Value(_ANYTHING)
        if expression.operator in ("//", "%") and not (
            isinstance(left.type, Integer) and isinstance(right.type, Integer)
        ):
            words = f"`{expression.operator}` wants integers, it met {_a(left.type)} and {_a(right.type)}"
            return self.fail(expression.at, "wrong-type", words, "use `| int`")
        type_: Type = arithmetic_type(expression.operator, left.type, right.type)
        # `/` by zero is not finite, which drops the record that prints it; `//` and `%` by zero are null.
        divides = expression.operator in ("//", "%")
        sure_divisor = isinstance(expression.right, syntax.Literal) and bool(expression.right.value)
        return Value(
            type_,
            left.nullable or right.nullable or (divides and not sure_divisor),
            _higher(left.classification, right),
            left.paths | right.paths,
            words=f"a {'quotient' if expression.operator == '//' else 'remainder'} by what may be zero"
            if divides
            else "",
        )

    def _concat(self, expression: syntax.Concat) -> Value:
        nullable = False
        classification: Classification = "public"
        paths: frozenset[Path] = frozenset()
        for part in expression.parts:
            value = self.value(part)
            self._text(part, value)
            nullable = nullable or (value.nullable and not self.strict)
            classification = _higher(classification, value)
            paths |= value.paths
        return Value(Text(), nullable, classification, paths)

    def _text(self, expression: Expression, value: Value) -> None:
        """A value that becomes part of a text, without being printed yet."""
        if value.type is _ANYTHING:
            return
        match value.type:
            case Array() | Struct() | Float() | Null():
                hint = "add `| number(2)` or another format" if isinstance(value.type, Float) else ""
                rule = "float-unformatted" if isinstance(value.type, Float) else "wrong-type"
                self.fail(expression.at, rule, f"{value.words or 'this'} is {_a(value.type)}, text is wanted", hint)
            case _:
                self._present(expression, value, "joined to a text")

    def _compare(self, expression: syntax.Compare) -> Value:
        left, right = self.value(expression.left), self.value(expression.right)
        if isinstance(right.type, Null) or isinstance(left.type, Null):
            return self.fail(
                expression.at, "wrong-type", "nothing compares to none", "write `x is none` or `x is not none`"
            )
        left = self._present(expression.left, left, "compared")
        right = self._present(expression.right, right, "compared")
        if left.type is _ANYTHING or right.type is _ANYTHING:
            return Value(Boolean())
        implied = frozenset[str]() if self.strict else self._implied(expression)
        answer = Value(
            Boolean(),
            left.nullable or right.nullable,
            _higher(left.classification, right),
            left.paths | right.paths,
            when_true=implied,
        )
        if expression.operator in ("in", "not in"):
            wanted = right.type.item.type if isinstance(right.type, Array) else right.type
            fits = isinstance(right.type, Array) or (isinstance(left.type, Text) and isinstance(right.type, Text))
            if not fits or not _comparable(left.type, wanted, "=="):
                words = f"{left.words or 'this'} is {_a(left.type)} and cannot be looked for in {_a(right.type)}"
                return self.fail(expression.at, "wrong-type", words)
            return answer
        if not _comparable(left.type, right.type, expression.operator):
            words = f"{left.words or 'this'} is {_a(left.type)} and {right.words or 'the other'} is {_a(right.type)}: "
            words += f"`{expression.operator}` cannot compare them"
            return self.fail(expression.at, "wrong-type", words)
        return answer

    def _either(self, expression: syntax.Both | syntax.Either) -> Value:
        """`a or b` gives a when it counts as true, else b; `and` the other way round."""
        test = self.test(expression)
        left = self.value(expression.left)
        right = self._given(self._side(expression), lambda: self.value(expression.right))
        if left.type is _ANYTHING or right.type is _ANYTHING:
            return Value(_ANYTHING)
        joined = self._joined(left, right)
        if joined is None:
            words = f"the sides of `{'and' if isinstance(expression, syntax.Both) else 'or'}` are "
            words += f"{_a(left.type)} and {_a(right.type)}"
            return self.fail(expression.at, "wrong-type", words, "compare each side, or use an inline `if`")
        keeps_null = left.nullable if isinstance(expression, syntax.Both) else False
        self._cast(expression, joined, left, right)
        return replace(
            joined, nullable=right.nullable or keeps_null, when_true=test.when_true, when_false=test.when_false
        )

    def _side(self, expression: syntax.Both | syntax.Either) -> frozenset[str]:
        left = self.test(expression.left)
        return left.when_true if isinstance(expression, syntax.Both) else left.when_false

    def _choice(self, expression: syntax.Choice) -> Value:
        test = self.test(expression.test)
        then = self._given(test.when_true, lambda: self.value(expression.then))
        otherwise = self._given(test.when_false, lambda: self.value(expression.otherwise))
        if then.type is _ANYTHING or otherwise.type is _ANYTHING:
            return Value(_ANYTHING)
        joined = self._joined(then, otherwise)
        if joined is None:
            words = f"the two sides of `if … else` are {_a(then.type)} and {_a(otherwise.type)}"
            return self.fail(expression.at, "wrong-type", words, "give both sides one type")
        self._cast(expression, joined, then, otherwise)
        return joined

    def _cast(self, expression: Expression, joined: Value, one: Value, two: Value) -> None:
        if mixed(one.type, two.type):
            self.casts[expression.at, type(expression).__name__] = joined.type

    def _test(self, expression: syntax.Test) -> Value:
        value = self.value(expression.base)
        match expression.name:
            case "none":
                known = frozenset({value.known_as}) | _parents(value.known_as) if value.known_as else frozenset()
                return Value(Boolean(), when_false=known | value.when_there)
            case "defined":
                return Value(Boolean())
            case "true" | "false":
                known = frozenset({value.known_as}) if value.known_as else frozenset()
                if not isinstance(value.type, Boolean) and value.type is not _ANYTHING:
                    words = f"{value.words or 'this'} is {_a(value.type)}, not true or false"
                    return self.fail(expression.at, "wrong-type", words)
                extra = value.when_true if expression.name == "true" else value.when_false
                return Value(Boolean(), when_true=known | value.when_there | extra)
            case name:
                return self.fail(expression.at, "outside-language", f"there is no test `{name}`", nearest(name, TESTS))

    def _choose(self, expression: syntax.Choose) -> Value:
        if not self.strict:
            return self.fail(expression.at, "outside-language", "choose varies wording, so it stands in templates only")
        if len(expression.options) < 2:
            return self.fail(expression.at, "wrong-type", "choose wants at least two texts")
        nullable, classification, paths = False, _PUBLIC, frozenset[Path]()
        for option in expression.options:
            value = self.value(option)
            self._text(option, value)
            classification = _higher(classification, value)
            paths |= value.paths
        return Value(Text(), nullable, classification, paths)

    # --- filters ---

    def _filter(self, expression: syntax.Filter) -> Value:
        signature = FILTERS.get(expression.name)
        if signature is None:
            hint = nearest(expression.name, FILTERS)
            return self.fail(expression.at, "outside-language", f"there is no filter `{expression.name}`", hint)
        base = self.value(expression.base)
        given = self._arguments(expression, signature)
        if given is None or base.type is _ANYTHING:
            return Value(_ANYTHING)
        if expression.name == "default":
            return self._default(expression, base, given["value"])
        if not signature.accepts(base.type):
            words = f"{base.words or 'this'} is {_a(base.type)}, `{expression.name}` wants {signature.wants}"
            return self.fail(expression.at, "wrong-type", words)
        base = self._present(expression.base, base, f"given to `{expression.name}`")
        return self._filtered(expression, base, given)

    def _arguments(self, expression: syntax.Filter, signature: Signature) -> dict[str, Expression] | None:
        names = [parameter.name for parameter in signature.parameters]
        given: dict[str, Expression] = {}
        placed = [parameter.name for parameter in signature.parameters if not parameter.by_name]
        if len(expression.arguments) > len(placed):
            words = f"`{expression.name}` takes {_count(len(placed), 'argument')}"
            if len(placed) < len(names):
                words = f"the arguments of `{expression.name}` are written with their names"
            self.fail(expression.arguments[len(placed)].at, "wrong-type", words, signature.usage)
            return None
        given.update(zip(placed, expression.arguments, strict=False))
        for name, argument in expression.named:
            if name not in names or name in given:
                self.fail(argument.at, "wrong-type", f"`{expression.name}` has no argument '{name}'", signature.usage)
                return None
            given[name] = argument
        for parameter in signature.parameters:
            argument_or_none = given.get(parameter.name)
            if argument_or_none is None:
                if parameter.required:
                    words = f"`{expression.name}` wants the argument '{parameter.name}'"
                    self.fail(expression.at, "wrong-type", words, signature.usage)
                    return None
                continue
            argument = argument_or_none
            if parameter.literal is not None:
                fits = isinstance(argument, syntax.Literal) and type(argument.value) is parameter.literal
                if not fits:
                    words = f"'{parameter.name}' of `{expression.name}` is written as {parameter.written}"
                    self.fail(argument.at, "wrong-type", words, signature.usage)
                    return None
        return given

    def _default(self, expression: syntax.Filter, base: Value, argument: Expression) -> Value:
        fallback = self.value(argument)
        if fallback.type is _ANYTHING:
            return fallback
        joined = self._joined(base, fallback)
        if joined is None:
            words = f"{base.words or 'this'} is {_a(base.type)}, its default is {_a(fallback.type)}"
            return self.fail(argument.at, "wrong-type", words, "give it the same type")
        self._cast(expression, joined, base, fallback)
        return replace(joined, nullable=fallback.nullable)

    def _filtered(self, expression: syntax.Filter, base: Value, given: Mapping[str, Expression]) -> Value:
        def text(classification: Classification = base.classification) -> Value:
            return Value(Text(), base.nullable, classification, base.paths, words=base.words)

        match expression.name:
            case "number" | "percent":
                digits = given.get("digits")
                if isinstance(digits, syntax.Literal) and int(digits.value or 0) > MAX_DIGITS:
                    return self.fail(digits.at, "wrong-type", f"a number has 0 to {MAX_DIGITS} digits behind the point")
                return text()
            case "date":
                return self._date(expression, given, text())
            case "duration":
                unit = given["unit"]
                assert isinstance(unit, syntax.Literal)
                if unit.value not in UNITS:
                    hint = nearest(str(unit.value), UNITS)
                    return self.fail(unit.at, "wrong-type", f"there is no unit '{unit.value}'", hint)
                return text()
            case "label":
                if not isinstance(base.type, Text) or not base.type.labels:
                    hint = "put `label` where the code still has them, or give the property an `enum` with labels"
                    return self.fail(expression.at, "wrong-type", f"{base.words or 'this'} has no labels", hint)
                if self.labels.setdefault(expression.at, base.type.labels) != base.type.labels:
                    words = f"{base.words or 'this'} has other labels where the same partial is included elsewhere"
                    return self.fail(expression.at, "wrong-type", words, "put `label` before the include, with `set`")
                return text()
            case "pseudonym":
                (self.replaced if base.pseudonym else self.drawn).add(expression.at)
                if expression.at in self.replaced and expression.at in self.drawn:
                    words = f"{base.words or 'this'} is replaced by its pseudonym in one include and not in another"
                    return self.fail(
                        expression.at, "restricted", words, "put `pseudonym` before the include, with `set`"
                    )
                return replace(text("public"), paths=frozenset({(*path, "~") for path in base.paths}))
            case "plural" | "upper" | "lower" | "capitalize" | "title" | "trim":
                return text()
            case "replace":
                result = text()
                for argument in given.values():
                    value = self.value(argument)
                    if not isinstance(value.type, Text) and value.type is not _ANYTHING:
                        words = f"`replace` wants texts, {value.words or 'this'} is {_a(value.type)}"
                        return self.fail(argument.at, "wrong-type", words)
                    self._present(argument, value, "given to `replace`")
                    result = replace(
                        result,
                        nullable=result.nullable or (value.nullable and not self.strict),
                        classification=_higher(result.classification, value),
                        paths=result.paths | value.paths,
                    )
                return result
            case "abs":
                return self._computed(base, base.type)
            case "round":
                type_: Type = base.type
                digits = given.get("precision")
                if isinstance(digits, syntax.Literal) and int(digits.value or 0) > MAX_DIGITS:
                    return self.fail(digits.at, "wrong-type", f"`round` takes 0 to {MAX_DIGITS} digits")
                if isinstance(base.type, Decimal):
                    places = int(digits.value or 0) if isinstance(digits, syntax.Literal) else 0
                    type_ = Decimal(38, min(places, base.type.scale))
                return self._computed(base, type_)
            case "int":
                return self._computed(base, Integer())
            case _:
                return self._of_list(expression, base, given)

    def _computed(self, base: Value, type_: Type) -> Value:
        return Value(type_, base.nullable, base.classification, base.paths, words=base.words)

    def _date(self, expression: syntax.Filter, given: Mapping[str, Expression], text: Value) -> Value:
        pattern = given.get("format")
        if isinstance(pattern, syntax.Literal):
            rest = DATE_CODE.sub("", str(pattern.value))
            if "%" in rest:
                met = rest[rest.index("%") : rest.index("%") + 2]
                words = f"'{met}' is no part of a date format"
                return self.fail(pattern.at, "wrong-type", words, f"known: {' '.join(DATE_CODES)}")
        return text

    def _of_list(self, expression: syntax.Filter, base: Value, given: Mapping[str, Expression]) -> Value:
        if isinstance(base.type, Text):  # `length` of a text
            return Value(Integer(), base.nullable, "public", base.paths)
        assert isinstance(base.type, Array)
        item = self._item(expression, base, given)
        if item.type is _ANYTHING:
            return item
        name = expression.name
        maybe_empty = not isinstance(expression.base, syntax.ListOf)
        whole = Value(
            Array(base.type.item), base.nullable, base.classification, base.paths, where=base.where, words=base.words
        )
        match name:
            case "length":
                if base.where:
                    return Value(Integer(), base.nullable, "public", frozenset({(*base.where, "#")}))
                return Value(Integer(), base.nullable, "public", base.paths)
            case "first" | "last":
                inner = base.type.item
                return Value(
                    inner.type,
                    maybe_empty or inner.nullable,
                    _higher(inner.classification, base),
                    base.paths,
                    where=base.where,
                    words=f"the {name} of {base.words or 'this list'}",
                )
            case "min" | "max":
                self._ordered(expression, item)
                inner = base.type.item
                if "attribute" in given:
                    return Value(
                        inner.type,
                        maybe_empty or inner.nullable,
                        base.classification,
                        base.paths,
                        where=base.where,
                        words=_LEAST[name],
                    )
                return Value(item.type, maybe_empty, item.classification, item.paths, words=_LEAST[name])
            case "sum":
                if not isinstance(item.type, NUMBERS):
                    words = f"`sum` wants numbers, {item.words or 'an item'} is {_a(item.type)}"
                    return self.fail(expression.at, "wrong-type", words, "name a property with attribute=")
                self._whole_items(expression, item, "summed")
                type_: Type = Decimal(38, item.type.scale) if isinstance(item.type, Decimal) else item.type
                if not isinstance(type_, Integer):
                    self.casts[expression.at, "Filter"] = type_
                return Value(type_, base.nullable, item.classification, item.paths)
            case "join" | "listing":
                if self._whole_items(expression, item, "joined to a text"):
                    self._text(expression, item)
                return Value(Text(), base.nullable, item.classification, item.paths)
            case "map":
                return Value(
                    Array(Field(item.type, item.nullable, item.classification)),
                    base.nullable,
                    item.classification,
                    item.paths,
                    where=item.where,
                    words=item.words,
                )
            case "selectattr" | "rejectattr":
                self._selected(expression, item, given)
                return replace(whole, type=Array(self._kept(expression, base.type.item, given)))
            case "sort":
                self._ordered(expression, item)
                return whole
            case "unique":
                if isinstance(item.type, Array | Struct | Float | Null):
                    words = f"{item.words} is {_a(item.type)}, `unique` wants what can equal another"
                    return self.fail(expression.at, "wrong-type", words, "name a property with attribute=")
                self._whole_items(expression, item, "compared")
                return whole
            case _:  # pragma: no cover - the table of filters is closed
                raise AssertionError(name)

    def _item(self, expression: syntax.Filter, base: Value, given: Mapping[str, Expression]) -> Value:
        """What the filter looks at in each item: the item, or the property that `attribute` names."""
        assert isinstance(base.type, Array)
        inner = base.type.item
        item = Value(
            inner.type,
            inner.nullable,
            _higher(inner.classification, base),
            base.paths,
            where=base.where,
            words="an item",
        )
        attribute = given.get("attribute")
        if attribute is None:
            return item
        assert isinstance(attribute, syntax.Literal)
        for step in str(attribute.value).split("."):
            if not isinstance(item.type, Struct):
                words = f"{item.words} is {_a(item.type)} and has no property '{step}'"
                return self.fail(attribute.at, "wrong-type", words)
            found = item.type.fields.get(step)
            if found is None:
                words = f"the rows have no property '{step}'"
                return self.fail(attribute.at, "unknown-name", words, nearest(step, item.type.fields))
            if isinstance(found, Hidden):
                return self.fail(attribute.at, found.rule, found.words, found.hint)
            where = (*item.where, step) if item.where else None
            if where:
                self.reads.add(where)
            item = Value(
                found.type,
                found.nullable or item.nullable,
                _higher(found.classification, item),
                frozenset({where}) if where else item.paths,
                where=where,
                words=f"'{step}'",
            )
        return item

    def _ordered(self, expression: syntax.Filter, item: Value) -> None:
        if isinstance(item.type, Array | Struct | Boolean | Null):
            words = f"{item.words} is {_a(item.type)} and has no order"
            self.fail(expression.at, "wrong-type", words, "name a property with attribute=")
        elif item.nullable:
            words = f"{item.words} may be null, which has no order"
            self.fail(expression.at, "may-be-null", words, self._without_nulls(expression, item))

    def _whole_items(self, expression: syntax.Filter, item: Value, doing: str) -> bool:
        """In a template, no item may be null; an expression leaves null items to the engine."""
        if not (self.strict and item.nullable) or isinstance(item.type, Null):
            return True
        words = f"{item.words} may be null and is {doing}"
        self.fail(expression.at, "may-be-null", words, self._without_nulls(expression, item))
        return False

    def _without_nulls(self, expression: syntax.Filter, item: Value) -> str:
        name = f'"{item.words[1:-1]}"' if item.words.startswith("'") else "…"
        return f'leave those out first with `rejectattr({name}, "none")`'

    def _kept(self, expression: syntax.Filter, inner: Field, given: Mapping[str, Expression]) -> Field:
        """What stands in the list that a selection leaves: a property that passed a test is not null."""
        attribute, test = given["attribute"], given.get("test")
        assert isinstance(attribute, syntax.Literal)
        name = str(test.value) if isinstance(test, syntax.Literal) else "true"
        if expression.name == "rejectattr":
            there = name == "none" or _COMPARING.get(name) == "!="
        else:
            there = name not in ("none", "defined") and _COMPARING.get(name) != "!="
        return _there(inner, str(attribute.value).split(".")) if there else inner

    def _selected(self, expression: syntax.Filter, item: Value, given: Mapping[str, Expression]) -> None:
        test = given.get("test")
        if test is None:
            return
        assert isinstance(test, syntax.Literal)
        if test.value in ("none", "true", "false", "defined"):
            if test.value in ("true", "false") and not isinstance(item.type, Boolean):
                words = f"{item.words} is {_a(item.type)}, not true or false"
                self.fail(test.at, "wrong-type", words)
            if "value" in given:
                self.fail(given["value"].at, "wrong-type", f"the test '{test.value}' takes no value")
            return
        if test.value not in _COMPARING:
            words = f"there is no test '{test.value}' for rows"
            self.fail(test.at, "outside-language", words, nearest(str(test.value), [*_COMPARING, "none", "true"]))
            return
        argument = given.get("value")
        if argument is None:
            self.fail(expression.at, "wrong-type", f"the test '{test.value}' wants a value")
            return
        value = self._present(argument, self.value(argument), "compared")
        wanted = value.type
        if test.value == "in":
            if not isinstance(value.type, Array):
                self.fail(argument.at, "wrong-type", "'in' wants a list")
                return
            wanted = value.type.item.type
        elif item.nullable and _COMPARING[str(test.value)] not in ("==", "!="):
            words = f"{item.words} may be null, which has no order"
            self.fail(expression.at, "may-be-null", words, self._without_nulls(expression, item))
        if value.type is not _ANYTHING and not _comparable(item.type, wanted, _COMPARING[str(test.value)]):
            words = f"{item.words} is {_a(item.type)} and cannot be compared with {_a(wanted)}"
            self.fail(argument.at, "wrong-type", words)


# Filters that give null for null, and a value for a value.
_PASSING_NULL = frozenset(
    {"number", "percent", "date", "plural", "duration", "label", "pseudonym", "upper", "lower", "capitalize", "title"}
    | {"trim", "abs", "int", "round"}
)
_ANYTHING = Null()  # what a failed part gives: no second finding comes of it
_PUBLIC: Classification = "public"
_LOOP = Value(
    Struct(
        {name: Field(Integer()) for name in ("index", "index0", "revindex", "revindex0", "length")}
        | {name: Field(Boolean()) for name in ("first", "last")}
    ),
    words="'loop'",
)
_LEAST = {"min": "the smallest", "max": "the largest"}
_LOOP_HINT = "print one of its properties: loop.index, loop.first, loop.last, loop.length, …"
_NO_LOOP = Hidden("unknown-name", "a partial does not see the 'loop' of its template", "pass it on with `set` before")


def joined_type(left: Type, right: Type) -> Type | None:
    """The one type of two values that stand for each other; None when there is none."""
    match left, right:
        case (Null(), other) | (other, Null()):
            return other
        case (Text(), Text()):
            shared = left.labels.keys() & right.labels.keys()
            if any(left.labels[code] != right.labels[code] for code in shared):
                return Text()  # a code that is called two things has no label
            return Text({**left.labels, **right.labels})
        case (Decimal(), Decimal()):
            return Decimal(38, max(left.scale, right.scale)) if left.scale == right.scale else Float()
        case (Struct(), Struct()):
            if left == right:
                return left
            if left.fields.keys() != right.fields.keys() or left.origin != right.origin:
                return None
            fields = {name: _joined_field(found, right.fields[name]) for name, found in left.fields.items()}
            known = {name: found for name, found in fields.items() if found is not None}
            return Struct(known, left.origin) if len(known) == len(fields) else None
        case (Array(), Array()):
            item = None if mixed(left.item.type, right.item.type) else _joined_field(left.item, right.item)
            return Array(item) if isinstance(item, Field) else None
        case _ if type(left) is type(right):
            return left
        case _ if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
            return Float()
        case _:
            return None


def mixed(left: Type, right: Type) -> bool:
    """Whether two numbers of different kinds stand for each other, so that both have to become floats."""
    numbers = isinstance(left, NUMBERS) and isinstance(right, NUMBERS)
    both = isinstance(left, Float) and isinstance(right, Float)
    return numbers and not both and isinstance(joined_type(left, right), Float)


def _joined_field(left: "Field | Hidden", right: "Field | Hidden") -> "Field | Hidden | None":
    if isinstance(left, Hidden) or isinstance(right, Hidden):
        return left if isinstance(left, Hidden) else right
    type_ = joined_type(left.type, right.type)
    if type_ is None:
        return None
    return Field(
        type_,
        left.nullable or right.nullable or isinstance(left.type, Null) or isinstance(right.type, Null),
        max(left.classification, right.classification, key=_RANK.__getitem__),
        left.unit,
        left.pseudonym and right.pseudonym,
        left.implies if left.implies == right.implies else (),
    )


def _there(place: Field, steps: Sequence[str]) -> Field:
    """A place whose property along `steps` is known not to be null, nor the rows on the way."""
    if steps and isinstance(place.type, Struct) and isinstance(found := place.type.fields.get(steps[0]), Field):
        fields = {**place.type.fields, steps[0]: _there(found, steps[1:])}
        place = replace(place, type=Struct(fields, place.type.origin))
    return replace(place, nullable=False)


def arithmetic_type(operator: str, left: Type, right: Type) -> Type:
    """Exact where it can be: `/` is always a float, decimals stay exact under + - *, a float makes a float."""
    if operator == "/" or isinstance(left, Float) or isinstance(right, Float):
        return Float()
    if isinstance(left, Integer) and isinstance(right, Integer):
        return Integer()
    scales = [operand.scale if isinstance(operand, Decimal) else 0 for operand in (left, right)]
    if operator == "*":
        return Decimal(38, min(sum(scales), 37))
    return Decimal(38, max(scales))


def _comparable(left: Type, right: Type, operator: str) -> bool:
    if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
        return True
    if isinstance(left, MOMENTS) and isinstance(right, MOMENTS):
        return True
    if isinstance(left, Text) and isinstance(right, Text):
        return True
    return isinstance(left, Boolean) and isinstance(right, Boolean) and operator in ("==", "!=")


def _higher(classification: Classification, value: Value) -> Classification:
    return max(classification, value.classification, key=_RANK.__getitem__)


def _parents(known: str) -> frozenset[str]:
    """A property that is there is the property of a row that is there."""
    parts = known.split(".")
    return frozenset(".".join(parts[:length]) for length in range(1, len(parts)))


def _spelled(expression: Expression) -> str | None:
    match expression:
        case syntax.Name():
            return expression.name
        case syntax.Attribute():
            base = _spelled(expression.base)
            return f"{base}.{expression.name}" if base else None
        case _:
            return None


def _guard(value: Value, expression: Expression) -> str:
    """What to write so that a value is known to be there."""
    name = _spelled(expression)
    if name is None:
        return "give it a name with `set` and guard that, or add `| default(…)`"
    return (
        f"guard it with `if {name}`"
        if isinstance(value.type, Struct)
        else (f"guard it with `if {name} is not none`, or add `| default(…)`")
    )


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _a(type_: Type) -> str:
    """A type as a finding speaks of it."""
    spoken = {
        Text: "a text",
        Integer: "an integer",
        Decimal: "a decimal",
        Float: "a float",
        Boolean: "true or false",
        Date: "a date",
        Timestamp: "a timestamp",
        Null: "none",
        Struct: "a row",
        Array: "a list",
    }
    return spoken[type(type_)]
