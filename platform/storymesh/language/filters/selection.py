"""The filters that keep some items of a list: selectattr and rejectattr of rows, select and reject of plain values."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from storymesh.errors import suggest_name
from storymesh.language.evaluate import COMPARING_TESTS, TESTS, compare
from storymesh.language.filters.base import CheckedCall, Origins, Parameter, SizedCall
from storymesh.language.filters.items import ListFilter, property_of, without_nulls
from storymesh.language.sizes import Polynomial
from storymesh.language.static_values import ANYTHING, StaticValue, a_kind, comparable, guarded
from storymesh.language.typecheck.zero import constant
from storymesh.language.types import Array, Boolean, Field, Struct

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall


class Selection(ListFilter):
    """The items that pass a test, or do not: rows by a property of theirs, or plain values."""

    wants = "a list of rows"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("attribute", True, str),
        Parameter("test", literal=str),
        Parameter("value"),
    )
    origins = Origins.ITEMS
    keeps: ClassVar[bool]

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        self._check_test(call, item)
        assert isinstance(call.base.type, Array)
        return replace(self.same_list(call), type=Array(self._kept(call, call.base.type.item)))

    def _kept(self, call: CheckedCall, inner: Field) -> Field:
        """Return what stands in the list that is left: a property that passed a test is not null."""
        attribute, test = call.literal("attribute"), call.literal("test")
        name = str(test.value) if test is not None else "true"
        if self.keeps:
            present = name not in ("none", "defined") and COMPARING_TESTS.get(name) != "!="
        else:
            present = name == "none" or COMPARING_TESTS.get(name) == "!="
        steps = str(attribute.value).split(".") if attribute is not None else []
        return guarded(inner, steps, nonzero=self._keeps_nonzero(call, name)) if present else inner

    def _keeps_nonzero(self, call: CheckedCall, name: str) -> bool:
        """Return True if a number that passes (for `rejectattr`: does not pass) the test is not zero."""
        if call.literal("test") is None:
            return self.keeps
        number = constant(call.arguments["value"]) if "value" in call.arguments else None
        operator = COMPARING_TESTS.get(name, "in")
        if number is None or operator == "in":
            return False
        return compare(operator, 0, number) != self.keeps

    def _check_test(self, call: CheckedCall, item: StaticValue) -> None:
        test = call.literal("test")
        if test is None:
            return
        name = str(test.value)
        if name in TESTS:
            if name in ("true", "false") and not isinstance(item.type, Boolean):
                call.fail(f"{item.words} is {a_kind(item.type)}, not true or false", at=test)
            if "value" in call.arguments:
                call.fail(f"the test '{name}' takes no value", at=call.arguments["value"])
        elif name not in COMPARING_TESTS:
            hint = suggest_name(name, [*COMPARING_TESTS, "none", "true"])
            call.fail(f"there is no test '{name}' for items", hint, test, "outside-language")
        elif "value" not in call.arguments:
            call.fail(f"the test '{name}' wants a value")
        else:
            self._check_comparison(call, item, COMPARING_TESTS[name])

    def _check_comparison(self, call: CheckedCall, item: StaticValue, operator: str) -> None:
        argument = call.arguments["value"]
        value = call.checker.present(argument, call.checker.value(argument), "compared")
        expected = value.type
        if operator == "in":
            if not isinstance(value.type, Array):
                call.fail("'in' wants a list", at=argument)
                return
            expected = value.type.item.type
        elif item.nullable and operator not in ("==", "!="):
            call.fail(f"{item.words} may be null, which has no order", without_nulls(item), rule="may-be-null")
        if value.type is not ANYTHING and not comparable(item.type, expected, operator):
            words = f"{item.words} is {a_kind(item.type)} and cannot be compared with {a_kind(expected)}"
            call.fail(words, at=argument)
        elif operator in ("==", "!=", "in"):
            call.checker.compared_codes(call.node, item, argument, value)

    def estimate_steps(self, call: SizedCall) -> Polynomial:
        compared = call.sizes.get("value")  # with each of its items, by `in`
        return call.base.items * compared.items if compared is not None else call.base.items

    def evaluate(
        self, items: list[Any], /, attribute: str | None = None, test: str | None = None, value: Any = None
    ) -> list[Any]:
        return [item for item in items if _passes(property_of(item, attribute), test, value) == self.keeps]

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        test = call.literal("test")
        value = call.value("value") if "value" in call.arguments else None

        def passes(item: "ir.Value") -> "ir.BooleanValue":
            return _compiled_test(call.looked_at(item), test, value)

        return dialect.filter_items(call.base, passes if self.keeps else lambda item: ~passes(item))


class SelectattrFilter(Selection):
    name = "selectattr"
    summary = "the rows whose property passes a test"
    example = ('resolution | selectattr("cost_usd", "none") | length', "0")
    keeps = True


class RejectattrFilter(Selection):
    name = "rejectattr"
    summary = "the rows whose property does not pass a test"
    example = ('resolution | rejectattr("cost_usd", "none") | length', "1")
    keeps = False


class PlainSelection(Selection):
    """The plain values that pass a test, or do not."""

    wants = "a list"
    parameters = (Parameter("test", literal=str), Parameter("value"))

    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        if isinstance(item.type, Struct):
            hint = f"write `{call.node.name}attr(attribute, test, value)`, which looks at a property"
            return call.fail(f"{item.words} is a row", hint)
        return super().infer_items(call, item)

    def evaluate(  # type: ignore[override]
        self, items: list[Any], /, test: str | None = None, value: Any = None, *, attribute: str | None = None
    ) -> list[Any]:
        return super().evaluate(items, attribute, test, value)


class SelectFilter(PlainSelection):
    name = "select"
    summary = "the items that pass a test"
    example = ('[3, 12, 5] | select("gt", 4) | join(" ")', "12 5")
    keeps = True


class RejectFilter(PlainSelection):
    name = "reject"
    summary = "the items that do not pass a test"
    example = ('["a", "b"] | reject("eq", "a") | join', "b")
    keeps = False


def _passes(given: Any, test: str | None, value: Any) -> bool:
    if test is None:
        return bool(given)
    if test in TESTS:
        return TESTS[test](given)
    operator = COMPARING_TESTS[test]
    if given is None and operator not in ("==", "!=", "in"):
        return False
    return compare(operator, given, value)


def _compiled_test(given: "ir.Value", test: str | None, value: Any) -> "ir.BooleanValue":
    from storymesh.language.compile.arithmetic import compare as compare_values
    from storymesh.language.compile.arithmetic import contains
    from storymesh.language.compile.values import is_test, truth

    if test is None:
        return truth(given)
    if test in TESTS:
        return is_test(given, test)
    operator = COMPARING_TESTS[test]
    if operator == "in":
        return contains(value, given).fill_null(False)
    # Null is unequal to every value, as None is in Python.
    return compare_values(operator, given, value).fill_null(operator == "!=")
