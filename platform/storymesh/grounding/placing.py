"""The placement check: values, and the words between them, may not change places.

Two values are *rivals* if they are of one kind and say different things; so are two words of one list of weighty words,
and two that are in none. A retelling may tell them anywhere. What stands by one of two rivals in the story and not by
the other is a *mark* of that one. Two have changed places if more marks say so than say that they have not; plain words
if each has a mark of the other. The nearest marks decide: right by them, of their statement, of their
sentence.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from itertools import combinations, groupby
from operator import itemgetter

from storymesh.grounding.faults import Fault
from storymesh.grounding.pieces import GroundingSource
from storymesh.grounding.reading import Item, Reading, nearest

FARTHEST_LED = 1
"""The words that may stand between one that leads and the value to which it does: of more it leads to them."""
_MEASURES = ("units", "currencies")
_WEIGHTY = ("outcomes", "numbers", "months", "modals", *_MEASURES)  # the lists of which two words are rivals
_CLOSE, _NAMING, _UNIT = "+", "=", "*"  # after a mark: right by it, right before it, and what it is measured in
Marks = tuple[set[str], set[str], set[str], set[str]]
"""The marks of a value or word in four circles: what leads to it or is its unit; of its statement; of its sentence; and
where nothing else tells two values apart, the word before it, which may be one that says nothing."""
_NO_MARKS: Marks = (set(), set(), set(), set())


class Places:
    """The places of a story's values and words: the marks of each, and the row of a list that it is of."""

    def __init__(self, source: GroundingSource, story: Reading) -> None:
        self._texts = {item.key: f"“{item.text}”" for item in story.items}
        self._texts |= {f"#{number}": f"[[{number}]]" for number in source.texts}
        self._plain = {item.key for item in story.items if item.is_word and item.weight is None}
        self._marks = marks_of(story)
        # A plain word is told by what is right by it, by values and by weighty words.
        for key in self._plain & self._marks.keys():
            for circle in self._marks[key]:
                circle -= self._plain
        self._exchangeable_pairs = list(_exchangeable_pairs(source, story))
        self._numbers = {f"#{number}" for number in source.numbers}
        self._rows = {f"#{piece.number}": piece.row for piece in source.pieces if piece.row}
        self._in_rows = not list(self._mixed_rows(story))
        self._stated: dict[str, set[str]] = {}  # weighty word -> what its statements say
        for item, others in _weighty(story):
            self._stated.setdefault(item.key, set()).update(others)

    def faults(self, told: Reading) -> Iterator[Fault]:
        """Yield what stands elsewhere than in the story."""
        marks = marks_of(told)
        moved = {key for key, its in marks.items() if any(map(set.difference, its, self._marks.get(key, its)))}
        for one, other in self._exchangeable_pairs:
            if one in moved and other in moved if one in self._plain else one in moved or other in moved:
                yield from self._exchange_faults(one, other, marks)
        for key in self._numbers & marks.keys():
            units, here = ({mark for mark in side[key][0] if mark.endswith(_UNIT)} for side in (self._marks, marks))
            if units and not units & here:
                unit = " or ".join(sorted(map(self._show, units)))
                yield Fault("omission", self._show(key), f"{self._show(key)} is told without its unit ({unit}).")
        for item, others in _weighty(told):
            if others and others.isdisjoint(self._stated.get(item.key, others)):
                yield Fault("place", item.text, f"“{item.text}” is said of something else in the story.")
        if self._in_rows:
            yield from self._mixed_rows(told)

    def _exchange_faults(self, one: str, other: str, marks: dict[str, Marks]) -> Iterator[Fault]:
        """Yield a fault if two rivals have changed places."""
        both = {one, other, f"{one}{_CLOSE}", f"{other}{_CLOSE}"}
        sides = [side.get(key, _NO_MARKS) for side in (self._marks, marks) for key in (one, other)]
        for own, its, here, there in zip(*sides, strict=True):
            ours, theirs, gone, come = own - its - both, its - own - both, there - here, here - there
            lost, taken = ours & gone, theirs & come
            wrong, right = len(lost) + len(taken), len(ours & come) + len(theirs & gone)
            if (lost and taken) if one in self._plain else wrong > right:
                mark, owner, holder = (min(lost), one, other) if lost else (min(taken), other, one)
                mark, owner, holder = map(self._show, (mark, owner, holder))
                because = f"{mark} stands by {holder}, in the story it belongs to {owner}."
                yield Fault("place", mark.strip("“”"), because)
            if wrong != right:
                return

    def _show(self, mark: str) -> str:
        """Return a value or word as it is shown to its author."""
        key = mark.rstrip(f"{_CLOSE}{_NAMING}{_UNIT} ")
        return self._texts.get(key, f"“{key}”")

    def _mixed_rows(self, told: Reading) -> Iterator[Fault]:
        """Yield a fault for each list of which the values of one row stand on both sides of a value of another."""
        rows = [(item.key, self._rows[item.key]) for item in told.items if item.key in self._rows]
        for name in dict.fromkeys(row[:-1] for _, row in rows):
            runs = [next(run) for _, run in groupby((pair for pair in rows if pair[1][:-1] == name), itemgetter(1))]
            seen = [row for _, row in runs]
            apart = next((key for at, (key, row) in enumerate(runs) if row in seen[:at]), None)
            if apart is not None:
                text = self._show(apart)
                yield Fault("place", text, f"{text} stands apart from the values told with it.")


def rivals_of(source: GroundingSource) -> dict[int, set[int]]:
    """Return for each piece those that could take its place: of its kind, with another text."""
    texts, kinds = source.texts, {piece.number: piece.kind for piece in source.pieces}
    return {
        one: {other for other in kinds if kinds[one] == kinds[other] and texts[one] != texts[other]} for one in kinds
    }


def _exchangeable_pairs(source: GroundingSource, story: Reading) -> Iterator[tuple[str, str]]:
    """Yield the keys of values and of words that could take each other's places."""
    for one, others in rivals_of(source).items():
        yield from ((f"#{one}", f"#{other}") for other in others if one < other)
    weights = {item.key: item.weight for item in story.items if item.is_word and not item.lead}
    for word, second in combinations(weights, 2):
        if weights[word] == weights[second] and weights[word] in (*_WEIGHTY, None):
            yield word, second


def marks_of(reading: Reading) -> dict[str, Marks]:
    """Return the marks of each value and word of a text, by its key."""
    owning = reading.language.words("possessives") | reading.language.words("agents")
    marks: defaultdict[str, Marks] = defaultdict(lambda: (set(), set(), set(), set()))
    for sentence in reading.sentences:
        for index, item in enumerate(sentence):
            if item.lead:
                continue
            if item.piece:
                right_by, *_, last = marks[item.key]
                right_by |= _right_by(sentence, index, owning)
                last.add(item.before.lower())
                if index and sentence[index - 1].names == item.piece:
                    _mark(marks, item, sentence[index - 1], f"{sentence[index - 1].key}{_NAMING}")
            for other in sentence[max(index - 1, 0) : index + 2]:
                if other is not item and not other.lead:
                    _mark(marks, item, other, other.key, f"{other.key}{_CLOSE}")
            for other in sentence if item.piece or item.weight in _WEIGHTY else ():
                alike = other.is_word == item.is_word and not other.lead
                if alike and other.key != item.key and other.statement == item.statement:
                    _mark(marks, other, item, item.key)
            for value in (value for step in (1, -1) for value in nearest(sentence, index, step)):
                _mark(marks, item, value, value.key)
                if not item.piece:
                    _mark(marks, value, item, item.key)
    return marks


def _mark(marks: dict[str, Marks], item: Item, other: Item, *found: str) -> None:
    """Add to the marks of an item what another one of its sentence is to it."""
    _, stated, said, _ = marks[item.key]
    said.update(found)
    if item.statement == other.statement:
        stated.update(found)


def _right_by(sentence: Sequence[Item], index: int, owning: Set[str]) -> set[str]:
    """Return what leads to a value, says whose it is or by whom, and is its unit."""
    item, found = sentence[index], {f"{unit}{_UNIT}" for unit in _units_at(sentence, index)}
    found.update({f"{word} " for word in (item.before.lower(),) if word in owning})
    for other in reversed(sentence[max(index - 1 - FARTHEST_LED, 0) : index]):
        if other.piece or other.part != item.part:
            break
        if other.lead:
            return found | {f"{other.key} "}
    return found


def _weighty(reading: Reading) -> Iterator[tuple[Item, Set[str]]]:
    """Yield the words of a text that weigh, each with what else is in its statement."""
    for statement in reading.statements:
        keys = {item.key for item in statement if not item.lead}
        for item in statement:
            if item.is_word and not item.lead and item.weight in _WEIGHTY:
                yield item, keys - {item.key}


def _units_at(items: Sequence[Item], index: int) -> set[str]:
    """Return the units right before and right after a piece; of "US dollars" both words."""
    found: set[str] = set()
    for step in (1, -1):
        place = index + step
        while 0 <= place < len(items) and items[place].part == items[index].part:
            item = items[place]
            if item.piece or not (item.weight in _MEASURES or not item.text[:1].isalnum()):
                break
            found.add(item.key)
            place += step
        if found:
            break
    return found
