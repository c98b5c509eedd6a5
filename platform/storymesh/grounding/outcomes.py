"""What worked, what was best, whether it arrived or was late: told the same way round as in the source."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from storymesh.grounding.faults import CheckResult, Fault, characters_of, sentence_at
from storymesh.grounding.lexicon import (
    BEST,
    WORKED,
    listed,
)
from storymesh.grounding.numbers import ELSEWHERE
from storymesh.grounding.parsed_text import ParsedText
from storymesh.grounding.similarity import alike
from storymesh.grounding.source_facts import SourceFacts


@dataclass(frozen=True, slots=True)
class Verdict:
    sign: int
    at: int
    to: int
    by: dict[str, float]


_PHRASES: tuple[tuple[tuple[str, ...], int], ...] = (
    (("paid", "off"), 1), (("pay", "off"), 1), (("did", "the", "trick"), 1), (("did", "the", "job"), 1),
    (("good", "enough"), 1),
    (("in", "vain"), -1), (("no", "avail"), -1), (("fell", "short"), -1), (("not", "enough"), -1),
    (("too", "little"), -1),
    (("no", "good"), -1), (("made", "no", "difference"), -1), (("came", "to", "nothing"), -1), (("fell", "flat"), -1),
    (("bore", "fruit"), 1), (("borne", "fruit"), 1), (("solved", "it"), 1), (("proved", "right"), 1),
    (("missed", "the", "mark"), -1),
    (("turned", "out", "well"), 1), (("turned", "out", "badly"), -1), (("went", "wrong"), -1),
    (("did", "not", "help"), -1), (("a", "win"), 1),
)  # fmt: skip
_PHRASES_BY_WORD: dict[str, list[tuple[tuple[str, ...], int]]] = {}
for _phrase_words, _meaning in _PHRASES:
    _PHRASES_BY_WORD.setdefault(_phrase_words[0], []).append((_phrase_words, _meaning))
_OPEN_WORDS = frozenset(listed("if whether would could might should can may unless until to"))


@lru_cache(maxsize=8)
def verdicts(telling: ParsedText) -> list[Verdict]:
    """Where a text says that something worked (+1) or did not (-1). Counts ("worked 3 times"), questions and conditions
    are left to the numbers."""
    found: list[Verdict] = []
    tokens = telling.tokens
    for at, token in enumerate(tokens):
        sign, to = WORKED.get(token.low, 0), at + 1
        if not sign:
            for words, meaning in _PHRASES_BY_WORD.get(token.low, ()):
                if tuple(token.low for token in tokens[at : at + len(words)]) == words:
                    sign, to = meaning, at + len(words)
                    break
            if not sign:
                continue
        begin, end = telling.spans[telling.sentence_of[at]]
        if tokens[end - 1].text == "?" or (end < len(tokens) and tokens[end].text == "?"):
            continue
        before = [token.low for token in tokens[max(begin, at - 3) : at]]
        if token.low in ("work", "works", "working") and not (
            {"not", "never"} & set(before) or any(word.endswith("n't") for word in before)
        ):
            continue
        turned = telling.negated(at)
        if before and before[-1] == "to" and not turned:
            continue
        if any(word in _OPEN_WORDS and word != "to" for word in before):
            continue
        if {"what", "which"} & set(before) and not any(token.low in ("was", "were", "is") for token in tokens[to:end]):
            continue
        nearby = [token.low for token in tokens[to : to + 2]]
        if "worst" in nearby:
            sign = -sign
        if turned:
            sign = -sign
        if _counted(telling, at):
            continue
        found.append(Verdict(sign, at, to, telling.words_by(at, to)))
    return found


def _counted(telling: ParsedText, at: int) -> bool:
    clause = telling.clause_of[at]
    return any(
        quantity.dimension in ("count", "share")
        and telling.clause_of[quantity.at] == clause
        and (-9 < quantity.at - at < 7)
        for quantity in telling.quantities
    )


_NOT_THERE = re.compile(
    r"\b(?:not|never|n['’]t|yet to)\s+(?:yet\s+|been\s+|have\s+|ever\s+)*(?:arriv\w+|deliver\w+|reach\w*)(?!\s+(?:on "
    r"time|on schedule|until|before|late|by))"
    r"|\bstill (?:at sea|en route|on (?:its|the) way|under ?way|in transit|outstanding|missing|waiting|to "
    r"arrive|pending|stuck)\b"
    r"|\byet to (?:arrive|reach|be delivered)\b|\bno arrival\b",
    re.IGNORECASE,
)
_THERE = re.compile(r"\b(?:arrived|was delivered|were delivered|reached)\b", re.IGNORECASE)
_ON_TIME = re.compile(
    r"\b(?:on time|on schedule|punctual\w*|not late|without (?:any )?delay|no delay at all|ahead of "
    r"(?:schedule|plan|time)"
    r"|(?:days?|hours?) (?:early|ahead of (?:schedule|plan)))\b",
    re.IGNORECASE,
)
_LATE = re.compile(r"\b(?:hours?|days?|minutes?) (?:late|after the plan)\b", re.IGNORECASE)
_EXISTENCE = ("disrupt",)
_NONE = frozenset(listed("nobody no nothing without not never none nor neither n't free"))


def check_outcomes(parsed: ParsedText, truth: SourceFacts, facts: Mapping[str, Any]) -> CheckResult:
    """Check what worked, what was best, what arrived, was late or was disturbed, against the source."""
    faults: list[Fault] = []
    checked = 0
    stated = (value for path, value in facts.items() if "worked" in path.rsplit(".", 1)[-1])
    known = [*verdicts(truth.story), *(Verdict(1 if one else -1, 0, 0, {}) for one in stated if isinstance(one, bool))]
    counted = rates(truth)
    weights = weights_of([*known, *counted])
    own = verdicts(truth.story)
    last = own[-1] if len(own) > 1 and _is_own(truth.story, own[-1].at) else None
    for verdict in verdicts(parsed):
        checked += 1
        where = characters_of(parsed, verdict.at, verdict.to)
        if not known and not counted and "work" in truth.story.vocabulary:
            continue
        if not known and not counted:
            words = f"“{sentence_at(parsed, verdict.at)}”: the record does not say whether it worked."
            faults.append(Fault("outcome", *where, words))
            continue
        same = max(
            (alike(verdict.by, item.by, weights) for item in [*known, *counted] if item.sign == verdict.sign),
            default=None,
        )
        turned = max(
            (alike(verdict.by, item.by, weights) for item in [*known, *counted] if item.sign == -verdict.sign),
            default=None,
        )
        if last and last.sign != verdict.sign and _is_own(parsed, verdict.at):
            says = "worked" if last.sign > 0 else "did not work"
            faults.append(
                Fault(
                    "outcome", *where,
                    f"“{sentence_at(parsed, verdict.at)}” turns the outcome round: the record says that in this case "
                    f"it {says}.",
                )
            )  # fmt: skip
            continue
        signs = {item.sign for item in known}
        if (
            same is None
            or (turned is not None and turned - same > ELSEWHERE)
            or (len(signs) == 1 and verdict.sign not in signs and same < 0.3)
        ):
            faults.append(
                Fault(
                    "outcome",
                    *where,
                    f"“{sentence_at(parsed, verdict.at)}” turns the outcome round: the record says that it "
                    f"{'did not work' if verdict.sign > 0 else 'worked'}.",
                )
            )
    looked_best, faults_best = _superlatives(parsed, truth)
    checked += looked_best
    faults += faults_best
    looked_state, faults_state = _states(parsed, truth)
    return "outcome", checked + looked_state, faults + faults_state


_OWN = re.compile(r"\b(?:this case|present case|last step|this time|here)\b", re.IGNORECASE)


def _is_own(telling: ParsedText, at: int) -> bool:
    """Whether the sentence of token `at`, or the one before, speaks of this case and not of earlier ones."""
    sentence = telling.sentence_of[at]
    begin = telling.tokens[telling.spans[max(0, sentence - 1)][0]].begin
    end = telling.tokens[telling.spans[sentence][1] - 1].end
    return _OWN.search(telling.text, begin, end) is not None


def weights_of(items: list[Verdict]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for item in items:
        for word in item.by:
            counts[word] = counts.get(word, 0) + 1
    return {word: 1.0 / count for word, count in counts.items() if word != "work"}


def rates(truth: SourceFacts) -> list[Verdict]:
    """Options of the story that always worked (100 %) or never (0 %), by their line."""
    found = []
    for item in truth.numbers.get("share", ()):
        if item.mention is not None and item.stated in (0.0, 1.0) and "work" in item.by:
            found.append(Verdict(1 if item.stated else -1, 0, 0, item.by))
    return found


def _superlatives(parsed: ParsedText, truth: SourceFacts) -> tuple[int, list[Fault]]:
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
    checked, faults = 0, []
    for at, token in enumerate(parsed.tokens):
        sign = BEST.get(token.low, 0)
        if not sign or sign not in named or not named[sign]:
            continue
        begin, end = parsed.spans[parsed.sentence_of[at]]
        near = {word for word in parsed.concepts[begin:end] if word}
        actions = [tied for tied in truth.actions.values() if tied & near]
        if not actions:
            continue
        checked += 1
        if not any(tied & named[sign] for tied in actions):
            faults.append(
                Fault(
                    "outcome",
                    *characters_of(parsed, at, at + 1),
                    f"“{sentence_at(parsed, at)}”: the record calls another option {token.low}.",
                )
            )
    return checked, faults


def _states(parsed: ParsedText, truth: SourceFacts) -> tuple[int, list[Fault]]:
    """Arrived or not, late or not, disturbed or not."""
    checked, faults = 0, []
    story = truth.story.text
    not_there = _NOT_THERE.search(parsed.text)
    story_open = _NOT_THERE.search(story)
    if not_there is not None:
        checked += 1
        if story_open is None:
            faults.append(
                Fault("outcome", *not_there.span(), f"“{not_there.group()}”: the record says that it arrived.")
            )
    elif story_open is not None and (there := _THERE.search(parsed.text)) is not None:
        checked += 1
        faults.append(Fault("outcome", *there.span(), "The record says that it had not arrived."))
    on_time = _ON_TIME.search(parsed.text)
    if on_time is not None and not re.search(
        r"\b(?:not|never|n['’]t|nowhere near|far from|instead of|rather than)\s+(?:\w+\s+){0,2}$",
        parsed.text[max(0, on_time.start() - 40) : on_time.start()],
        re.IGNORECASE,
    ):
        checked += 1
        if _LATE.search(story) and not _ON_TIME.search(story):
            faults.append(Fault("outcome", *on_time.span(), f"“{on_time.group()}”: the record says that it was late."))
    for noun in _EXISTENCE:
        stated = _existing(truth.story, noun)
        if len(stated) != 1:
            continue
        for at, exists in _each_existing(parsed, noun):
            checked += 1
            if exists not in stated:
                says = "knows of one" if not exists else "knows of none"
                faults.append(
                    Fault(
                        "outcome",
                        *characters_of(parsed, at, at + 1),
                        f"“{sentence_at(parsed, at)}”: the record {says}.",
                    )
                )
    return checked, faults


def _each_existing(telling: ParsedText, noun: str) -> Iterable[tuple[int, bool]]:
    for at, word in enumerate(telling.concepts):
        if word == noun:
            begin, _ = telling.spans[telling.sentence_of[at]]
            near = telling.tokens[max(begin, at - 8) : at]
            yield at, not any(token.low in _NONE or token.low.endswith("n't") for token in near)


def _existing(telling: ParsedText, noun: str) -> set[bool]:
    return {exists for _, exists in _each_existing(telling, noun)}
