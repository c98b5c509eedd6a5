"""The check of a retelling against its story: the pieces, and the words between them.

A value of a retelling is the story's own, since it is put back as it was. What is left to check are the words, and
these fail closed: what the story does not say, and no list allows, is refused. How it works and what it cannot see:
docs/decisions/grounding.md.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from storymesh.grounding.faults import Fault
from storymesh.grounding.frame import without_frame
from storymesh.grounding.pieces import OPEN, Draft, GroundingSource, PlacedPiece, read_answer
from storymesh.grounding.placing import Places
from storymesh.grounding.reading import Reading
from storymesh.grounding.wording import StoryWords
from storymesh.lexicon.language import language_of

MAX_FAULTS_SHOWN = 12
"""The most faults that the model is sent at once, so that the first are not lost among many."""
MAX_TEXT_LENGTH = 20_000
"""The characters of an answer that are read at least; for a longer story four times its length."""
MAX_LENGTH_RATIO = 4
"""A retelling that is so many times longer than its story tells something else."""
_STANDS_BEFORE = frozenset(" \t\n(—'“‘¿¡")
_STANDS_BEHIND = frozenset(" \t\n).,;:!?—'’”")
_PARTS_OF_NUMBERS = frozenset(".,:")
_MINUS = re.compile(r"(?:[‐-–−]\s*|(?:^|\s)[—―])$")
"""What makes a number one below zero: a short dash before it, or a long one that only a number stands right at."""


@dataclass(frozen=True)
class Grounding:
    """The faults of an answer, and the numbers of its words and pieces; without faults, `text` is the retelling
    and `pieces` are the values in it. Of a mended one `kept` is the share of its sentences that are the model's."""

    faults: tuple[Fault, ...]
    checked: int = 0
    text: str = ""
    pieces: tuple[PlacedPiece, ...] = ()
    kept: float = 1.0

    @property
    def score(self) -> float:
        """The share of the words and pieces with which nothing is wrong, 1 for an accepted text alone; of a mended
        one the share of its sentences that are the model's."""
        if not self.faults:
            return self.kept
        if any(fault.kind == "text" for fault in self.faults):
            return 0.0
        return 1.0 - len(self.faults) / max(self.checked, len(self.faults) + 1)


class CheckedStory:
    """A story, read once for all attempts at it."""

    def __init__(self, source: GroundingSource) -> None:
        self.language = language_of(source.language)
        story = Reading(source.parts, self.language, source.numbers)
        self.wording = StoryWords(story, self.language, source)
        self.places = Places(source, story)
        self.sides = {(number, side) for number, *both in _sides(source.parts, source.numbers) for side in both}


@lru_cache(maxsize=64)
def checked_story(source: GroundingSource) -> CheckedStory:
    """Return a story, read."""
    return CheckedStory(source)


def check_grounding(answer: str, source: GroundingSource) -> Grounding:
    """Check an answer against its source. Never raises; its time is bounded by the length of the story."""
    longest = max(MAX_TEXT_LENGTH, MAX_LENGTH_RATIO * len(source.fenced))
    if len(answer) > longest:
        return Grounding((Fault("text", "", "The answer is much longer than the story."),))
    return check_draft(draft_of(answer, source), source)


def draft_of(answer: str, source: GroundingSource) -> Draft:
    """Return the retelling in an answer, without what stands around it."""
    whole = read_answer(unicodedata.normalize("NFC", answer), source)
    return without_frame(whole, source, checked_story(source).wording)


def check_draft(draft: Draft, source: GroundingSource) -> Grounding:
    """Check a retelling against its source."""
    story = checked_story(source)
    told = Reading([part for part in draft.parts if part not in draft.changed], story.language, source.numbers)
    faults = [*_piece_faults(draft, source, story), *story.wording.unknown(told)]
    if not faults:
        faults = [*story.places.faults(told), *story.wording.faults(told)]
    checked = len(told.items) + len(draft.changed)
    if faults:
        return Grounding(tuple(dict.fromkeys(faults)), checked)
    text, placed = draft.put_back(source)
    return Grounding((), checked, text, placed)


def _piece_faults(draft: Draft, source: GroundingSource, story: CheckedStory) -> Iterator[Fault]:
    for written in draft.changed:
        yield Fault("piece", written[:80], f"{written[:80]} is no piece of the story, or not as it was.")
    carried = {source.texts[part] for part in draft.parts if isinstance(part, int)}
    for number, text in source.texts.items():
        if text.strip() and text not in carried:
            yield Fault("piece", f"[[{number}]]", f"[[{number}]] ({text[:60]}) is left out.")
    if not any(isinstance(part, str) and part.strip() for part in draft.parts) and not carried:
        yield Fault("text", "", "There is no text.")
    for number, before, behind in _sides(draft.parts, source.numbers):
        for side, common in ((before, _STANDS_BEFORE), (behind, _STANDS_BEHIND)):
            if side[-1:] not in common and (number, side) not in story.sides:
                yield Fault("piece", f"[[{number}]]", f"“{side}” stands right at [[{number}]].")


def _sides(parts: Sequence[str | int], numbers: Set[int]) -> Iterator[tuple[int, str, str]]:
    """Yield each piece with what stands right before and right after it: "<" and a sign, ">" and a sign; a space where
    the text begins or ends. A point or comma that leads on to something is no end of a sentence."""
    for index, part in enumerate(parts):
        if isinstance(part, int):
            before, behind = _text_at(parts, index - 1), _text_at(parts, index + 1)
            sign = behind[:1]
            if sign in _PARTS_OF_NUMBERS and behind[1:2].strip():
                sign = behind[:2]
            if sign in _PARTS_OF_NUMBERS and len(behind) == 1 and index + 2 < len(parts):
                sign += OPEN
            # What could be a minus counts, though a space stands after it; so does a number alone in brackets.
            below_zero = _MINUS.search(before) or (before.endswith("(") and sign == ")")
            if before.rstrip().endswith("-") or (part in numbers and below_zero):
                before = "-"
            yield part, f"<{before[-1:] or ' '}", f">{sign or ' '}"


def _text_at(parts: Sequence[str | int], index: int) -> str:
    """Return the words at a place, a fence where a piece stands there, and nothing beyond either end."""
    if not 0 <= index < len(parts):
        return ""
    part = parts[index]
    return OPEN if isinstance(part, int) else part


def grounding_feedback(grounding: Grounding) -> str:
    """Return what the model is sent before its next attempt; empty if nothing is wrong."""
    if not grounding.faults:
        return ""
    lines = ["Your text cannot be taken. Mend these and keep the rest:"]
    lines += [f"- {fault.because}" for fault in grounding.faults[:MAX_FAULTS_SHOWN]]
    if (more := len(grounding.faults) - MAX_FAULTS_SHOWN) > 0:
        lines.append(f"- and {more} more of this kind.")
    lines.append("Use the words of the story, carry every piece, and answer with the corrected text alone.")
    return "\n".join(lines)
