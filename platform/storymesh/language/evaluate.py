"""What the language means in Python: arithmetic, comparison, order, truth of tests, and values as text.

These functions are the definition: the interpreter calls them, and the compiler is tested against them.
"""

import hashlib
import math
import operator as operators
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from storymesh.errors import NotInLanguage, TooLarge

MAX_OUTPUT = 1024 * 1024
MAX_TEXT = 64 * MAX_OUTPUT  # on the way; of a typed template what texts can grow to is known before
MAX_EXACT = 2.0**63
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)  # so that arithmetic of 38 digits never rounds on its way
TRUNCATING = Context(prec=100, rounding=ROUND_DOWN)
Number = int | float | Decimal
TESTS: Mapping[str, Callable[[Any], bool]] = {
    "none": lambda value: value is None,
    "defined": lambda value: True,
    "true": lambda value: value is True,
    "false": lambda value: value is False,
}
# The tests that compare, in every spelling that Jinja has for them.
COMPARING_TESTS: Mapping[str, str] = {
    "eq": "==", "==": "==", "equalto": "==", "ne": "!=", "!=": "!=", "lt": "<", "<": "<", "lessthan": "<", "le": "<=",
    "<=": "<=", "gt": ">", ">": ">", "greaterthan": ">", "ge": ">=", ">=": ">=", "in": "in",
}  # fmt: skip


def finite(value: float) -> float:
    """Return the value. Raises NotInLanguage where it cannot be printed exactly."""
    if not math.isfinite(value) or abs(value) >= MAX_EXACT:
        raise NotInLanguage("a number is not finite or too large to print exactly")
    return value


def as_text(value: Any) -> str:
    """Return a value as it stands in text: what Python's `str` prints."""
    if not isinstance(value, str | int | Decimal | date):
        raise NotInLanguage(f"a {type(value).__name__} was about to be printed")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def int64(value: int | float | Decimal) -> int:
    """Return a number cut off to a whole one. Raises NotInLanguage past 64 bits."""
    result = int(finite(value)) if isinstance(value, float) else int(value)
    if not -(2**63) <= result < 2**63:
        raise NotInLanguage("a whole number grew past 64 bits")
    return result


def bounded(value: Any) -> Any:
    """Return the value. Raises TooLarge for a text past the bound."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise TooLarge(f"a text grew past {MAX_TEXT // 2**20} MiB", "join less")
    return value


def draw_option(options: tuple[str, ...], case_id: str, template: str, place: int) -> int:
    """Return the index of the option that `choose` takes: a fixed draw for the case, the file and the place in it."""
    digest = hashlib.md5(f"{case_id}:{template}:{place}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % len(options)


def compare(operator: str, left: Any, right: Any) -> bool:
    """Return how two values compare.

    A float makes both sides floats, a date is its midnight, and NaN is the largest number and equal to itself, as in
    SQL.
    """
    if operator in ("in", "notin", "not in"):
        found = left in right if isinstance(right, str) else any(compare("==", left, item) for item in right)
        return found if operator == "in" else not found
    if left is None or right is None:
        return (operator == "!=") != (left is right)
    if isinstance(left, float) or isinstance(right, float):
        left, right = order_key(float(left)), order_key(float(right))
    return bool(_COMPARISONS[operator](left, right))


def order_key(value: float) -> tuple[bool, float]:
    """Return a float in the order of SQL: NaN is the largest number."""
    return (True, 0.0) if math.isnan(value) else (False, value)


_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operators.eq, "!=": operators.ne, "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge
}  # fmt: skip


def calculate(operator: str, left: Any, right: Any) -> Number | None:
    """Return the result of an operator.

    Decimals stay exact, integers have 64 bits, `/` is IEEE 754's division of floats, `//` and `%` of integers round
    down and are null for a divisor of zero. A moment without another is the seconds between them.
    """
    if operator == "-" and isinstance(left, date) and isinstance(right, date):
        between = left - right
        return Decimal(between // timedelta(microseconds=1)).scaleb(-6, EXACT)
    for operand in (left, right):
        if isinstance(operand, bool) or not isinstance(operand, Number):
            raise NotInLanguage(f"`{operator}` wants numbers, a {type(operand).__name__} was met")
    if operator == "/" or isinstance(left, float) or isinstance(right, float):
        left, right = float(left), float(right)
    exact = isinstance(left, Decimal) or isinstance(right, Decimal)
    result: int | float | Decimal
    match operator:
        case "+":
            result = EXACT.add(left, right) if exact else left + right
        case "-":
            result = EXACT.subtract(left, right) if exact else left - right
        case "*":
            result = EXACT.multiply(_factor(left), _factor(right)) if exact else left * right
        case "/":
            return _quotient(left, right)
        case "//" if not exact:
            return int64(left // right) if right else None
        case "%" if not exact:
            return int64(left % right) if right else None
        case _:
            raise NotInLanguage(f"`{operator}` is not in the language")
    match result:
        case int():
            return int64(result)
        case Decimal():
            return fitting(result)
        case _:
            return float(result)


def negative(value: Any) -> Number:
    """Return `-value`; a float keeps its minus zero, which nothing prints."""
    return -value if isinstance(value, float) else calculate("-", 0, value)  # type: ignore[return-value]


def _factor(value: int | Decimal) -> Decimal:
    """Return a factor of at most 19 digits, so that a product has at most 38: engines have no wider decimals."""
    factor = Decimal(value)
    digits, behind = _digits(factor)
    if digits > 19 or behind > 19:
        raise NotInLanguage("a decimal grew past 38 digits")
    return factor


def fitting(result: Decimal) -> Decimal:
    """Return a decimal of at most 38 digits, 37 of them after the decimal point; zero has no sign."""
    if _digits(result)[1] > 37:
        result = EXACT.quantize(result, Decimal(1).scaleb(-37))
    if _digits(result)[0] > 38:
        raise NotInLanguage("a decimal grew past 38 digits")
    return EXACT.add(result, 0)


def _digits(value: Decimal) -> tuple[int, int]:
    """Return how many digits a finite decimal takes when written out, and how many of them after the decimal point."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return len(digits) + max(exponent, 0), max(-exponent, 0)


def _quotient(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
