"""The mending of a refused retelling: the story's own sentences replace those at fault.

Sentences of a retelling and of its story that tell the same values, or lean on the sentence before them ("She …"), are
one unit. A unit is the model's or the story's as a whole, so that nothing is told twice and no pronoun loses what it
means; the whole is checked again like any answer.
"""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise

from storymesh.grounding.check import CheckedStory, Grounding, check_draft, checked_story, draft_of
from storymesh.grounding.pieces import Draft, GroundingSource, Part
from storymesh.grounding.reading import Reading

MAX_UNITS = 40
"""A retelling of more units than these is not mended: each one may need a check of the whole."""
_END = re.compile(r"[.!?。]['’”)]*(?:\s+|$)|\n+")
_NUMBER = re.compile(r"\[\[(\d+)\]\]")
Sentence = tuple[Part, ...]


@dataclass(frozen=True)
class _Unit:
    """Sentences that hang together: of the retelling, and of the story."""

    told: tuple[int, ...]
    story: tuple[int, ...]


def mend(answer: str, source: GroundingSource) -> Grounding | None:
    """Return an answer with as few of its sentences as possible in the story's words, None if none of its own is left.
    What it is accepted by is the check of every answer; `kept` is the share of its sentences that are the model's."""
    story = checked_story(source)
    draft = draft_of(answer, source)
    told, own = list(sentences_of(draft.parts)), list(sentences_of(source.parts))
    units = list(_units(told, own, source, story))
    if len(units) > MAX_UNITS:
        return None
    readings = [Reading(sentence, story.language, source.numbers) for sentence in told]
    strange = {at for at, reading in enumerate(readings) if story.wording.is_strange(reading)}
    strange |= {at for at, sentence in enumerate(told) if any(part in draft.changed for part in sentence)}
    strange |= {at for at, reading in enumerate(readings) if any(True for _ in story.places.faults(reading))}
    # A sentence of the story that the retelling has not may be said in other words: it comes back only if it is missed.
    given_up = {unit for unit in units if strange & set(unit.told)}
    while any(unit.told and unit not in given_up for unit in units):
        parts = _compose(units, given_up, told, own)
        grounding = check_draft(Draft(tuple(parts), ()).cut_to(parts), source)
        if not grounding.faults:
            kept = sum(len(unit.told) for unit in units if unit not in given_up)
            return replace(grounding, kept=kept / len(told))
        given_up.add(_most_at_fault(grounding, [unit for unit in units if unit not in given_up], readings, own, story))
    return None


def sentences_of(parts: Sequence[Part]) -> Iterator[Sentence]:
    """Yield the sentences of words and pieces, each with the white space after it."""
    sentence: list[Part] = []
    for part in parts:
        if isinstance(part, int):
            sentence.append(part)
            continue
        done = 0
        for match in _END.finditer(part):
            if text := part[done : match.end()]:
                yield (*sentence, text)
            sentence, done = [], match.end()
        if done < len(part):
            sentence.append(part[done:])
    if sentence:
        yield tuple(sentence)


def _values(sentence: Sentence, source: GroundingSource) -> set[str]:
    return {source.texts[part] for part in sentence if isinstance(part, int)}


def _units(
    told: Sequence[Sentence], own: Sequence[Sentence], source: GroundingSource, story: CheckedStory
) -> Iterator[_Unit]:
    """Yield the units in the order of the retelling; those that it does not tell stand after what they follow."""
    groups = _Groups(len(told), len(own))
    homes: dict[str, list[int]] = {}
    for at, sentence in enumerate(own):
        for value in _values(sentence, source):
            homes.setdefault(value, []).append(at)
    keys = [_keys(sentence, story) for sentence in own]
    for at, sentence in enumerate(told):
        sure = {homes[value][0] for value in _values(sentence, source) if len(homes[value]) == 1}
        shared = [len(its & _keys(sentence, story)) for its in keys]
        likely = {shared.index(max(shared))} if any(shared) else set[int]()
        for other in sure or likely:
            groups.join(at, len(told) + other)
    for sentences, begin in ((told, 0), (own, len(told))):
        for before, at in pairwise(range(len(sentences))):
            if _has_pronoun(sentences[at], story):
                groups.join(begin + before, begin + at)
    yield from groups.units()


def _keys(sentence: Sentence, story: CheckedStory) -> set[str]:
    return {item.key for item in Reading(sentence, story.language).items}


def _has_pronoun(sentence: Sentence, story: CheckedStory) -> bool:
    """Return True for a sentence with a pronoun, which may stand for what the sentence before it says."""
    words = (word for part in sentence if isinstance(part, str) for word in re.findall(r"[^\W\d_]+", part.lower()))
    return any(word in story.language.words("pronouns") for word in words)


class _Groups:
    """Sentences, those of the retelling first, joined to groups."""

    def __init__(self, told: int, own: int) -> None:
        self._told = told
        self._group = list(range(told + own))

    def join(self, one: int, other: int) -> None:
        old, new = self._group[other], self._group[one]
        self._group = [new if group == old else group for group in self._group]

    def units(self) -> Iterator[_Unit]:
        members: dict[int, list[int]] = {}
        for at, group in enumerate(self._group):
            members.setdefault(group, []).append(at)
        units = [
            _Unit(
                tuple(at for at in group if at < self._told), tuple(at - self._told for at in group if at >= self._told)
            )
            for group in members.values()
        ]
        untold = {unit.story[0]: unit for unit in units if not unit.told}
        if 0 in untold:
            yield from _followers(-1, untold)
        for unit in units:
            if unit.told:
                yield unit
                for at in unit.story:
                    yield from _followers(at, untold)


def _followers(at: int, untold: dict[int, _Unit]) -> Iterator[_Unit]:
    """Yield the units that the retelling does not tell and that follow a sentence of the story, one after the other."""
    while (unit := untold.pop(at + 1, None)) is not None:
        yield unit
        at = unit.story[-1]


def _compose(
    units: Sequence[_Unit], given_up: Set[_Unit], told: Sequence[Sentence], own: Sequence[Sentence]
) -> list[Part]:
    parts: list[Part] = []
    for unit in units:
        sentences = [own[at] for at in unit.story] if unit in given_up else [told[at] for at in unit.told]
        for sentence in sentences:
            last = parts[-1] if parts else " "
            if isinstance(last, int) or not last[-1:].isspace():
                parts.append(" ")
            parts += sentence
    return parts


def _most_at_fault(
    grounding: Grounding,
    units: Sequence[_Unit],
    readings: Sequence[Reading],
    own: Sequence[Sentence],
    story: CheckedStory,
) -> _Unit:
    """Return the unit that most of the faults are about: it has their words or pieces, or what is left out of it."""
    pieces = {int(number) for fault in grounding.faults for number in _NUMBER.findall(f"{fault.words} {fault.because}")}
    words = {word for fault in grounding.faults for word in fault.words.split()}

    def relevance(unit: _Unit) -> int:
        items = [item for at in unit.told for item in readings[at].items]
        items += [item for at in unit.story for item in Reading(own[at], story.language).items]
        return sum(item.piece in pieces or item.text in words or item.key in words for item in items)

    return max(units, key=relevance)
