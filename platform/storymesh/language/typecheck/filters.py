"""What a filter gives, by the types of what it takes."""

from collections.abc import Mapping
from dataclasses import replace

from storymesh.errors import suggest_name
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.filters import DATE_CODE, DATE_CODES, FILTERS, UNITS, Signature
from storymesh.language.typecheck.base import TypeCheckerBase
from storymesh.language.typecheck.static_values import (
    ANYTHING,
    Value,
    a_kind,
    comparable,
    counted,
    guarded,
    higher,
)
from storymesh.language.types import (
    NUMBERS,
    Array,
    Boolean,
    Classification,
    Decimal,
    Field,
    Float,
    Hidden,
    Integer,
    Null,
    Struct,
    Text,
    Type,
)

MAX_DIGITS = 12
COMPARING = {"eq": "==", "==": "==", "equalto": "==", "ne": "!=", "!=": "!=", "lt": "<", "<": "<", "lessthan": "<"} | {
    "le": "<=",
    "<=": "<=",
    "gt": ">",
    ">": ">",
    "greaterthan": ">",
    "ge": ">=",
    ">=": ">=",
    "in": "in",
}
LEAST = {"min": "the smallest", "max": "the largest"}


class FilterChecker(TypeCheckerBase):
    def call(self, expression: ast.FilterCall) -> Value:
        signature = FILTERS.get(expression.name)
        if signature is None:
            hint = suggest_name(expression.name, FILTERS)
            return self.fail(expression.at, "outside-language", f"there is no filter `{expression.name}`", hint)
        base = self.value(expression.base)
        given = self._arguments(expression, signature)
        if given is None or base.type is ANYTHING:
            return Value(ANYTHING)
        if expression.name == "default":
            return self._default(expression, base, given["value"])
        if not signature.accepts(base.type):
            words = f"{base.words or 'this'} is {a_kind(base.type)}, `{expression.name}` wants {signature.wants}"
            return self.fail(expression.at, "wrong-type", words)
        base = self.present(expression.base, base, f"given to `{expression.name}`")
        return self._filtered(expression, base, given)

    def _arguments(self, expression: ast.FilterCall, signature: Signature) -> dict[str, Expression] | None:
        names = [parameter.name for parameter in signature.parameters]
        given: dict[str, Expression] = {}
        placed = [parameter.name for parameter in signature.parameters if not parameter.by_name]
        if len(expression.arguments) > len(placed):
            words = f"`{expression.name}` takes {counted(len(placed), 'argument')}"
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
                fits = isinstance(argument, ast.Literal) and type(argument.value) is parameter.literal
                if not fits:
                    words = f"'{parameter.name}' of `{expression.name}` is written as {parameter.written}"
                    self.fail(argument.at, "wrong-type", words, signature.usage)
                    return None
        return given

    def _default(self, expression: ast.FilterCall, base: Value, argument: Expression) -> Value:
        fallback = self.value(argument)
        if fallback.type is ANYTHING:
            return fallback
        joined = self.joined(base, fallback)
        if joined is None:
            words = f"{base.words or 'this'} is {a_kind(base.type)}, its default is {a_kind(fallback.type)}"
            return self.fail(argument.at, "wrong-type", words, "give it the same type")
        self.cast(expression, joined, base, fallback)
        return replace(joined, nullable=fallback.nullable)

    def _filtered(self, expression: ast.FilterCall, base: Value, given: Mapping[str, Expression]) -> Value:
        def text(classification: Classification = base.classification) -> Value:
            return Value(Text(), base.nullable, classification, base.paths, words=base.words)

        match expression.name:
            case "number" | "percent":
                digits = given.get("digits")
                if isinstance(digits, ast.Literal) and int(digits.value or 0) > MAX_DIGITS:
                    return self.fail(digits.at, "wrong-type", f"a number has 0 to {MAX_DIGITS} digits behind the point")
                return text()
            case "date":
                return self._date(expression, given, text())
            case "duration":
                unit = given["unit"]
                assert isinstance(unit, ast.Literal)
                if unit.value not in UNITS:
                    hint = suggest_name(str(unit.value), UNITS)
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
                # What the data holds as its pseudonym is printed as it stands there.
                paths = base.paths if base.pseudonym else frozenset((*path, "~") for path in base.paths)
                return replace(text("public"), paths=paths)
            case "plural" | "upper" | "lower" | "capitalize" | "title" | "trim":
                return text()
            case "replace":
                result = text()
                for argument in given.values():
                    value = self.value(argument)
                    if not isinstance(value.type, Text) and value.type is not ANYTHING:
                        words = f"`replace` wants texts, {value.words or 'this'} is {a_kind(value.type)}"
                        return self.fail(argument.at, "wrong-type", words)
                    self.present(argument, value, "given to `replace`")
                    result = replace(
                        result,
                        nullable=result.nullable or (value.nullable and not self.strict),
                        classification=higher(result.classification, value),
                        paths=result.paths | value.paths,
                    )
                return result
            case "abs":
                return self.computed(base, base.type)
            case "round":
                type_: Type = base.type
                digits = given.get("precision")
                if isinstance(digits, ast.Literal) and int(digits.value or 0) > MAX_DIGITS:
                    return self.fail(digits.at, "wrong-type", f"`round` takes 0 to {MAX_DIGITS} digits")
                if isinstance(base.type, Decimal):
                    places = int(digits.value or 0) if isinstance(digits, ast.Literal) else 0
                    type_ = Decimal(38, min(places, base.type.scale))
                return self.computed(base, type_)
            case "int":
                return self.computed(base, Integer())
            case _:
                return self._of_list(expression, base, given)

    def _date(self, expression: ast.FilterCall, given: Mapping[str, Expression], text: Value) -> Value:
        pattern = given.get("format")
        if isinstance(pattern, ast.Literal):
            rest = DATE_CODE.sub("", str(pattern.value))
            if "%" in rest:
                met = rest[rest.index("%") : rest.index("%") + 2]
                words = f"'{met}' is no part of a date format"
                return self.fail(pattern.at, "wrong-type", words, f"known: {' '.join(DATE_CODES)}")
        return text

    def _of_list(self, expression: ast.FilterCall, base: Value, given: Mapping[str, Expression]) -> Value:
        if isinstance(base.type, Text):  # `length` of a text
            return Value(Integer(), base.nullable, base.classification, base.paths, words=base.words)
        assert isinstance(base.type, Array)
        item = self._item(expression, base, given)
        if item.type is ANYTHING:
            return item
        name = expression.name
        maybe_empty = not isinstance(expression.base, ast.ListLiteral)
        whole = Value(
            Array(base.type.item),
            base.nullable,
            base.classification,
            base.paths,
            counted=base.counted,
            words=base.words,
        )
        match name:
            case "length":
                # Of rows no more than how many there are; of some that are written out, that is no fact.
                if base.counted or isinstance(base.type.item.type, Array | Struct):
                    return Value(Integer(), base.nullable, "public", frozenset((*path, "#") for path in base.counted))
                return Value(Integer(), base.nullable, base.classification, base.paths, words=base.words)
            case "first" | "last":
                inner = base.type.item
                return Value(
                    inner.type,
                    maybe_empty or inner.nullable,
                    higher(inner.classification, base),
                    base.paths,
                    counted=base.paths if isinstance(inner.type, Array) else frozenset(),
                    pseudonym=inner.pseudonym,
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
                        words=LEAST[name],
                    )
                return replace(item, nullable=maybe_empty, words=LEAST[name])
            case "sum":
                if not isinstance(item.type, NUMBERS):
                    words = f"`sum` wants numbers, {item.words or 'an item'} is {a_kind(item.type)}"
                    return self.fail(expression.at, "wrong-type", words, "name a property with attribute=")
                self._whole_items(expression, item, "summed")
                type_: Type = Decimal(38, item.type.scale) if isinstance(item.type, Decimal) else item.type
                if not isinstance(type_, Integer):
                    self.casts[expression.at, "FilterCall"] = type_
                return Value(type_, base.nullable, item.classification, item.paths)
            case "join" | "listing":
                if self._whole_items(expression, item, "joined to a text"):
                    self.text(expression, item)
                return Value(Text(), base.nullable, item.classification, item.paths)
            case "map":
                return Value(
                    Array(item.field),
                    base.nullable,
                    item.classification,
                    item.paths,
                    counted=base.counted or base.paths,
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
                    words = f"{item.words} is {a_kind(item.type)}, `unique` wants what can equal another"
                    return self.fail(expression.at, "wrong-type", words, "name a property with attribute=")
                self._whole_items(expression, item, "compared")
                return whole
            case _:  # pragma: no cover - the table of filters is closed
                raise AssertionError(name)

    def _item(self, expression: ast.FilterCall, base: Value, given: Mapping[str, Expression]) -> Value:
        """What the filter looks at in each item: the item, or the property that `attribute` names."""
        assert isinstance(base.type, Array)
        inner = base.type.item
        item = Value(
            inner.type,
            inner.nullable,
            higher(inner.classification, base),
            base.paths,
            pseudonym=inner.pseudonym,
            words="an item",
        )
        attribute = given.get("attribute")
        if attribute is None:
            return item
        assert isinstance(attribute, ast.Literal)
        for step in str(attribute.value).split("."):
            if not isinstance(item.type, Struct):
                words = f"{item.words} is {a_kind(item.type)} and has no property '{step}'"
                return self.fail(attribute.at, "wrong-type", words)
            found = item.type.fields.get(step)
            if found is None:
                words = f"the rows have no property '{step}'"
                return self.fail(attribute.at, "unknown-name", words, suggest_name(step, item.type.fields))
            if isinstance(found, Hidden):
                return self.fail(attribute.at, found.rule, found.words, found.hint)
            paths = frozenset((*path, step) for path in item.paths)
            self.reads |= paths
            item = Value(
                found.type,
                found.nullable or item.nullable,
                higher(found.classification, item),
                paths,
                pseudonym=found.pseudonym,
                words=f"'{step}'",
            )
        return item

    def _ordered(self, expression: ast.FilterCall, item: Value) -> None:
        if isinstance(item.type, Array | Struct | Boolean | Null):
            words = f"{item.words} is {a_kind(item.type)} and has no order"
            self.fail(expression.at, "wrong-type", words, "name a property with attribute=")
        elif item.nullable:
            words = f"{item.words} may be null, which has no order"
            self.fail(expression.at, "may-be-null", words, self._without_nulls(expression, item))

    def _whole_items(self, expression: ast.FilterCall, item: Value, doing: str) -> bool:
        """In a template, no item may be null; an expression leaves null items to the engine."""
        if not (self.strict and item.nullable) or isinstance(item.type, Null):
            return True
        words = f"{item.words} may be null and is {doing}"
        self.fail(expression.at, "may-be-null", words, self._without_nulls(expression, item))
        return False

    def _without_nulls(self, expression: ast.FilterCall, item: Value) -> str:
        name = f'"{item.words[1:-1]}"' if item.words.startswith("'") else "…"
        return f'leave those out first with `rejectattr({name}, "none")`'

    def _kept(self, expression: ast.FilterCall, inner: Field, given: Mapping[str, Expression]) -> Field:
        """What stands in the list that a selection leaves: a property that passed a test is not null."""
        attribute, test = given["attribute"], given.get("test")
        assert isinstance(attribute, ast.Literal)
        name = str(test.value) if isinstance(test, ast.Literal) else "true"
        if expression.name == "rejectattr":
            there = name == "none" or COMPARING.get(name) == "!="
        else:
            there = name not in ("none", "defined") and COMPARING.get(name) != "!="
        return guarded(inner, str(attribute.value).split(".")) if there else inner

    def _selected(self, expression: ast.FilterCall, item: Value, given: Mapping[str, Expression]) -> None:
        test = given.get("test")
        if test is None:
            return
        assert isinstance(test, ast.Literal)
        if test.value in ("none", "true", "false", "defined"):
            if test.value in ("true", "false") and not isinstance(item.type, Boolean):
                words = f"{item.words} is {a_kind(item.type)}, not true or false"
                self.fail(test.at, "wrong-type", words)
            if "value" in given:
                self.fail(given["value"].at, "wrong-type", f"the test '{test.value}' takes no value")
            return
        if test.value not in COMPARING:
            words = f"there is no test '{test.value}' for rows"
            self.fail(test.at, "outside-language", words, suggest_name(str(test.value), [*COMPARING, "none", "true"]))
            return
        argument = given.get("value")
        if argument is None:
            self.fail(expression.at, "wrong-type", f"the test '{test.value}' wants a value")
            return
        value = self.present(argument, self.value(argument), "compared")
        wanted = value.type
        if test.value == "in":
            if not isinstance(value.type, Array):
                self.fail(argument.at, "wrong-type", "'in' wants a list")
                return
            wanted = value.type.item.type
        elif item.nullable and COMPARING[str(test.value)] not in ("==", "!="):
            words = f"{item.words} may be null, which has no order"
            self.fail(expression.at, "may-be-null", words, self._without_nulls(expression, item))
        if value.type is not ANYTHING and not comparable(item.type, wanted, COMPARING[str(test.value)]):
            words = f"{item.words} is {a_kind(item.type)} and cannot be compared with {a_kind(wanted)}"
            self.fail(argument.at, "wrong-type", words)
