"""Numbers and units as they are written or spelled out: tables, and readers of plain numbers and fractions."""

from typing import Literal

from storymesh.grounding.lexicon import listed
from storymesh.grounding.tokens import DASHES, Token, low_at

Dimension = Literal["duration", "money", "share", "mass", "length", "count"]

ONES = {
    word: value
    for value, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        )
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}
SUFFIX_SCALES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 1_000_000_000}
FRACTIONS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
ORDINALS = {
    word: value
    for value, word in enumerate(
        listed(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
            "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        start=1,
    )
} | {"thirtieth": 30}
UNITS: dict[str, tuple[Dimension, float]] = {
    **dict.fromkeys(("hour", "hours", "h", "hr", "hrs"), ("duration", 1.0)),
    **dict.fromkeys(("day", "days", "d"), ("duration", 24.0)),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), ("duration", 1 / 60)),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), ("duration", 1 / 3600)),
    **dict.fromkeys(("week", "weeks"), ("duration", 168.0)),
    **dict.fromkeys(("fortnight", "fortnights"), ("duration", 336.0)),
    **dict.fromkeys(("month", "months"), ("duration", 730.5)),
    **dict.fromkeys(("year", "years"), ("duration", 8766.0)),
    **dict.fromkeys(("dollar", "dollars", "usd", "bucks", "euro", "euros", "eur", "pounds", "gbp"), ("money", 1.0)),
    **dict.fromkeys(("cent", "cents"), ("money", 0.01)),
    **dict.fromkeys(("percent", "pct"), ("share", 0.01)),
    **dict.fromkeys(("kg", "kilogram", "kilograms", "kilo", "kilos"), ("mass", 1.0)),
    **dict.fromkeys(("tonne", "tonnes"), ("mass", 1000.0)),
    **dict.fromkeys(("nm", "nmi"), ("length", 1852.0)),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), ("length", 1000.0)),
    **dict.fromkeys(("ft", "foot", "feet"), ("length", 0.3048)),
    **dict.fromkeys(("mile", "miles"), ("length", 1609.344)),
    **dict.fromkeys(("metre", "metres", "meter", "meters"), ("length", 1.0)),
}
CURRENCIES = frozenset("$€£")


def plain_number(tokens: list[Token], at: int) -> tuple[float | None, int, float]:
    """Return the number at `at` without unit: its value, the token after it, and the size of its last stated place."""
    if at >= len(tokens):
        return None, at, 1.0
    token = tokens[at]
    if token.kind == "number":
        text = token.text.replace(",", "")
        value = float(text)
        places = len(text.partition(".")[2])
        step = 10.0**-places
        to = at + 1
        following = low_at(tokens, to)
        if following in SCALES and following != "dozen":
            value, step, to = value * SCALES[following], step * SCALES[following], to + 1
        elif following in SUFFIX_SCALES and tokens[to].begin == token.end:
            value, step, to = value * SUFFIX_SCALES[following], step * SUFFIX_SCALES[following], to + 1
        elif (low_at(tokens, to) == "½" or following == "½") and tokens[to].begin == token.end:
            value, step, to = value + 0.5, 0.5, to + 1
        return value, to, step
    return _spelled(tokens, at)


def _spelled(tokens: list[Token], at: int) -> tuple[float | None, int, float]:
    total, current, seen, step = 0.0, 0.0, False, 1.0
    to = at
    last = ""
    while to < min(len(tokens), at + 14):
        low = tokens[to].low
        if low in ONES and last not in ("ones",) and not (last == "tens" and ONES[low] >= 10):
            current += ONES[low]
            last, seen = "ones", True
        elif low in TENS and last not in ("ones", "tens"):
            current += TENS[low]
            last, seen = "tens", True
        elif low in SCALES and (seen or low == "dozen"):
            scale = SCALES[low]
            if scale >= 1_000:
                total += max(current, 1.0) * scale
                current = 0.0
            else:
                current = max(current, 1.0) * scale
            last, seen = "scale", True
            step = 1.0 if low in ("hundred", "dozen") else max(step, 1.0)
        elif low in ("a", "an") and not seen and low_at(tokens, to + 1) in SCALES:
            current = 1.0
            last = "scale"
            seen = True
        elif seen and _joins(tokens, to, last):
            pass
        elif seen and low == "point" and low_at(tokens, to + 1) in ONES:
            digits = ""
            to += 1
            while ONES.get(low_at(tokens, to), 10) < 10:
                digits += str(ONES[low_at(tokens, to)])
                to += 1
            value = total + current + float("0." + digits)
            return value, to, 10.0 ** -len(digits)
        else:
            break
        to += 1
    if not seen:
        return None, at, 1.0
    value = total + current
    words_end = tokens[to - 1].low
    if words_end in ("thousand", "million", "billion"):
        step = float(SCALES[words_end])
    elif words_end == "hundred":
        step = 100.0 if value >= 1000 else 1.0
    return value, to, step


def _joins(tokens: list[Token], at: int, last: str) -> bool:
    """Return True if a token only joins the words of a number: "-" in "thirty-seven", "and" of "hundred and five"."""
    following = low_at(tokens, at + 1)
    if tokens[at].low in DASHES:
        return last == "tens" and ONES.get(following, 10) < 10
    return tokens[at].low == "and" and last == "scale" and (following in ONES or following in TENS)


def fraction_at(tokens: list[Token], at: int) -> tuple[float, int] | None:
    """ "half", "a third of", "two thirds", "three quarters": the share, and the token after it."""
    low = tokens[at].low
    if low == "half":
        if low_at(tokens, at + 1) in ("a", "an") and (
            low_at(tokens, at + 2) in UNITS or low_at(tokens, at + 2) in SCALES
        ):
            return None
        return 0.5, at + 1
    after = at + 1 + (low_at(tokens, at + 1) in DASHES)
    if low_at(tokens, after + 1) == "of" and low_at(tokens, after + 2) == "a" and low_at(tokens, after + 3) in SCALES:
        return None
    if low in ("a", "an", "one") and low_at(tokens, after) in FRACTIONS and low_at(tokens, after + 1) in ("of", "as"):
        return 1 / FRACTIONS[low_at(tokens, after)], after + 1
    if (
        low in ONES
        and 2 <= ONES[low] <= 9
        and low_at(tokens, after) in FRACTIONS
        and low_at(tokens, after).endswith("s")
    ):
        parts = FRACTIONS[low_at(tokens, after)]
        return (ONES[low] / parts, after + 1) if ONES[low] < parts else None
    return None
