"""Filters of lists: length, first, last, sum, min, max, join, listing, map, sort and unique."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal as Exact
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar

from storymesh.language import ast
from storymesh.language.evaluate import EXACT, as_text, int64
from storymesh.language.filters.base import CheckedCall, Origins, Overflow, Parameter, SizedCall
from storymesh.language.filters.items import ATTRIBUTE, ATTRIBUTE_BY_NAME, ListFilter, property_of, sort_key
from storymesh.language.filters.order import end_in_order, folded, in_order
from storymesh.language.locale_formats import locale_formats
from storymesh.language.sizes import (
    ONE,
    PRINTED,
    ZERO,
    Polynomial,
    Size,
    constant,
    distinct_values,
    most_characters,
    size_of_data,
)
from storymesh.language.static_values import StaticValue, a_kind
from storymesh.language.types import (
    NUMBERS,
    Array,
    Decimal,
    Float,
    Integer,
    Null,
    Struct,
    Text,
    Type,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall


class LengthFilter(ListFilter):
    name = "length"
    accepts = (Text, Array)
    wants = "a text or a list"
    summary = "how many"
    example = ('["a", "b"] | length', "2")
    origins = Origins.COUNT

    def infer(self, call: CheckedCall) -> StaticValue:
        return call.result(Integer()) if isinstance(call.base.type, Text) else super().infer(call)

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        # Of rows no more is known than how many there are; of some that are written out, that is no fact.
        if call.base.counted or isinstance(item.type, Array | Struct):
            counted = frozenset((*path, "#") for path in call.base.counted)
            return StaticValue(Integer(), call.base.nullable, "public", counted)
        return call.result(Integer())

    def estimate_steps(self, call: SizedCall) -> Polynomial:
        return ZERO

    def evaluate(self, items: Any, /) -> int:
        return len(items)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        return call.base.length().cast("int64")


class EndOfList(ListFilter):
    """The first or the last item."""

    index: ClassVar[int]
    origins = Origins.ITEMS

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        base = call.base
        maybe_empty = not isinstance(call.node.base, ast.ListLiteral)
        return replace(
            item,
            nullable=maybe_empty or item.nullable,
            counted=base.paths if isinstance(item.type, Array) else frozenset(),
            words=f"the {self.name} of {base.words or 'this list'}",
        )

    def estimate_steps(self, call: SizedCall) -> Polynomial:
        return ZERO

    def evaluate(self, items: list[Any], /) -> Any:
        return items[self.index] if items else None

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        return dialect.item_at(call.base, self.index)


class FirstFilter(EndOfList):
    name = "first"
    summary = "the first item, null if there is none"
    example = ('["a", "b"] | first', "a")
    index = 0


class LastFilter(EndOfList):
    name = "last"
    summary = "the last item, null if there is none"
    example = ('["a", "b"] | last', "b")
    index = -1


class SumFilter(ListFilter):
    name = "sum"
    wants = "a list of numbers"
    summary = "the sum"
    example = ("[1, 2] | sum", "3")
    parameters = (ATTRIBUTE,)
    origins = Origins.ITEMS_OR_PROPERTIES
    overflow = Overflow.AS_NULL

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        if not isinstance(item.type, NUMBERS):
            words = f"`sum` wants numbers, {item.words or 'an item'} is {a_kind(item.type)}"
            return call.fail(words, "name a property with attribute=")
        self.require_present_items(call, item, "summed")
        type_: Type = Decimal(38, item.type.scale) if isinstance(item.type, Decimal) else item.type
        return StaticValue(type_, call.base.nullable, item.classification, item.paths)

    def evaluate(self, items: list[Any], /, attribute: str | None = None) -> Any:
        """Return the sum from left to right; integers stay within 64 bits, decimals are exact."""
        values: list[Any] = [property_of(item, attribute) for item in items]
        if any(isinstance(value, Exact) for value in values):
            return reduce(EXACT.add, values)
        added = sum(values, 0)
        return int64(added) if isinstance(added, int) else added

    def result_cast(self, node: ast.FilterCall) -> Type | None:
        # Of no item there is none to take the kind of number from.
        return None if node.static is None or isinstance(node.static.type, Integer) else node.static.type

    def compile(self, call: "CompiledCall") -> "ir.Value":
        import ibis

        from storymesh.engine import dialect
        from storymesh.language.compile.arithmetic import sum_type

        values = call.looked_at_items()
        kind = values.type().value_type
        added = values.sums().coalesce(ibis.literal(0).cast(kind))
        return dialect.sum_int64(added) if kind.is_integer() else added.cast(sum_type(kind))


class Extreme(ListFilter):
    """The smallest or the largest item."""

    parameters = (ATTRIBUTE_BY_NAME,)
    origins = Origins.ITEMS
    called: ClassVar[str]
    largest: ClassVar[bool]

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        self.require_order(call, item)
        maybe_empty = not isinstance(call.node.base, ast.ListLiteral)
        if "attribute" not in call.arguments:
            return replace(item, nullable=maybe_empty, words=self.called)
        assert isinstance(call.base.type, Array)
        inner = call.base.type.item
        return StaticValue(
            inner.type, maybe_empty or inner.nullable, call.base.classification, call.base.paths, words=self.called
        )

    def evaluate(self, items: list[Any], /, attribute: str | None = None) -> Any:
        return (max if self.largest else min)(items, key=sort_key(attribute), default=None)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        if call.literal("attribute") is None and not call.base.type().value_type.is_string():
            return call.base.maxs() if self.largest else call.base.mins()
        return end_in_order(call, reverse=self.largest, last=False)


class MinFilter(Extreme):
    name = "min"
    summary = "the smallest item (by a property)"
    example = ("[2, 1] | min", "1")
    called = "the smallest"
    largest = False


class MaxFilter(Extreme):
    name = "max"
    summary = "the largest item (by a property)"
    example = ("[2, 1] | max", "2")
    called = "the largest"
    largest = True


class Joined(ListFilter):
    """A filter that gives the items of a list in one text."""

    builds_text = True

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        if self.require_present_items(call, item, "joined to a text"):
            call.checker.text(call.node, item)
        return StaticValue(Text(), call.base.nullable, item.classification, item.paths)

    def estimate_size(self, call: SizedCall) -> Size:
        between = most_characters(call.sizes.values()) + constant(len(", ") + len(" and "))
        item = call.base.characters
        if not item.terms:  # of a row, what is joined of it
            item = size_of_data(call.node.typed).characters + constant(PRINTED)
        return Size(ONE, call.base.items * (item + between))


class JoinFilter(Joined):
    name = "join"
    summary = "the items in one text"
    example = ('["a", "b"] | join("/")', "a/b")
    parameters = (Parameter("separator", literal=str), ATTRIBUTE)
    origins = Origins.ITEMS_OR_PROPERTIES

    def evaluate(self, items: list[Any], /, separator: str = "", attribute: str | None = None) -> str:
        return separator.join(as_text(property_of(item, attribute)) for item in items)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        texts = dialect.map_items(call.looked_at_items(), call.compiler.item_text)
        return texts.join(call.literal("separator", "")).fill_null("")


class ListingFilter(Joined):
    name = "listing"
    in_locale = True
    summary = "items with commas and a word before the last, as the language has them"
    example = ('["a", "b", "c"] | listing', "a, b and c")
    parameters = (Parameter("last", literal=str),)

    def evaluate(self, items: Iterable[Any], locale: str, /, last: str | None = None) -> str:
        return locale_formats(locale).list_items([as_text(item) for item in items], last)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        import ibis

        from storymesh.engine import dialect

        texts = dialect.map_items(call.base, call.compiler.item_text)
        count = texts.length()
        formats, last = call.formats, call.literal("last")
        end, pair = formats.between(last), formats.pair_separator
        most = texts[: count - 1].join(formats.separator)
        return ibis.cases(
            (count == 0, ibis.literal("")),
            (count == 1, texts[0]),
            *([(count == 2, texts[0].concat(pair, texts[1]))] if last is None and pair != end else []),
            else_=most.concat(end, dialect.item_at(texts, -1)),
        )


class MapFilter(ListFilter):
    name = "map"
    wants = "a list of rows"
    summary = "one property of each row"
    example = ('resolution | map(attribute="action_code") | listing', "WAIT")
    parameters = (Parameter("attribute", True, str, by_name=True),)
    origins = Origins.PROPERTIES

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        base = call.base
        counted = base.counted or base.paths
        list_type = Array(item.field)
        return StaticValue(list_type, base.nullable, item.classification, item.paths, counted=counted, words=item.words)

    def estimate_size(self, call: SizedCall) -> Size:
        return Size(call.base.items, size_of_data(call.node.typed).characters)

    def evaluate(self, items: list[Any], /, attribute: str) -> list[Any]:
        return [property_of(item, attribute) for item in items]

    def compile(self, call: "CompiledCall") -> "ir.Value":
        return call.looked_at_items()


class SortFilter(ListFilter):
    name = "sort"
    summary = "in order (of a property)"
    example = ('["b", "a"] | sort | listing', "a and b")
    parameters = (ATTRIBUTE_BY_NAME, Parameter("reverse", literal=bool, by_name=True))
    origins = Origins.ITEMS

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        self.require_order(call, item)
        return self.same_list(call)

    def evaluate(self, items: list[Any], /, attribute: str | None = None, reverse: bool = False) -> list[Any]:
        return sorted(items, key=sort_key(attribute), reverse=reverse)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        return in_order(call, reverse=bool(call.literal("reverse", False)))


class UniqueFilter(ListFilter):
    name = "unique"
    summary = "each item once, texts without regard to case"
    example = ('["a", "b", "a"] | unique | listing', "a and b")
    parameters = (ATTRIBUTE_BY_NAME,)
    origins = Origins.ITEMS

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        if isinstance(item.type, Array | Struct | Float | Null):
            words = f"{item.words} is {a_kind(item.type)}, `unique` wants what can equal another"
            return call.fail(words, "name a property with attribute=")
        self.require_present_items(call, item, "compared")
        return self.same_list(call)

    def estimate_steps(self, call: SizedCall) -> Polynomial:
        return call.base.items * _distinct(call)  # each is looked for among the first of each value

    def estimate_size(self, call: SizedCall) -> Size:
        return Size(_distinct(call), call.base.characters)

    def evaluate(self, items: list[Any], /, attribute: str | None = None) -> list[Any]:
        found: dict[Any, Any] = {}
        for item in items:
            found.setdefault(sort_key(attribute)(item), item)
        return list(found.values())

    def compile(self, call: "CompiledCall") -> "ir.Value":
        import ibis

        from storymesh.engine import dialect

        keys = dialect.map_items(call.base, lambda item: folded(call.looked_at(item)))
        numbered = dialect.map_indexed(keys, lambda key, place: ibis.struct({"key": key, "place": place}))
        first = dialect.filter_items(numbered, lambda row: keys.index(row["key"]) == row["place"])
        return dialect.pick_items(call.base, dialect.map_items(first, lambda row: row["place"]))


def _distinct(call: SizedCall) -> Polynomial:
    """Return how many items of a list are unique at most."""
    name = call.literal("attribute")
    steps = tuple(name.split(".")) if name else ()
    return distinct_values(call.base.items, frozenset((*path, *steps) for path in call.node.base.typed.paths))
