"""One fault of a retelling, and the words about a place in a text by which a fault is told."""

from dataclasses import dataclass
from typing import Literal

from storymesh.grounding.parsed_text import Mention, Telling
from storymesh.grounding.quantities import Quantity
from storymesh.grounding.source_facts import Known, KnownDate, Truth

Kind = Literal["number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What will be a claim of the face. `fatal`: nothing else is worth looking at."""

    kind: Kind
    begin: int
    end: int
    because: str
    fatal: bool = False


Found = tuple[Kind, int, list[Fault]]


def place_of(said: Telling, at: int, to: int) -> tuple[int, int]:
    return said.tokens[at].begin, said.tokens[max(at, to - 1)].end


def words_at(telling: Telling, at: int, to: int) -> str:
    begin, end = place_of(telling, at, to)
    return telling.text[begin:end]


def sentence_at(telling: Telling, at: int) -> str:
    begin, end = telling.spans[telling.sentence_of[at]]
    text = " ".join(telling.text[telling.tokens[begin].begin : telling.tokens[end - 1].end].split())
    return text if len(text) <= 160 else text[:157] + "..."


def around(said: Telling, mention: Mention) -> str:
    """The words about a value, short."""
    begin, end = said.spans[said.sentence_of[mention.at]]
    begin, end = max(begin, mention.at - 6), min(end, mention.to + 5)
    return " ".join(said.text[said.tokens[begin].begin : said.tokens[end - 1].end].split())


def number_told(truth: Truth, item: Known | None) -> str:
    if item is None:
        return ""
    if item.mention is None:
        return f"{item.said:,.10g} ({item.path})"
    telling = truth.story if any(item.mention is mention for mention in truth.story.mentions) else truth.known
    return f"“{around(telling, item.mention)}”"


def date_told(truth: Truth, item: KnownDate) -> str:
    if item.mention is None:
        return f"{item.day:%-d %B %Y}" if item.day else ""
    telling = truth.story if any(item.mention is mention for mention in truth.story.mentions) else truth.known
    return f"“{around(telling, item.mention)}”"


def within(quantity: Quantity, value: float) -> bool:
    slack = 1e-6 + 1e-9 * abs(value)
    return quantity.low - slack <= value <= quantity.high + slack


def carried_by(quantity: Quantity, item: Known) -> bool:
    if item.mention is not None and item.mention.quantity is not None:
        there = item.mention.quantity
        if there.bound and not quantity.bound and abs(there.said - quantity.said) < 1e-9:
            return True
        # "3 days 4 hours" stands for anything up to the next hour.
        if (
            not item.path
            and there.dimension == "duration"
            and there.high - there.low > 1.2
            and there.low - 1e-6 <= quantity.said <= there.high + 1e-6
        ):
            return True
    low, high = quantity.low, quantity.high
    for point in item.points:
        value = abs(point)
        slack = 1e-6 + 1e-9 * value
        if low - slack <= value <= high + slack:
            return True
    return False
