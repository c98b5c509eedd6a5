"""What the filters of lists have in common: what they look at in each item, and in which order items stand."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from storymesh.errors import NotInLanguage, suggest_name
from storymesh.language.evaluate import order_key
from storymesh.language.filters.base import CheckedCall, Filter, Parameter, SizedCall
from storymesh.language.filters.text import lower
from storymesh.language.sizes import Polynomial
from storymesh.language.static_values import ANYTHING, StaticValue, a_kind, higher
from storymesh.language.types import Array, Boolean, Hidden, Null, Struct

ATTRIBUTE = Parameter("attribute", literal=str)
ATTRIBUTE_BY_NAME = Parameter("attribute", literal=str, by_name=True)


def property_of(item: Any, attribute: str | None) -> Any:
    """Return the property of a row that `attribute` names, with dots for rows in rows; without one, the item."""
    for step in attribute.split(".") if attribute else ():
        if item is not None and (not isinstance(item, dict) or step not in item):
            raise NotInLanguage(f"a {type(item).__name__} has no property '{step}'")
        item = item[step] if item is not None else None
    return item


def sort_key(attribute: str | None) -> Callable[[Any], Any]:
    """Return the key by which items are compared: Jinja compares texts without regard to case."""

    def key(item: Any) -> Any:
        value = property_of(item, attribute)
        if isinstance(value, str):
            return lower(value)
        return order_key(value) if isinstance(value, float) else value

    return key


class ListFilter(Filter):
    """A filter of lists. `infer_items` is its type rule, given what the filter looks at in each item."""

    accepts: ClassVar[tuple[type, ...]] = (Array,)
    wants = "a list"

    def infer(self, call: CheckedCall) -> StaticValue:
        item = self.item_of(call)
        return item if item.type is ANYTHING else self.infer_items(call, item)

    @abstractmethod
    def infer_items(self, call: CheckedCall, item: StaticValue) -> StaticValue:
        """Return what is known of the result, or raise findings."""

    def estimate_steps(self, call: SizedCall) -> Polynomial:
        return call.base.items  # each is looked at

    def item_of(self, call: CheckedCall) -> StaticValue:
        """Return what the filter looks at in each item: the item, or the property that `attribute` names."""
        base = call.base
        assert isinstance(base.type, Array)
        inner = base.type.item
        classification = higher(inner.classification, base)
        item = StaticValue(
            inner.type,
            inner.nullable,
            classification,
            base.paths,
            pseudonym=inner.pseudonym,
            words="an item",
            codes=inner.codes,
            nonzero=inner.nonzero,
        )
        attribute = call.literal("attribute")
        for step in str(attribute.value).split(".") if attribute is not None else ():
            if not isinstance(item.type, Struct):
                words = f"{item.words} is {a_kind(item.type)} and has no property '{step}'"
                return call.fail(words, at=attribute)
            found = item.type.fields.get(step)
            if found is None:
                hint = suggest_name(step, item.type.fields)
                return call.fail(f"the rows have no property '{step}'", hint, attribute, "unknown-name")
            if isinstance(found, Hidden):
                return call.fail(found.words, found.hint, attribute, found.rule)
            paths = frozenset((*path, step) for path in item.paths)
            call.checker.reads |= paths
            item = StaticValue(
                found.type,
                found.nullable or item.nullable,
                higher(found.classification, item),
                paths,
                pseudonym=found.pseudonym,
                words=f"'{step}'",
                codes=found.codes,
                nonzero=found.nonzero,
            )
        return item

    def require_order(self, call: CheckedCall, item: StaticValue) -> None:
        """Raise a finding where the items have no order."""
        if isinstance(item.type, Array | Struct | Boolean | Null):
            words = f"{item.words} is {a_kind(item.type)} and has no order"
            call.fail(words, "name a property with attribute=")
        elif item.nullable:
            words = f"{item.words} may be null, which has no order"
            call.fail(words, without_nulls(item), rule="may-be-null")

    def require_present_items(self, call: CheckedCall, item: StaticValue, doing: str) -> bool:
        """Raise a finding where an item may be null in a template; an expression leaves null items to the engine."""
        if not (call.checker.strict and item.nullable) or isinstance(item.type, Null):
            return True
        call.fail(f"{item.words} may be null and is {doing}", without_nulls(item), rule="may-be-null")
        return False

    def same_list(self, call: CheckedCall) -> StaticValue:
        """Return the list of the call, or some items of it."""
        base = call.base
        return StaticValue(
            base.type, base.nullable, base.classification, base.paths, counted=base.counted, words=base.words
        )


def without_nulls(item: StaticValue) -> str:
    """Return the hint that says how to leave out the items that are null."""
    if not item.words.startswith("'"):
        return 'leave those out first with `reject("none")`'
    return f'leave those out first with `rejectattr("{item.words[1:-1]}", "none")`'
