"""A fault of a text, and the quotations by which it is described."""

from dataclasses import dataclass
from typing import Literal

from storymesh.grounding.parsed_text import Mention, ParsedText
from storymesh.grounding.quantities import Quantity
from storymesh.grounding.source_facts import KnownDate, KnownNumber, SourceFacts

Kind = Literal["number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault found by a check. After a `fatal` one nothing else is checked."""

    kind: Kind
    begin: int
    end: int
    because: str
    fatal: bool = False


CheckResult = tuple[Kind, int, list[Fault]]
"""What a check looked at (kind and count of claims), and what is wrong."""


def characters_of(parsed: ParsedText, at: int, to: int) -> tuple[int, int]:
    """Return the characters that the tokens `at` up to `to` cover."""
    return parsed.tokens[at].begin, parsed.tokens[max(at, to - 1)].end


def words_at(telling: ParsedText, at: int, to: int) -> str:
    """Return the text of the tokens `at` up to `to`."""
    begin, end = characters_of(telling, at, to)
    return telling.text[begin:end]


def sentence_at(telling: ParsedText, at: int) -> str:
    """Return the sentence of a token, shortened."""
    begin, end = telling.spans[telling.sentence_of[at]]
    text = " ".join(telling.text[telling.tokens[begin].begin : telling.tokens[end - 1].end].split())
    return text if len(text) <= 160 else text[:157] + "..."


def quote_around(parsed: ParsedText, mention: Mention) -> str:
    """Return a few words on both sides of a value."""
    begin, end = parsed.spans[parsed.sentence_of[mention.at]]
    begin, end = max(begin, mention.at - 6), min(end, mention.to + 5)
    return " ".join(parsed.text[parsed.tokens[begin].begin : parsed.tokens[end - 1].end].split())


def quote_number(truth: SourceFacts, item: KnownNumber | None) -> str:
    """Return a known number as its text says it."""
    if item is None:
        return ""
    if item.mention is None:
        return f"{item.stated:,.10g} ({item.path})"
    telling = truth.story if any(item.mention is mention for mention in truth.story.mentions) else truth.known
    return f"“{quote_around(telling, item.mention)}”"


def quote_date(truth: SourceFacts, item: KnownDate) -> str:
    """Return a known date as its text says it."""
    if item.mention is None:
        return f"{item.day:%-d %B %Y}" if item.day else ""
    telling = truth.story if any(item.mention is mention for mention in truth.story.mentions) else truth.known
    return f"“{quote_around(telling, item.mention)}”"


def admits(quantity: Quantity, value: float) -> bool:
    """Return True if a quantity, as precisely as it was said, may mean `value`."""
    slack = 1e-6 + 1e-9 * abs(value)
    return quantity.low - slack <= value <= quantity.high + slack


def supported_by(quantity: Quantity, item: KnownNumber) -> bool:
    """Return True if a known number supports a quantity."""
    if item.mention is not None and item.mention.quantity is not None:
        there = item.mention.quantity
        if there.bound and not quantity.bound and abs(there.stated - quantity.stated) < 1e-9:
            return True
        # "3 days 4 hours" stands for anything up to the next hour.
        if (
            not item.path
            and there.dimension == "duration"
            and there.high - there.low > 1.2
            and there.low - 1e-6 <= quantity.stated <= there.high + 1e-6
        ):
            return True
    low, high = quantity.low, quantity.high
    for point in item.points:
        value = abs(point)
        slack = 1e-6 + 1e-9 * value
        if low - slack <= value <= high + slack:
            return True
    return False
