"""Checks of numbers: each is a value of the source or follows from some, and is said of the same thing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from storymesh.grounding.faults import (
    CheckResult,
    Fault,
    characters_of,
    quote_around,
    quote_number,
    supported_by,
    words_at,
)
from storymesh.grounding.lexicon import (
    STOP,
    WORKED,
    listed,
)
from storymesh.grounding.number_relations import FIRM, REST_CUES, is_derived, turned_round
from storymesh.grounding.parsed_text import Mention, ParsedText
from storymesh.grounding.quantities import Quantity, is_code_number, is_list_number
from storymesh.grounding.similarity import alike
from storymesh.grounding.source_facts import KnownNumber, SourceFacts

ELSEWHERE = 0.25
"""By how much a value's words must fit another value of the source better than its own, to be held for exchanged."""
MOST_COMPARED = 400
"""Other values of the source by whose words a number is compared: a long table stays quick."""
ALONE = 0.6
"""The same, where the other value is told nowhere in the text."""


def check_numbers(parsed: ParsedText, truth: SourceFacts) -> CheckResult:
    """Check that each number is a value of the source or follows from some, and is said of the same thing."""
    faults: list[Fault] = []
    checked = 0
    mentions = [mention for mention in parsed.mentions if mention.quantity is not None]
    _tie_shares(parsed, truth, mentions)
    _give_units(parsed, truth, mentions)
    plain = _plain_values(truth)
    supported: list[tuple[Mention, _Match]] = []
    for mention in mentions:
        quantity = mention.quantity
        assert quantity is not None
        if is_code_number(parsed.tokens, quantity):
            checked += 1
            faults += _unknown_code(parsed, truth, mention, quantity)
            continue
        if is_list_number(parsed.tokens, quantity):
            continue
        checked += 1
        match = _closest(mention, quantity, truth)
        if match.own is not None:
            supported.append((mention, match))
        elif not (
            (
                quantity.dimension == "count"
                and match.other_score < 2 * FIRM
                and round(quantity.stated, 6) in plain
                and _bare(parsed, mention)
            )
            or _is_ratio(parsed, truth, mentions, mention)
            or is_derived(parsed, truth, mention, quantity, match.other_score)
            or (quantity.dimension == "share" and quantity.stated == 0.5 and "median" in truth.story.vocabulary)
        ):
            faults.append(_unsupported(parsed, truth, mention, quantity, match))
    broken = _broken_pairs(parsed, truth, mentions)
    for mention, match in supported:
        faults += _misplaced(parsed, truth, mentions, mention, match, broken=mention.at in broken)
    return "number", checked, faults


@dataclass(frozen=True, slots=True)
class _Match:
    """The value of the source that supports a number, and the best of those that do not; with how alike they are."""

    own: KnownNumber | None
    own_score: float
    other: KnownNumber | None
    other_score: float


def _plain_values(truth: SourceFacts) -> set[float]:
    """Return the numbers of the source as they are said, without their units."""
    return {
        round(item.mention.quantity.stated / item.mention.quantity.scale, 6)
        for items in truth.numbers.values()
        for item in items
        if item.mention is not None and item.mention.quantity is not None and item.dimension != "share"
    }


def _closest(mention: Mention, quantity: Quantity, truth: SourceFacts) -> _Match:
    rare = truth.rarity(quantity.dimension)
    own, own_score = None, -1.0
    other, other_score = None, 0.0
    for place, item in enumerate(truth.numbers.get(quantity.dimension, [])):
        supports = supported_by(quantity, item)
        if not supports and place > MOST_COMPARED:
            continue
        score = alike(mention.by, item.by, rare)
        if supports:
            if score > own_score:
                own, own_score = item, score
        elif score > other_score and not _same_story(item, quantity):
            other, other_score = item, score
    return _Match(own, own_score, other, other_score)


def _unknown_code(parsed: ParsedText, truth: SourceFacts, mention: Mention, quantity: Quantity) -> Iterator[Fault]:
    """Yield the fault of a reference that is not in the source."""
    text = words_at(parsed, mention.at, mention.to)
    if text not in truth.codes and not any(
        supported_by(quantity, item) for items in truth.numbers.values() for item in items
    ):
        place = characters_of(parsed, mention.at, mention.to)
        yield Fault("code", *place, f"The number {text} stands nowhere in the record.")


def _unsupported(parsed: ParsedText, truth: SourceFacts, mention: Mention, quantity: Quantity, match: _Match) -> Fault:
    """Return the fault of a number that is not in the source."""
    text = words_at(parsed, mention.at, mention.to)
    likely = match.other if match.other_score > ELSEWHERE else None
    quoted = quote_number(truth, likely)
    hint = f" The record says there: {quoted}." if quoted else ""
    words = f"“{quote_around(parsed, mention)}”: the record has no {_what(quantity)} {text}.{hint}"
    return Fault("number", *characters_of(parsed, mention.at, mention.to), words)


def _misplaced(
    parsed: ParsedText, truth: SourceFacts, mentions: list[Mention], mention: Mention, match: _Match, *, broken: bool
) -> Iterator[Fault]:
    """Yield the fault of a number that the source has for something else, apart, or the other way round."""
    quantity, own, other = mention.quantity, match.own, match.other
    assert quantity is not None and own is not None
    place = characters_of(parsed, mention.at, mention.to)
    lead = match.other_score - max(match.own_score, 0.0)
    if other is not None and _exchanged(mentions, mention, quantity, own, other, match.other_score, lead, truth):
        excused = _is_ratio(parsed, truth, mentions, mention) or (
            lead < FIRM and is_derived(parsed, truth, mention, quantity, 0.0)
        )
        if broken or not excused:
            quoted = f"“{quote_around(parsed, mention)}”: {words_at(parsed, mention.at, mention.to)}"
            yield Fault(
                "number", *place,
                f"{quoted} belongs to something else in the record ({quote_number(truth, own)}). "
                f"For this it says: {quote_number(truth, other)}.",
            )  # fmt: skip
            return
    if broken:
        words = f"“{quote_around(parsed, mention)}”: the record says these two numbers nowhere together."
        yield Fault("number", *place, words)
        return
    if turned := turned_round(parsed, truth, mention, own):
        yield Fault("outcome", *place, turned)


def _bare(parsed: ParsedText, mention: Mention) -> bool:
    """Whether a number is said without what it counts: "15 and 21.2 hours", "the 11th of them"."""
    if mention.to >= len(parsed.tokens):
        return True
    following = parsed.tokens[mention.to]
    return following.kind == "mark" or following.low in STOP


def _is_ratio(parsed: ParsedText, truth: SourceFacts, mentions: list[Mention], mention: Mention) -> bool:
    """ "one in eight", "three times out of four": a share of the source said with other numbers."""
    place = mentions.index(mention)
    for first, second in ((place, place + 1), (place - 1, place)):
        if first < 0 or second >= len(mentions):
            continue
        one, other = mentions[first], mentions[second]
        between = [token.low for token in parsed.tokens[one.to : other.at]]
        if (
            len(between) > 4
            or not {"in", "of"} & set(between)
            or not set(between) <= {"in", "out", "of", "the", "every", "times", "time", "cases", "a"}
        ):
            continue
        assert one.quantity is not None and other.quantity is not None
        if other.quantity.stated <= 0 or one.quantity.stated > other.quantity.stated:
            continue
        share = one.quantity.stated / other.quantity.stated
        slack = 0.05 if one.quantity.hedged else 0.0051
        of = {word for word, weight in mention.by.items() if weight > 0.5 and word in truth.subjects}
        if any(
            abs(share - abs(point)) <= slack and (not of or of & item.by.keys() or item.mention is None)
            for item in truth.numbers.get("share", ())
            for point in item.points
        ):
            return True
    return False


def _same_story(item: KnownNumber, quantity: Quantity) -> bool:
    """Whether a value is too near to the one said to be held for another: 25.3 and 25.34, a day and 23 hours 55
    minutes."""
    return any(abs(abs(point) - quantity.stated) <= 0.004 * abs(point) for point in item.points)


def _what(quantity: Quantity) -> str:
    return {
        "duration": "time of", "money": "amount of", "share": "share of", "mass": "weight of", "length": "length of",
        "count": "number",
    }[quantity.dimension]  # fmt: skip


def _exchanged(
    mentions: list[Mention],
    mention: Mention,
    quantity: Quantity,
    own: KnownNumber,
    other: KnownNumber,
    score: float,
    lead: float,
    truth: SourceFacts,
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
        if supported_by(there, other) and not supported_by(there, own):
            told = True
            if alike(one.by, other.by, rare) >= score:
                return False
    return told or lead > ALONE


def _broken_pairs(parsed: ParsedText, truth: SourceFacts, mentions: list[Mention]) -> set[int]:
    """Where "3 of 5" puts two counts together that stand in no sentence of the source together, and are no share of
    it."""
    together: dict[float, set[int]] = {}
    for reading in (truth.story, truth.known):
        for quantity in reading.quantities:
            key = reading.sentence_of[quantity.at] + (0 if reading is truth.story else 1_000_000)
            together.setdefault(round(quantity.stated, 6), set()).add(key)
    lines = {
        sentence: {word for word in truth.story.concepts[begin:end] if word in truth.subjects}
        for sentence, (begin, end) in enumerate(truth.story.spans)
    }
    broken: set[int] = set()
    for first, second in pairwise(mentions):
        one, other = first.quantity, second.quantity
        if one is None or other is None or one.dimension != "count" or other.dimension != "count":
            continue
        between = [token.low for token in parsed.tokens[first.to : second.at]]
        if not between or len(between) > 4 or "of" not in between or not set(between) <= _OF:
            continue
        shared = together.get(round(one.stated, 6), set()) & together.get(round(other.stated, 6), set())
        of = {word for word, weight in first.by.items() if word in truth.subjects and weight > 0.5}
        if shared and (
            not of
            or any(of & lines.get(key, set()) for key in shared)
            or not any(of & words for words in lines.values())
        ):
            continue
        words = {token.low for token in parsed.tokens[max(0, first.at - 8) : second.to + 6]}
        if words & REST_CUES or _is_ratio(parsed, truth, mentions, first):
            continue
        broken.add(second.at)
    return broken


def _give_units(parsed: ParsedText, truth: SourceFacts, mentions: list[Mention]) -> None:
    """Gives a number without a unit that of the number before or after it in its sentence, where the source has it so:
    "19.1 hours and 18.2", "paying 93,492 and 88,322 dollars"."""
    for place, mention in enumerate(mentions):
        quantity = mention.quantity
        assert quantity is not None
        if (
            quantity.dimension != "count"
            or not _bare(parsed, mention)
            or any(supported_by(quantity, item) for item in truth.numbers.get("count", ()))
        ):
            continue
        sentence = parsed.sentence_of[mention.at]
        near = [
            mentions[other]
            for step in range(1, 4)
            for other in (place - step, place + step)
            if 0 <= other < len(mentions)
        ]
        for neighbour in near:
            unit = neighbour.quantity
            if unit is None or unit.dimension in ("count", "share") or parsed.sentence_of[neighbour.at] != sentence:
                continue
            if (
                not any(_prints(quantity, unit.scale, item) for item in truth.numbers.get(unit.dimension, ()))
                and neighbour is not near[-1]
            ):
                continue
            scaled = replace(
                quantity, low=quantity.low * unit.scale, high=quantity.high * unit.scale,
                stated=quantity.stated * unit.scale,
                dimension=unit.dimension, scale=unit.scale,
            )  # fmt: skip
            mention.quantity = scaled
            break


def _prints(quantity: Quantity, scale: float, item: KnownNumber) -> bool:
    return any(quantity.low * scale - 1e-6 <= abs(point) <= quantity.high * scale + 1e-6 for point in item.points)


_OF = frozenset(listed("out of in the its all times time those successes wins cases successful"))


def _tie_shares(parsed: ParsedText, truth: SourceFacts, mentions: list[Mention]) -> None:
    """ "3 of 5": the first is what worked, the second what was tried, where the source knows these words."""
    if "work" not in truth.story.vocabulary or "try" not in truth.story.vocabulary:
        return
    for first, second in pairwise(mentions):
        between = [token.low for token in parsed.tokens[first.to : second.at]]
        if between and len(between) <= 4 and {"of", "in"} & set(between) and set(between) <= _OF:
            words = parsed.tokens[max(0, first.at - 8) : second.to + 4]
            failed = any(WORKED.get(token.low) == -1 for token in words)
            first.by = {**first.by, ("fail" if failed else "work"): 1.0}
            first.by.pop("try", None)
            second.by = {**second.by, "try": 1.0}
            second.by.pop("work", None)
