"""The formats of a human language on the engine: numbers, counts, times and the names in dates."""

import re
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.language.locale_formats import ENGLISH, LocaleFormats

_NAMES = re.compile(r"(%[BbAa])")


def in_language(number: ir.StringValue, formats: LocaleFormats) -> ir.StringValue:
    """Return a number that English has written."""
    signs = formats.signs
    if not signs:
        return number
    return number.translate("".join(map(chr, signs)), "".join(signs.values()))


def in_percent(number: ir.StringValue, formats: LocaleFormats) -> ir.StringValue:
    """Return a number that English has written, with the percent sign."""
    text = in_language(number, formats)
    before, after = formats.percent
    if before:
        below_zero = text.startswith(formats.minus)
        digits = ibis.ifelse(below_zero, text.substr(len(formats.minus)), text)
        text = ibis.ifelse(below_zero, formats.minus, "").concat(before, digits)
    return text.concat(after) if after else text


def pick_form(count: ir.IntegerValue, forms: Mapping[str, ir.Value], formats: LocaleFormats) -> ir.Value:
    """Return what belongs to the plural form of a whole number; every form of the language has something."""
    if formats.plural is None:
        return ibis.ifelse(count == 1, forms["one"], forms["other"])
    # The smallest whole number has no counterpart: one with the same last digits goes with the same form.
    size = ibis.ifelse(count < 1_000 - 2**63, count + 1_000, count).abs()
    cases = [(_holds(rule, size), forms[form]) for form, rule in formats.plural.abstract if form in forms]
    cases = [(test, value) for test, value in cases if test is not False]
    rest = forms["other"] if "other" in forms else cases.pop()[1]
    return ibis.cases(*cases, else_=rest) if cases else rest


def counted(count: ir.IntegerValue, unit: str, formats: LocaleFormats) -> ir.StringValue:
    """Return a number of a unit in full words."""
    number = in_language(dialect.format_thousands(count, 0), formats)
    patterns = {form: pattern.partition("{}") for form, pattern in formats.units[unit].items()}
    if all(not before and number_sign for before, number_sign, _ in patterns.values()):
        after = {form: ibis.literal(words) for form, (_, _, words) in patterns.items()}
        return number.concat(pick_form(count, after, formats))
    written = {
        form: ibis.literal(before).concat(number, after) if number_sign else ibis.literal(before)
        for form, (before, number_sign, after) in patterns.items()
    }
    return pick_form(count, written, formats)


def duration(minutes: ir.IntegerValue, below_zero: ir.BooleanValue, formats: LocaleFormats) -> ir.StringValue:
    """Return the two largest whole units of day, hour and minute, without a part that is zero."""
    days, rest = dialect.integer_division(minutes, ibis.literal(1440)), minutes % 60
    hours = dialect.integer_division(minutes, ibis.literal(60)) % 24

    def two(first: ir.IntegerValue, one: str, second: ir.IntegerValue, other: str) -> ir.StringValue:
        text = counted(first, one, formats)
        both = text.concat(formats.unit_separator, counted(second, other, formats))
        return ibis.ifelse(second == 0, text, both)

    text = ibis.cases(
        (days > 0, two(days, "day", hours, "hour")),
        (hours > 0, two(hours, "hour", rest, "minute")),
        else_=counted(rest, "minute", formats),
    )
    return ibis.ifelse(below_zero & (minutes > 0), ibis.literal(formats.minus).concat(text), text)


def moment(value: ir.Value, pattern: str, formats: LocaleFormats) -> ir.StringValue:
    """Return a date or timestamp by the codes of a pattern."""
    if formats.code == ENGLISH or not _NAMES.search(pattern):
        return dialect.format_moment(value, pattern)
    at = value.cast("timestamp")
    parts = []
    for part in filter(None, _NAMES.split(pattern)):
        names = formats.names(part)
        if names is None:
            parts.append(dialect.format_moment(at, part))
        else:
            index = at.month() - 1 if len(names) == 12 else at.day_of_week.index()
            parts.append(index.cast("int64").cases(*enumerate(names)))
    return parts[0].concat(*parts[1:]) if len(parts) > 1 else parts[0]


def _holds(rule: tuple[str, Any], size: ir.IntegerValue) -> Any:
    """Return whether a rule of CLDR, as Babel has parsed it, holds for a whole number that is not negative; a Python
    bool where it does for all or none: a whole number has no digits after the decimal point."""
    kind, parts = rule
    match kind:
        case "and" | "or":
            left, right = (_holds(part, size) for part in parts)
            decisive = kind == "or"
            if left is decisive or right is decisive:
                return decisive
            if isinstance(left, bool):
                return right
            if isinstance(right, bool):
                return left
            return left | right if decisive else left & right
        case "not":
            inner = _holds(parts[0], size)
            return not inner if isinstance(inner, bool) else ~inner
        case "relation":
            _, operand, (_, ranges) = parts
            value = _operand(operand, size)
            within = [(low[1][0], high[1][0]) for low, high in ranges]
            if isinstance(value, int):
                return any(low <= value <= high for low, high in within)
            tests = [value == low if low == high else value.between(low, high) for low, high in within]
            return tests[0] if len(tests) == 1 else ibis.or_(*tests)
    raise AssertionError(f"a plural rule of Babel has the part {kind!r}")


def _operand(operand: tuple[str, Any], size: ir.IntegerValue) -> Any:
    name, parts = operand
    if name == "mod":
        inner, (_, (divisor,)) = parts
        value = _operand(inner, size)
        return value % divisor
    return size if name in ("n", "i") else 0
