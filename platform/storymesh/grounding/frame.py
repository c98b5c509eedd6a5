"""The frame around a retelling in an answer (reasoning, tags, drafts, greetings), found by one rule about lines.

Lines with a word or sign that no retelling may have part an answer into blocks. The retelling is the last block that
has every value of the story, and of several tellings in one block the last. If no block has every value, the answer
loses no more than such lines before its first value and after its last, so that its faults can be told.
"""

from collections.abc import Sequence

from storymesh.grounding.pieces import Draft, GroundingSource, lines_of
from storymesh.grounding.reading import Reading
from storymesh.grounding.wording import StoryWords

MIN_VALUES = 3
"""The values of a story at least, so that two texts with all of them are two tellings of it, and not two lines."""
_Line = tuple[str | int, ...]


def without_frame(draft: Draft, source: GroundingSource, wording: StoryWords) -> Draft:
    """Return the retelling in a draft."""
    lines = list(lines_of(draft))
    readings = [Reading(line, wording.language, source.numbers) for line in lines]
    strange = [
        any(part in draft.changed for part in line) or wording.is_strange(reading)
        for line, reading in zip(lines, readings, strict=True)
    ]
    values = {text for text in source.texts.values() if text.strip()}
    begin, end = _last_block(lines, strange, values, source) or (0, len(lines))
    begin = _last_telling(lines, begin, end, values, source)
    while begin < end and not readings[begin].items:
        begin += 1
    while begin < end and not readings[end - 1].items:
        end -= 1
    return draft.cut_to([part for line in lines[begin:end] for part in line])


def _last_block(
    lines: Sequence[_Line], strange: Sequence[bool], values: set[str], source: GroundingSource
) -> tuple[int, int] | None:
    """Return where the last lines begin and end that have every value and nothing strange; None if there are none."""
    edges = [-1, *(index for index, is_strange in enumerate(strange) if is_strange), len(lines)]
    for at in range(len(edges) - 1, 0, -1):
        begin, end = edges[at - 1] + 1, edges[at]
        if values and values <= set().union(*(_values_of(line, source) for line in lines[begin:end])):
            return begin, end
    return None


def _last_telling(lines: Sequence[_Line], begin: int, end: int, values: set[str], source: GroundingSource) -> int:
    """Return where the last telling begins, where what stands before it is a whole one too."""
    if len(values) < MIN_VALUES:
        return begin
    missing, index = set(values), end
    while missing and index > begin:
        index -= 1
        missing -= _values_of(lines[index], source)
    before = set[str]().union(*(_values_of(line, source) for line in lines[begin:index]))
    return index if not missing and values <= before else begin


def _values_of(line: _Line, source: GroundingSource) -> set[str]:
    return {source.texts[part] for part in line if isinstance(part, int)}
