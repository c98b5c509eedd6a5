"""The choice between several values in a text that a property could mean, by the words near each of them.

The words are those of the property's name and title (or else its description), against those of the row's other
properties of the same kind. Where these leave it open, the sentence counts that names the row, and then whether the
line is the writer's own or quoted from an earlier letter.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from storymesh.files.evidence.folded_text import FoldedText
from storymesh.files.evidence.nearby_words import NearbyWords, count_of, telling_words
from storymesh.files.evidence.row_mentions import RowMentions, Span

Strength = tuple[int, bool, bool]
AMBIGUOUS = "the file says another value of it as well"
BETTER_MATCH = "the words beside another value say it better"


@dataclass(frozen=True)
class PropertyNames:
    """The words that distinguish a property from others of its kind: its `names` (with title) and its description.
    `value` is the row's."""

    property: str
    names: str
    description: str = ""
    value: object = None


@dataclass
class CompetingValues:
    """The values of one kind in one text, and which of them may be meant. `states` tells whether the text states what
    is at a place, `asks` whether it asks it."""

    original: str
    folded: FoldedText
    language: str
    around: Callable[[int, Literal["sentence", "paragraph"]], Span]
    states: Callable[[Span], bool]
    asks: Callable[[Span], bool]
    beside: NearbyWords = field(init=False)

    def __post_init__(self) -> None:
        self.beside = NearbyWords(self.original, self.folded, self._sentence, self.language)

    def _sentence(self, at: int) -> Span:
        return self.around(at, "sentence")

    def fault(
        self,
        place: Span,
        own: PropertyNames,
        rivals: Sequence[PropertyNames],
        row: RowMentions,
        places: Callable[[Span], Iterable[tuple[Span, bool]]],
        *,
        found: bool,
    ) -> str | None:
        """Return why the value at a place is not the one that `own` means, None if it is. `places` finds the values in
        a stretch and whether each equals the expected one; `found`: no model has quoted it."""
        alike = {span: same for window in self._windows(row) for span, same in places(window)}
        spans = sorted(alike)
        words = self.beside.words(place, spans)
        names = self._telling(own.names)
        mine = count_of(names, words)
        for rival in rivals:
            if count_of(self._telling(rival.names), words) > mine:
                return f"the words beside it say {rival.property}"
        differing = (span for span, same in alike.items() if not same)
        others = [span for span in differing if self.states(span) and row.fault(span, found=False) is None]
        if not others:
            return None
        if self.asks(place):
            return "the file asks it"
        every = [place, *others]
        if not any(count_of(names, self.beside.words(span, spans)) for span in every):
            names = self._telling(own.description)
        strengths = {span: self._strength(span, names, spans, row) for span in every}
        strongest = max(others, key=lambda span: strengths[span])
        if strengths[strongest] != strengths[place]:
            return BETTER_MATCH if strengths[strongest] > strengths[place] else None
        together = self._sentence(strongest[0]) == self._sentence(place[0])
        if strengths[place][0] or (strengths[place][1] and not together):
            return AMBIGUOUS
        return self._undecided(rivals, found=found)

    def _undecided(self, rivals: Sequence[PropertyNames], *, found: bool) -> str | None:
        """Return why a value is refused that no nearby word identifies; None if the quote is accepted, since only one
        property is of its kind."""
        told = [rival.property for rival in rivals if rival.value is not None]
        if told:
            return f"no word beside it tells it from {told[0]}"
        return AMBIGUOUS if found else None

    def _telling(self, names: str) -> list[str]:
        return telling_words(names, self.language)

    def _strength(self, place: Span, names: Sequence[str], alike: Sequence[Span], row: RowMentions) -> Strength:
        own, _ = row.named(*self._sentence(place[0]))
        at = self.folded.begins[place[0]]
        line = self.original.rfind("\n", max(0, at - 2_000), at) + 1  # a line that is longer is no quoted one
        return count_of(names, self.beside.words(place, alike)), own, not self.original.startswith(">", line)

    def _windows(self, row: RowMentions) -> list[Span]:
        """Return the stretches that may be about a row: all of the text, or those that name it if there are other
        rows."""
        end = len(self.folded.text)
        if not row.has_others:
            return [(0, end)]
        found: set[Span] = set()
        for own in row.places:
            begin, behind = self._sentence(own[0])
            first, last = self.around(own[0], "paragraph")
            alone = not row.named(first, last)[1]
            found.add((first, last) if alone else (begin, self._sentence(behind)[1] if behind < last else behind))
        return sorted(found)


def is_comparable(value: object) -> bool:
    """Return True for a number or a moment, of which a text may hold several."""
    return isinstance(value, int | float | Decimal | date) and not isinstance(value, bool)
