"""Checks of what must be said: costs, the outcome, the action that was judged, and what the title says."""

import re
from collections.abc import Mapping
from typing import Any

from storymesh.grounding.faults import CheckResult, Fault, quote_date, quote_number, sentence_at, supported_by
from storymesh.grounding.lexicon import (
    WORKED,
)
from storymesh.grounding.outcomes import Verdict, rates, verdicts, weights_of
from storymesh.grounding.parsed_text import ParsedText
from storymesh.grounding.similarity import alike
from storymesh.grounding.source_facts import KnownDate, KnownNumber, SourceFacts, may_mean_known

MOST_AMOUNTS = 6
"""Above this many amounts of money a story is a table, and a retelling may leave some out."""


def check_omissions(parsed: ParsedText, truth: SourceFacts, facts: Mapping[str, Any]) -> CheckResult:
    """Check that a text says every amount of money (or their sum), whether it worked, the action that was judged, and
    the figures and dates of the story's title."""
    checked = 0
    faults: list[Fault] = []
    for count, messages in (
        _missing_amounts(parsed, truth),
        _missing_outcome(parsed, truth),
        _missing_action(parsed, truth, facts),
        _missing_title(parsed, truth),
    ):
        checked += count
        faults += [Fault("omission", 0, 0, message) for message in messages]
    return "omission", checked, faults


def _missing_amounts(parsed: ParsedText, truth: SourceFacts) -> tuple[int, list[str]]:
    amounts = [
        item
        for item in truth.numbers.get("money", ())
        if item.mention is not None and item.mention in truth.story.mentions and item.stated
    ]
    if not 0 < len(amounts) <= MOST_AMOUNTS:
        return 0, []
    quantities = [mention.quantity for mention in parsed.mentions if mention.quantity is not None]
    total = sum(item.stated for item in amounts)
    summed = len(amounts) > 1 and any(
        abs(quantity.stated - total) <= 0.005 * total
        and quantity.dimension == "money"
        and not (quantity.bound or quantity.hedged)
        for quantity in quantities
    )
    missing = [
        item
        for item in amounts
        if not summed
        and not any(
            supported_by(quantity, item) and quantity.dimension in ("money", "count") for quantity in quantities
        )
    ]
    return len(amounts), [f"The amount is left out. The record says: {quote_number(truth, item)}." for item in missing]


def _missing_outcome(parsed: ParsedText, truth: SourceFacts) -> tuple[int, list[str]]:
    stated = verdicts(truth.story)
    if not stated:
        return 0, []
    last = stated[-1]
    if _says(parsed, truth, stated, last):
        return 1, []
    return 1, [f"Whether it worked is left out. The record says: “{sentence_at(truth.story, last.at)}”."]


def _missing_action(parsed: ParsedText, truth: SourceFacts, facts: Mapping[str, Any]) -> tuple[int, list[str]]:
    action = facts.get("outcome.action")
    if not (isinstance(action, str) and action in truth.actions):
        return 0, []
    words = truth.actions[action]
    story = truth.story
    if not words & set(story.vocabulary) or words & set(parsed.vocabulary):
        return 1, []
    where = next((at for at, word in enumerate(story.concepts) if word in words), 0)
    return 1, [f"What was done is left out. The record says: “{sentence_at(story, where)}”."]


def _missing_title(parsed: ParsedText, truth: SourceFacts) -> tuple[int, list[str]]:
    title = _title(truth)
    messages = []
    for item in title:
        if isinstance(item, KnownNumber):
            shifts = {24.0 * when.shift for when in parsed.whens if when.shift}
            if not shifts & {item.stated, -item.stated} and not any(
                mention.quantity is not None and supported_by(mention.quantity, item) for mention in parsed.mentions
            ):
                messages.append(f"The title's figure is left out: {quote_number(truth, item)}.")
        elif not any(
            mention.when is not None
            and mention.when.clock is None
            and mention.when.shift is None
            and may_mean_known(mention.when, item)
            for mention in parsed.mentions
        ):
            messages.append(f"The title's date is left out: {quote_date(truth, item)}.")
    return len(title), messages


def _says(parsed: ParsedText, truth: SourceFacts, stated: list[Verdict], last: Verdict) -> bool:
    """Whether a text says the last verdict of the story: another verdict (of an option, say) does not do."""
    told = verdicts(parsed)
    if len(stated) == 1 and not rates(truth):
        return bool(told) or _says_result(parsed)
    others = [*stated[:-1], *rates(truth)]
    weights = weights_of([*others, last])
    for verdict in told:
        own = alike(verdict.by, last.by, weights)
        if own >= max((alike(verdict.by, item.by, weights) for item in others), default=0.0) - 0.1:
            return True
    begin, end = truth.story.spans[truth.story.sentence_of[last.at]]
    bounds = {quantity.stated for quantity in truth.story.quantities if begin <= quantity.at < end and quantity.bound}
    return (
        any(quantity.bound and quantity.stated in bounds for quantity in parsed.quantities)
        or "too few" in parsed.text.lower()
    )


_RESULTS = re.compile(
    r"\b(?:too few|not enough (?:closed )?cases|counts? as|deemed|qualif\w+|threshold|target|made it|met the|missed "
    r"the|enough|verdict|benchmark)\b",
    re.IGNORECASE,
)


def _says_result(parsed: ParsedText) -> bool:
    return _RESULTS.search(parsed.text) is not None or any(
        token.low in WORKED and token.low not in ("work", "works", "working") for token in parsed.tokens
    )


def _title(truth: SourceFacts) -> list[KnownNumber | KnownDate]:
    """The values in the story's title, its first line if it starts with "#"."""
    story = truth.story.text.lstrip()
    if not story.startswith("#"):
        return []
    end = len(truth.story.text) - len(story) + len(story.split("\n", 1)[0])
    items: list[KnownNumber | KnownDate] = []
    for known in (item for found in truth.numbers.values() for item in found):
        if (
            known.mention is not None
            and known.mention in truth.story.mentions
            and truth.story.tokens[known.mention.at].begin < end
        ):
            items.append(known)
    items += [
        item
        for item in truth.dates
        if item.mention is not None
        and item.when.clock is None
        and item.mention in truth.story.mentions
        and truth.story.tokens[item.mention.at].begin < end
    ]
    return items
