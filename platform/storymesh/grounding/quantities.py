"""The quantities of a text: numbers with their units and shares, in digits or in words, with how exactly they are said.

A quantity keeps its precision: "about 1,200", "two and a half days" and "a third" are spans of numbers, not
points. Everything runs in time linear in the text: tokens come from one regular expression without nested repetition.
"""

from dataclasses import dataclass

from storymesh.grounding.date_expressions import MONTHS, WEEKDAYS, DateExpression, date_at, day_exists
from storymesh.grounding.hedges import Direction, hedge_before
from storymesh.grounding.number_words import (
    CURRENCIES,
    FRACTIONS,
    ONES,
    ORDINALS,
    SCALES,
    TENS,
    UNITS,
    Dimension,
    fraction_at,
    plain_number,
)
from storymesh.grounding.tokens import DASHES, Token, low_at


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as a text says it: it may mean any value from `low` to `high`. `at` is its first token, `to` one
    past its last.

    Durations are in hours, shares from 0 to 1, masses in kg, lengths in metres; money and counts as said. `bound` is 1
    for "at least", -1 for "fewer than". `factor` marks "6.4 times as long".
    """

    low: float
    high: float
    stated: float
    dimension: Dimension
    at: int
    to: int
    bound: Direction = 0
    hedged: bool = False
    factor: bool = False
    scale: float = 1.0
    """What one of the unit said is: 24 for days, 0.01 for percent."""


TIMES = {"once": 1, "twice": 2, "thrice": 3}


def values_of(tokens: list[Token]) -> tuple[list[Quantity], list[DateExpression]]:
    """Return the numbers and the dates that the tokens say, each in order; a token belongs to one of them at most."""
    dates: list[DateExpression] = []
    quantities: list[Quantity] = []
    at, count = 0, len(tokens)
    while at < count:
        token = tokens[at]
        if token.kind == "word" and token.low not in _STARTS:
            at += 1
            continue
        if token.kind in ("mark", "code"):
            at += 1
            continue
        when = date_at(tokens, at)
        if when is not None:
            # "23 to 29 March": the number before belongs to the date.
            listed: list[DateExpression] = []
            first = at
            while when.month and when.day and quantities and first >= 2 and tokens[first - 1].low in _LISTED:
                before = quantities[-1]
                joined = before.to == first - 1 or (before.to == first - 2 and tokens[first - 2].low in ",;")
                if not (
                    joined
                    and before.to == before.at + 1
                    and before.dimension == "count"
                    and before.stated in range(1, 32)
                    and low_at(tokens, before.at - 1) != "to"
                    and day_exists(
                        DateExpression(when.year, when.month, int(before.stated), None, before.at, before.to)
                    )
                ):
                    break
                quantities.pop()
                listed.append(DateExpression(when.year, when.month, int(before.stated), None, before.at, before.to))
                first = before.at
            dates += reversed(listed)
            dates.append(when)
            at = when.to
            continue
        quantity = _quantity(tokens, at)
        if quantity is not None:
            quantities.append(quantity)
            at = quantity.to
            continue
        at += 1
    return _joined(tokens, quantities), dates


_LISTED = frozenset({"to", "and", "until", "till", "through", ",", "or", *"-–—‑"})
_RANGES = frozenset({"to", "and", "until", "till", "through", *DASHES})
_STARTS = (
    frozenset(ONES) | frozenset(TENS) | frozenset(TIMES) | frozenset(MONTHS) | frozenset(WEEKDAYS)
    | frozenset({"single", "half", "a", "an", "the", "quarter", "next", "same", "following", "dozen",
                 "overnight", "that",
                 "day", "all", "both"})
    | frozenset(ORDINALS)
)  # fmt: skip


def _quantity(tokens: list[Token], at: int) -> Quantity | None:
    """Return the number at `at` with its unit, None if there is none to read."""
    token = tokens[at]
    if token.kind == "word" and (fraction := fraction_at(tokens, at)) is not None:
        return _fraction_quantity(tokens, at, *fraction)
    if token.low in TIMES:
        return _times(tokens, at)
    found = _leading_number(tokens, at)
    if found is None:
        return None
    value, to, step = found
    following = low_at(tokens, to)
    if token.kind == "number" and following in ("st", "nd", "rd", "th") and tokens[to].begin == tokens[to - 1].end:
        return None
    if (
        following in ("and", "&")
        and low_at(tokens, to + 1) in ("a", "one", "three")
        and low_at(tokens, to + 2) in FRACTIONS
    ):
        parts = FRACTIONS[low_at(tokens, to + 2)]
        value += (3 if low_at(tokens, to + 1) == "three" else 1) / parts
        step = 1 / parts
        to += 3
    elif following == "½":
        value, step, to = value + 0.5, 0.5, to + 1
    hedged, side, bound, _ = hedge_before(tokens, at)
    dimension: Dimension = "count"
    factor = False
    scale = 1.0
    before = low_at(tokens, at - 1)
    if before in CURRENCIES or before in ("usd", "eur", "gbp"):
        dimension = "money"
    unit_at = _unit_place(tokens, to)
    unit = low_at(tokens, unit_at)
    if unit == "%":
        dimension, scale, to = "share", 0.01, unit_at + 1
    elif unit == "per" and low_at(tokens, unit_at + 1) == "cent":
        dimension, scale, to = "share", 0.01, unit_at + 2
    elif unit in ("nautical", "sea") and low_at(tokens, unit_at + 1) in ("mile", "miles"):
        dimension, scale, to = "length", 1852.0, unit_at + 2
    elif unit in UNITS and not (unit == "d" and tokens[unit_at].begin != tokens[unit_at - 1].end):
        dimension, scale = UNITS[unit]
        to = unit_at + 1
        if (
            low_at(tokens, to) == "and"
            and low_at(tokens, to + 1) in ("a", "one")
            and low_at(tokens, to + 2) in FRACTIONS
        ):
            value += 1 / FRACTIONS[low_at(tokens, to + 2)]
            step = 1 / FRACTIONS[low_at(tokens, to + 2)]
            to += 3
    elif dimension == "count" and unit in ("times", "fold") and low_at(tokens, unit_at + 1) in _COMPARISONS:
        factor = True
    elif token.low == "one" and _is_pronoun(tokens, at, to, hedged=hedged):
        return None
    low, high = _range(value, step, dimension, unit, hedged=hedged, side=side, bound=bound)
    return Quantity(low * scale, high * scale, value * scale, dimension, at, to, bound, hedged, factor, scale)


_COMPARISONS = ("as", "longer", "more", "the", "higher", "what", "greater", "its")


def _fraction_quantity(tokens: list[Token], at: int, value: float, to: int) -> Quantity:
    """Return a share such as "half" or "two thirds"; "half as long" is a factor."""
    hedged, side, bound, _ = hedge_before(tokens, at)
    slack = 0.05 if hedged or bound else 0.021
    low, high = value - slack, value + slack
    if bound > 0 or side > 0:
        low, high = value, value + 0.17
    elif bound < 0 or side < 0:
        low, high = value - 0.1, value
    if low_at(tokens, to) in ("as", "again"):
        return Quantity(low, high, value, "count", at, to, bound, hedged, True)
    return Quantity(low, high, value, "share", at, to, bound, hedged)


def _times(tokens: list[Token], at: int) -> Quantity | None:
    """Return "once", "twice" or "thrice" as a number."""
    token = tokens[at]
    value = float(TIMES[token.low])
    if token.low == "once":
        # "once" is a conjunction as often as a number.
        if low_at(tokens, at - 1) not in ("just", "only", "tried", "used", "worked", "succeeded", "but", "failed"):
            return None
        if low_at(tokens, at - 1) == "but" and low_at(tokens, at + 1) not in (".", ",", ";", ")", "and"):
            return None
    if token.low == "twice" and low_at(tokens, at + 1) in ("as", "the"):
        return Quantity(1.85, 2.15, 2.0, "count", at, at + 1, factor=True)
    return Quantity(value, value, value, "count", at, at + 1)


def _leading_number(tokens: list[Token], at: int) -> tuple[float, int, float] | None:
    """Return the number before a unit: its value, the token after it, and the size of its last stated place."""
    token = tokens[at]
    if token.low == "half" and low_at(tokens, at + 1) in ("a", "an") and low_at(tokens, at + 2) in UNITS:
        return 0.5, at + 2, 0.25
    if token.low == "single" and low_at(tokens, at + 1) in UNITS:
        return 1.0, at + 1, 1.0
    if (
        token.low in ("a", "one")
        and low_at(tokens, at + 1) in FRACTIONS
        and low_at(tokens, at + 2) == "of"
        and low_at(tokens, at + 3) == "a"
        and low_at(tokens, at + 4) in SCALES
    ):
        scaled = float(SCALES[low_at(tokens, at + 4)])
        return scaled / FRACTIONS[low_at(tokens, at + 1)], at + 5, 0.1 * scaled
    if token.low == "half" and low_at(tokens, at + 1) == "a" and low_at(tokens, at + 2) in SCALES:
        scaled = float(SCALES[low_at(tokens, at + 2)])
        return 0.5 * scaled, at + 3, 0.1 * scaled
    if token.low in ("a", "an") and low_at(tokens, at + 1) not in SCALES:
        # "a day and a half"; a bare "a day" is as often a rate ("56 a day") as a length, and is not read.
        unit = low_at(tokens, at + 1)
        if unit not in UNITS or low_at(tokens, at + 2) != "and":
            return None
        if not (low_at(tokens, at + 3) in ("a", "one") and low_at(tokens, at + 4) in ("half", "quarter", "third")):
            rest, rest_to, _ = plain_number(tokens, at + 3)
            if rest is None or UNITS.get(low_at(tokens, rest_to), ("count", 0.0))[0] != "duration":
                return None
        return 1.0, at + 1, 1.0
    if token.kind == "number" or token.low in ONES or token.low in TENS or token.low in ("a", "an", "dozen"):
        value, to, step = plain_number(tokens, at)
        return None if value is None else (value, to, step)
    return None


def _unit_place(tokens: list[Token], to: int) -> int:
    """Return the token at which a unit may stand after a number: behind a dash, "US" or "more"."""
    unit_at = to
    if low_at(tokens, unit_at) in DASHES:
        unit_at += 1
    if low_at(tokens, unit_at) in ("us", "american") and low_at(tokens, unit_at + 1) in UNITS:
        unit_at += 1
    if low_at(tokens, unit_at) in _BEFORE_UNITS and low_at(tokens, unit_at + 1) in UNITS:
        unit_at += 1
    if [low_at(tokens, unit_at + after) for after in range(3)] == ["u", ".", "s"]:
        unit_at += 4
    return unit_at


_BEFORE_UNITS = ("full", "whole", "entire", "more", "further", "extra", "additional", "elapsed")


def _is_pronoun(tokens: list[Token], at: int, to: int, *, hedged: bool) -> bool:
    """Return True if the word "one" without a unit is no number."""
    following = low_at(tokens, to)
    if following in ("of", "in", "out") and _is_number(tokens, to + 1 + (low_at(tokens, to + 1) == "of")):
        return False
    return to == at + 1 and not hedged and following not in ("container", "case", "time", "ship", "pack", "attempt")


def _range(
    value: float, step: float, dimension: Dimension, unit: str, *, hedged: bool, side: Direction, bound: Direction
) -> tuple[float, float]:
    """Return the least and the greatest value that a number may mean, as precisely as it was said."""
    slack = step / 2
    if (
        dimension == "duration"
        and step == 1.0
        and unit in ("day", "days", "week", "weeks", "month", "months")
        and value < 2
    ):
        slack = 0.45  # "one day" for 35 hours would be too coarse to be called rounded
    if hedged or bound:
        slack = max(slack, _last_place(value, step) / 2, 0.05 * value)
    low, high = value - slack, value + slack
    if dimension == "count" and not hedged and not bound and step == 1.0:
        low, high = value - 0.49, value + 0.49
    if bound > 0 or side > 0:
        low, high = value, max(high, value * 1.25) if bound else high
    elif bound < 0 or side < 0:
        low, high = min(low, value * 0.75) if bound else low, value
    return low, high


def _is_number(tokens: list[Token], at: int) -> bool:
    return at < len(tokens) and (tokens[at].kind == "number" or tokens[at].low in ONES or tokens[at].low in TENS)


def _last_place(value: float, step: float) -> float:
    """Return the place of the last digit that is not zero: 100 for 1,200, 1 for 17."""
    place = step
    while value and place < value and abs(value / (place * 10) - round(value / (place * 10))) < 1e-9:
        place *= 10
    return place


def _joined(tokens: list[Token], quantities: list[Quantity]) -> list[Quantity]:
    """Make one of "3 days and 4 hours"; give "between 20 and 30 hours" the unit of its end."""
    joined: list[Quantity] = []
    for quantity in quantities:
        before = joined[-1] if joined else None
        between = [token.low for token in tokens[before.to : quantity.at]] if before is not None else []
        if (
            before is not None
            and before.dimension == quantity.dimension == "duration"
            and len(between) <= 2
            and all(word in ("and", ",", "plus") for word in between)
            and before.stated > quantity.stated
            and _unit_size(tokens, before) > _unit_size(tokens, quantity)
            and quantity.stated < _unit_size(tokens, before)
        ):
            size = _unit_size(tokens, quantity)
            parsed = before.stated + quantity.stated
            joined[-1] = Quantity(
                parsed - size / 2, parsed + size * 0.999, parsed, "duration", before.at, quantity.to,
                before.bound or quantity.bound, before.hedged,
            )  # fmt: skip
            continue
        if (
            before is not None
            and before.dimension == "count"
            and quantity.dimension != "count"
            and len(between) == 1
            and between[0] in _RANGES
            and (between[0] != "and" or low_at(tokens, before.at - 1) == "between")
            and before.stated
        ):
            scale = quantity.stated / max(_said_plain(tokens, quantity), 1e-9)
            joined[-1] = Quantity(
                before.low * scale, before.high * scale, before.stated * scale,
                quantity.dimension, before.at, before.to, before.bound, before.hedged,
            )  # fmt: skip
        joined.append(quantity)
    return joined


def _said_plain(tokens: list[Token], quantity: Quantity) -> float:
    return plain_number(tokens, quantity.at)[0] or 1.0


def _unit_size(tokens: list[Token], quantity: Quantity) -> float:
    for at in range(quantity.to - 1, quantity.at - 1, -1):
        if tokens[at].low in UNITS:
            return UNITS[tokens[at].low][1]
    return 1.0


def is_list_number(tokens: list[Token], quantity: Quantity) -> bool:
    """Return True if a number only counts the points of a list: "2. They waited"."""
    at = quantity.at
    before = tokens[at - 1].text if at else "\n"
    after = tokens[quantity.to].text if quantity.to < len(tokens) else ""
    if before in ("\n", "#", "*") and after in (".", ")", ":"):
        return True
    return at > 0 and quantity.stated <= 9 and tokens[at - 1].low in ("step", "option", "point", "no")


def is_code_number(tokens: list[Token], quantity: Quantity) -> bool:
    """Return True if a number is no quantity but a reference: five digits or more without a comma, and no unit."""
    text = tokens[quantity.at].text
    return quantity.dimension == "count" and quantity.to == quantity.at + 1 and len(text) >= 5 and text.isdigit()
