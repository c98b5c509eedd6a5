"""Numbers that follow from the source (sums, differences, shares, multiples), and numbers that are turned round."""

from collections.abc import Mapping

from storymesh.grounding.faults import admits, quote_around, quote_number
from storymesh.grounding.lexicon import BETTER, MORE, listed
from storymesh.grounding.parsed_text import Mention, ParsedText
from storymesh.grounding.quantities import Quantity
from storymesh.grounding.source_facts import KnownNumber, SourceFacts

FIRM = 0.9
"""From here on a value's words point at one place of the source: another value there is not taken for a derived one."""
SUM_CUES = frozenset(
    listed("total totals totalled together altogether combined overall sum both all cumulative aggregate")
)
REST_CUES = frozenset(
    listed("fail failed failing failure failures not no without rest other others remaining unsuccessful didn't")
)
GAP_CUES = frozenset(
    listed(
        "difference gap more less fewer longer shorter later earlier between apart took take taking lasted lasting "
        "whole spanning "
        "journey within after before elapsed cheaper dearer failed fail failing margin rather"
    )
)


_STEPS = frozenset(("decide", "step", "th", "thing", "measur", "action", "mov", "effort", "event", "stag"))


def is_derived(
    parsed: ParsedText, truth: SourceFacts, mention: Mention, quantity: Quantity, other_score: float
) -> bool:
    """Return True if a number is a sum, difference, length, share or multiple of what the source says, and said so."""
    if quantity.factor and _is_multiple(truth, quantity):
        return True
    begin, end = parsed.spans[parsed.sentence_of[mention.at]]
    dated = {at for when in parsed.whens if begin <= when.at < end for at in range(when.at, when.to)}
    words = {parsed.tokens[at].low for at in range(begin, end) if at not in dated}
    cued = words & SUM_CUES or words & GAP_CUES
    pool = truth.derived.get(quantity.dimension, ())
    if quantity.dimension in ("count", "share"):
        if words & REST_CUES and any(admits(quantity, value) for value in truth.rests):
            return True
        if (
            quantity.dimension == "count"
            and quantity.stated <= max(truth.lengths, default=0)
            and mention.to < len(parsed.tokens)
            and parsed.concepts[mention.to] in _STEPS
        ):
            return True
        if (
            quantity.dimension == "count"
            and ("try" not in truth.story.vocabulary or not {"work", "try"} & set(mention.by))
            and any(admits(quantity, value) for value in truth.lengths)
        ):
            return True
        cued = words & SUM_CUES
    if words & SUM_CUES and any(admits(quantity, value) for value in truth.sums.get(quantity.dimension, ())):
        return True
    if not cued or other_score > FIRM:
        return False
    return any(admits(quantity, value) for value in pool)


def _is_multiple(truth: SourceFacts, quantity: Quantity) -> bool:
    if any(quantity.factor for quantity in truth.story.quantities) or quantity.stated not in (
        0.25,
        1 / 3,
        0.5,
        1.5,
        2,
        3,
        4,
        5,
        10,
    ):
        return False
    for items in truth.numbers.values():
        values = sorted({abs(point) for item in items for point in item.points if point})[:60]
        for at, low in enumerate(values):
            for high in values[at + 1 :]:
                if admits(quantity, high / low) or admits(quantity, low / high):
                    return True
    return False


def _sign(telling: ParsedText, mention: Mention, axis: Mapping[str, int], reach: int = 7) -> int:
    """Return +1 or -1 by the nearest word of `axis` in the mention's clause, a negation turns it; 0 without one."""
    tokens, clauses = telling.tokens, telling.clause_of
    first, last = clauses[mention.at], clauses[mention.to - 1]
    if mention.at and tokens[mention.at - 1].text == "(":
        first, last = first - 1, last + 1
    sign, nearest = 0, reach + 1
    for at in range(max(0, mention.at - reach), min(len(tokens), mention.to + reach)):
        if mention.at <= at < mention.to or not first <= clauses[at] <= last:
            continue
        met = axis.get(tokens[at].low)
        if axis is BETTER and at + 1 < len(tokens) and tokens[at + 1].low == "than":
            met = _THAN.get(tokens[at].low, met)
        if not met:
            continue
        away = mention.at - at if at < mention.at else at - mention.to + 1
        if away < nearest:
            nearest = away
            sign = -met if telling.negated(at, 3) else met
    return sign


_THAN = {
    **dict.fromkeys(("later", "longer", "more"), -1),
    **dict.fromkeys(("earlier", "sooner", "shorter", "less", "fewer"), 1),
}
"""Against an estimate: "nine hours later than expected"."""


def turned_round(parsed: ParsedText, truth: SourceFacts, mention: Mention, own: KnownNumber) -> str:
    """Return what is wrong if a text has a number gained that the source has lost, or more for fewer; else ""."""
    quantity = mention.quantity
    assert quantity is not None
    there = own.mention
    telling = None
    if there is not None:
        telling = truth.story if any(there is mention for mention in truth.story.mentions) else truth.known
    if quantity.bound:
        bounds = {
            mention.quantity.bound: mention
            for mention in truth.story.mentions
            if mention.quantity is not None
            and mention.quantity.bound
            and abs(mention.quantity.stated - quantity.stated) < 1e-9
        }
        if -quantity.bound in bounds and quantity.bound not in bounds:
            right = quote_around(truth.story, bounds[-quantity.bound])
            return f"“{quote_around(parsed, mention)}” turns the bound round. The record says: “{right}”."
    axes: list[Mapping[str, int]] = [BETTER] if quantity.dimension in ("duration", "money", "count") else []
    if quantity.dimension == "share" or quantity.factor:
        axes.append(MORE)
    for axis in axes:
        here = _sign(parsed, mention, axis)
        if not here:
            continue
        fact = _sign(telling, there, axis, 9) if telling is not None and there is not None else 0
        if not fact and own.sign < 0 and there is None:
            fact = -1
        if fact and fact == -here:
            return f"“{quote_around(parsed, mention)}” turns round what the record says: {quote_number(truth, own)}."
    return ""
