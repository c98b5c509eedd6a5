"""The claims of a retelling, one function for each kind: each gives how many it looked at and what the source lacks."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Literal

from storymesh.narrator.spoken import Quantity, When, day_exists, fits
from storymesh.narrator.telling import Mention, Telling, alike, folded, is_code_number, is_list_number
from storymesh.narrator.truth import Known, KnownDate, Truth, demonym, fits_known
from storymesh.narrator.wording import (
    BEST,
    BETTER,
    CAUSE_CUES,
    CAUSES,
    COMMON_CAPITALS,
    COMMON_WORDS,
    FORWARD_CAUSES,
    GENERIC_NAME_PARTS,
    MORE,
    SOFT_CAUSES,
    STOP,
    WORKED,
    concept,
    listed,
)

Kind = Literal["number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"]

ELSEWHERE = 0.25
"""By how much a value's words must fit another value of the source better than its own, to be held for exchanged."""
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
        "difference gap more less fewer longer shorter later earlier between apart took take taking lasted lasting whole spanning "
        "journey within after before elapsed cheaper dearer failed fail failing margin rather"
    )
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What will be a claim of the face. `fatal`: nothing else is worth looking at."""

    kind: Kind
    begin: int
    end: int
    because: str
    fatal: bool = False


Found = tuple[Kind, int, list[Fault]]


def everything(said: Telling, truth: Truth, facts: Mapping[str, Any]) -> Iterator[Found]:
    """Every check in turn."""
    checks: tuple[Callable[[Telling, Truth], Found], ...] = (about, numbers, dates, names, order, cause)
    for check in checks:
        found = check(said, truth)
        yield found
        if any(fault.fatal for fault in found[2]):
            return
    codes = [mention for mention in said.mentions if mention.kind == "code"]
    yield "code", len(codes), []
    yield outcome(said, truth, facts)
    yield omission(said, truth, facts)


def _where(said: Telling, at: int, to: int) -> tuple[int, int]:
    return said.tokens[at].begin, said.tokens[max(at, to - 1)].end


def _words(telling: Telling, at: int, to: int) -> str:
    begin, end = _where(telling, at, to)
    return telling.text[begin:end]


def _sentence(telling: Telling, at: int) -> str:
    begin, end = telling.spans[telling.sentence_of[at]]
    text = " ".join(telling.text[telling.tokens[begin].begin : telling.tokens[end - 1].end].split())
    return text if len(text) <= 160 else text[:157] + "..."


# Form -------------------------------------------------------------------------------------------------------------

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|these\s+|those\s+|every\s+)*"
    r"(?:previous|prior|above|earlier|preceding|foregoing|former)?\s*(?:instructions?|rules?|prompts?|facts|messages?|checks?|claims?)\b"
    r"|\b(?:ignore|disregard) (?:the )?(?:above|previous)\b"
    r"|\b(?:system|developer) prompt\b|<\|[a-z_]{2,20}\|>|\[/?INST\]|</?(?:system|assistant|user)>"
    r"|^\s*(?:system|assistant|user)\s*:|\bas an? (?:ai|artificial|large)\b|\bi(?:'m| am) an ai\b|\blanguage model\b"
    r"|\b(?:checker|verifier|grader|evaluator|validator|fact[- ]check(?:er)?)\b[^.\n]{0,60}\b(?:accept|approve|pass|skip|ignore|score|mark|return|should|must)"
    r"|\b(?:accept|approve|mark|score|rate) this (?:text|retelling|answer|output|record|story|response)\b"
    r"|\bscore\s*[:=]\s*(?:1(?:\.0)?|100)\b|\bno further check(?:s|ing)?\b|\breply with\b|\bdo not (?:check|verify)\b"
    r"|\b(?:you are|act as|pretend to be) (?:now )?(?:an? |the )?(?:assistant|ai|checker|model|grader|system|expert|dan)\b",
    re.IGNORECASE | re.MULTILINE,
)
_ORDER_WORDS = (
    "ignore", "disregard", "forget", "override", "prompt", "<|", "inst]", "system", "assistant", "user", "as a", "an ai", "model",
    "checker", "verifier", "grader", "evaluator", "validator", "fact", "this", "score", "check", "reply", "verify",
    "you are", "act as", "pretend",
)  # fmt: skip
"""One of these stands in whatever `_ORDERS` finds: looked for first, since that is much quicker."""
_ANSWERS = re.compile(
    r"\s*(?:sure|certainly|of course|absolutely|okay|ok|great|here)\b[^.\n]{0,80}?(?:!|\bhere(?:'s|’s| is| are)\b|\b(?:is|are) (?:a|the|my|your) "
    r"(?:re)?(?:telling|told|written|written version|version|story|rewrite|text|paraphrase|summary)\b)"
    r"|\s*(?:sure|certainly|of course|absolutely|okay|ok|here)\b[^.\n]{0,80}:\s*\n",
    re.IGNORECASE,
)
_TALK_WORDS = ("here", "hope this", "let me know", "request", "i can", "i am", "i'm", "i’m", "i have")
_TALK = re.compile(
    r"\bhere(?:'s|’s| is) (?:a|the|my|your) (?:\w+ ){0,2}(?:retelling|rewrite|version|paraphrase|revised text)\b"
    r"|\bi hope this helps\b|\blet me know if\b|\bas (?:you )?requested\b|\bi (?:cannot|can't|can’t|am unable to|'m sorry)\b|\bi have (?:rewritten|retold|rephrased)\b",
    re.IGNORECASE | re.MULTILINE,
)


def form(text: str, story: str, known: str, longest: int) -> Iterator[Fault]:
    """What can be told without reading the values: nothing, no prose, far too long, talk to the checker or about itself."""
    if not text.strip():
        yield Fault("text", 0, 0, "The text is empty. Tell the record in full sentences.", fatal=True)
        return
    if len(text) > longest:
        yield Fault(
            "text", longest, len(text),
            f"The text has {len(text):,} characters and the record {len(story):,}. Tell it in about the length of the record.",
        )  # fmt: skip
        text = text[:longest]
    bare = text.strip()
    if not bare:
        yield Fault("text", 0, 0, "The text begins with nothing but blanks. Answer with the text alone.", fatal=True)
        return
    if (
        bare[0] in "{["
        and (bare[-1] in "}]" or re.match(r'[{\[]\s*["{\[]', bare))
        and not story.lstrip().startswith(bare[0])
    ):
        yield Fault(
            "text", 0, min(len(text), 200), "This is data (JSON), not prose. Answer with the text alone.", fatal=True
        )
        return
    if "```" in text and "```" not in story:
        at = text.index("```")
        yield Fault("text", at, at + 3, "The text holds a block of code. Answer with the text alone.")
    letters = sum(map(str.isalpha, bare[:4_000])) + sum(map(str.isspace, bare[:4_000]))
    if letters < 0.55 * len(bare[:4_000]) or "\ufffd" in bare or "\x00" in bare:
        yield Fault(
            "text", 0, min(len(text), 200), "Most of this is no text. Tell the record in full sentences.", fatal=True
        )
        return
    lowered = text.lower()
    for met in _ORDERS.finditer(text) if any(word in lowered for word in _ORDER_WORDS) else ():
        if met.group().strip().lower() not in (story + known).lower():
            yield Fault(
                "text", met.start(), met.end(),
                f"“{met.group().strip()[:80]}” speaks to a model or a checker, not of the record. Leave it out.",
            )  # fmt: skip
            break
    talk = _ANSWERS.match(text) or (_TALK.search(text) if any(word in lowered for word in _TALK_WORDS) else None)
    if talk is not None and talk.group().strip().lower() not in story.lower():
        yield Fault(
            "text",
            talk.start(),
            talk.end(),
            f"“{talk.group().strip()[:80]}” speaks of your answer, not of the record. Leave it out.",
        )


def about(said: Telling, truth: Truth) -> Found:
    """Whether the text is about this record at all, and does not go round in circles."""
    faults: list[Fault] = []
    spoken = sum(said.vocabulary.values())
    shared = sum(count for word, count in said.vocabulary.items() if word in truth.vocabulary)
    if spoken < 3 or shared < 0.12 * spoken:
        faults.append(
            Fault(
                "text",
                0,
                min(len(said.text), 200),
                "Hardly a word of this stands in the record. Retell the record.",
                fatal=True,
            )
        )
        return "text", 1, faults
    seen: dict[str, int] = {}
    for begin, end in said.spans:
        if end - begin >= 6:
            words = " ".join(token.low for token in said.tokens[begin:end])
            seen[words] = seen.get(words, 0) + 1
            if seen[words] == 3:
                first, last = _where(said, begin, end)
                faults.append(Fault("text", first, last, "The same sentence stands here three times. Say it once."))
                break
    for begin, end in said.spans:
        words_here = [word for word in said.concepts[begin:end] if word]
        if len(words_here) >= 9 and not any(word in truth.vocabulary for word in words_here):
            first, last = _where(said, begin, end)
            faults.append(
                Fault("text", first, last, f"Nothing of “{_sentence(said, begin)}” stands in the record. Leave it out.")
            )
    return "text", 1, faults


# Numbers ----------------------------------------------------------------------------------------------------------


def _within(quantity: Quantity, value: float) -> bool:
    slack = 1e-6 + 1e-9 * abs(value)
    return quantity.low - slack <= value <= quantity.high + slack


def _carried_by(quantity: Quantity, item: Known) -> bool:
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
    return any(_within(quantity, abs(point)) for point in item.points)


def _name_of(item: Known) -> str:
    if item.mention is not None:
        return ""
    return f"{item.said:,.10g}"


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
        text = _words(said, mention.at, mention.to)
        if is_code_number(said.tokens, quantity):
            looked += 1
            if text not in truth.codes and not any(
                _carried_by(quantity, item) for items in truth.numbers.values() for item in items
            ):
                faults.append(
                    Fault(
                        "code",
                        *_where(said, mention.at, mention.to),
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
        for item in items:
            score = alike(mention.by, item.by, rare)
            if _carried_by(quantity, item):
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
            there = _told(truth, other) if other is not None and other_score > ELSEWHERE else ""
            hint = f" The record says there: {there}." if there else ""
            faults.append(
                Fault(
                    "number",
                    *_where(said, mention.at, mention.to),
                    f"“{_around(said, mention)}”: the record has no {_what(quantity)} {text}.{hint}",
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
                        "number", *_where(said, mention.at, mention.to),
                        f"“{_around(said, mention)}”: {_words(said, mention.at, mention.to)} belongs to something else in "
                        f"the record ({_told(truth, own)}). For this it says: {_told(truth, other)}.",
                    )
                )  # fmt: skip
                continue
        if mention.at in broken:
            faults.append(
                Fault(
                    "number",
                    *_where(said, mention.at, mention.to),
                    f"“{_around(said, mention)}”: the record says these two numbers nowhere together.",
                )
            )
            continue
        turned = _turned(said, truth, mention, own)
        if turned:
            faults.append(Fault("outcome", *_where(said, mention.at, mention.to), turned))
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
    """Whether a value is too near to the one said to be held for another: 25.3 and 25.34, a day and 23 hours 55 minutes."""
    return any(abs(abs(point) - quantity.said) <= 0.004 * abs(point) for point in item.points)


def _around(said: Telling, mention: Mention) -> str:
    """The words about a value, short."""
    begin, end = said.spans[said.sentence_of[mention.at]]
    begin, end = max(begin, mention.at - 6), min(end, mention.to + 5)
    return " ".join(said.text[said.tokens[begin].begin : said.tokens[end - 1].end].split())


def _told(truth: Truth, item: Known | None) -> str:
    if item is None:
        return ""
    if item.mention is None:
        return f"{item.said:,.10g} ({item.path})"
    telling = truth.story if any(item.mention is mention for mention in truth.story.mentions) else truth.known
    return f"“{_around(telling, item.mention)}”"


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
    than this one does, nothing changed places: this value only stands in words that fit both. If it is told nowhere, the
    words must be clearer than if two values seem to have changed places."""
    if lead <= ELSEWHERE or (quantity.factor and lead < 2 * ELSEWHERE):
        return False
    rare = truth.rarity(quantity.dimension)
    told = False
    for one in mentions:
        there = one.quantity
        if one is mention or there is None or there.dimension != other.dimension:
            continue
        if _carried_by(there, other) and not _carried_by(there, own):
            told = True
            if alike(one.by, other.by, rare) >= score:
                return False
    return told or lead > ALONE


def _broken_pairs(said: Telling, truth: Truth, mentions: list[Mention]) -> set[int]:
    """Where "3 of 5" puts two counts together that stand in no sentence of the source together, and are no share of it."""
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
    for first, second in zip(mentions, mentions[1:], strict=False):
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
            or any(_carried_by(quantity, item) for item in truth.numbers.get("count", ()))
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
                quantity, low=quantity.low * unit.scale, high=quantity.high * unit.scale, said=quantity.said * unit.scale,
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
    for first, second in zip(mentions, mentions[1:], strict=False):
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
    """Whether the number is a sum, difference, length, share or multiple of what the source says, and is said to be one."""
    if quantity.factor and _is_multiple(truth, quantity):
        return True
    begin, end = said.spans[said.sentence_of[mention.at]]
    dated = {at for when in said.whens if begin <= when.at < end for at in range(when.at, when.to)}
    words = {said.tokens[at].low for at in range(begin, end) if at not in dated}
    cued = words & SUM_CUES or words & GAP_CUES
    pool = truth.derived.get(quantity.dimension, ())
    if quantity.dimension in ("count", "share"):
        if words & REST_CUES and any(_within(quantity, value) for value in truth.rests):
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
            and any(_within(quantity, value) for value in truth.lengths)
        ):
            return True
        cued = words & SUM_CUES
    if words & SUM_CUES and any(_within(quantity, value) for value in truth.sums.get(quantity.dimension, ())):
        return True
    if not cued or other_score > FIRM:
        return False
    return any(_within(quantity, value) for value in pool)


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
                if _within(quantity, high / low) or _within(quantity, low / high):
                    return True
    return False


# The sign of a number: "48 hours recovered", "33 % fewer", "at least 24"


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
            right = _around(truth.story, bounds[-quantity.bound])
            return f"“{_around(said, mention)}” turns the bound round. The record says: “{right}”."
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
            return f"“{_around(said, mention)}” turns round what the record says: {_told(truth, own)}."
    return ""


# Dates ------------------------------------------------------------------------------------------------------------


def dates(said: Telling, truth: Truth) -> Found:
    """Each date and time of day stands in the source, by the event that it stands by there; a weekday is the right one."""
    faults: list[Fault] = []
    looked = 0
    rare = truth.rarity("date")
    told: list[date] = []
    spans: list[date] = []
    for mention in said.mentions:
        when = mention.when
        if when is None:
            continue
        looked += 1
        where = _where(said, mention.at, mention.to)
        text = _words(said, mention.at, mention.to)
        if when.clock is not None:
            if when.clock not in truth.clocks and not any(
                when.clock + 720 == known and when.clock < 720 for known in truth.clocks
            ):
                faults.append(
                    Fault("date", *where, f"“{_around(said, mention)}”: the time {text} stands nowhere in the record.")
                )
            continue
        if not day_exists(when):
            faults.append(Fault("date", *where, f"There is no day {text}."))
            continue
        if when.shift is not None:
            followed = any(other.month and 0 <= other.at - when.to <= 3 for other in said.whens)
            bases = [*told[-12:], *spans[-2:]] if followed else [*told[-2:], *spans[-1:]]
            days = _shifted(when, bases, truth)
            if days is None:
                continue
            if not days:
                faults.append(
                    Fault(
                        "date",
                        *where,
                        f"“{_around(said, mention)}”: no event of the record lies so many days from the one before.",
                    )
                )
                continue
            matching = [item for item in truth.dates if item.day in days]
        else:
            matching = [item for item in truth.dates if fits_known(when, item)]
        if not matching:
            if when.weekday is not None and when.month:
                without = When(when.year, when.month, when.day, None, when.at, when.to, swapped=when.swapped)
                right = next((item.day for item in truth.dates if item.day and fits(without, item.day)), None)
                if right is not None:
                    faults.append(
                        Fault(
                            "date",
                            *where,
                            f"{text} has the wrong day of the week: {right.day} {right:%B %Y} was a {right:%A}.",
                        )
                    )
                    told.append(right)
                    continue
            likely = _likeliest(mention, truth.dates, rare)
            hint = f" The record says there: {_date_told(truth, likely)}." if likely is not None else ""
            faults.append(
                Fault(
                    "date", *where, f"“{_around(said, mention)}”: the date {text} stands nowhere in the record.{hint}"
                )
            )
            continue
        own = max(matching, key=lambda item: alike(mention.by, item.by, rare))
        if own.day is not None:
            # A span ("from 19 April to 15 August") is background: the tale goes on from the day before it.
            (spans if {"@from", "@to"} & mention.by.keys() else told).append(own.day)
        if when.day is None and when.weekday is None and when.shift is None:
            continue
        own_score = alike(mention.by, own.by, rare)
        others = [item for item in truth.dates if item not in matching and item.when.day]
        other = max(others, key=lambda item: alike(mention.by, item.by, rare), default=None)
        if other is not None and (score := alike(mention.by, other.by, rare)) - own_score > ELSEWHERE * (
            1 if when.shift is None else 2
        ):
            if any(
                one is not mention
                and one.when is not None
                and one.when.clock is None
                and one.when.shift is None
                and fits_known(one.when, other)
                and not fits_known(one.when, own)
                and alike(one.by, other.by, rare) >= score
                for one in said.mentions
            ):
                continue
            faults.append(
                Fault(
                    "date", *where,
                    f"“{_around(said, mention)}”: {text} belongs to something else in the record ({_date_told(truth, own)}). "
                    f"For this it says: {_date_told(truth, other)}.",
                )
            )  # fmt: skip
    return "date", looked, faults


def _shifted(when: When, told: list[date], truth: Truth) -> list[date] | None:
    """The known days that lie as far as said from a day told before; None if there is nothing to count from."""
    known = {item.day for item in truth.dates if item.day is not None}
    if not known:
        return None
    assert when.shift is not None
    if any(item.shift == when.shift for item in (*truth.story.whens, *truth.known.whens)):
        return None
    bases = told or sorted(known)
    slack = 0 if abs(when.shift) < 7 or when.shift % 7 else 1
    return [
        day
        for base in reversed(bases)
        for off in range(-slack, slack + 1)
        if (day := base + timedelta(days=when.shift + off)) in known
    ]


def _likeliest(mention: Mention, items: list[KnownDate], rare: Mapping[str, float]) -> KnownDate | None:
    best = max(items, key=lambda item: alike(mention.by, item.by, rare), default=None)
    return best if best is not None and alike(mention.by, best.by, rare) > ELSEWHERE else None


def _date_told(truth: Truth, item: KnownDate) -> str:
    if item.mention is None:
        return f"{item.day:%-d %B %Y}" if item.day else ""
    telling = truth.story if any(item.mention is mention for mention in truth.story.mentions) else truth.known
    return f"“{_around(telling, item.mention)}”"


# Names and codes --------------------------------------------------------------------------------------------------


def names(said: Telling, truth: Truth) -> Found:
    """Each name and code stands in the source, and plays the part that it plays there."""
    faults: list[Fault] = []
    looked = 0
    for mention in said.mentions:
        if not mention.key:
            continue
        looked += 1
        where = _where(said, mention.at, mention.to)
        text = _words(said, mention.at, mention.to)
        if mention.kind == "code":
            if mention.key[0] not in truth.codes and not truth.names.carry(mention.key):
                faults.append(Fault("code", *where, f"The code {text} stands nowhere in the record."))
                continue
        elif not _named(said, truth, mention):
            faults.append(Fault("name", *where, f"The name {text} stands nowhere in the record."))
            continue
        held = truth.parts.get(mention.key, set())
        for part in mention.parts:
            if (
                held
                and part not in held
                and any(part in parts for key, parts in truth.parts.items() if key != mention.key)
            ):
                right = ", ".join(" ".join(key).upper() for key, parts in truth.parts.items() if part in parts)
                faults.append(
                    Fault(
                        "code" if mention.kind == "code" else "name", *where,
                        f"“{_around(said, mention)}”: {text} does not play this part in the record; {right} does.",
                    )
                )  # fmt: skip
                break
    return "name", looked, faults


def _named(said: Telling, truth: Truth, mention: Mention) -> bool:
    key = mention.key
    if truth.names.carry(key) or demonym(key, truth.names):
        return True
    if any(said.tokens[at].low in ("of", "from", "for", "de") for at in range(mention.at + 1, mention.to)):
        split = next(
            at for at in range(mention.at + 1, mention.to) if said.tokens[at].low in ("of", "from", "for", "de")
        )
        halves = [
            tuple(
                folded(token.low)
                for token in said.tokens[begin:end]
                if token.kind == "word" and token.low not in ("the", "of")
            )
            for begin, end in ((mention.at, split), (split + 1, mention.to))
        ]
        if all(half in truth.keys for half in halves):
            return True
    words = [token for token in said.tokens[mention.at : mention.to] if token.kind == "word"]
    if not any(len(token.text) > 1 and token.text.isupper() and token.low not in COMMON_CAPITALS for token in words):
        if set(key) <= _HOLIDAYS:
            return True
        rest = tuple(
            word
            for word in key
            if word not in COMMON_WORDS and word not in COMMON_CAPITALS and word not in GENERIC_NAME_PARTS
        )
        if not rest:
            return len(key) == 1 or _in_heading(said, mention)
        if truth.names.carry(rest):
            return True
        if all(truth.names.carry((word,)) or concept(word) in truth.vocabulary for word in rest) and _in_heading(
            said, mention
        ):
            return True
        # A word of the record that a text writes with a capital: "the Perishables".
        if len(rest) == 1 and concept(rest[0]) in truth.vocabulary:
            return True
    return False


_HOLIDAYS = frozenset(listed("new year years christmas day eve boxing easter"))


def _in_heading(said: Telling, mention: Mention) -> bool:
    begin, end = said.spans[said.sentence_of[mention.at]]
    words = [token for token in said.tokens[begin:end] if token.kind == "word" and len(token.text) > 3]
    return said.tokens[begin].text in "#*" or sum(token.text[0].isupper() for token in words) >= 0.7 * len(words)


# Outcome ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Verdict:
    sign: int
    at: int
    to: int
    by: dict[str, float]


_PHRASES: tuple[tuple[tuple[str, ...], int], ...] = (
    (("paid", "off"), 1), (("pay", "off"), 1), (("did", "the", "trick"), 1), (("did", "the", "job"), 1), (("good", "enough"), 1),
    (("in", "vain"), -1), (("no", "avail"), -1), (("fell", "short"), -1), (("not", "enough"), -1), (("too", "little"), -1),
    (("no", "good"), -1), (("made", "no", "difference"), -1), (("came", "to", "nothing"), -1), (("fell", "flat"), -1),
    (("bore", "fruit"), 1), (("borne", "fruit"), 1), (("solved", "it"), 1), (("proved", "right"), 1), (("missed", "the", "mark"), -1),
    (("turned", "out", "well"), 1), (("turned", "out", "badly"), -1), (("went", "wrong"), -1), (("did", "not", "help"), -1), (("a", "win"), 1),
)  # fmt: skip
_PHRASES_BY_WORD: dict[str, list[tuple[tuple[str, ...], int]]] = {}
for _phrase_words, _meaning in _PHRASES:
    _PHRASES_BY_WORD.setdefault(_phrase_words[0], []).append((_phrase_words, _meaning))
_OPEN_WORDS = frozenset(listed("if whether would could might should can may unless until to"))


@lru_cache(maxsize=8)
def verdicts(telling: Telling) -> list[_Verdict]:
    """Where a text says that something worked (+1) or did not (-1). Counts ("worked 3 times"), questions and conditions
    are left to the numbers."""
    found: list[_Verdict] = []
    tokens = telling.tokens
    for at, token in enumerate(tokens):
        sign, to = WORKED.get(token.low, 0), at + 1
        if not sign:
            for words, meaning in _PHRASES_BY_WORD.get(token.low, ()):
                if tuple(one.low for one in tokens[at : at + len(words)]) == words:
                    sign, to = meaning, at + len(words)
                    break
            if not sign:
                continue
        begin, end = telling.spans[telling.sentence_of[at]]
        if tokens[end - 1].text == "?" or (end < len(tokens) and tokens[end].text == "?"):
            continue
        before = [one.low for one in tokens[max(begin, at - 3) : at]]
        if token.low in ("work", "works", "working") and not (
            {"not", "never"} & set(before) or any(word.endswith("n't") for word in before)
        ):
            continue
        turned = telling.negated(at)
        if before and before[-1] == "to" and not turned:
            continue
        if any(word in _OPEN_WORDS and word != "to" for word in before):
            continue
        if {"what", "which"} & set(before) and not any(one.low in ("was", "were", "is") for one in tokens[to:end]):
            continue
        nearby = [one.low for one in tokens[to : to + 2]]
        if "worst" in nearby:
            sign = -sign
        if turned:
            sign = -sign
        if _counted(telling, at, to):
            continue
        found.append(_Verdict(sign, at, to, telling.words_by(at, to)))
    return found


def _counted(telling: Telling, at: int, to: int) -> bool:
    clause = telling.clause_of[at]
    return any(
        quantity.dimension in ("count", "share")
        and telling.clause_of[quantity.at] == clause
        and (-9 < quantity.at - at < 7)
        for quantity in telling.quantities
    )


_NOT_THERE = re.compile(
    r"\b(?:not|never|n['’]t|yet to)\s+(?:yet\s+|been\s+|have\s+|ever\s+)*(?:arriv\w+|deliver\w+|reach\w*)(?!\s+(?:on time|on schedule|until|before|late|by))"
    r"|\bstill (?:at sea|en route|on (?:its|the) way|under ?way|in transit|outstanding|missing|waiting|to arrive|pending|stuck)\b"
    r"|\byet to (?:arrive|reach|be delivered)\b|\bno arrival\b",
    re.IGNORECASE,
)
_THERE = re.compile(r"\b(?:arrived|was delivered|were delivered|reached)\b", re.IGNORECASE)
_ON_TIME = re.compile(
    r"\b(?:on time|on schedule|punctual\w*|not late|without (?:any )?delay|no delay at all|ahead of (?:schedule|plan|time)"
    r"|(?:days?|hours?) (?:early|ahead of (?:schedule|plan)))\b",
    re.IGNORECASE,
)
_LATE = re.compile(r"\b(?:hours?|days?|minutes?) (?:late|after the plan)\b", re.IGNORECASE)
_EXISTENCE = ("disrupt",)
_NONE = frozenset(listed("nobody no nothing without not never none nor neither n't free"))


def outcome(said: Telling, truth: Truth, facts: Mapping[str, Any]) -> Found:
    """What worked, what was best, whether it arrived, was late, was disturbed: the same way round as in the source."""
    faults: list[Fault] = []
    looked = 0
    known = [*verdicts(truth.story)]
    counted = _rates(truth)
    for path, value in facts.items():
        if isinstance(value, bool) and "worked" in path.rsplit(".", 1)[-1]:
            known.append(_Verdict(1 if value else -1, 0, 0, {}))
    weights = _weights([*known, *counted])
    own = verdicts(truth.story)
    last = own[-1] if len(own) > 1 and _is_own(truth.story, own[-1].at) else None
    for verdict in verdicts(said):
        looked += 1
        where = _where(said, verdict.at, verdict.to)
        if not known and not counted and "work" in truth.story.vocabulary:
            continue
        if not known and not counted:
            faults.append(
                Fault("outcome", *where, f"“{_sentence(said, verdict.at)}”: the record does not say whether it worked.")
            )
            continue
        same = max(
            (alike(verdict.by, item.by, weights) for item in [*known, *counted] if item.sign == verdict.sign),
            default=None,
        )
        turned = max(
            (alike(verdict.by, item.by, weights) for item in [*known, *counted] if item.sign == -verdict.sign),
            default=None,
        )
        if last and last.sign != verdict.sign and _is_own(said, verdict.at):
            says = "worked" if last.sign > 0 else "did not work"
            faults.append(
                Fault(
                    "outcome", *where,
                    f"“{_sentence(said, verdict.at)}” turns the outcome round: the record says that in this case it {says}.",
                )
            )  # fmt: skip
            continue
        stated = {item.sign for item in known}
        if (
            same is None
            or (turned is not None and turned - same > ELSEWHERE)
            or (len(stated) == 1 and verdict.sign not in stated and same < 0.3)
        ):
            faults.append(
                Fault(
                    "outcome",
                    *where,
                    f"“{_sentence(said, verdict.at)}” turns the outcome round: the record says that it {'did not work' if verdict.sign > 0 else 'worked'}.",
                )
            )
    looked_best, faults_best = _superlatives(said, truth)
    looked += looked_best
    faults += faults_best
    looked_state, faults_state = _states(said, truth)
    return "outcome", looked + looked_state, faults + faults_state


_OWN = re.compile(r"\b(?:this case|present case|last step|this time|here)\b", re.IGNORECASE)


def _is_own(telling: Telling, at: int) -> bool:
    """Whether the sentence of token `at`, or the one before, speaks of this case and not of earlier ones."""
    sentence = telling.sentence_of[at]
    begin = telling.tokens[telling.spans[max(0, sentence - 1)][0]].begin
    end = telling.tokens[telling.spans[sentence][1] - 1].end
    return _OWN.search(telling.text, begin, end) is not None


def _weights(items: list[_Verdict]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for item in items:
        for word in item.by:
            counts[word] = counts.get(word, 0) + 1
    return {word: 1.0 / count for word, count in counts.items() if word != "work"}


def _rates(truth: Truth) -> list[_Verdict]:
    """Options of the story that always worked (100 %) or never (0 %), by their line."""
    found = []
    for item in truth.numbers.get("share", ()):
        if item.mention is not None and item.said in (0.0, 1.0) and "work" in item.by:
            found.append(_Verdict(1 if item.said else -1, 0, 0, item.by))
    return found


def _superlatives(said: Telling, truth: Truth) -> tuple[int, list[Fault]]:
    """ "The best was rail": where the story calls something best or worst, another action may not take its place."""
    story = truth.story
    named: dict[int, set[str]] = {}
    for at, token in enumerate(story.tokens):
        sign = BEST.get(token.low, 0)
        mostly = token.low == "mostly" and story.tokens[at + 1].low == "did" if at + 1 < len(story.tokens) else False
        if not sign and not mostly:
            continue
        begin, end = story.spans[story.sentence_of[at]]
        words = {word for word in story.concepts[begin:end] if word}
        named.setdefault(sign or -1, set()).update(*(tied for tied in truth.actions.values() if tied & words))
    if not named or len(truth.actions) < 2:
        return 0, []
    looked, faults = 0, []
    for at, token in enumerate(said.tokens):
        sign = BEST.get(token.low, 0)
        if not sign or sign not in named or not named[sign]:
            continue
        begin, end = said.spans[said.sentence_of[at]]
        near = {word for word in said.concepts[begin:end] if word}
        actions = [tied for tied in truth.actions.values() if tied & near]
        if not actions:
            continue
        looked += 1
        if not any(tied & named[sign] for tied in actions):
            faults.append(
                Fault(
                    "outcome",
                    *_where(said, at, at + 1),
                    f"“{_sentence(said, at)}”: the record calls another option {token.low}.",
                )
            )
    return looked, faults


def _states(said: Telling, truth: Truth) -> tuple[int, list[Fault]]:
    """Arrived or not, late or not, disturbed or not."""
    looked, faults = 0, []
    story = truth.story.text
    not_there = _NOT_THERE.search(said.text)
    story_open = _NOT_THERE.search(story)
    if not_there is not None:
        looked += 1
        if story_open is None:
            faults.append(
                Fault("outcome", *not_there.span(), f"“{not_there.group()}”: the record says that it arrived.")
            )
    elif story_open is not None and (there := _THERE.search(said.text)) is not None:
        looked += 1
        faults.append(Fault("outcome", *there.span(), "The record says that it had not arrived."))
    on_time = _ON_TIME.search(said.text)
    if on_time is not None and not re.search(
        r"\b(?:not|never|n['’]t|nowhere near|far from|instead of|rather than)\s+(?:\w+\s+){0,2}$",
        said.text[max(0, on_time.start() - 40) : on_time.start()],
        re.IGNORECASE,
    ):
        looked += 1
        if _LATE.search(story) and not _ON_TIME.search(story):
            faults.append(Fault("outcome", *on_time.span(), f"“{on_time.group()}”: the record says that it was late."))
    for noun in _EXISTENCE:
        stated = _existing(truth.story, noun)
        if len(stated) != 1:
            continue
        for at, exists in _each_existing(said, noun):
            looked += 1
            if exists not in stated:
                says = "knows of one" if not exists else "knows of none"
                faults.append(
                    Fault("outcome", *_where(said, at, at + 1), f"“{_sentence(said, at)}”: the record {says}.")
                )
    return looked, faults


def _each_existing(telling: Telling, noun: str) -> Iterable[tuple[int, bool]]:
    for at, word in enumerate(telling.concepts):
        if word == noun:
            begin, _ = telling.spans[telling.sentence_of[at]]
            near = telling.tokens[max(begin, at - 8) : at]
            yield at, not any(token.low in _NONE or token.low.endswith("n't") for token in near)


def _existing(telling: Telling, noun: str) -> set[bool]:
    return {exists for _, exists in _each_existing(telling, noun)}


# Cause ------------------------------------------------------------------------------------------------------------


def cause(said: Telling, truth: Truth) -> Found:
    """What is told as a cause is one in the source: named as a reason there, or told together with what it is said to do."""
    faults: list[Fault] = []
    looked = 0
    for at, to, soft in _causal(said):
        begin, end = said.spans[said.sentence_of[at]]
        forward = to > 0
        if forward:
            phrase, effect = _phrase(said, to, end), [word for word in said.concepts[begin:at] if word]
        else:
            to = -to
            phrase = [[word for word in said.concepts[_clause_begin(said, at, begin) : at] if word][-3:]]
            effect = [word for word in said.concepts[to:end] if word]
        for words in phrase:
            if not words:
                continue
            looked += 1
            if not _reason(truth, words, effect, soft):
                faults.append(
                    Fault(
                        "cause",
                        *_where(said, at, min(end, to + 8) if forward else to),
                        f"“{_sentence(said, at)}”: the record does not give this as a cause. Leave the cause out or name the one that it gives.",
                    )
                )
                break
    return "cause", looked, faults


def _causal(said: Telling) -> Iterable[tuple[int, int, bool]]:
    """Where a cause follows (the token after the connective) or stands before (that, negative), and whether it may be
    no cause at all."""
    tokens = said.tokens
    for at, token in enumerate(tokens):
        if token.low in ("reason", "cause", "culprit", "explanation"):
            begin, end = said.spans[said.sentence_of[at]]
            for to in range(at + 1, min(end, at + 5)):
                if tokens[to].low in ("was", "is", "were", "being", ":"):
                    yield at, to + 1, False
                    break
                if tokens[to].text in ",.;(":
                    break
            continue
        for words, sign in _CONNECTIVES.get(token.low, ()):
            to = at + len(words)
            if tuple(one.low for one in tokens[at:to]) == words:
                planned = words == ("due", "to") and to < len(tokens) and tokens[to].low in _PLANNED
                if not planned:
                    yield at, sign * to, words in SOFT_CAUSES
                break


_PLANNED = frozenset(listed("arrive be leave sail dock reach depart get land come"))
_CONNECTIVES: dict[str, list[tuple[tuple[str, ...], int]]] = {}
for _connective, _direction in (*((words, 1) for words in CAUSES), *((words, -1) for words in FORWARD_CAUSES)):
    _CONNECTIVES.setdefault(_connective[0], []).append((_connective, _direction))


def _phrase(said: Telling, at: int, end: int) -> list[list[str]]:
    """The cause that follows, cut at the end of its clause and at "and"."""
    parts: list[list[str]] = [[]]
    taken = 0
    for here in range(at, min(end, at + 16)):
        token = said.tokens[here]
        if token.text in ",;:()—–" or token.low in ("which", "who", "where", "but", "so", "while", "that", "then"):
            if taken:
                break
            continue
        if token.low in ("and", "or", "plus", "as"):
            if parts[-1]:
                parts.append([])
            continue
        if token.low in ("was", "were", "is", "had", "has") and len(parts) > 1:
            parts.pop()
            break
        if said.concepts[here]:
            parts[-1].append(said.concepts[here])
            taken += 1
    return [part for part in parts if part]


def _clause_begin(said: Telling, at: int, begin: int) -> int:
    here = at
    while here > begin and said.tokens[here - 1].text not in ",;:":
        here -= 1
    return here


_VAGUE_CAUSES = frozenset(
    listed(
        "delay late reason thi it problem situation issu circumstance condition decide move step action case hour day"
    )
)


def _reason(truth: Truth, words: list[str], effect: list[str], soft: bool) -> bool:
    telling = truth.story
    known = [word for word in words if word in truth.vocabulary]
    unknown = len(words) - len(known)
    if soft:
        first = [word in truth.vocabulary for word in words[:3]]
        return first[0] or sum(first) > 1
    if all(word in _VAGUE_CAUSES for word in words):
        return True
    given = _given_causes(truth)
    if len(words) > 2 and all(word in given for word in words[:2]):
        return True
    if words[0] not in truth.vocabulary and unknown >= 0.34 * len(words):
        return False
    if sum(word in given for word in words) >= max(1, 0.33 * len(words)) and unknown < 0.5 * len(words):
        return True
    if unknown >= 0.5 * len(words):
        return False
    effects = set(effect)
    wanted = set(known)
    for reading in (telling, truth.known):
        for begin, end in reading.spans:
            there = {word for word in reading.concepts[begin:end] if word}
            if len(wanted & there) >= max(1, 0.5 * len(wanted)) and effects & (there - wanted):
                if not any(
                    token.low in ("nothing", "no", "never", "not") for token in reading.tokens[begin:end]
                ) or any(token.low in ("too", "few") for token in reading.tokens[begin:end]):
                    return True
                if wanted & there and {"work"} & there:
                    return True
    return False


@lru_cache(maxsize=4)
def _given_causes(truth: Truth) -> set[str]:
    """The words of what the source itself gives as a reason."""
    given: set[str] = set()
    for reading in (truth.story, truth.known):
        for begin, end in reading.spans:
            for at in range(begin, end):
                if reading.tokens[at].low in CAUSE_CUES:
                    given.update(word for word in reading.concepts[at:end] if word)
                    break
    return given


# Order ------------------------------------------------------------------------------------------------------------

_THEN = frozenset(listed("then afterwards subsequently next thereafter later"))


def order(said: Telling, truth: Truth) -> Found:
    """Two events that the source dates are told in the order of their days: "A before B", "after A, B", "A, then B"."""
    events = [item for item in truth.dates if item.day is not None and item.mention is not None]
    faults: list[Fault] = []
    looked = 0
    days = {item.day for item in events}
    if len(days) < 2:
        return "order", 0, faults
    rare = truth.rarity("date")

    def event(at: int, to: int) -> KnownDate | None:
        """The dated event that the words from `at` to `to` are about, if they are clearly about one."""
        words = {word: 1.0 for word in said.concepts[at:to] if word}
        if not words:
            return None
        scored = sorted(((alike(words, item.by, rare), place) for place, item in enumerate(events)), reverse=True)
        best, place = scored[0]
        runner = next((score for score, other in scored if events[other].day != events[place].day), 0.0)
        return events[place] if best > 0.55 and best - runner > 0.3 else None

    for begin, end in said.spans:
        for at in range(begin, end):
            low = said.tokens[at].low
            first: KnownDate | None
            second: KnownDate | None
            if low in ("before", "after") and begin < at < end - 1:
                if any(when.at <= at < when.to for when in said.whens) or said.tokens[at + 1].low in (
                    "that",
                    "then",
                    "all",
                    "this",
                    "it",
                    ".",
                ):
                    continue
                left, right = event(_back(said, at, begin), at), event(at + 1, _ahead(said, at + 1, end))
                first, second = (left, right) if low == "before" else (right, left)
            elif low in ("before", "after") and at == begin:
                comma = next((here for here in range(at, end) if said.tokens[here].text == ","), None)
                if comma is None:
                    continue
                left, right = event(at + 1, comma), event(comma + 1, end)
                first, second = (right, left) if low == "before" else (left, right)
            elif low in _THEN and at > begin and not any(when.at <= at < when.to for when in said.whens):
                first, second = event(_back(said, at, begin), at), event(at + 1, _ahead(said, at + 1, end))
            else:
                continue
            if first is None or second is None or first.day is None or second.day is None or first.day == second.day:
                continue
            looked += 1
            if first.day > second.day:
                faults.append(
                    Fault(
                        "order",
                        *_where(said, at, at + 1),
                        f"“{_sentence(said, at)}” turns the order round: the record has {_date_told(truth, second)} before {_date_told(truth, first)}.",
                    )
                )
    return "order", looked, faults


def _back(said: Telling, at: int, begin: int) -> int:
    here = at - 2
    while here > begin and said.tokens[here].text not in ",;:" and at - here < 14:
        here -= 1
    return max(here, begin)


def _ahead(said: Telling, at: int, end: int) -> int:
    here = at + 1
    while here < end and said.tokens[here].text not in ",;:" and here - at < 14:
        here += 1
    return here


# Omission ---------------------------------------------------------------------------------------------------------

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
                _carried_by(quantity, item) and quantity.dimension in ("money", "count") for quantity in told
            ):
                faults.append(
                    Fault("omission", 0, 0, f"The amount is left out. The record says: {_told(truth, item)}.")
                )
    stated = [verdict for verdict in verdicts(story)]
    if stated:
        looked += 1
        last = stated[-1]
        if not _says(said, truth, stated, last):
            faults.append(
                Fault(
                    "omission", 0, 0, f"Whether it worked is left out. The record says: “{_sentence(story, last.at)}”."
                )
            )
    action = facts.get("outcome.action")
    if isinstance(action, str) and action in truth.actions:
        looked += 1
        words = truth.actions[action]
        if words & set(story.vocabulary) and not words & set(said.vocabulary):
            where = next((at for at, word in enumerate(story.concepts) if word in words), 0)
            faults.append(
                Fault("omission", 0, 0, f"What was done is left out. The record says: “{_sentence(story, where)}”.")
            )
    for item in _title(truth):
        looked += 1
        if isinstance(item, Known):
            shifts = {24.0 * when.shift for when in said.whens if when.shift}
            if not shifts & {item.said, -item.said} and not any(
                mention.quantity is not None and _carried_by(mention.quantity, item) for mention in said.mentions
            ):
                faults.append(Fault("omission", 0, 0, f"The title's figure is left out: {_told(truth, item)}."))
        elif not any(
            mention.when is not None and mention.when.clock is None and fits_known(mention.when, item)
            for mention in said.mentions
        ):
            faults.append(Fault("omission", 0, 0, f"The title's date is left out: {_date_told(truth, item)}."))
    return "omission", looked, faults


def _says(said: Telling, truth: Truth, stated: list[_Verdict], last: _Verdict) -> bool:
    """Whether a text says the last verdict of the story: another verdict (of an option, say) does not do."""
    told = verdicts(said)
    if len(stated) == 1 and not _rates(truth):
        return bool(told) or _says_result(said)
    others = [*stated[:-1], *_rates(truth)]
    weights = _weights([*others, last])
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
    r"\b(?:too few|not enough (?:closed )?cases|counts? as|deemed|qualif\w+|threshold|target|made it|met the|missed the|enough|(?:short|shy) of|verdict|benchmark)\b",
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
