"""Filters of numbers: number, percent, plural, duration, round, abs and int."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal as Exact
from typing import TYPE_CHECKING, ClassVar

from storymesh.errors import suggest_name
from storymesh.language.evaluate import EXACT, TRUNCATING, finite, int64
from storymesh.language.filters.base import (
    MAX_DIGITS,
    CheckedCall,
    Filter,
    Overflow,
    Parameter,
    SizedCall,
    TextFilter,
)
from storymesh.language.locale_formats import ENGLISH, FORMS, LocaleFormats, locale_formats
from storymesh.language.sizes import ONE, PRINTED, Size, constant, most_characters
from storymesh.language.static_values import StaticValue
from storymesh.language.types import NUMBERS, Decimal, Integer, Type

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall


UNITS: Mapping[str, int] = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def format_number(value: int | float | Exact, digits: int = 0) -> str:
    """Return Python's `format(x, ',.nf')`: thousands by comma, ties to even, no minus zero.

    Integers and decimals are taken by their exact value, floats by their binary one.
    """
    if isinstance(value, float):
        text = f"{finite(value):,.{digits}f}"
        return text[1:] if text.startswith("-") and not text.strip("-0.,") else text
    return f"{round_exact(Exact(value), digits):,.{digits}f}"


def round_exact(value: Exact, digits: int) -> Exact:
    """Return a decimal rounded to `digits`, ties to even; zero has no sign."""
    return EXACT.add(EXACT.quantize(value, Exact(1).scaleb(-digits)), 0)


def format_count(count: int, unit: str, formats: LocaleFormats) -> str:
    """Return a number of a unit in full words."""
    return formats.units[unit][formats.form(count)].replace("{}", formats.number(format_number(count)))


class PrintedNumber(TextFilter):
    """A filter that gives a number as text."""

    accepts: ClassVar[tuple[type, ...]] = NUMBERS
    wants = "a number"
    overflow = Overflow.IN_TEXT
    in_locale = True


class NumberFilter(PrintedNumber):
    name = "number"
    summary = (
        "thousands with comma, or as the language has them; ties to even: a decimal by its exact value, a float by "
        "its binary one"
    )
    example = ("1234.5 | number", "1,234")
    parameters = (Parameter("digits", literal=int),)

    def infer(self, call: CheckedCall) -> StaticValue:
        wrong = call.require_digits("digits", f"a number has 0 to {MAX_DIGITS} digits after the decimal point")
        return wrong or super().infer(call)

    def evaluate(self, value: int | float | Exact, locale: str, /, digits: int = 0) -> str:
        return locale_formats(locale).number(format_number(value, digits))

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.arithmetic import number
        from storymesh.language.compile.locale import in_language

        return in_language(number(call.base, call.literal("digits", 0)), call.formats)


class PercentFilter(NumberFilter):
    name = "percent"
    summary = "`number` of 100 x and a percent sign, where the language has it"
    example = ("0.125 | percent(1)", "12.5%")

    def evaluate(self, value: int | float | Exact, locale: str, /, digits: int = 0) -> str:
        times = value * 100 if isinstance(value, float) else EXACT.multiply(value, 100)
        return locale_formats(locale).percentage(format_number(times, digits))

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.arithmetic import hundredfold
        from storymesh.language.compile.locale import in_percent

        return in_percent(hundredfold(call.base, call.literal("digits", 0)), call.formats)


class PluralFilter(PrintedNumber):
    name = "plural"
    accepts = (Integer,)
    wants = "an integer"
    summary = (
        "the number and the word in the form that goes with it; a language with more than two forms names the others"
    )
    example = ('1 | plural("day")', "1 day")
    parameters = (
        Parameter("one", True, str),
        Parameter("many", literal=str),
        *(Parameter(form, literal=str, by_name=True) for form in ("zero", "two", "few", "other")),
    )

    def infer(self, call: CheckedCall) -> StaticValue:
        forms = call.formats.forms
        given = {parameter.name for parameter in self.parameters if call.literal(parameter.name) is not None}
        # The second word is the form of most numbers, by whichever name the language calls that.
        wanted = {"many" if form == "other" and "other" not in given else form for form in forms}
        locale = call.checker.locale
        if locale == ENGLISH:
            wanted.discard("many")  # one with an "s"
        elif len(forms) == 1:
            wanted.clear()
        if missing := sorted(wanted - given - {"one"}):
            written = ", ".join(f'{form}="…"' for form in missing)
            return call.fail(f"'{locale}' has a form of the word for '{missing[0]}'", f"write {written}")
        if unused := sorted(given - wanted - {"one", "many"}):
            return call.fail(f"'{locale}' has no form of a word for '{unused[0]}'", f"it has {', '.join(forms)}")
        return super().infer(call)

    def estimate_size(self, call: SizedCall) -> Size:
        return Size(ONE, most_characters(call.sizes.values()) + constant(PRINTED))

    def evaluate(self, value: int, locale: str, /, one: str, many: str | None = None, **forms: str) -> str:
        formats = locale_formats(locale)
        return f"{formats.number(format_number(value))} {_words(formats, one, many, forms)[formats.form(value)]}"

    def compile(self, call: "CompiledCall") -> "ir.Value":
        import ibis

        from storymesh.engine import dialect
        from storymesh.language.compile.locale import in_language, pick_form

        formats = call.formats
        given = {form: word for form in FORMS if (word := call.literal(form)) is not None}
        words = _words(formats, call.literal("one", ""), call.literal("many"), given)
        word = pick_form(call.base, {form: ibis.literal(word) for form, word in words.items()}, formats)
        return in_language(dialect.format_thousands(call.base, 0), formats).concat(" ", word)


def _words(formats: LocaleFormats, one: str, many: str | None, forms: Mapping[str, str]) -> dict[str, str]:
    """Return the word in each form that the language has for whole numbers."""
    most = many if many is not None else one + "s" if formats.code == ENGLISH else one
    return {form: {**forms, "one": one, "many": most}.get(form, most) for form in formats.forms}


class DurationFilter(PrintedNumber):
    name = "duration"
    summary = "the two largest whole units of day, hour and minute"
    example = ('37 | duration("hours")', "1 day 13 hours")
    parameters = (Parameter("unit", True, str),)

    def infer(self, call: CheckedCall) -> StaticValue:
        unit = call.literal("unit")
        assert unit is not None
        if unit.value not in UNITS:
            return call.fail(f"there is no unit '{unit.value}'", suggest_name(str(unit.value), UNITS), unit)
        return super().infer(call)

    def evaluate(self, value: int | float | Exact, locale: str, /, unit: str) -> str:
        """Return the two largest whole units; what is smaller is cut off, a part that is zero left out.

        An integer is exact, and so is a decimal to 30 digits after the decimal point. Of a float the seconds are
        rounded to six digits first, so that 0.7 hours, which no float holds, are 42 minutes and not 41.
        """
        if isinstance(value, int):
            minutes = int64(abs(value) * UNITS[unit] // 60)
        elif isinstance(value, Exact):
            kept = TRUNCATING.quantize(value.copy_abs(), Exact(1).scaleb(-30))
            int64(kept)
            minutes = int64(TRUNCATING.divide_int(TRUNCATING.multiply(kept, UNITS[unit]), 60))
        else:
            minutes = int(finite(round(abs(finite(value)) * UNITS[unit], 6)) // 60)
        formats = locale_formats(locale)
        parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
        while len(parts) > 1 and not parts[0][0]:
            del parts[0]
        shown = [part for part in parts[:2] if part[0]] or [(0, "minute")]
        text = formats.unit_separator.join(format_count(count, name, formats) for count, name in shown)
        return (formats.minus if value < 0 and minutes else "") + text

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.arithmetic import whole_minutes
        from storymesh.language.compile.locale import duration

        minutes = whole_minutes(call.base, UNITS[call.literal("unit", "hours")])
        return duration(minutes, call.base < 0, call.formats)


class RoundFilter(Filter):
    name = "round"
    accepts = NUMBERS
    wants = "a number"
    summary = "rounded to some digits, ties to even"
    example = ("2.5 | round | number", "2")
    parameters = (Parameter("precision", literal=int),)
    overflow = Overflow.AS_NULL
    propagates_null = keeps_unprintable = True

    def infer(self, call: CheckedCall) -> StaticValue:
        if wrong := call.require_digits("precision", f"`round` takes 0 to {MAX_DIGITS} digits"):
            return wrong
        type_: Type = call.base.type
        if isinstance(type_, Decimal):
            precision = call.literal("precision")
            type_ = Decimal(38, min(int(precision.value or 0) if precision else 0, type_.scale))
        return call.result(type_)

    def evaluate(self, value: int | float | Exact, /, precision: int = 0) -> int | float | Exact:
        """Return the number rounded, ties to even, as `number` prints it."""
        if isinstance(value, Exact):
            return round_exact(value, min(precision, max(-int(value.as_tuple().exponent), 0)))
        return value if isinstance(value, int) else float(round(value, precision))

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.arithmetic import round_number

        return round_number(call.base, call.literal("precision", 0))


class AbsFilter(Filter):
    name = "abs"
    accepts = NUMBERS
    wants = "a number"
    summary = "without its sign"
    example = ("-3 | abs", "3")
    overflow = Overflow.AS_NULL
    propagates_null = keeps_unprintable = True

    def infer(self, call: CheckedCall) -> StaticValue:
        return replace(call.result(call.base.type), nonzero=call.base.nonzero)

    def evaluate(self, value: int | float | Exact, /) -> int | float | Exact:
        if isinstance(value, int):
            return int64(abs(value))
        return value.copy_abs() if isinstance(value, Exact) else abs(value)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.arithmetic import signed

        return signed(call.base).abs()


class IntFilter(Filter):
    name = "int"
    accepts = NUMBERS
    wants = "a number"
    summary = "cut off to a whole number"
    example = ("2.9 | int", "2")
    overflow = Overflow.AS_NULL
    propagates_null = keeps_unprintable = True

    def infer(self, call: CheckedCall) -> StaticValue:
        return call.result(Integer())

    def evaluate(self, value: int | float | Exact, /) -> int:
        return int64(value)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.arithmetic import cut_off

        return call.base if call.base.type().is_integer() else cut_off(call.base)
