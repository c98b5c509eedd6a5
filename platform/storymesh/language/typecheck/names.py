"""Names, properties and calls of filters: what they stand for, and what the facts behind them say of other values."""

from collections.abc import Iterator
from dataclasses import replace

from storymesh.errors import suggest_name
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.filters.base import CheckedCall, Filter
from storymesh.language.filters.registry import FILTERS
from storymesh.language.jinja_names import instead_of_filter, instead_of_loop_part
from storymesh.language.static_values import (
    ANYTHING,
    Path,
    StaticValue,
    a_kind,
    counted,
    higher,
    parents_of,
)
from storymesh.language.typecheck.base import TypeCheckerBase
from storymesh.language.typecheck.scope import Fact, Guards, dotted_name, guard_for
from storymesh.language.types import (
    MOMENTS,
    Array,
    Boolean,
    Field,
    Hidden,
    Integer,
    Json,
    Struct,
)

LOOP = StaticValue(
    Struct(
        {name: Field(Integer(), nonzero=True) for name in ("index", "revindex", "length")}
        | {name: Field(Integer()) for name in ("index0", "revindex0")}
        | {name: Field(Boolean()) for name in ("first", "last")}
    ),
    words="'loop'",
)
JSON_HINT = "its contract does not say what is in it: describe it there, under `properties` or `items`"
MOMENT_HINT = 'print a part of it with `| date("%Y")`; of two moments `a - b` is the seconds between them'
NO_LOOP_HERE = "it stands inside a loop, not in its `if`, which chooses what is counted: write `{% if loop.… %}` inside"
LOOP_HINT = "print one of its properties: loop.index, loop.first, loop.last, loop.length, …"


class NameChecker(TypeCheckerBase):
    """The part of the checker that knows names, properties, filters and facts."""

    def _noted(self, expression: Expression, value: StaticValue) -> StaticValue:
        parts = map(id, _parts_of_value(expression))
        if _is_written(expression) or any(self.static[part].written for part in parts if part in self.static):
            value = replace(value, written=True)
        self.static[id(expression)] = value
        return value

    def _name(self, expression: ast.Name) -> StaticValue:
        name = expression.name
        found: StaticValue | Hidden | Field | Fact | None = self.variables.get(name)
        if found is None:
            found = self.scope.get(name)
            if found is not None:
                self.names.add(name)
        match found:
            case None:
                hint = NO_LOOP_HERE if name == "loop" else suggest_name(name, [*self.scope, *self.variables])
                return self.fail(expression.at, "unknown-name", f"unknown name '{name}'", hint)
            case Hidden():
                return self.fail(expression.at, found.rule, found.words, found.hint)
            case StaticValue() if found is LOOP:
                return self.fail(expression.at, "wrong-type", "'loop' is no value of its own", LOOP_HINT)
            case StaticValue():
                value = found
            case Fact():
                present, when_true, when_false = self._guards(name, found.expression)
                value = self._of_field(found.field, name, (name,))
                value = replace(value, when_present=present, when_true=present | when_true, when_false=when_false)
                value = replace(value, written=self.written[name])
                self.reads.add((name,))
            case Field():
                value = self._of_field(found, name, (name,))
                if not isinstance(found.type, Struct | Array):
                    self.reads.add((name,))
        return self.narrowed(value)

    def _is_loop(self, expression: Expression) -> bool:
        return isinstance(expression, ast.Name) and self.variables.get(expression.name) is LOOP

    def _of_field(self, found: Field, name: str, path: Path) -> StaticValue:
        return StaticValue(
            found.type,
            found.nullable,
            found.classification,
            frozenset({path}),
            name,
            counted=frozenset({path}) if isinstance(found.type, Array) else frozenset(),
            pseudonym=found.pseudonym,
            words=f"'{name}'",
            codes=found.codes,
            nonzero=found.nonzero,
        )

    def _guards(self, name: str, expression: Expression) -> Guards:
        """Return what a guard on a fact guards of what the fact reads."""
        if name not in self.guards:
            # A fact reads earlier ones only: from top to bottom, a long chain of them needs no deep recursion.
            for earlier, found in self.scope.items():
                if earlier == name:
                    break
                if isinstance(found, Fact):
                    self._guards(earlier, found.expression)
            quiet = type(self)(self.scope, strict=False)
            quiet.guards = self.guards  # of facts that read facts, each is looked at once
            quiet.written = self.written
            value = quiet.test(expression)
            self.written[name] = quiet.static[id(expression)].written
            self.guards[name] = (self._implied(expression), value.when_true, value.when_false)
        return self.guards[name]

    def _implied(self, expression: Expression) -> frozenset[str]:
        """Return what cannot be null when the (propagating) expression is not null."""
        match expression:
            case ast.Name() | ast.Attribute():
                known = dotted_name(expression)
                if known is None:
                    return frozenset()
                fact = self.scope.get(known)
                further = self._guards(known, fact.expression)[0] if isinstance(fact, Fact) else frozenset()
                return frozenset({known}) | parents_of(known) | further
            case ast.FilterCall() if FILTERS[expression.name].propagates_null:
                return self._implied(expression.base)
            case ast.Arithmetic() | ast.Compare():
                return self._implied(expression.left) | self._implied(expression.right)
            case ast.Negate():
                return self._implied(expression.operand)
            case _:
                return frozenset()

    def _attribute(self, expression: ast.Attribute, *, may_be_absent: bool = False) -> StaticValue:
        base = self._base(expression.base, may_be_absent)
        if base.type is ANYTHING:
            return base
        if isinstance(base.type, Array):
            hint = "loop over it, or take one with `first` or `last`"
            return self.fail(expression.at, "wrong-type", f"{base.words or 'this'} is a list of rows", hint)
        if not isinstance(base.type, Struct):
            words = f"{base.words or 'this'} is {a_kind(base.type)} and has no property '{expression.name}'"
            hint = JSON_HINT if isinstance(base.type, Json) else MOMENT_HINT if isinstance(base.type, MOMENTS) else ""
            return self.fail(expression.at, "wrong-type", words, hint)
        found = base.type.fields.get(expression.name)
        path_text = f"{base.words.strip(chr(39))}.{expression.name}" if base.words else expression.name
        if found is None:
            words = f"{base.words or 'this'} has no property '{expression.name}'"
            instead = instead_of_loop_part(expression.name) if base.type is LOOP.type else None
            hint = instead or suggest_name(expression.name, base.type.fields)
            return self.fail(expression.at, "unknown-name", words, hint)
        if isinstance(found, Hidden):
            return self.fail(expression.at, found.rule, found.words, found.hint)
        if self.strict and base.nullable and not may_be_absent:
            words = f"{base.words or 'this'} may be absent and is used unguarded"
            self.fail(expression.base.at, "may-be-absent", words, guard_for(base, expression.base))
        known_as = f"{base.known_as}.{expression.name}" if base.known_as else None
        paths = frozenset((*path, expression.name) for path in base.paths)
        self.reads |= paths
        value = StaticValue(
            found.type,
            found.nullable or (base.nullable and (may_be_absent or not self.strict)),
            higher(found.classification, base),
            paths,
            known_as,
            counted=paths if isinstance(found.type, Array) else frozenset(),
            pseudonym=found.pseudonym,
            words=f"'{path_text}'",
            when_true=frozenset(f"{base.known_as}.{name}" for name in found.implies if base.known_as),
            codes=found.codes,
            nonzero=found.nonzero,
        )
        return self.narrowed(value)

    def _base(self, expression: Expression, may_be_absent: bool) -> StaticValue:
        if self._is_loop(expression):
            return self._noted(expression, LOOP)
        return self.value_or_absent(expression) if may_be_absent else self.value(expression)

    def filter_result(self, node: ast.FilterCall) -> StaticValue:
        """Return what is known of a filter's result, or raise findings."""
        filter_ = FILTERS.get(node.name)
        if filter_ is None:
            hint = instead_of_filter(node.name) or suggest_name(node.name, FILTERS)
            return self.fail(node.at, "outside-language", f"there is no filter `{node.name}`", hint)
        base = self.value_or_absent(node.base) if filter_.takes_null else self.value(node.base)
        arguments = self._arguments(node, filter_)
        if arguments is None or base.type is ANYTHING:
            return StaticValue(ANYTHING)
        if filter_.accepts and not isinstance(base.type, filter_.accepts):
            words = f"{base.words or 'this'} is {a_kind(base.type)}, `{node.name}` wants {filter_.wants}"
            return self.fail(node.at, "wrong-type", words)
        if not filter_.takes_null:
            base = self.present(node.base, base, f"given to `{node.name}`", replaceable=not filter_.wants_property)
        return filter_.infer(CheckedCall(self, node, base, arguments))

    def blamable_parts(self, node: ast.FilterCall, value: StaticValue) -> tuple[Expression, ...]:
        return FILTERS[node.name].blamable_parts(node, value)

    def _arguments(self, node: ast.FilterCall, filter_: Filter) -> dict[str, Expression] | None:
        names = [parameter.name for parameter in filter_.parameters]
        placed = [parameter.name for parameter in filter_.parameters if not parameter.by_name]
        if len(node.arguments) > len(placed):
            words = f"`{node.name}` takes {counted(len(placed), 'argument')}"
            if len(placed) < len(names):
                words = f"the arguments of `{node.name}` are written with their names"
            self.fail(node.arguments[len(placed)].at, "wrong-type", words, filter_.usage)
            return None
        arguments: dict[str, Expression] = dict(zip(placed, node.arguments, strict=False))
        for name, argument in node.named:
            if name not in names or name in arguments:
                words = f"has the argument '{name}' twice" if name in arguments else f"has no argument '{name}'"
                self.fail(argument.at, "wrong-type", f"`{node.name}` {words}", filter_.usage)
                return None
            arguments[name] = argument
        for parameter in filter_.parameters:
            written = arguments.get(parameter.name)
            if written is None:
                if parameter.required:
                    words = f"`{node.name}` wants the argument '{parameter.name}'"
                    self.fail(node.at, "wrong-type", words, filter_.usage)
                    return None
            elif parameter.literal is not None:
                if not (isinstance(written, ast.Literal) and type(written.value) is parameter.literal):
                    words = f"'{parameter.name}' of `{node.name}` is written as {parameter.written}"
                    self.fail(written.at, "wrong-type", words, filter_.usage)
                    return None
                self.value(written)
        return arguments


def _is_written(expression: Expression) -> bool:
    """Return True for a text or a number that is written out, if it could name somebody."""
    match expression:
        case ast.Literal(value=str(text)):
            return any(map(str.isalnum, text))
        case ast.Literal(value=int() | float() as number):
            return not isinstance(number, bool)
        case _:
            return False


def _parts_of_value(expression: Expression) -> Iterator[Expression]:
    """Yield the parts of an expression that its value may be made of; a condition is none."""
    match expression:
        case ast.Concat(parts=parts) | ast.Choose(options=parts) | ast.ListLiteral(items=parts):
            yield from parts
        case ast.Conditional():
            yield from (expression.then, expression.otherwise)
        case ast.And() | ast.Or() | ast.Arithmetic():
            yield from (expression.left, expression.right)
        case ast.Negate():
            yield expression.operand
        case ast.FilterCall() if (filter_ := FILTERS.get(expression.name)) is not None:
            yield expression.base
            for name, argument in filter_.arguments_by_name(expression).items():
                if name != "attribute":  # names a property
                    yield argument
        case _:
            pass
