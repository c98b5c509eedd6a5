"""The closed list of filters: what each takes, what it means, and its meaning in Python.

The Python functions are the definition: the interpreter calls them, the compiler is tested against them. None of them
leans on an engine's or a locale's idea of a format.
"""

import hashlib
import math
import operator as operators
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import reduce
from typing import Any

from storymesh.errors import NotInLanguage
from storymesh.language.types import MOMENTS, NUMBERS, Array, Integer, Text, Type

DATE_CODES = ("%Y", "%m", "%-d", "%d", "%B", "%b", "%A", "%a", "%H", "%M", "%S", "%%")
DATE_CODE = re.compile(r"%-d|%[YmdBbAaHMS%]")
UNITS: Mapping[str, int] = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LARGEST_EXACT = 2.0**63
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)  # so that arithmetic of 38 digits never rounds on its way


@dataclass(frozen=True)
class Parameter:
    name: str
    required: bool = False
    literal: type | None = None  # the value has to be written out, so that the checker can read it
    by_name: bool = False  # Jinja has another argument in this place, so it is always written with its name

    @property
    def written(self) -> str:
        return {int: "a whole number", str: "a text in quotes", bool: "true or false"}[self.literal or str]


@dataclass(frozen=True)
class Signature:
    """One filter: `function(value, *arguments)` is its meaning; `accepts` and `wants` say what it works on."""

    name: str
    takes: tuple[type, ...]
    wants: str
    meaning: str
    parameters: tuple[Parameter, ...]
    function: Callable[..., Any]
    example: tuple[str, str]

    def accepts(self, type_: Type) -> bool:
        return not self.takes or isinstance(type_, self.takes)

    @property
    def usage(self) -> str:
        inner = ", ".join(
            parameter.name + ("" if parameter.required and not parameter.by_name else "=…")
            for parameter in self.parameters
        )
        return f"{self.name}({inner})" if inner else self.name


def _finite(value: float) -> float:
    if not math.isfinite(value) or abs(value) >= LARGEST_EXACT:
        raise NotInLanguage("a number is not finite or too large to print exactly")
    return value


def number(value: int | float | Decimal, digits: int = 0) -> str:
    """Python's `format(x, ',.nf')` of the binary value: thousands by comma, ties to even, no minus zero."""
    text = f"{value:,}" if isinstance(value, int) and digits == 0 else f"{_finite(float(value)):,.{digits}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def percent(value: int | float | Decimal, digits: int = 0) -> str:
    return number(100 * float(value), digits) + "%"


def format_date(value: date, format: str = "%Y-%m-%d") -> str:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    parts = {
        "%Y": f"{moment.year:04d}",
        "%m": f"{moment.month:02d}",
        "%d": f"{moment.day:02d}",
        "%-d": str(moment.day),
        "%B": MONTHS[moment.month - 1],
        "%b": MONTHS[moment.month - 1][:3],
        "%A": WEEKDAYS[moment.weekday()],
        "%a": WEEKDAYS[moment.weekday()][:3],
        "%H": f"{moment.hour:02d}",
        "%M": f"{moment.minute:02d}",
        "%S": f"{moment.second:02d}",
        "%%": "%",
    }
    return DATE_CODE.sub(lambda met: parts[met[0]], format)


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{number(count)} {one if count == 1 else many if many is not None else one + 's'}"


def duration(value: int | float | Decimal, unit: str) -> str:
    """The two largest whole units of day, hour and minute; what is smaller is cut off, a part that is zero left out.

    An integer is exact. Any other number is taken as a float and its seconds are rounded to six digits first, so that
    0.7 hours, which no float holds, are 42 minutes and not 41.
    """
    if isinstance(value, int):
        minutes = whole(abs(value) * UNITS[unit] // 60)
    else:
        minutes = int(_finite(round(abs(_finite(float(value))) * UNITS[unit], 6)) // 60)
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    shown = [plural(count, name) for count, name in parts[:2] if count] or ["0 minutes"]
    return ("-" if value < 0 and minutes else "") + " ".join(shown)


def listing(items: Iterable[Any], last: str = "and") -> str:
    texts = [printed(item) for item in items]
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}" if len(texts) > 1 else "".join(texts)


def pseudonym(value: Any, key: bytes) -> str:
    """`p-` and 12 hex digits of SHA-256(key, `|`, value)."""
    return "p-" + hashlib.sha256(key + b"|" + printed(value).encode()).hexdigest()[:12]


def chosen(options: tuple[str, ...], case_id: str, template: str, place: int) -> int:
    """Which of the options `choose` takes: a fixed draw for the case, the file and the place in it."""
    digest = hashlib.md5(f"{case_id}:{template}:{place}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % len(options)


def fallback(met: Any, value: Any) -> Any:
    return value if met is None else met


def printed(value: Any) -> str:
    """A value as it stands in text: what Python's `str` prints."""
    if not isinstance(value, str | int | Decimal | date):
        raise NotInLanguage(f"a {type(value).__name__} was about to be printed")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def round_half_even(value: int | float | Decimal, precision: int = 0) -> int | float | Decimal:
    """The binary value correctly rounded, ties to even, as `number` prints it."""
    if isinstance(value, Decimal):
        places = min(precision, max(-int(value.as_tuple().exponent), 0))
        return EXACT.add(Decimal(f"{_finite(float(value)):.{places}f}"), 0)
    return value if isinstance(value, int) else float(round(value, precision))


def whole(value: int | float | Decimal) -> int:
    result = int(_finite(value)) if isinstance(value, float) else int(value)
    if not -(2**63) <= result < 2**63:
        raise NotInLanguage("a whole number grew past 64 bits")
    return result


def absolute(value: int | float | Decimal) -> int | float | Decimal:
    return (
        whole(abs(value)) if isinstance(value, int) else value.copy_abs() if isinstance(value, Decimal) else abs(value)
    )


def _property(item: Any, attribute: str | None) -> Any:
    for step in attribute.split(".") if attribute else ():
        if item is not None and (not isinstance(item, dict) or step not in item):
            raise NotInLanguage(f"a {type(item).__name__} has no property '{step}'")
        item = item[step] if item is not None else None
    return item


def first(items: list[Any]) -> Any:
    return items[0] if items else None


def last(items: list[Any]) -> Any:
    return items[-1] if items else None


def total(items: list[Any], attribute: str | None = None) -> Any:
    """The sum from left to right; integers stay within 64 bits, decimals are exact."""
    found: list[Any] = [_property(item, attribute) for item in items]
    if any(isinstance(value, Decimal) for value in found):
        return reduce(EXACT.add, found)
    added = sum(found, 0)
    return whole(added) if isinstance(added, int) else added


def compared(operator: str, left: Any, right: Any) -> bool:
    """How values compare: a float makes both sides floats, a date is its midnight, and NaN is the largest number and
    equal to itself, as in SQL."""
    if operator in ("in", "notin", "not in"):
        found = left in right if isinstance(right, str) else any(compared("==", left, item) for item in right)
        return found if operator == "in" else not found
    if left is None or right is None:
        return (operator == "!=") != (left is right)
    if isinstance(left, float) or isinstance(right, float):
        left, right = _ordered(float(left)), _ordered(float(right))
    return bool(_COMPARISONS[operator](left, right))


def _ordered(value: float) -> tuple[bool, float]:
    return (True, 0.0) if math.isnan(value) else (False, value)


_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operators.eq, "!=": operators.ne, "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge
}  # fmt: skip


def _sort_key(attribute: str | None) -> Callable[[Any], Any]:
    # Jinja compares texts without regard to case.
    def key(item: Any) -> Any:
        found = _property(item, attribute)
        if isinstance(found, str):
            return lower(found)
        return _ordered(found) if isinstance(found, float) else found

    return key


def smallest(items: list[Any], attribute: str | None = None) -> Any:
    return min(items, key=_sort_key(attribute), default=None)


def largest(items: list[Any], attribute: str | None = None) -> Any:
    return max(items, key=_sort_key(attribute), default=None)


def in_order(items: list[Any], attribute: str | None = None, reverse: bool = False) -> list[Any]:
    return sorted(items, key=_sort_key(attribute), reverse=reverse)


def distinct(items: list[Any], attribute: str | None = None) -> list[Any]:
    seen: dict[Any, Any] = {}
    for item in items:
        seen.setdefault(_sort_key(attribute)(item), item)
    return list(seen.values())


def joined(items: list[Any], separator: str = "", attribute: str | None = None) -> str:
    return separator.join(printed(_property(item, attribute)) for item in items)


def mapped(items: list[Any], attribute: str) -> list[Any]:
    return [_property(item, attribute) for item in items]


_TESTS: Mapping[str, Callable[[Any], bool]] = {
    "none": lambda met: met is None,
    "true": lambda met: met is True,
    "false": lambda met: met is False,
    "defined": lambda met: True,
}
_WRITTEN: Mapping[str, str] = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "in"}
SPELLINGS: Mapping[str, str] = {
    "==": "eq", "equalto": "eq", "!=": "ne", "<": "lt", "lessthan": "lt", "<=": "le", ">": "gt", "greaterthan": "gt",
    ">=": "ge",
}  # fmt: skip


def selected(items: list[Any], attribute: str, test: str | None = None, value: Any = None) -> list[Any]:
    return [item for item in items if _passes(_property(item, attribute), test, value)]


def rejected(items: list[Any], attribute: str, test: str | None = None, value: Any = None) -> list[Any]:
    return [item for item in items if not _passes(_property(item, attribute), test, value)]


def _passes(met: Any, test: str | None, value: Any) -> bool:
    if test is None:
        return bool(met)
    if test in _TESTS:
        return _TESTS[test](met)
    operator = _WRITTEN[SPELLINGS.get(test, test)]
    if met is None and operator not in ("==", "!=", "in"):
        return False
    return compared(operator, met, value)


def upper(text: str) -> str:
    """Capital letters by Unicode's simple mapping, one letter for one: an engine knows no other, and `ß` is `ẞ`."""
    return "".join(map(_capital, text))


def _capital(letter: str) -> str:
    for mapped in (letter.upper(), letter.title()):
        if len(mapped) == 1:
            return mapped
    return "ẞ" if letter == "ß" else letter


def lower(text: str) -> str:
    """Small letters by Unicode's simple mapping, one letter for one, wherever in a word it stands."""
    return "".join(letter.lower()[0] for letter in text)


def capitalize(text: str) -> str:
    return upper(text[:1]) + lower(text[1:])


def title(text: str) -> str:
    """Words begin at the start, and behind white space of ASCII, a hyphen or an opening bracket."""
    parts = re.split(r"([-\s({\[<]+)", text, flags=re.ASCII)
    return "".join(capitalize(part) for part in parts)


def replaced(text: str, old: str, new: str) -> str:
    """An empty text stands nowhere, so that nothing is put in its place."""
    return text.replace(old, new) if old else text


def _all(*signatures: Signature) -> Mapping[str, Signature]:
    return {signature.name: signature for signature in signatures}


_ATTRIBUTE = Parameter("attribute", literal=str)
_NAMED = Parameter("attribute", literal=str, by_name=True)
_SELECTING = (Parameter("attribute", True, str), Parameter("test", literal=str), Parameter("value"))

FILTERS: Mapping[str, Signature] = _all(
    Signature(
        "number", NUMBERS, "a number", "thousands with comma, correctly rounded, ties to even",
        (Parameter("digits", literal=int),), number, ("1234.5 | number", "1,234"),
    ),
    Signature(
        "percent", NUMBERS, "a number", "`number` of 100 x and a percent sign",
        (Parameter("digits", literal=int),), percent, ("0.125 | percent(1)", "12.5%"),
    ),
    Signature(
        "date", MOMENTS, "a date or timestamp", f"a date in a format of {' '.join(DATE_CODES)}",
        (Parameter("format", literal=str),), format_date, ('case.at | date("%-d %B %Y")', "3 March 2024"),
    ),
    Signature(
        "plural", (Integer,), "an integer", "the number and the word in the right form",
        (Parameter("one", True, str), Parameter("many", literal=str)), plural, ('1 | plural("day")', "1 day"),
    ),
    Signature(
        "duration", NUMBERS, "a number", "the two largest whole units of day, hour and minute",
        (Parameter("unit", True, str),), duration, ('37 | duration("hours")', "1 day 13 hours"),
    ),
    Signature(
        "listing", (Array,), "a list", "items with commas and a word before the last",
        (Parameter("last", literal=str),), listing, ('["a", "b", "c"] | listing', "a, b and c"),
    ),
    Signature(
        "default", (), "anything", "another value where this one is null",
        (Parameter("value", True),), fallback,
        ('none | default("none known")', "none known"),
    ),
    Signature(
        "label", (Text,), "a code with labels", "the label that the contract's enum gives a code",
        (), lambda code, labels: labels.get(code, code), ("delay.waterway | label", "Suez Canal"),
    ),
    Signature(
        "pseudonym", (Text, Integer), "a text or an integer",
        "a stable stand-in that does not lead back without the key",
        (), pseudonym, ("shipment.consignee | pseudonym", "p-9994b5c4dbba"),
    ),
    Signature("upper", (Text,), "a text", "capital letters", (), upper, ('"suez" | upper', "SUEZ")),
    Signature("lower", (Text,), "a text", "small letters", (), lower, ('"SUEZ" | lower', "suez")),
    Signature(
        "capitalize", (Text,), "a text", "the first letter capital, the others small",
        (), capitalize, ('"suez CANAL" | capitalize', "Suez canal"),
    ),
    Signature(
        "title", (Text,), "a text", "the first letter of each word capital, the others small",
        (), title, ('"suez canal" | title', "Suez Canal"),
    ),
    Signature("trim", (Text,), "a text", "without white space at both ends", (), str.strip, ('" a " | trim', "a")),
    Signature(
        "replace", (Text,), "a text", "every occurrence of a text by another",
        (Parameter("old", True), Parameter("new", True)), replaced,
        ('"a-b" | replace("-", " ")', "a b"),
    ),
    Signature("length", (Text, Array), "a text or a list", "how many", (), len, ('["a", "b"] | length', "2")),
    Signature(
        "first", (Array,), "a list", "the first item, null if there is none", (), first, ('["a", "b"] | first', "a")
    ),
    Signature("last", (Array,), "a list", "the last item, null if there is none", (), last, ('["a", "b"] | last', "b")),
    Signature("sum", (Array,), "a list of numbers", "the sum", (_ATTRIBUTE,), total, ("[1, 2] | sum", "3")),
    Signature(
        "min", (Array,), "a list", "the smallest item (by a property)", (_NAMED,), smallest, ("[2, 1] | min", "1")
    ),
    Signature(
        "max", (Array,), "a list", "the largest item (by a property)", (_NAMED,), largest, ("[2, 1] | max", "2")
    ),
    Signature(
        "join", (Array,), "a list", "the items in one text",
        (Parameter("separator", literal=str), _ATTRIBUTE), joined, ('["a", "b"] | join("/")', "a/b"),
    ),
    Signature(
        "round", NUMBERS, "a number", "rounded to some digits, ties to even",
        (Parameter("precision", literal=int),), round_half_even, ("2.5 | round | number", "2"),
    ),
    Signature("abs", NUMBERS, "a number", "without its sign", (), absolute, ("-3 | abs", "3")),
    Signature("int", NUMBERS, "a number", "cut off to a whole number", (), whole, ("2.9 | int", "2")),
    Signature(
        "map", (Array,), "a list of rows", "one property of each row",
        (Parameter("attribute", True, str, by_name=True),), mapped,
        ('resolution | map(attribute="action_code") | listing', "WAIT"),
    ),
    Signature(
        "selectattr", (Array,), "a list of rows", "the rows whose property passes a test",
        _SELECTING, selected, ('resolution | selectattr("cost_usd", "none") | length', "0"),
    ),
    Signature(
        "rejectattr", (Array,), "a list of rows", "the rows whose property does not pass a test",
        _SELECTING, rejected, ('resolution | rejectattr("cost_usd", "none") | length', "1"),
    ),
    Signature(
        "sort", (Array,), "a list", "in order (of a property)",
        (_NAMED, Parameter("reverse", literal=bool, by_name=True)), in_order,
        ('["b", "a"] | sort | listing', "a and b"),
    ),
    Signature(
        "unique", (Array,), "a list", "each item once, texts without regard to case",
        (_NAMED,), distinct, ('["a", "b", "a"] | unique | listing', "a and b"),
    ),
)  # fmt: skip
