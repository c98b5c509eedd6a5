"""Expressions as ibis expressions: the interpreter's meaning, written as columns of the engine.

Null propagates; a condition that is null counts as false, as everywhere in the language. Types come from ibis, which
has them from the contracts, so this needs no second type system.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import and_, or_
from typing import Any, TypeVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.errors import NotInLanguage
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.compile.arithmetic import calculated, compared, cut_off, duration, rounded, signed, summed
from storymesh.language.filters import SPELLINGS
from storymesh.location import Location

Names = Mapping[str, ir.Value]
Labels = Mapping[Location, Mapping[str, str]]
V = TypeVar("V")


def compile_expression(expression: Expression, names: Names, labels: Labels) -> ir.Value:
    """The expression over `names` (columns of one table). `labels` come from the checker."""
    return Compiling(names, labels).value(expression)


def truth(value: ir.Value) -> ir.BooleanValue:
    """Whether a value counts as true: null, false, zero, empty text and empty lists do not."""
    kind = value.type()
    if kind.is_boolean():
        return value.fill_null(False)
    if kind.is_numeric():
        return (value != 0).fill_null(False)
    if kind.is_string():
        return (value != "").fill_null(False)
    if kind.is_array():
        return (value.length() > 0).fill_null(False)
    return value.notnull()


# What Python's `str.strip` takes for white space.
WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
UNPRINTABLE = dialect.UNPRINTABLE


def pseudonym(value: ir.Value, key: bytes) -> ir.StringValue:
    """`p-` and 12 hex digits of SHA-256(key, `|`, value); null stays null."""
    digest = dialect.sha256_hex(ibis.literal(key.decode() + "|").concat(value.cast("string")))
    return ibis.ifelse(value.isnull(), ibis.null("string"), ibis.literal("p-").concat(dialect.substring(digest, 0, 12)))


class Compiling:
    """Expressions becoming values. What does not fit (a whole number past 64 bits, a float that is not finite as text)
    is null there, or UNPRINTABLE in text; `unfit` gathers where that happens, so that no condition takes it for an
    answer. A side that the interpreter would not have looked at counts only where it would."""

    def __init__(self, names: Names, labels: Labels) -> None:
        self.names: dict[str, ir.Value] = dict(names)
        self.labels = labels
        self.unfit: list[ir.BooleanValue] = []

    def value(self, expression: Expression) -> ir.Value:
        match expression:
            case ast.Literal(value=None):
                return ibis.null()
            case ast.Literal(value=bool() | str() as constant):
                return ibis.literal(constant)
            case ast.Literal(value=int() as constant):
                return ibis.literal(constant, type="int64")
            case ast.Literal(value=constant):
                return ibis.literal(constant, type="float64")
            case ast.ListLiteral():
                return ibis.array(_of_one_kind([self.value(item) for item in expression.items]))
            case ast.Name():
                return self.names[expression.name]
            case ast.Attribute():
                base = self.value(expression.base)
                return base[expression.name]
            case ast.Arithmetic():
                return self._arithmetic(expression)
            case ast.Negate():
                operand = self.value(expression.operand)
                return self._fitting(-signed(operand), operand)
            case ast.Concat():
                parts = [self.text(self.value(part)) for part in expression.parts]
                return parts[0].concat(*parts[1:]) if len(parts) > 1 else parts[0]
            case ast.Compare():
                return self._compare(expression)
            case ast.And():
                left = self.value(expression.left)
                right = self._where(truth(left), lambda: self.value(expression.right))
                return self._either(truth(left), right, left)
            case ast.Or():
                left = self.value(expression.left)
                right = self._where(~truth(left), lambda: self.value(expression.right))
                return self._either(truth(left), left, right)
            case ast.Not():
                return ~self.test(expression.operand)
            case ast.Conditional():
                test = self.test(expression.test)
                then = self._where(test, lambda: self.value(expression.then))
                otherwise = self._where(~test, lambda: self.value(expression.otherwise))
                return self._either(test, then, otherwise)
            case ast.IsTest():
                return self._test(self.value(expression.base), expression.name)
            case ast.FilterCall():
                return self._filter(expression)
            case ast.Choose():
                return self.choose(expression)

    def test(self, expression: Expression) -> ir.BooleanValue:
        """A condition: never null, and of any type on either side of `and` and `or`."""
        match expression:
            case ast.And():
                left = self.test(expression.left)
                return left & self._where(left, lambda: self.test(expression.right))
            case ast.Or():
                left = self.test(expression.left)
                return left | self._where(~left, lambda: self.test(expression.right))
            case ast.Not():
                return ~self.test(expression.operand)
            case _:
                return truth(self.value(expression))

    def _watched(self, make: Callable[[], V]) -> tuple[V, ir.BooleanValue | None]:
        """What `make` gives, and where something in it does not fit; None: it always does."""
        outer, self.unfit = self.unfit, []
        try:
            made = make()
            return made, reduce(or_, self.unfit) if self.unfit else None
        finally:
            self.unfit = outer

    def _where(self, looked_at: ir.BooleanValue, make: Callable[[], V]) -> V:
        """What `make` gives; what does not fit in it counts only where it is looked at."""
        made, unfit = self._watched(make)
        if unfit is not None:
            self.unfit.append(looked_at & unfit)
        return made

    def _fitting(self, result: ir.Value, *given: ir.Value) -> ir.Value:
        """A result that is null only where one of the given is, or where it does not fit."""
        self.unfit.append(reduce(and_, [*(value.notnull() for value in given), result.isnull()]))
        return result

    def choose(self, expression: ast.Choose) -> ir.StringValue:
        raise NotInLanguage("choose stands in templates only")

    def text(self, value: ir.Value) -> ir.StringValue:
        """A value as it stands in text: what Python's `str` prints."""
        kind = value.type()
        if kind.is_string():
            return value
        if kind.is_boolean():
            return ibis.ifelse(value, "True", "False")
        if kind.is_timestamp():
            seconds = value.strftime("%Y-%m-%d %H:%M:%S")
            fraction = value.microsecond()
            padded = fraction.cast("string").lpad(6, "0")
            return ibis.ifelse(fraction == 0, seconds, seconds.concat(".", padded))
        return value.cast("string")

    def item_text(self, value: ir.Value) -> ir.StringValue:
        """An item of a list in text: the checker saw to it that none is null, so one that is now did not fit."""
        return self.text(value).fill_null(UNPRINTABLE)

    def _either(self, test: ir.BooleanValue, then: ir.Value, otherwise: ir.Value) -> ir.Value:
        then, otherwise = self._alike(then, otherwise)
        return ibis.ifelse(test, then, otherwise)

    def _alike(self, one: ir.Value, two: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Two numbers of different kinds as floats, so that both sides of a choice have one type."""
        first, second = one.type(), two.type()
        if first == second or not (first.is_numeric() and second.is_numeric()):
            return one, two
        if first.is_integer() and second.is_integer():
            return one.cast("int64"), two.cast("int64")
        if isinstance(first, dt.Decimal) and isinstance(second, dt.Decimal) and first.scale == second.scale:
            return one.cast(dt.Decimal(38, first.scale)), two.cast(dt.Decimal(38, first.scale))
        return one.cast("float64"), two.cast("float64")

    def _arithmetic(self, expression: ast.Arithmetic) -> ir.Value:
        left, right = self.value(expression.left), self.value(expression.right)
        result = calculated(expression.operator, left, right)
        if result.type().is_floating():
            return result
        return self._fitting(result, left, right.nullif(0) if expression.operator in ("//", "%") else right)

    def _compare(self, expression: ast.Compare) -> ir.Value:
        left, right = self.value(expression.left), self.value(expression.right)
        if expression.operator in ("in", "not in"):
            found = right.contains(left)
            return ~found if expression.operator == "not in" else found
        return compared(expression.operator, left, right)

    def _test(self, value: ir.Value, name: str) -> ir.BooleanValue:
        match name:
            case "none":
                return value.isnull()
            case "true":
                return value.fill_null(False)
            case "false":
                return ~value.fill_null(True)
            case _:
                return ibis.literal(True)

    def _filter(self, expression: ast.FilterCall) -> ir.Value:
        base = self.value(expression.base)
        result = self._filtered(expression, base)
        if expression.name in PRINTING:
            self.unfit.append(base.notnull() & (result.isnull() | result.contains(UNPRINTABLE)))
        elif expression.name in _FITTING and not (base.type().is_integer() and expression.name != "abs"):
            self._fitting(result, base)
        return result

    def _filtered(self, expression: ast.FilterCall, base: ir.Value) -> ir.Value:
        given = _Arguments(expression)
        match expression.name:
            case "number":
                return dialect.format_thousands(base, given.literal(0, "digits", 0))
            case "percent":
                return dialect.format_thousands(base.cast("float64") * 100, given.literal(0, "digits", 0)).concat("%")
            case "pseudonym":
                return self.pseudonym(expression, base)
            case "date":
                return dialect.format_moment(base, given.literal(0, "format", "%Y-%m-%d"))
            case "plural":
                one = given.literal(0, "one", "")
                many = given.literal(1, "many", one + "s")
                word = ibis.ifelse(base == 1, one, many)
                return dialect.format_thousands(base, 0).concat(" ", word)
            case "duration":
                return duration(base, given.literal(0, "unit", "hours"))
            case "default":
                other = given.at(0, "value")
                assert other is not None
                one_side, two_side = self._alike(base, self.value(other))
                return one_side.coalesce(two_side)
            case "label":
                known = self.labels.get(expression.at, {})
                return base.cases(*known.items(), else_=base) if known else base
            case "upper":
                return base.upper()
            case "lower":
                return base.lower()
            case "capitalize":
                return dialect.substring(base, 0, 1).upper().concat(dialect.substring(base, 1).lower())
            case "title":
                return _title(base)
            case "trim":
                return dialect.strip_characters(base, WHITE_SPACE)
            case "replace":
                old, new = given.at(0, "old"), given.at(1, "new")
                assert old is not None and new is not None
                wanted = self.value(old)
                return ibis.ifelse(wanted == "", base, base.replace(wanted, self.value(new)))
            case "abs":
                return signed(base).abs()
            case "int":
                return base if base.type().is_integer() else cut_off(base)
            case "round":
                return rounded(base, given.literal(0, "precision", 0))
            case "length":
                return base.length().cast("int64")
            case _:
                return self._of_list(expression, base, given)

    def _of_list(self, expression: ast.FilterCall, base: ir.ArrayValue, given: "_Arguments") -> ir.Value:
        name = expression.name
        position = {"join": 1, "listing": 9}.get(name, 0)
        attribute = given.literal(position, "attribute", None)

        def looked_at(item: ir.Value) -> ir.Value:
            for step in attribute.split(".") if attribute else ():
                item = item[step]
            return item

        values = dialect.map_items(base, looked_at) if attribute else base
        match name:
            case "first":
                return dialect.item_at(base, 0)
            case "last":
                return dialect.item_at(base, -1)
            case "map":
                return values
            case "sum":
                kind = values.type().value_type
                found = values.sums().coalesce(ibis.literal(0).cast(kind))
                return dialect.sum_int64(found) if kind.is_integer() else found.cast(summed(kind))
            case "min" if not attribute and not values.type().value_type.is_string():
                return values.mins()
            case "max" if not attribute and not values.type().value_type.is_string():
                return values.maxs()
            case "selectattr" | "rejectattr":
                return self._selected(base, looked_at, given, keep=name == "selectattr")
            case "join":
                return dialect.map_items(values, self.item_text).join(given.literal(0, "separator", "")).fill_null("")
            case "listing":
                texts = dialect.map_items(base, self.item_text)
                word = given.literal(0, "last", "and")
                count = texts.length()
                most = texts[: count - 1].join(", ")
                return ibis.cases(
                    (count == 0, ibis.literal("")),
                    (count == 1, texts[0]),
                    else_=most.concat(f" {word} ", dialect.item_at(texts, -1)),
                )
            case "unique":
                keys = dialect.map_items(base, lambda item: _folded(looked_at(item)))
                places = dialect.map_indexed(base, lambda item, place: ibis.struct({"place": place, "item": item}))
                first = dialect.filter_items(
                    places, lambda one: keys.index(_folded(looked_at(one["item"]))) == one["place"]
                )
                return dialect.map_items(first, lambda one: one["item"])
            case _:  # sort, and min and max by a property or of texts: the first of an order
                reverse = name == "max" or bool(given.literal(1, "reverse", False))
                ordered = _in_order(base, lambda item: _folded(looked_at(item)), reverse=reverse)
                return ordered if name == "sort" else dialect.item_at(ordered, 0)

    def pseudonym(self, expression: ast.FilterCall, base: ir.Value) -> ir.StringValue:
        raise NotInLanguage("pseudonym stands in templates only")

    def _selected(
        self, base: ir.ArrayValue, looked_at: Callable[[ir.Value], ir.Value], given: "_Arguments", *, keep: bool
    ) -> ir.ArrayValue:
        test = given.literal(1, "test", None)
        argument = given.at(2, "value")
        wanted = self.value(argument) if argument is not None else None

        def holds(item: ir.Value) -> ir.BooleanValue:
            met = looked_at(item)
            if test is None:
                return truth(met)
            if test in ("none", "true", "false", "defined"):
                return self._test(met, test)
            operator = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
            if test == "in":
                return wanted.contains(met).fill_null(False)  # type: ignore[union-attr]
            found = compared(operator[SPELLINGS.get(test, test)], met, wanted)
            # Null is unequal to every value, as None is in Python.
            return found.fill_null(test in ("ne", "!="))

        return dialect.filter_items(base, holds if keep else lambda item: ~holds(item))


# Filters that print a number, and filters that give one: where it does not fit there is none.
PRINTING = frozenset({"number", "percent", "plural", "duration"})
_FITTING = frozenset({"abs", "int", "round", "sum"})


def _of_one_kind(values: list[ir.Value]) -> list[ir.Value]:
    """Decimals of different widths as decimals of one, those of different scales as floats."""
    kinds = [value.type() for value in values]
    if len(set(kinds)) < 2 or not all(isinstance(kind, dt.Decimal) for kind in kinds):
        return values
    scales = {kind.scale or 0 for kind in kinds}
    return [value.cast(dt.Decimal(38, max(scales)) if len(scales) == 1 else "float64") for value in values]


def _folded(value: ir.Value) -> ir.Value:
    """A value as Jinja orders it: texts without regard to case."""
    return value.lower() if value.type().is_string() else value


def _in_order(items: ir.ArrayValue, key: Callable[[ir.Value], ir.Value], *, reverse: bool) -> ir.ArrayValue:
    """The items in the order of `key`; items of one key keep their order, also in reverse, as in Python."""
    marked = dialect.map_indexed(
        items,
        lambda item, place: ibis.struct({"key": key(item), "place": -place if reverse else place, "item": item}),
    ).sort()
    return dialect.map_items(dialect.reverse_items(marked) if reverse else marked, lambda one: one["item"])


def _title(text: ir.StringValue) -> ir.StringValue:
    letters = dialect.characters(text)

    def cased(letter: ir.StringValue, place: ir.IntegerValue) -> ir.StringValue:
        before = dialect.item_at(letters, place - 1)
        begins = (place == 0) | before.re_search(r"[-\s({\[<]")
        return ibis.ifelse(begins, letter.upper(), letter.lower())

    return dialect.concat_items(dialect.map_indexed(letters, cased))


class _Arguments:
    """The arguments of one filter, by place or by name."""

    def __init__(self, expression: ast.FilterCall) -> None:
        self.places = expression.arguments
        self.named = dict(expression.named)

    def at(self, place: int, name: str) -> Expression | None:
        return self.places[place] if place < len(self.places) else self.named.get(name)

    def literal(self, place: int, name: str, otherwise: Any) -> Any:
        argument = self.at(place, name)
        return argument.value if isinstance(argument, ast.Literal) else otherwise
