"""Each number of a retelling is a value of the source or follows from some, and stands by the words that belong to
it."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from storymesh.grounding.faults import Fault, Found, around, carried_by, number_told, place_of, within, words_at
from storymesh.grounding.lexicon import (
    BETTER,
    MORE,
    STOP,
    WORKED,
    listed,
)
from storymesh.grounding.parsed_text import Mention, Telling, alike, is_code_number, is_list_number
from storymesh.grounding.quantities import Quantity
from storymesh.grounding.source_facts import Known, Truth

ELSEWHERE = 0.25
"""By how much a value's words must fit another value of the source better than its own, to be held for exchanged."""
MOST_COMPARED = 400
"""Other values of the source by whose words a number is compared: a long table stays quick."""
ALONE = 0.6
"""The same, where the other value is told nowhere in the text."""
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


def numbers(said: Telling, truth: Truth) -> Found:
    """Each number is a value of the source or follows from some, and stands by the words that belong to it there."""
    faults: list[Fault] = []
    looked = 0
    mentions = [mention for mention in said.mentions if mention.quantity is not None]
    plain = {
        round(item.mention.quantity.said / item.mention.quantity.scale, 6)
        for items in truth.numbers.values()
        for item in items
        if item.mention is not None and item.mention.quantity is not None and item.dimension != "share"
    }
    _tie_shares(said, truth, mentions)
    _give_units(said, truth, mentions)
    held: list[tuple[Mention, Known, float, Known | None, float]] = []
    for mention in mentions:
        quantity = mention.quantity
        assert quantity is not None
        text = words_at(said, mention.at, mention.to)
        if is_code_number(said.tokens, quantity):
            looked += 1
            if text not in truth.codes and not any(
                carried_by(quantity, item) for items in truth.numbers.values() for item in items
            ):
                faults.append(
                    Fault(
                        "code",
                        *place_of(said, mention.at, mention.to),
                        f"The number {text} stands nowhere in the record.",
                    )
                )
            continue
        if is_list_number(said.tokens, quantity):
            continue
        looked += 1
        items = truth.numbers.get(quantity.dimension, [])
        rare = truth.rarity(quantity.dimension)
        own, own_score = None, -1.0
        other, other_score = None, 0.0
        for place, item in enumerate(items):
            carried = carried_by(quantity, item)
            if not carried and place > MOST_COMPARED:
                continue
            score = alike(mention.by, item.by, rare)
            if carried:
                if score > own_score:
                    own, own_score = item, score
            elif score > other_score and not _same_story(item, quantity):
                other, other_score = item, score
        if own is None:
            if (
                quantity.dimension == "count"
                and other_score < 2 * FIRM
                and round(quantity.said, 6) in plain
                and _bare(said, mention)
            ):
                continue
            if _is_ratio(said, truth, mentions, mention):
                continue
            if _follows(said, truth, mention, quantity, other_score):
                continue
            if quantity.dimension == "share" and quantity.said == 0.5 and "median" in truth.story.vocabulary:
                continue
            there = number_told(truth, other) if other is not None and other_score > ELSEWHERE else ""
            hint = f" The record says there: {there}." if there else ""
            faults.append(
                Fault(
                    "number",
                    *place_of(said, mention.at, mention.to),
                    f"“{around(said, mention)}”: the record has no {_what(quantity)} {text}.{hint}",
                )
            )
            continue
        held.append((mention, own, own_score, other, other_score))
    broken = _broken_pairs(said, truth, mentions)
    for mention, own, own_score, other, other_score in held:
        quantity = mention.quantity
        assert quantity is not None
        lead = other_score - max(own_score, 0.0)
        if other is not None and _exchanged(mentions, mention, quantity, own, other, other_score, lead, truth):
            excused = _is_ratio(said, truth, mentions, mention) or (
                lead < FIRM and _follows(said, truth, mention, quantity, 0.0)
            )
            if mention.at in broken or not excused:
                faults.append(
                    Fault(
                        "number", *place_of(said, mention.at, mention.to),
                        f"“{around(said, mention)}”: {words_at(said, mention.at, mention.to)} belongs to something "
                        f"else in "
                        f"the record ({number_told(truth, own)}). For this it says: {number_told(truth, other)}.",
                    )
                )  # fmt: skip
                continue
        if mention.at in broken:
            faults.append(
                Fault(
                    "number",
                    *place_of(said, mention.at, mention.to),
                    f"“{around(said, mention)}”: the record says these two numbers nowhere together.",
                )
            )
            continue
        turned = _turned(said, truth, mention, own)
        if turned:
            faults.append(Fault("outcome", *place_of(said, mention.at, mention.to), turned))
    return "number", looked, faults


def _bare(said: Telling, mention: Mention) -> bool:
    """Whether a number is said without what it counts: "15 and 21.2 hours", "the 11th of them"."""
    if mention.to >= len(said.tokens):
        return True
    following = said.tokens[mention.to]
    return following.kind == "mark" or following.low in STOP


def _is_ratio(said: Telling, truth: Truth, mentions: list[Mention], mention: Mention) -> bool:
    """ "one in eight", "three times out of four": a share of the source said with other numbers."""
    place = mentions.index(mention)
    for first, second in ((place, place + 1), (place - 1, place)):
        if first < 0 or second >= len(mentions):
            continue
        one, other = mentions[first], mentions[second]
        between = [token.low for token in said.tokens[one.to : other.at]]
        if (
            len(between) > 4
            or not {"in", "of"} & set(between)
            or not set(between) <= {"in", "out", "of", "the", "every", "times", "time", "cases", "a"}
        ):
            continue
        assert one.quantity is not None and other.quantity is not None
        if other.quantity.said <= 0 or one.quantity.said > other.quantity.said:
            continue
        share = one.quantity.said / other.quantity.said
        slack = 0.05 if one.quantity.hedged else 0.0051
        of = {word for word, weight in mention.by.items() if weight > 0.5 and word in truth.subjects}
        if any(
            abs(share - abs(point)) <= slack and (not of or of & item.by.keys() or item.mention is None)
            for item in truth.numbers.get("share", ())
            for point in item.points
        ):
            return True
    return False


def _same_story(item: Known, quantity: Quantity) -> bool:
    """Whether a value is too near to the one said to be held for another: 25.3 and 25.34, a day and 23 hours 55
    minutes."""
    return any(abs(abs(point) - quantity.said) <= 0.004 * abs(point) for point in item.points)


def _what(quantity: Quantity) -> str:
    return {
        "duration": "time of", "money": "amount of", "share": "share of", "mass": "weight of", "length": "length of",
        "count": "number",
    }[quantity.dimension]  # fmt: skip


def _exchanged(
    mentions: list[Mention],
    mention: Mention,
    quantity: Quantity,
    own: Known,
    other: Known,
    score: float,
    lead: float,
    truth: Truth,
) -> bool:
    """Whether a value stands where the source has another. If the other value is told too and fits its own words better
    than this one does, nothing changed places: this value only stands in words that fit both. If it is told nowhere,
    the words must be clearer than if two values seem to have changed places."""
    if lead <= ELSEWHERE or (quantity.factor and lead < 2 * ELSEWHERE):
        return False
    rare = truth.rarity(quantity.dimension)
    told = False
    for one in mentions:
        there = one.quantity
        if one is mention or there is None or there.dimension != other.dimension:
            continue
        if carried_by(there, other) and not carried_by(there, own):
            told = True
            if alike(one.by, other.by, rare) >= score:
                return False
    return told or lead > ALONE


def _broken_pairs(said: Telling, truth: Truth, mentions: list[Mention]) -> set[int]:
    """Where "3 of 5" puts two counts together that stand in no sentence of the source together, and are no share of
    it."""
    together: dict[float, set[int]] = {}
    for reading in (truth.story, truth.known):
        for quantity in reading.quantities:
            key = reading.sentence_of[quantity.at] + (0 if reading is truth.story else 1_000_000)
            together.setdefault(round(quantity.said, 6), set()).add(key)
    lines = {
        sentence: {word for word in truth.story.concepts[begin:end] if word in truth.subjects}
        for sentence, (begin, end) in enumerate(truth.story.spans)
    }
    broken: set[int] = set()
    for first, second in pairwise(mentions):
        one, other = first.quantity, second.quantity
        if one is None or other is None or one.dimension != "count" or other.dimension != "count":
            continue
        between = [token.low for token in said.tokens[first.to : second.at]]
        if not between or len(between) > 4 or "of" not in between or not set(between) <= _OF:
            continue
        shared = together.get(round(one.said, 6), set()) & together.get(round(other.said, 6), set())
        of = {word for word, weight in first.by.items() if word in truth.subjects and weight > 0.5}
        if shared and (
            not of
            or any(of & lines.get(key, set()) for key in shared)
            or not any(of & words for words in lines.values())
        ):
            continue
        words = {token.low for token in said.tokens[max(0, first.at - 8) : second.to + 6]}
        if words & REST_CUES or _is_ratio(said, truth, mentions, first):
            continue
        broken.add(second.at)
    return broken


def _give_units(said: Telling, truth: Truth, mentions: list[Mention]) -> None:
    """Gives a number without a unit that of the number before or after it in its sentence, where the source has it so:
    "19.1 hours and 18.2", "paying 93,492 and 88,322 dollars"."""
    for place, mention in enumerate(mentions):
        quantity = mention.quantity
        assert quantity is not None
        if (
            quantity.dimension != "count"
            or not _bare(said, mention)
            or any(carried_by(quantity, item) for item in truth.numbers.get("count", ()))
        ):
            continue
        sentence = said.sentence_of[mention.at]
        near = [
            mentions[other]
            for step in range(1, 4)
            for other in (place - step, place + step)
            if 0 <= other < len(mentions)
        ]
        for neighbour in near:
            unit = neighbour.quantity
            if unit is None or unit.dimension in ("count", "share") or said.sentence_of[neighbour.at] != sentence:
                continue
            if (
                not any(_prints(quantity, unit.scale, item) for item in truth.numbers.get(unit.dimension, ()))
                and neighbour is not near[-1]
            ):
                continue
            scaled = replace(
                quantity, low=quantity.low * unit.scale, high=quantity.high * unit.scale,
                said=quantity.said * unit.scale,
                dimension=unit.dimension, scale=unit.scale,
            )  # fmt: skip
            mention.quantity = scaled
            break


def _prints(quantity: Quantity, scale: float, item: Known) -> bool:
    return any(quantity.low * scale - 1e-6 <= abs(point) <= quantity.high * scale + 1e-6 for point in item.points)


def _tie_shares(said: Telling, truth: Truth, mentions: list[Mention]) -> None:
    """ "3 of 5": the first is what worked, the second what was tried, where the source knows these words."""
    if "work" not in truth.story.vocabulary or "try" not in truth.story.vocabulary:
        return
    for first, second in pairwise(mentions):
        between = [token.low for token in said.tokens[first.to : second.at]]
        if between and len(between) <= 4 and {"of", "in"} & set(between) and set(between) <= _OF:
            words = said.tokens[max(0, first.at - 8) : second.to + 4]
            failed = any(WORKED.get(token.low) == -1 for token in words)
            first.by = {**first.by, ("fail" if failed else "work"): 1.0}
            first.by.pop("try", None)
            second.by = {**second.by, "try": 1.0}
            second.by.pop("work", None)


_STEPS = frozenset(("decide", "step", "th", "thing", "measur", "action", "mov", "effort", "event", "stag"))
_OF = frozenset(listed("out of in the its all times time those successes wins cases successful"))


def _follows(said: Telling, truth: Truth, mention: Mention, quantity: Quantity, other_score: float) -> bool:
    """Whether the number is a sum, difference, length, share or multiple of what the source says, and is said to be
    one."""
    if quantity.factor and _is_multiple(truth, quantity):
        return True
    begin, end = said.spans[said.sentence_of[mention.at]]
    dated = {at for when in said.whens if begin <= when.at < end for at in range(when.at, when.to)}
    words = {said.tokens[at].low for at in range(begin, end) if at not in dated}
    cued = words & SUM_CUES or words & GAP_CUES
    pool = truth.derived.get(quantity.dimension, ())
    if quantity.dimension in ("count", "share"):
        if words & REST_CUES and any(within(quantity, value) for value in truth.rests):
            return True
        if (
            quantity.dimension == "count"
            and quantity.said <= max(truth.lengths, default=0)
            and mention.to < len(said.tokens)
            and said.concepts[mention.to] in _STEPS
        ):
            return True
        if (
            quantity.dimension == "count"
            and ("try" not in truth.story.vocabulary or not {"work", "try"} & set(mention.by))
            and any(within(quantity, value) for value in truth.lengths)
        ):
            return True
        cued = words & SUM_CUES
    if words & SUM_CUES and any(within(quantity, value) for value in truth.sums.get(quantity.dimension, ())):
        return True
    if not cued or other_score > FIRM:
        return False
    return any(within(quantity, value) for value in pool)


def _is_multiple(truth: Truth, quantity: Quantity) -> bool:
    if any(one.factor for one in truth.story.quantities) or quantity.said not in (
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
                if within(quantity, high / low) or within(quantity, low / high):
                    return True
    return False


def _sign(telling: Telling, mention: Mention, axis: Mapping[str, int], reach: int = 7) -> int:
    """+1 or -1 by the nearest word of `axis` in the mention's clause, turned by a negation before it; 0 without one."""
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


def _turned(said: Telling, truth: Truth, mention: Mention, own: Known) -> str:
    """What is wrong if a number is told as gained where the source has it lost, or more where it has fewer; else ""."""
    quantity = mention.quantity
    assert quantity is not None
    there = own.mention
    telling = None
    if there is not None:
        telling = truth.story if any(there is one for one in truth.story.mentions) else truth.known
    if quantity.bound:
        bounds = {
            one.quantity.bound: one
            for one in truth.story.mentions
            if one.quantity is not None and one.quantity.bound and abs(one.quantity.said - quantity.said) < 1e-9
        }
        if -quantity.bound in bounds and quantity.bound not in bounds:
            right = around(truth.story, bounds[-quantity.bound])
            return f"“{around(said, mention)}” turns the bound round. The record says: “{right}”."
    axes: list[Mapping[str, int]] = [BETTER] if quantity.dimension in ("duration", "money", "count") else []
    if quantity.dimension == "share" or quantity.factor:
        axes.append(MORE)
    for axis in axes:
        here = _sign(said, mention, axis)
        if not here:
            continue
        fact = _sign(telling, there, axis, 9) if telling is not None and there is not None else 0
        if not fact and own.sign < 0 and there is None:
            fact = -1
        if fact and fact == -here:
            return f"“{around(said, mention)}” turns round what the record says: {number_told(truth, own)}."
    return ""
