"""Expressions and templates as ibis expressions: the interpreter's meaning, written as columns of the engine.

Null propagates; a condition that is null counts as false, as everywhere in the language. Types come from ibis, which
has them from the contracts, so this needs no second type system. A name of `set` stands for its expression wherever it
is read; `engine.share` makes one column of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial, reduce
from operator import and_, or_
from typing import Any, TypeVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language import syntax
from storymesh.language.filters import EXACT, SPELLINGS, UNITS
from storymesh.language.syntax import Expression, Statement, Template
from storymesh.location import Location

Names = Mapping[str, ir.Value]
Labels = Mapping[Location, Mapping[str, str]]
V = TypeVar("V")


def compile_expression(expression: Expression, names: Names, labels: Labels) -> ir.Value:
    """The expression over `names` (columns of one table). `labels` come from the checker."""
    return _Compiling(names, labels).value(expression)


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


MAX_PARTS = 50_000
# What Python's `str.strip` takes for white space.
WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
UNPRINTABLE = dialect.UNPRINTABLE


@dataclass(frozen=True)
class Resolved:
    """What the checker and the build know and a template does not say: labels, pseudonyms and the secret for them.
    `guard` is what every value that is printed goes through."""

    labels: Labels
    replaced: frozenset[Location]
    key: bytes
    guard: Callable[[ir.StringValue], ir.StringValue] | None = None


def compile_template(
    template: Template,
    names: Names,
    case_id: ir.StringValue,
    partial: Callable[[str], Template | None],
    resolved: Resolved,
) -> ir.StringValue:
    """The template's text. `names` are values over one table.

    What is computed more than once stands there more than once: write the text through `engine.share.shared`. A text
    that contains UNPRINTABLE met a number that cannot be printed exactly. Raises TooLarge for templates that would make
    an expression past the bound.
    """
    return _Telling(names, case_id, partial, resolved).text_of(template)


def pseudonym(value: ir.Value, key: bytes) -> ir.StringValue:
    """`p-` and 12 hex digits of SHA-256(key, `|`, value); null stays null."""
    digest = dialect.sha256(ibis.literal(key.decode() + "|").concat(value.cast("string")))
    return ibis.ifelse(value.isnull(), ibis.null("string"), ibis.literal("p-").concat(dialect.part(digest, 0, 12)))


class _Compiling:
    """Expressions becoming values. What does not fit (a whole number past 64 bits, a float that is not finite as text)
    is null there, or UNPRINTABLE in text; `unfit` gathers where that happens, so that no condition takes it for an
    answer. A side that the interpreter would not have looked at counts only where it would."""

    def __init__(self, names: Names, labels: Labels) -> None:
        self.names: dict[str, ir.Value] = dict(names)
        self.labels = labels
        self.unfit: list[ir.BooleanValue] = []

    def value(self, expression: Expression) -> ir.Value:
        match expression:
            case syntax.Literal(value=None):
                return ibis.null()
            case syntax.Literal(value=bool() | str() as constant):
                return ibis.literal(constant)
            case syntax.Literal(value=int() as constant):
                return ibis.literal(constant, type="int64")
            case syntax.Literal(value=constant):
                return ibis.literal(constant, type="float64")
            case syntax.ListOf():
                return ibis.array(_of_one_kind([self.value(item) for item in expression.items]))
            case syntax.Name():
                return self.names[expression.name]
            case syntax.Attribute():
                base = self.value(expression.base)
                return base[expression.name]
            case syntax.Arithmetic():
                return self._arithmetic(expression)
            case syntax.Negative():
                operand = self.value(expression.operand)
                return self._fitting(-_signed(operand), operand)
            case syntax.Concat():
                parts = [self.text(self.value(part)) for part in expression.parts]
                return parts[0].concat(*parts[1:]) if len(parts) > 1 else parts[0]
            case syntax.Compare():
                return self._compare(expression)
            case syntax.Both():
                left = self.value(expression.left)
                right = self._where(truth(left), lambda: self.value(expression.right))
                return self._either(truth(left), right, left)
            case syntax.Either():
                left = self.value(expression.left)
                right = self._where(~truth(left), lambda: self.value(expression.right))
                return self._either(truth(left), left, right)
            case syntax.Not():
                return ~self.test(expression.operand)
            case syntax.Choice():
                test = self.test(expression.test)
                then = self._where(test, lambda: self.value(expression.then))
                otherwise = self._where(~test, lambda: self.value(expression.otherwise))
                return self._either(test, then, otherwise)
            case syntax.Test():
                return self._test(self.value(expression.base), expression.name)
            case syntax.Filter():
                return self._filter(expression)
            case syntax.Choose():
                return self.choose(expression)

    def test(self, expression: Expression) -> ir.BooleanValue:
        """A condition: never null, and of any type on either side of `and` and `or`."""
        match expression:
            case syntax.Both():
                left = self.test(expression.left)
                return left & self._where(left, lambda: self.test(expression.right))
            case syntax.Either():
                left = self.test(expression.left)
                return left | self._where(~left, lambda: self.test(expression.right))
            case syntax.Not():
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

    def choose(self, expression: syntax.Choose) -> ir.StringValue:
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

    def _arithmetic(self, expression: syntax.Arithmetic) -> ir.Value:
        left, right = self.value(expression.left), self.value(expression.right)
        floating = left.type().is_floating() or right.type().is_floating()
        operator = expression.operator
        if floating or operator == "/":
            left, right = left.cast("float64"), right.cast("float64")
            return dialect.divided(left, right) if operator == "/" else _plain(operator, left, right)
        if operator in ("//", "%"):
            return self._fitting(_floored(operator, left, right), left, right.nullif(0))
        if left.type().is_integer() and right.type().is_integer():
            # Wide enough that nothing overflows; what does not fit into 64 bits is null.
            wide = dt.Decimal(19 if operator == "*" else 38, 0)
            return self._fitting(dialect.whole(_plain(operator, left.cast(wide), right.cast(wide))), left, right)
        scale = _scale(operator, left.type(), right.type())
        if operator == "*":
            return self._fitting(_product(left, right).cast(dt.Decimal(38, scale)), left, right)
        wide = dt.Decimal(38, scale)
        return self._fitting(_added(operator, _widened(left, wide), _widened(right, wide)), left, right)

    def _compare(self, expression: syntax.Compare) -> ir.Value:
        left, right = self.value(expression.left), self.value(expression.right)
        if expression.operator in ("in", "not in"):
            found = right.contains(left)
            return ~found if expression.operator == "not in" else found
        return _compared(expression.operator, left, right)

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

    def _filter(self, expression: syntax.Filter) -> ir.Value:
        base = self.value(expression.base)
        result = self._filtered(expression, base)
        if expression.name in _EXACT:
            self.unfit.append(base.notnull() & (result.isnull() | result.contains(UNPRINTABLE)))
        elif expression.name in _FITTING and not (base.type().is_integer() and expression.name != "abs"):
            self._fitting(result, base)
        return result

    def _filtered(self, expression: syntax.Filter, base: ir.Value) -> ir.Value:
        given = _Arguments(expression)
        match expression.name:
            case "number":
                return dialect.grouped(base, given.literal(0, "digits", 0))
            case "percent":
                return dialect.grouped(base.cast("float64") * 100, given.literal(0, "digits", 0)).concat("%")
            case "pseudonym":
                return self.pseudonym(expression, base)
            case "date":
                return dialect.spelled(base, given.literal(0, "format", "%Y-%m-%d"))
            case "plural":
                one = given.literal(0, "one", "")
                many = given.literal(1, "many", one + "s")
                word = ibis.ifelse(base == 1, one, many)
                return dialect.grouped(base, 0).concat(" ", word)
            case "duration":
                return _duration(base, given.literal(0, "unit", "hours"))
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
                return dialect.part(base, 0, 1).upper().concat(dialect.part(base, 1).lower())
            case "title":
                return _title(base)
            case "trim":
                return dialect.trimmed(base, WHITE_SPACE)
            case "replace":
                old, new = given.at(0, "old"), given.at(1, "new")
                assert old is not None and new is not None
                wanted = self.value(old)
                return ibis.ifelse(wanted == "", base, base.replace(wanted, self.value(new)))
            case "abs":
                return _signed(base).abs()
            case "int":
                return base if base.type().is_integer() else _cut_off(base)
            case "round":
                return _rounded(base, given.literal(0, "precision", 0))
            case "length":
                return base.length().cast("int64")
            case _:
                return self._of_list(expression, base, given)

    def _of_list(self, expression: syntax.Filter, base: ir.ArrayValue, given: "_Arguments") -> ir.Value:
        name = expression.name
        position = {"join": 1, "listing": 9}.get(name, 0)
        attribute = given.literal(position, "attribute", None)

        def looked_at(item: ir.Value) -> ir.Value:
            for step in attribute.split(".") if attribute else ():
                item = item[step]
            return item

        values = dialect.each(base, looked_at) if attribute else base
        match name:
            case "first":
                return dialect.item(base, 0)
            case "last":
                return dialect.item(base, -1)
            case "map":
                return values
            case "sum":
                kind = values.type().value_type
                summed = values.sums().coalesce(ibis.literal(0).cast(kind))
                return dialect.total(summed) if kind.is_integer() else summed.cast(_summed(kind))
            case "min" if not attribute and not values.type().value_type.is_string():
                return values.mins()
            case "max" if not attribute and not values.type().value_type.is_string():
                return values.maxs()
            case "selectattr" | "rejectattr":
                return self._selected(base, looked_at, given, keep=name == "selectattr")
            case "join":
                return dialect.each(values, self.item_text).join(given.literal(0, "separator", "")).fill_null("")
            case "listing":
                texts = dialect.each(base, self.item_text)
                word = given.literal(0, "last", "and")
                count = texts.length()
                most = texts[: count - 1].join(", ")
                return ibis.cases(
                    (count == 0, ibis.literal("")),
                    (count == 1, texts[0]),
                    else_=most.concat(f" {word} ", dialect.item(texts, -1)),
                )
            case "unique":
                keys = dialect.each(base, lambda item: _folded(looked_at(item)))
                places = dialect.numbered(base, lambda item, place: ibis.struct({"place": place, "item": item}))
                first = dialect.those(places, lambda one: keys.index(_folded(looked_at(one["item"]))) == one["place"])
                return dialect.each(first, lambda one: one["item"])
            case _:  # sort, and min and max by a property or of texts: the first of an order
                reverse = name == "max" or bool(given.literal(1, "reverse", False))
                ordered = _in_order(base, lambda item: _folded(looked_at(item)), reverse=reverse)
                return ordered if name == "sort" else dialect.item(ordered, 0)

    def pseudonym(self, expression: syntax.Filter, base: ir.Value) -> ir.StringValue:
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
            compared = _compared(operator[SPELLINGS.get(test, test)], met, wanted)
            # Null is unequal to every value, as None is in Python.
            return compared.fill_null(test in ("ne", "!="))

        return dialect.those(base, holds if keep else lambda item: ~holds(item))


# Filters that print a number, and filters that give one: where it does not fit there is none.
_EXACT = frozenset({"number", "percent", "plural", "duration"})
_FITTING = frozenset({"abs", "int", "round", "sum"})
# Filters that give null for null and leave UNPRINTABLE as it is.
_PASSING = _EXACT | {"abs", "int", "round", "date", "label", "pseudonym", "upper", "lower", "capitalize", "title"}


def _passes(expression: Expression) -> bool:
    """Whether what does not fit in an expression is to be seen in its value: null there, or UNPRINTABLE."""
    match expression:
        case syntax.Literal() | syntax.Name() | syntax.Attribute():
            return True
        case syntax.Arithmetic():
            return _passes(expression.left) and _passes(expression.right)
        case syntax.Negative():
            return _passes(expression.operand)
        case syntax.Concat():
            return all(_passes(part) for part in expression.parts)
        case syntax.Filter():
            return expression.name in _PASSING and _passes(expression.base)
        case _:
            return False


def _marked(text: ir.StringValue, unfit: ir.BooleanValue | None) -> ir.StringValue:
    return text if unfit is None else ibis.ifelse(unfit, UNPRINTABLE, text)


class _Telling(_Compiling):
    """One template becoming text."""

    def __init__(
        self,
        names: Names,
        case_id: ir.StringValue,
        template: Callable[[str], Template | None],
        resolved: Resolved,
    ) -> None:
        super().__init__(names, resolved.labels)
        self.case_id = case_id
        self.template = template
        self.resolved = resolved
        self.file = ""
        self.parts = 0

    def text_of(self, template: Template) -> ir.StringValue:
        outer, self.file = self.file, template.name
        text = dialect.concat(self.pieces(template.body))
        self.file = outer
        return text

    def pieces(self, statements: Sequence[Statement]) -> list[ir.StringValue]:
        pieces: list[ir.StringValue] = []
        for statement in statements:
            self.parts += 1
            if self.parts > MAX_PARTS:
                raise TooLarge(f"{self.file} grows past {MAX_PARTS:,} parts when it is compiled", "use fewer includes")
            match statement:
                case syntax.Words():
                    pieces.append(ibis.literal(statement.text))
                case syntax.Print():
                    pieces.append(self.printed(statement.value))
                case syntax.Assign():
                    self.names[statement.name], unfit = self._watched(partial(self.value, statement.value))
                    if unfit is not None:
                        pieces.append(_marked(ibis.literal(""), unfit))
                case syntax.If():
                    pieces.append(self.either(statement))
                case syntax.For():
                    pieces.append(self.loop(statement))
                case syntax.Include():
                    before = dict(self.names)
                    included = self.template(statement.template)
                    assert included is not None
                    pieces.append(self.text_of(included))
                    self.names = before
        return pieces

    def printed(self, expression: Expression) -> ir.StringValue:
        value, unfit = self._watched(lambda: self.value(expression))
        text = self.text(value)
        if self.resolved.guard is not None and value.type().is_string():
            text = self.resolved.guard(text)
        if not _passes(expression):
            text = _marked(text, unfit)
        # The checker saw to it that nothing printed is null, so what was computed and is null now did not fit.
        there = isinstance(expression, syntax.Name | syntax.Attribute | syntax.Literal)
        return text if there and not value.type().is_numeric() else text.fill_null(UNPRINTABLE)

    def either(self, statement: syntax.If) -> ir.StringValue:
        test, unfit = self._watched(lambda: self.test(statement.test))
        before = dict(self.names)
        body = dialect.concat(self.pieces(statement.body))
        after_body, self.names = self.names, dict(before)
        otherwise = dialect.concat(self.pieces(statement.otherwise))
        after_otherwise = self.names
        self.names = before
        for name in {**after_body, **after_otherwise}:
            one, two = after_body.get(name), after_otherwise.get(name)
            if one is two or one is None or two is None:
                if one is two and one is not None:
                    self.names[name] = one
                continue
            # What is of two kinds in the two branches is not read afterwards: the checker saw to it.
            if type(one.type()) is type(two.type()) or (one.type().is_numeric() and two.type().is_numeric()):
                self.names[name] = self._either(test, one, two)
        return _marked(ibis.ifelse(test, body, otherwise), unfit)

    def loop(self, statement: syntax.For) -> ir.StringValue:
        items, unfit = self._watched(lambda: self.items(statement))
        before = dict(self.names)
        count = items.length().cast("int64")

        def body(item: ir.Value, place: ir.IntegerValue) -> ir.StringValue:
            self.names = {**before, statement.target: item, "loop": _loop(place, count)}
            return dialect.concat(self.pieces(statement.body))

        if _uses_loop(statement.body):
            texts = dialect.numbered(items, body)
        else:
            texts = dialect.each(items, lambda item: body(item, ibis.literal(0)))
        self.names = dict(before)
        text = _marked(dialect.glued(texts).fill_null(""), unfit)
        if not statement.otherwise:
            return text
        # What the else sets stays, as in Jinja only where nothing of that name was set before.
        nothing = dialect.concat(self.pieces(statement.otherwise))
        self.names = before
        return _marked(ibis.ifelse((items.length() > 0).fill_null(False), text, nothing), unfit)

    def items(self, statement: syntax.For) -> ir.ArrayValue:
        """What a loop goes through: the items of its list that pass its test."""
        items, test, before = self.value(statement.items), statement.test, dict(self.names)
        if test is None:
            return items

        found: list[ir.BooleanValue | None] = []

        def tested(item: ir.Value) -> ir.BooleanValue:
            self.names = {**before, statement.target: item}
            holds, unfit = self._watched(lambda: self.test(test))
            self.names = dict(before)
            found.append(unfit)
            return holds

        passing = dialect.those(items, tested)
        if found[-1] is not None:

            def unfit(item: ir.Value) -> ir.BooleanValue:
                tested(item)
                assert found[-1] is not None
                return found[-1]

            self.unfit.append((dialect.those(items, unfit).length() > 0).fill_null(False))
        return passing

    def choose(self, expression: syntax.Choose) -> ir.StringValue:
        options = [self.text(self.value(option)) for option in expression.options]
        drawn = dialect.drawn(self.case_id.concat(f":{self.file}:{expression.place}"), len(options))
        return drawn.cases(*enumerate(options[:-1]), else_=options[-1])

    def pseudonym(self, expression: syntax.Filter, base: ir.Value) -> ir.StringValue:
        return base if expression.at in self.resolved.replaced else pseudonym(base, self.resolved.key)


def _loop(place: ir.IntegerValue, count: ir.IntegerValue) -> Mapping[str, ir.Value]:
    return {
        "index": place + 1,
        "index0": place,
        "revindex": count - place,
        "revindex0": count - place - 1,
        "first": place == 0,
        "last": place == count - 1,
        "length": count,
    }


def _uses_loop(part: object) -> bool:
    if isinstance(part, syntax.Name):
        return part.name == "loop"
    if isinstance(part, tuple):
        return any(_uses_loop(inner) for inner in part)
    return hasattr(part, "__dataclass_fields__") and any(_uses_loop(inner) for inner in vars(part).values())


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
    marked = dialect.numbered(
        items,
        lambda item, place: ibis.struct({"key": key(item), "place": -place if reverse else place, "item": item}),
    ).sort()
    return dialect.each(dialect.backwards(marked) if reverse else marked, lambda one: one["item"])


def _title(text: ir.StringValue) -> ir.StringValue:
    letters = dialect.letters(text)

    def cased(letter: ir.StringValue, place: ir.IntegerValue) -> ir.StringValue:
        before = dialect.item(letters, place - 1)
        begins = (place == 0) | before.re_search(r"[-\s({\[<]")
        return ibis.ifelse(begins, letter.upper(), letter.lower())

    return dialect.glued(dialect.numbered(letters, cased))


class _Arguments:
    """The arguments of one filter, by place or by name."""

    def __init__(self, expression: syntax.Filter) -> None:
        self.places = expression.arguments
        self.named = dict(expression.named)

    def at(self, place: int, name: str) -> Expression | None:
        return self.places[place] if place < len(self.places) else self.named.get(name)

    def literal(self, place: int, name: str, otherwise: Any) -> Any:
        argument = self.at(place, name)
        return argument.value if isinstance(argument, syntax.Literal) else otherwise


def _floored(operator: str, left: ir.IntegerValue, right: ir.IntegerValue) -> ir.IntegerValue:
    """`//` and `%` as Python has them, rounded down; null for a divisor of zero and where 64 bits do not do.

    An engine cuts quotients off towards zero and gives a remainder the sign of the dividend.
    """
    minus = ibis.literal(-1, type="int64")
    divisor = right.nullif(0).nullif(minus)
    rest = left % divisor
    other_side = (rest != 0) & ((rest < 0) != (divisor < 0))
    if operator == "%":
        return ibis.ifelse(right == minus, 0, ibis.ifelse(other_side, rest + divisor, rest))
    cut = dialect.quotient(left, divisor)
    return ibis.ifelse(right == minus, -_signed(left), ibis.ifelse(other_side, cut - 1, cut))


def _plain(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case _:
            return left * right


def _widened(value: ir.NumericValue, wide: dt.Decimal) -> ir.DecimalValue:
    """The value with other digits behind the point; null where it does not fit."""
    kind = value.type()
    whole = (kind.precision or 38) - (kind.scale or 0) if isinstance(kind, dt.Decimal) else 19
    fits = whole <= 38 - (wide.scale or 0)
    return value.cast(wide) if fits else value.try_cast(wide)


def _added(operator: str, left: ir.DecimalValue, right: ir.DecimalValue) -> ir.DecimalValue:
    """A sum or difference of decimals of 38 digits; null where it has more, which an engine takes for an error."""
    kind = left.type()
    most = ibis.literal(Decimal(10**38 - 1).scaleb(-(kind.scale or 0), EXACT), type=kind)
    apart = (left < 0) != (right < 0) if operator == "+" else (left < 0) == (right < 0)
    fits = apart | (right.abs() <= most - left.abs())
    nothing = ibis.null(kind)
    return _plain(operator, ibis.ifelse(fits, left, nothing), ibis.ifelse(fits, right, nothing)).cast(kind)


def _product(left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    """A product of decimals; null where the digits of the two do not fit into 38."""
    return _narrow(left) * _narrow(right)


def _narrow(value: ir.NumericValue) -> ir.DecimalValue:
    """At most 19 digits, so that two of them make a product of 38: an engine checks shorter ones against 18."""
    kind = value.type()
    if not isinstance(kind, dt.Decimal):
        return value.cast(dt.Decimal(19, 0))
    if (kind.scale or 0) > 19:
        return ibis.null(dt.Decimal(19, 19))
    fits = (kind.precision or 38) <= 19
    narrow = dt.Decimal(19, min(kind.scale or 0, 19))
    return value.cast(narrow) if fits else value.try_cast(narrow)


def _signed(value: ir.NumericValue) -> ir.NumericValue:
    """A number whose sign can be turned: the smallest integer of 64 bits has no counterpart and is null."""
    return value.nullif(-(2**63)) if value.type().is_integer() else value


def _scale(operator: str, left: dt.DataType, right: dt.DataType) -> int:
    scales = [operand.scale or 0 if isinstance(operand, dt.Decimal) else 0 for operand in (left, right)]
    return min(sum(scales), 37) if operator == "*" else max(scales)


def _summed(kind: dt.DataType) -> dt.DataType:
    return dt.Decimal(38, kind.scale) if isinstance(kind, dt.Decimal) else kind


def _compared(operator: str, left: ir.Value, right: Any) -> ir.BooleanValue:
    if left.type().is_date() != right.type().is_date():
        left, right = left.cast("timestamp"), right.cast("timestamp")
    kinds = left.type(), right.type()
    if all(isinstance(kind, dt.Decimal) for kind in kinds) and kinds[0] != kinds[1]:
        # Exactly, where both fit into one type; where one does not, they are far apart.
        wide = dt.Decimal(38, max(kind.scale or 0 for kind in kinds))
        one, two = _widened(left, wide), _widened(right, wide)
        near = _ordered(operator, one, two)
        return near.coalesce(_ordered(operator, left.cast("float64"), right.cast("float64")))
    return _ordered(operator, left, right)


def _ordered(operator: str, left: ir.Value, right: Any) -> ir.BooleanValue:
    match operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right


def _cut_off(value: ir.NumericValue) -> ir.IntegerValue:
    if isinstance(value.type(), dt.Decimal):
        down = ibis.ifelse(value < 0, -(-value).floor(), value.floor())
        return dialect.whole(down.cast(dt.Decimal(38, 0)))
    floating = value.cast("float64")
    cut = ibis.ifelse(floating < 0, floating.ceil(), floating.floor())
    return ibis.ifelse(dialect.printable(floating), cut, ibis.null("float64")).cast("int64")


def _rounded(value: ir.NumericValue, precision: int) -> ir.NumericValue:
    if value.type().is_integer():
        return value
    if isinstance(value.type(), dt.Decimal):
        rounded = dialect.fixed(ibis.ifelse(dialect.printable(value), value, ibis.null(value.type())), precision)
        return rounded.cast(dt.Decimal(38, min(precision, value.type().scale or 0)))
    return dialect.fixed(value, precision)


def _duration(value: ir.NumericValue, unit: str) -> ir.StringValue:
    if value.type().is_integer():
        each = UNITS[unit] // 60
        if each:
            fits = _signed(value).abs() <= (2**63 - 1) // each
            minutes = ibis.ifelse(fits, value, ibis.null("int64")).abs() * each
        else:
            minutes = dialect.quotient(value, ibis.literal(60)).abs()
    else:
        # Seconds are rounded to six digits first: 0.7 hours, which no float holds, are 42 minutes and not 41.
        seconds = dialect.fixed(value.cast("float64").abs() * UNITS[unit], 6)
        minutes = ibis.ifelse(dialect.printable(seconds), _cut_off(seconds / 60), ibis.null("int64"))
    days, rest = dialect.quotient(minutes, ibis.literal(1440)), minutes % 60
    hours = dialect.quotient(minutes, ibis.literal(60)) % 24

    def spoken(count: ir.IntegerValue, name: str) -> ir.StringValue:
        return dialect.grouped(count, 0).concat(" ", ibis.ifelse(count == 1, name, name + "s"))

    def two(first: ir.IntegerValue, one: str, second: ir.IntegerValue, other: str) -> ir.StringValue:
        return ibis.ifelse(second == 0, spoken(first, one), spoken(first, one).concat(" ", spoken(second, other)))

    text = ibis.cases(
        (days > 0, two(days, "day", hours, "hour")),
        (hours > 0, two(hours, "hour", rest, "minute")),
        else_=spoken(rest, "minute"),
    )
    return ibis.ifelse((value < 0) & (minutes > 0), ibis.literal("-").concat(text), text)
