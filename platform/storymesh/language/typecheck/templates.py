"""What an expression or a template gives, by the types alone: before any data exists.

In a *template* a value that may be null must be guarded before it is printed or computed with. In an *expression* of a
YAML file null propagates as in SQL: a fact of a missing value is a missing fact. Guards narrow: inside
`if x is not none` the checker knows that x is present, also through `set`, `and`, `or`, inline `if` and loops.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar, get_args
from unicodedata import normalize

from storymesh.errors import DefinitionErrors, Finding
from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.locale_formats import ENGLISH
from storymesh.language.static_values import ANYTHING, Path, StaticValue, a_kind, higher, mixed
from storymesh.language.typecheck.expressions import ExpressionChecker
from storymesh.language.typecheck.names import LOOP
from storymesh.language.typecheck.scope import CheckedExpression, CheckedTemplate, Scope
from storymesh.language.types import (
    Array,
    Hidden,
)
from storymesh.location import Location

Node = TypeVar("Node")
_NODES = frozenset({*get_args(Expression), *get_args(Statement), Template})
MAX_INCLUDES = 8
MAX_NAMES = 500
MAX_STATEMENTS = 20_000  # over all includes, each counted as often as it is included
RESERVED = frozenset({"loop", "choose", "self", "super", "caller", "varargs", "kwargs", "none", "true", "false"})
NO_LOOP = Hidden("unknown-name", "a partial does not see the 'loop' of its template", "pass it on with `set` before")


def check_expression(expression: Expression, scope: Scope) -> CheckedExpression:
    """Return the typed tree of an expression in which null propagates. Raises DefinitionErrors with findings."""
    checker = TypeChecker(scope, strict=False)
    value = checker.value(expression)
    checker.raise_findings()
    tree = checker.typed(expression)
    return CheckedExpression(tree, value, frozenset(checker.names), frozenset(checker.reads), tuple(checker.warnings))


def check_template(
    template: Template,
    scope: Scope,
    partial: Callable[[str], Template | None],
    unprintable: Mapping[Path, Hidden] = MappingProxyType({}),
    locale: str = ENGLISH,
) -> CheckedTemplate:
    """Return the typed tree of a template, with its partials in it, and what it reads and prints.

    `partial` gives the template that an include names; `unprintable` are paths that may be read but not printed;
    `locale` is the language in which numbers, dates and lists are written. Raises DefinitionErrors with findings.
    """
    checker = TypeChecker(scope, strict=True, partial=partial, unprintable=unprintable, locale=locale)
    checker.stack.append(template.name)
    tree = checker.check_file(template)
    checker.raise_findings()
    prints = MappingProxyType(dict(checker.prints))
    return CheckedTemplate(tree, frozenset(checker.names), frozenset(checker.reads), prints)


class TypeChecker(ExpressionChecker):
    """The checker of one template or one expression."""

    def raise_findings(self) -> None:
        """Raise DefinitionErrors with what was found, if anything was."""
        if self.findings:
            raise DefinitionErrors(self.findings)

    def check_file(self, template: Template) -> Template:
        """Check a template or a partial, and return its typed tree for this place of inclusion."""
        outer = self.static, self.partials
        self.static, self.partials = {}, {}
        self.body(template.body)
        tree = self.typed(template)
        self.static, self.partials = outer
        return tree

    def typed(self, part: Node) -> Node:
        """Return a part of the tree in which each expression bears what was found of it, each include its partial."""
        if isinstance(part, tuple):
            return tuple(map(self.typed, part))  # type: ignore[return-value]
        if type(part) not in _NODES:
            return part
        tree = copy(part)
        fields = vars(tree)  # past what freezes it: to build each node by `replace` takes a fifth of a check
        for name, inner in fields.items():
            if isinstance(inner, tuple) or type(inner) in _NODES:
                fields[name] = self.typed(inner)
        if isinstance(part, ast.ExpressionNode):
            fields["static"] = self.static.get(id(part))
            if isinstance(part, ast.FilterCall):
                fields["locale"] = self.locale
        elif isinstance(part, ast.Include):
            fields["partial"] = self.partials.get(id(part))
        return tree

    def body(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self.statements += 1
            if self.statements > MAX_STATEMENTS:
                words = f"with its includes the template has more than {MAX_STATEMENTS:,} parts"
                raise DefinitionErrors(
                    [Finding(Location(statement.at.path), "too-large", words, "include less"), *self.findings]
                )
            match statement:
                case ast.TemplateText():
                    pass
                case ast.Output():
                    self.printed(statement.value, self.value(statement.value))
                case ast.Assign():
                    self._assign(statement)
                case ast.If():
                    self._if(statement)
                case ast.For():
                    self._for(statement)
                case ast.Include():
                    self._include(statement)

    def _assign(self, statement: ast.Assign) -> None:
        value = self.value(statement.value)
        self._free(statement.at, statement.name)
        if len(self.variables) >= MAX_NAMES:
            words = f"the template sets more than {MAX_NAMES:,} names"
            raise DefinitionErrors(
                [Finding(statement.at, "too-large", words, "set what is printed more than once"), *self.findings]
            )
        self.variables[statement.name] = self._renamed(value, statement.name)

    def _free(self, at: Location, name: str) -> None:
        if name in self.scope or name in RESERVED:
            self.fail(at, "reserved-name", f"'{name}' already has a meaning", "choose another name")
        elif normalize("NFKC", name) != name:
            self.fail(
                at, "reserved-name", f"'{name}' is written with letters that look like others", "use plain letters"
            )

    def _renamed(self, value: StaticValue, name: str) -> StaticValue:
        if value.known_as is None:
            self.counter += 1
            value = replace(value, known_as=f"{name}#{self.counter}")
        return replace(value, words=f"'{name}'")

    def _if(self, statement: ast.If) -> None:
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
        self,
        before: Mapping[str, StaticValue | Hidden],
        one: Mapping[str, StaticValue | Hidden],
        two: Mapping[str, StaticValue | Hidden],
    ) -> dict[str, StaticValue | Hidden]:
        merged: dict[str, StaticValue | Hidden] = {}
        for name in {**one, **two}:
            left, right = one.get(name), two.get(name)
            if left is not None and (left is right or left == right):
                merged[name] = left
            elif isinstance(left, StaticValue) and isinstance(right, StaticValue):
                joined = self.joined(left, right)
                if joined and mixed(left.type, right.type):
                    joined = None
                words = f"'{name}' is {a_kind(left.type)} in one branch and {a_kind(right.type)} in the other"
                merged[name] = (
                    self._renamed(joined, name) if joined else Hidden("wrong-type", words, "set another name")
                )
            else:
                hint = f"set '{name}' before the `if`, or in each branch"
                merged[name] = Hidden("unknown-name", f"'{name}' is set in one branch only", hint)
        return merged

    def _for(self, statement: ast.For) -> None:
        items = self.present(statement.items, self.value(statement.items), "looped over")
        item: StaticValue
        if isinstance(items.type, Array):
            inner = items.type.item
            classification = higher(inner.classification, items)
            counted = items.paths if isinstance(inner.type, Array) else frozenset()
            item = StaticValue(
                inner.type,
                inner.nullable,
                classification,
                items.paths,
                counted=counted,
                pseudonym=inner.pseudonym,
                written=items.written,
                codes=inner.codes,
                nonzero=inner.nonzero,
            )
        else:
            if items.type is not ANYTHING:
                words = f"{items.words or 'this'} is {a_kind(items.type)}, a loop wants a list"
                self.fail(statement.items.at, "wrong-type", words)
            item = StaticValue(ANYTHING)
        before, sure = dict(self.variables), self.sure
        self.counter += 1
        name = statement.target
        self._free(statement.at, name)
        self.variables[name] = replace(item, known_as=f"{name}#{self.counter}", words=f"'{name}'")
        if statement.test is not None:
            self.sure = sure | self.test(statement.test).when_true
        self.variables["loop"] = LOOP
        self.body(statement.body)
        self.variables, self.sure = dict(before), sure
        self.body(statement.otherwise)
        # What a loop sets ends with the loop, also in its `else`.
        self.variables = before

    def _include(self, statement: ast.Include) -> None:
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
            before = self.variables
            # Jinja gives a partial the names of its template but not `loop`, and takes none back.
            self.variables = {**before, "loop": NO_LOOP} if "loop" in before else dict(before)
            self.partials[id(statement)] = self.check_file(template)
            self.variables = before
            self.stack.pop()
