"""What must be said: costs, the outcome, the action that was judged, and what the title says."""

import re
from collections.abc import Mapping
from typing import Any

from storymesh.grounding.faults import Fault, Found, carried_by, date_told, number_told, sentence_at
from storymesh.grounding.lexicon import (
    WORKED,
)
from storymesh.grounding.outcomes import Verdict, rates, verdicts, weights_of
from storymesh.grounding.parsed_text import Telling, alike
from storymesh.grounding.source_facts import Known, KnownDate, Truth, fits_known

MOST_AMOUNTS = 6
"""Above this many amounts of money a story is a table, and a retelling may leave some out."""


def omission(said: Telling, truth: Truth, facts: Mapping[str, Any]) -> Found:
    """What must be said: every amount of money (or their sum), whether it worked, the action that was judged, and the
    figures and dates of the story's title."""
    faults: list[Fault] = []
    looked = 0
    story = truth.story
    amounts = [
        item
        for item in truth.numbers.get("money", ())
        if item.mention is not None and item.mention in story.mentions and item.said
    ]
    if 0 < len(amounts) <= MOST_AMOUNTS:
        told = [mention.quantity for mention in said.mentions if mention.quantity is not None]
        total = sum(item.said for item in amounts)
        summed = len(amounts) > 1 and any(
            abs(quantity.said - total) <= 0.005 * total
            and quantity.dimension == "money"
            and not (quantity.bound or quantity.hedged)
            for quantity in told
        )
        for item in amounts:
            looked += 1
            if not summed and not any(
                carried_by(quantity, item) and quantity.dimension in ("money", "count") for quantity in told
            ):
                faults.append(
                    Fault("omission", 0, 0, f"The amount is left out. The record says: {number_told(truth, item)}.")
                )
    stated = verdicts(story)
    if stated:
        looked += 1
        last = stated[-1]
        if not _says(said, truth, stated, last):
            faults.append(
                Fault(
                    "omission",
                    0,
                    0,
                    f"Whether it worked is left out. The record says: “{sentence_at(story, last.at)}”.",
                )
            )
    action = facts.get("outcome.action")
    if isinstance(action, str) and action in truth.actions:
        looked += 1
        words = truth.actions[action]
        if words & set(story.vocabulary) and not words & set(said.vocabulary):
            where = next((at for at, word in enumerate(story.concepts) if word in words), 0)
            faults.append(
                Fault("omission", 0, 0, f"What was done is left out. The record says: “{sentence_at(story, where)}”.")
            )
    for title in _title(truth):
        looked += 1
        if isinstance(title, Known):
            shifts = {24.0 * when.shift for when in said.whens if when.shift}
            if not shifts & {title.said, -title.said} and not any(
                mention.quantity is not None and carried_by(mention.quantity, title) for mention in said.mentions
            ):
                faults.append(Fault("omission", 0, 0, f"The title's figure is left out: {number_told(truth, title)}."))
        elif not any(
            mention.when is not None
            and mention.when.clock is None
            and mention.when.shift is None
            and fits_known(mention.when, title)
            for mention in said.mentions
        ):
            faults.append(Fault("omission", 0, 0, f"The title's date is left out: {date_told(truth, title)}."))
    return "omission", looked, faults


def _says(said: Telling, truth: Truth, stated: list[Verdict], last: Verdict) -> bool:
    """Whether a text says the last verdict of the story: another verdict (of an option, say) does not do."""
    told = verdicts(said)
    if len(stated) == 1 and not rates(truth):
        return bool(told) or _says_result(said)
    others = [*stated[:-1], *rates(truth)]
    weights = weights_of([*others, last])
    for verdict in told:
        own = alike(verdict.by, last.by, weights)
        if own >= max((alike(verdict.by, item.by, weights) for item in others), default=0.0) - 0.1:
            return True
    begin, end = truth.story.spans[truth.story.sentence_of[last.at]]
    bounds = {quantity.said for quantity in truth.story.quantities if begin <= quantity.at < end and quantity.bound}
    return (
        any(quantity.bound and quantity.said in bounds for quantity in said.quantities)
        or "too few" in said.text.lower()
    )


_RESULTS = re.compile(
    r"\b(?:too few|not enough (?:closed )?cases|counts? as|deemed|qualif\w+|threshold|target|made it|met the|missed "
    r"the|enough|verdict|benchmark)\b",
    re.IGNORECASE,
)


def _says_result(said: Telling) -> bool:
    return _RESULTS.search(said.text) is not None or any(
        token.low in WORKED and token.low not in ("work", "works", "working") for token in said.tokens
    )


def _title(truth: Truth) -> list[Known | KnownDate]:
    """The values in the story's title, its first line if it starts with "#"."""
    story = truth.story.text.lstrip()
    if not story.startswith("#"):
        return []
    end = len(truth.story.text) - len(story) + len(story.split("\n", 1)[0])
    items: list[Known | KnownDate] = []
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
