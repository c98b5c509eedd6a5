"""Units as people write them, in every language of CLDR, and how much each is of the first of its dimension."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

_SIZES: Final[Mapping[str, Mapping[str, str]]] = {
    "duration": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800"},
    "months": {"month": "1", "quarter": "3", "year": "12"},
    "mass": {
        "milligram": "0.000001", "gram": "0.001", "kilogram": "1", "tonne": "1000", "pound": "0.45359237",
        "ounce": "0.028349523125",
    },
    "length": {
        "millimeter": "0.001", "centimeter": "0.01", "meter": "1", "kilometer": "1000", "inch": "0.0254",
        "foot": "0.3048", "yard": "0.9144", "mile": "1609.344", "nautical-mile": "1852",
    },
    "area": {"square-meter": "1", "square-kilometer": "1000000", "hectare": "10000", "acre": "4046.8564224"},
    "volume": {"milliliter": "0.001", "liter": "1", "cubic-meter": "1000", "gallon": "3.785411784"},
    "speed": {"knot": "1.852", "kilometer-per-hour": "1", "mile-per-hour": "1.609344", "meter-per-second": "3.6"},
    "energy": {"kilowatt-hour": "1", "joule": "0.000000277777777777777777777777778"},
    "power": {"watt": "0.001", "kilowatt": "1", "megawatt": "1000"},
    "digital": {"byte": "1", "kilobyte": "1000", "megabyte": "1000000", "gigabyte": "1000000000"},
    "celsius": {"celsius": "1"},
    "fahrenheit": {"fahrenheit": "1"},
    "share": {"percent": "1", "permille": "0.1"},
}  # fmt: skip
_OF_CLDR = {
    "months": "duration", "celsius": "temperature", "fahrenheit": "temperature", "share": "concentr",
}  # fmt: skip
_ALSO = {
    "hour": "hours hrs hr h", "minute": "minutes mins min", "second": "seconds secs sec s", "day": "days d",
    "kilogram": "kg kgs", "tonne": "t tonnes mt", "meter": "m metre metres meters", "kilometer": "km kilometres",
    "liter": "l litre litres", "percent": "% percent pct", "knot": "kn kt kts", "celsius": "°c", "fahrenheit": "°f",
    "nautical-mile": "nm nmi", "week": "weeks wk", "month": "months", "year": "years",
}  # fmt: skip
_IN_SMALL_LETTERS = (
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN NOK NZD PHP PLN RON RUB SEK SGD THB USD ZAR"
)
_SAMPLES = (1, 2, 3, 5, 11, 21, 100, Decimal("1.5"))


@dataclass(frozen=True)
class Measure:
    """A unit: what it measures, and how many of the first unit of that dimension one of it is."""

    dimension: str
    size: Decimal

    def is_multiple(self, count: Decimal, other_count: Decimal, other: "Measure") -> bool:
        """Return True if so many of this unit are exactly so many of another one."""
        return self.dimension == other.dimension and count * self.size == other_count * other.size


@lru_cache(maxsize=16)
def measures(language: str) -> Mapping[str, Measure]:
    """Return the words for units of a language and of English, in small letters, and the codes of ISO 4217."""
    from babel.units import format_unit

    found: dict[str, Measure] = {}
    for code in dict.fromkeys(("en", language)):
        for dimension, units in _SIZES.items():
            for unit, size in units.items():
                name = f"{_OF_CLDR.get(dimension, dimension)}-{unit}"
                measure = Measure(dimension, Decimal(size))
                for word in (unit.replace("-", " "), *_ALSO.get(unit, "").split()):
                    found[word] = measure
                for length in ("long", "short", "narrow"):
                    for sample in _SAMPLES:
                        for word in _words(format_unit(sample, name, length=length, locale=code), name):
                            found.setdefault(word, measure)
    return found | _currencies(language)


def _words(formatted: str, name: str) -> list[str]:
    """Return the unit of "2 nautical miles"; nothing where CLDR gave the number and its own name of the unit."""
    word = "".join(sign for sign in formatted if not sign.isdigit()).strip(" .,\u00a0\u202f٫").lower()
    word = " ".join(word.split())
    return [word] if word and word != name and not word.endswith(name.lower()) else []


def _currencies(language: str) -> dict[str, Measure]:
    from babel.numbers import get_currency_name, get_currency_symbol, list_currencies

    found: dict[str, Measure] = {}
    for code in sorted(list_currencies()):
        measure = Measure(code, Decimal(1))
        found[code] = measure  # in capitals: "all", "cup" and "top" are words
        for place in ("en", language):
            for name in {get_currency_name(code, count, place) for count in (None, 1, 2, 5)}:
                found.setdefault(name.lower(), measure)
    for code in _IN_SMALL_LETTERS.split():
        found[code.lower()] = Measure(code, Decimal(1))
    for code in ("USD", "EUR", "GBP", "JPY"):  # what the signs and short names alone stand for
        measure = Measure(code, Decimal(1))
        found[get_currency_symbol(code, "en").lower()] = measure
        for name in (get_currency_name(code, count, "en") for count in (1, 2)):
            found[name.split()[-1].lower()] = measure
    return found


@lru_cache(maxsize=1)
def currency_signs() -> Mapping[str, Measure]:
    """Return the signs of currencies as English writes them, with the letters that tell one dollar from another."""
    from babel.numbers import get_currency_symbol, list_currencies

    found = {get_currency_symbol(code, "en"): Measure(code, Decimal(1)) for code in sorted(list_currencies())}
    return {sign: measure for sign, measure in found.items() if not sign.isalpha()} | {"US$": found["$"]}


def measure_of(unit: str, language: str = "en") -> Measure | None:
    """Return the measure of a contract's unit, such as hours, usd or kg; None for one that is none of CLDR's."""
    known, plain = measures(language), " ".join(unit.replace("_", " ").split())
    return known.get(plain.lower()) or known.get(plain.upper())
