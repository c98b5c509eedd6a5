"""Compare a bound or a condition of two versions of a contract: tighter, looser, or another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from storymesh.contract.quality_rules import Comparison
from storymesh.contract.type_options import parse_moment, parse_time

Tightness = Literal["tighter", "looser", "other"]

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "mustBeGreaterThan", "mustBeGreaterOrEqualTo")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "mustBeLessThan", "mustBeLessOrEqualTo")
_AUDITED = (*_LOWER, *_UPPER, "pattern", "format", "multipleOf", "uniqueItems", "dimensions")


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
