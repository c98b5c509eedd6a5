"""What a retelling gives as a cause is one in the source."""

from collections.abc import Iterable
from functools import lru_cache

from storymesh.grounding.faults import CheckResult, Fault, characters_of, sentence_at
from storymesh.grounding.lexicon import (
    CAUSE_CUES,
    CAUSES,
    FORWARD_CAUSES,
    SOFT_CAUSES,
    listed,
)
from storymesh.grounding.parsed_text import ParsedText
from storymesh.grounding.source_facts import SourceFacts


def check_causes(parsed: ParsedText, truth: SourceFacts) -> CheckResult:
    """What is told as a cause is one in the source: named as a reason there, or told together with what it is said
    to do."""
    faults: list[Fault] = []
    checked = 0
    for at, to, soft in _causal(parsed):
        begin, end = parsed.spans[parsed.sentence_of[at]]
        forward = to > 0
        if forward:
            phrase, effect = _phrase(parsed, to, end), [word for word in parsed.concepts[begin:at] if word]
        else:
            to = -to
            phrase = [[word for word in parsed.concepts[_clause_begin(parsed, at, begin) : at] if word][-3:]]
            effect = [word for word in parsed.concepts[to:end] if word]
        for words in phrase:
            if not words:
                continue
            checked += 1
            if not _reason(truth, words, effect, soft):
                faults.append(
                    Fault(
                        "cause",
                        *characters_of(parsed, at, min(end, to + 8) if forward else to),
                        f"“{sentence_at(parsed, at)}”: the record does not give this as a cause. Leave the cause out "
                        f"or name the one that it gives.",
                    )
                )
                break
    return "cause", checked, faults


def _causal(parsed: ParsedText) -> Iterable[tuple[int, int, bool]]:
    """Where a cause follows (the token after the connective) or stands before (that, negative), and whether it may be
    no cause at all."""
    tokens = parsed.tokens
    for at, token in enumerate(tokens):
        if token.low in ("reason", "cause", "culprit", "explanation"):
            _, end = parsed.spans[parsed.sentence_of[at]]
            for to in range(at + 1, min(end, at + 5)):
                if tokens[to].low in ("was", "is", "were", "being", ":"):
                    yield at, to + 1, False
                    break
                if tokens[to].text in ",.;(":
                    break
            continue
        for words, sign in _CONNECTIVES.get(token.low, ()):
            to = at + len(words)
            if tuple(token.low for token in tokens[at:to]) == words:
                planned = words == ("due", "to") and to < len(tokens) and tokens[to].low in _PLANNED
                if not planned:
                    yield at, sign * to, words in SOFT_CAUSES
                break


_PLANNED = frozenset(listed("arrive be leave sail dock reach depart get land come"))
_CONNECTIVES: dict[str, list[tuple[tuple[str, ...], int]]] = {}
for _connective, _direction in (*((words, 1) for words in CAUSES), *((words, -1) for words in FORWARD_CAUSES)):
    _CONNECTIVES.setdefault(_connective[0], []).append((_connective, _direction))


def _phrase(parsed: ParsedText, at: int, end: int) -> list[list[str]]:
    """The cause that follows, cut at the end of its clause and at "and"."""
    parts: list[list[str]] = [[]]
    taken = 0
    for here in range(at, min(end, at + 16)):
        token = parsed.tokens[here]
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
        if parsed.concepts[here]:
            parts[-1].append(parsed.concepts[here])
            taken += 1
    return [part for part in parts if part]


def _clause_begin(parsed: ParsedText, at: int, begin: int) -> int:
    here = at
    while here > begin and parsed.tokens[here - 1].text not in ",;:":
        here -= 1
    return here


_VAGUE_CAUSES = frozenset(
    listed(
        "delay late reason thi it problem situation issu circumstance condition decide move step action case hour day"
    )
)


def _reason(truth: SourceFacts, words: list[str], effect: list[str], soft: bool) -> bool:
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
def _given_causes(truth: SourceFacts) -> set[str]:
    """The words of what the source itself gives as a reason."""
    given: set[str] = set()
    for reading in (truth.story, truth.known):
        for begin, end in reading.spans:
            for at in range(begin, end):
                if reading.tokens[at].low in CAUSE_CUES:
                    given.update(word for word in reading.concepts[at:end] if word)
                    break
    return given
