"""The differences between the types of a property in two versions of a contract, inside rows and lists too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from storymesh.contract.change import Step
from storymesh.contract.quality_rules import Comparison
from storymesh.contract.type_options import parse_moment, parse_time
from storymesh.language.types import Array, Decimal, Field, Float, Hidden, Integer, Struct, Type

_INTEGER_DIGITS = 19
Tightness = Literal["tighter", "looser", "other"]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "mustBeGreaterThan", "mustBeGreaterOrEqualTo")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "mustBeLessThan", "mustBeLessOrEqualTo")
_AUDITED = (*_LOWER, *_UPPER, "pattern", "format", "multipleOf", "uniqueItems", "dimensions")


@dataclass(frozen=True)
class TypeChange:
    """A difference of a type at `path`; `by_digits`: only how many digits a number may have."""

    rule: str
    path: str
    words: str
    step: Step
    refuses: bool
    by_digits: bool = False


def compare_types(path: str, old: Type, new: Type) -> Iterator[TypeChange]:
    """Yield what differs between two types of the value at `path`."""
    match old, new:
        case Struct(), Struct():
            yield from _compare_fields(path, old, new)
        case Array(), Array():
            yield from _compare_field(f"{path}[]", old.item, new.item)
        case _ if old == new:
            return
        case _:
            digits = isinstance(old, Decimal) and isinstance(new, Decimal)
            if _is_wider(new, old):
                words = f"'{path}' is {_name_type(new)}, which is wider than {_name_type(old)}"
                yield TypeChange("type-widened", path, words, "major", False, digits)
            elif _is_wider(old, new):
                words = f"'{path}' is {_name_type(new)}, which is narrower than {_name_type(old)}"
                yield TypeChange("type-narrowed", path, words, "minor", True, digits)
            else:
                words = f"'{path}' is {_name_type(new)}, it was {_name_type(old)}"
                yield TypeChange("type-changed", path, words, "major", True, digits)


def _compare_fields(path: str, old: Struct, new: Struct) -> Iterator[TypeChange]:
    for name, field in old.fields.items():
        inside = f"{path}.{name}"
        if name not in new.fields:
            yield TypeChange("property-removed", inside, f"'{inside}' is gone", "major", False)
        else:
            yield from _compare_field(inside, field, new.fields[name])
    for name, field in new.fields.items():
        if name not in old.fields:
            required = isinstance(field, Field) and not field.nullable
            yield TypeChange("property-added", f"{path}.{name}", f"'{path}.{name}' is new", "minor", required)


def _compare_field(path: str, old: Field | Hidden, new: Field | Hidden) -> Iterator[TypeChange]:
    if not isinstance(old, Field) or not isinstance(new, Field):
        return
    yield from compare_types(path, old.type, new.type)
    if old.nullable != new.nullable:
        words = f"'{path}' may be null now" if new.nullable else f"'{path}' has to have a value now"
        yield TypeChange("required", path, words, "major" if new.nullable else "minor", not new.nullable)
    if old.classification != new.classification:
        words = f"'{path}' is {new.classification}, it was {old.classification}"
        stricter = (old.classification, new.classification) in _STRICTER
        yield TypeChange("classification", path, words, "major" if stricter else "minor", False)


_STRICTER = (("public", "internal"), ("public", "restricted"), ("internal", "restricted"))


def _is_wider(wide: Type, narrow: Type) -> bool:
    """Return True if each value of the second type is one of the first, exactly and of the same kind."""
    match wide, narrow:
        case Decimal(), Decimal():
            whole = wide.precision - wide.scale >= narrow.precision - narrow.scale
            return whole and wide.scale >= narrow.scale
        case Decimal(), Integer():
            return wide.precision - wide.scale >= _INTEGER_DIGITS
        case Float(), Integer():
            return True
        case _:
            return False


def _name_type(kind: Type) -> str:
    return f"decimal({kind.precision},{kind.scale})" if isinstance(kind, Decimal) else str(kind)


@dataclass(frozen=True)
class OptionChange:
    """An option of a type that is another one now."""

    name: str
    words: str
    tightness: Tightness


def compare_options(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[OptionChange]:
    """Yield what differs between the options of a property that are audited."""
    for option in _AUDITED:
        was, now = old.get(option), new.get(option)
        if was == now or (not (was or now) and option == "uniqueItems"):
            continue
        if was is None or (option == "uniqueItems" and now):
            yield OptionChange(option, f"{option} of '{name}' is {now} now", "tighter")
        elif now is None or option == "uniqueItems":
            yield OptionChange(option, f"{option} of '{name}' is no longer {was}", "looser")
        else:
            words = f"{option} of '{name}' is {now}, it was {was}"
            yield OptionChange(option, words, _compare_values(option, was, now))


def compare_comparisons(old: Comparison, new: Comparison) -> Tightness:
    """Return whether the later of two conditions on a measured value lets fewer values through."""
    if old.operator != new.operator:
        return "other"
    if old.operator in ("mustBeBetween", "mustNotBeBetween"):
        try:
            inside = old.value[0] <= new.value[0] and new.value[1] <= old.value[1]
            outside = new.value[0] <= old.value[0] and old.value[1] <= new.value[1]
        except TypeError:
            return "other"
        tighter = inside if old.operator == "mustBeBetween" else outside
        looser = outside if old.operator == "mustBeBetween" else inside
        return "tighter" if tighter else "looser" if looser else "other"
    return _compare_values(old.operator, old.value, new.value)


def _compare_values(name: str, was: Any, now: Any) -> Tightness:
    before, after = _comparable(was), _comparable(now)
    try:
        if name in _LOWER:
            return "tighter" if after > before else "looser"
        if name in _UPPER:
            return "tighter" if after < before else "looser"
        if name == "multipleOf":
            return "tighter" if after % before == 0 else "looser" if before % after == 0 else "other"
    except (TypeError, ZeroDivisionError):
        pass
    return "other"


def _comparable(value: Any) -> Any:
    return parse_moment(value) or parse_time(value) or value if isinstance(value, str) else value
