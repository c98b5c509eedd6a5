"""What a filter is: one object with its signature, type rule, meaning in Python and on an engine, and documentation.

The checker, the compiler, both interpreters and the reference read these objects; none of them knows a filter by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar

from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.locale_formats import LocaleFormats, locale_formats
from storymesh.language.sizes import ONE, PRINTED, ZERO, Polynomial, Size, constant, size_of_data
from storymesh.language.static_values import StaticValue
from storymesh.language.typecheck.base import TypeCheckerBase
from storymesh.language.types import Array, Text, Type

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall

MAX_DIGITS = 12


class Origins(Enum):
    """Which inputs of a filter its result comes from."""

    INPUTS = auto()  # the value and all arguments
    ITEMS = auto()  # items of the list as they are, each with its own origins
    PROPERTIES = auto()  # a property of each item
    ITEMS_OR_PROPERTIES = auto()  # each item, or with `attribute` a property of each
    COUNT = auto()  # how many items there are, not what stands in them
    FIRST_PRESENT = auto()  # the value, or the argument where the value is null
    PSEUDONYM = auto()  # the value, of which only the pseudonym is shown


class Overflow(Enum):
    """How a compiled filter shows a number that does not fit."""

    NEVER = auto()
    IN_TEXT = auto()  # null, or a text that contains UNPRINTABLE
    AS_NULL = auto()


@dataclass(frozen=True)
class Parameter:
    """One argument of a filter. With `literal` it has to be written out, so that the checker can read it."""

    name: str
    required: bool = False
    literal: type | None = None
    by_name: bool = False  # Jinja has another argument in this place, so it is always written with its name

    @property
    def written(self) -> str:
        return {int: "a whole number", str: "a text in quotes", bool: "true or false"}[self.literal or str]


@dataclass(frozen=True)
class CheckedCall:
    """A call of a filter that is being checked: what it is applied to, and its arguments by name."""

    checker: TypeCheckerBase
    node: ast.FilterCall
    base: StaticValue
    arguments: Mapping[str, Expression]

    def literal(self, name: str) -> ast.Literal | None:
        """Return an argument that is written out, or None where it is left out."""
        argument = self.arguments.get(name)
        return argument if isinstance(argument, ast.Literal) else None

    @property
    def formats(self) -> LocaleFormats:
        """The formats of the language that the text is in."""
        return locale_formats(self.checker.locale)

    def fail(self, words: str, hint: str = "", at: Expression | None = None, rule: str = "wrong-type") -> StaticValue:
        """Raise a finding at the filter, or at one of its arguments."""
        return self.checker.fail((at or self.node).at, rule, words, hint)

    def result(self, type_: Type) -> StaticValue:
        """Return a value of a type, which is null where the base is and as secret as the base."""
        base = self.base
        return StaticValue(type_, base.nullable, base.classification, base.paths, words=base.words)

    def require_digits(self, name: str, words: str) -> StaticValue | None:
        """Raise a finding where an argument is more digits than the language prints."""
        digits = self.literal(name)
        return self.fail(words, at=digits) if digits is not None and int(digits.value or 0) > MAX_DIGITS else None


@dataclass(frozen=True)
class SizedCall:
    """A checked call whose cost is bounded: how large its value and its arguments may be."""

    node: ast.FilterCall
    base: Size
    arguments: Mapping[str, Expression]
    sizes: Mapping[str, Size]

    def literal(self, name: str) -> str | None:
        """Return a text that is written out as an argument, None where there is none."""
        argument = self.arguments.get(name)
        return argument.value if isinstance(argument, ast.Literal) and isinstance(argument.value, str) else None


class Filter(ABC):
    """One filter. `accepts` are the types that it works on (none: any), `wants` calls them in a finding; `example` is
    an expression and what it prints."""

    name: ClassVar[str]
    accepts: ClassVar[tuple[type, ...]] = ()
    wants: ClassVar[str]
    summary: ClassVar[str]
    example: ClassVar[tuple[str, str]]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    origins: ClassVar[Origins] = Origins.INPUTS
    overflow: ClassVar[Overflow] = Overflow.NEVER
    takes_null: ClassVar[bool] = False  # the value may be null, also because its row is absent
    propagates_null: ClassVar[bool] = False  # it gives null for null, and a value for a value
    wants_property: ClassVar[bool] = False  # its value is a property's own, for which no `default` may stand in
    keeps_unprintable: ClassVar[bool] = False  # compiled, UNPRINTABLE in its value stays in its text
    builds_text: ClassVar[bool] = False  # its text may be longer than its value, so it counts for `language.bounds`
    needs_key: ClassVar[bool] = False  # `evaluate` takes the key of the pseudonyms as `key`
    in_locale: ClassVar[bool] = False  # `evaluate` takes the language that the text is written in after the value

    @abstractmethod
    def infer(self, call: CheckedCall) -> StaticValue:
        """Return what is known of the result, or raise findings."""

    @abstractmethod
    def evaluate(self, value: Any, /, *arguments: Any, **named: Any) -> Any:
        """Return the result for a value of Python: the definition of the filter."""

    @abstractmethod
    def compile(self, call: "CompiledCall") -> "ir.Value":
        """Return the result as an ibis expression."""

    def bound_arguments(self, node: ast.FilterCall) -> tuple[Any, ...]:
        """Return what `evaluate` takes, ahead of the written arguments, from the typed tree."""
        return (node.locale,) if self.in_locale else ()

    def is_identity(self, node: ast.FilterCall) -> bool:
        """Return True where the filter leaves its value as it is."""
        return False

    def result_cast(self, node: ast.FilterCall) -> Type | None:
        """Return the type of number to which the interpreter casts the result, if it has to."""
        return None

    def blamable_parts(self, node: ast.FilterCall, value: StaticValue) -> tuple[Expression, ...]:
        """Return the parts of a call that a finding about its result may be about."""
        return (node.base, *node.arguments, *(argument for _, argument in node.named))

    def estimate_size(self, call: SizedCall) -> Size:
        """Return how large the result may be: as large as the value, if both are lists, or both texts."""
        kind = call.node.typed.type
        if isinstance(kind, Array):
            return call.base
        if isinstance(kind, Text):
            longest = call.base.characters
            return Size(ONE, longest if longest.terms else size_of_data(call.node.typed).characters)
        return Size(ONE, constant(PRINTED))

    def estimate_steps(self, call: SizedCall) -> Polynomial:
        """Return how many steps it takes beside the call itself."""
        return ZERO

    @property
    def usage(self) -> str:
        """How it is written."""
        inner = ", ".join(
            parameter.name + ("" if parameter.required and not parameter.by_name else "=…")
            for parameter in self.parameters
        )
        return f"{self.name}({inner})" if inner else self.name

    def arguments_by_name(self, node: ast.FilterCall) -> dict[str, Expression]:
        """Return the arguments of a call that was checked."""
        placed = [parameter.name for parameter in self.parameters if not parameter.by_name]
        return {**dict(zip(placed, node.arguments, strict=False)), **dict(node.named)}


class TextFilter(Filter):
    """A filter that gives a text for one value."""

    wants = "a text"
    accepts: ClassVar[tuple[type, ...]] = (Text,)
    propagates_null = True
    keeps_unprintable = True

    def infer(self, call: CheckedCall) -> StaticValue:
        return replace(call.result(Text()), codes=self.codes(call))

    def codes(self, call: CheckedCall) -> frozenset[str | int | float] | None:
        """Return all texts that it can give, where those that it is given are known."""
        return None
