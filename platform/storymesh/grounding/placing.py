"""Pieces that could change places: the rule by which each stays where its value belongs.

Two pieces are *rivals* if they are of one kind and written alike, and say different things. A retelling may tell them
anywhere, if no word, neighbour or unit that the story gives to one of them stands by the other.
"""

import re
from collections.abc import Iterator, Sequence, Set
from itertools import groupby, pairwise

from storymesh.grounding.faults import Fault
from storymesh.grounding.pieces import GroundingSource, Piece
from storymesh.grounding.reading import Item, Reading, neighbours

FARTHEST_LED = 1
"""The words that may stand between one that leads and the value to which it does: of more it leads to them."""
_MEASURES = ("units", "currencies")
Owners = dict[str, set[int]]


class Places:
    """The places of a story's pieces: of each its words, neighbouring pieces and units, and the row that it is of."""

    def __init__(self, source: GroundingSource, story: Reading) -> None:
        self._source = source
        self._rivals = rivals_of(source)
        self._texts = {piece.number for piece in source.pieces if piece.kind == "text"}
        self._numbers = {piece.number for piece in source.pieces if piece.kind == "number"}
        self._words: Owners = {}  # word -> the pieces of its statement that it stands by
        self._close: Owners = {}  # word -> the pieces that it stands right by
        self._names: Owners = {}  # word -> the pieces that it stands before
        self._agents = story.language.words("agents")
        self._ended: Owners = {}  # word of outcome -> the pieces before it in its statement
        self._possessed = _possessed(story)  # the pieces that something is "of"
        self._led: Owners = {}  # word that leads to a piece -> those pieces
        self._near: dict[int, set[int]] = {}  # piece -> of its statement, the next of each kind before and behind it
        self._pairs: set[tuple[int, int]] = set()  # pieces with nothing between them that says something
        self._units: dict[int, set[str]] = {}  # piece -> the units that it is given in
        for item in story.items:
            if item.names and not item.lead:
                self._names.setdefault(item.key, set()).add(item.names)
        articles = story.language.words("determiners")
        for sentence in story.sentences:
            for statement in _grouped(sentence):
                behind = _without_subject(sentence, statement, articles)
                done_to = {item.piece for item in behind if item.piece and item.before.lower() not in self._agents}
                self._learn(statement, done_to)
        for statement in story.statements:
            pieces = [item.piece for item in statement if item.piece]
            for index, piece in enumerate(pieces):
                for side in (pieces[index + 1 :], pieces[:index][::-1]):
                    first = (one for at, one in enumerate(side) if not self._alike(one) & set(side[:at]))
                    self._near.setdefault(piece, set()).update(first)
        for sentence in story.sentences:
            self._learn_subject(sentence)
        self._rows = {piece.number: piece.row for piece in source.pieces if piece.row}
        self._in_rows = not list(self._mixed_rows(story))

    def _learn(self, statement: Sequence[Item], told_of_it: set[int]) -> None:
        """Learn what a statement says; `told_of_it` are the pieces of those behind it that have its subject."""
        self._pairs |= {(one.piece, other.piece) for one, other in pairwise(statement) if one.piece and other.piece}
        for index, item in enumerate(statement):
            before, behind = neighbours(statement, index)
            if item.piece and item.piece in self._numbers:
                self._units.setdefault(item.piece, set()).update(_units_at(statement, index))
            elif item.piece:
                continue
            elif item.lead:
                self._led.setdefault(item.key, set()).update(behind)
            else:
                # What a statement begins with, and not right by a value, is said of all its values.
                its_own = _close_to(statement, index) or before
                of_all = set[int]() if its_own else {other.piece for other in statement if other.piece}
                if index == 0 and not its_own:
                    of_all |= told_of_it
                self._words.setdefault(item.key, set()).update(before | behind | of_all)
                self._ended.setdefault(item.key, set()).update(
                    other.piece for other in statement[:index] if other.piece
                )
                self._close.setdefault(item.key, set()).update(_close_to(statement, index))

    def _learn_subject(self, sentence: Sequence[Item]) -> None:
        """Learn what stands by the first text of a sentence in its later statements, where none has a rival of it."""
        pieces = [item for item in sentence if item.piece]
        if not pieces or pieces[0].piece not in self._texts:
            return
        subject = pieces[0]
        for statement in sorted({item.statement for item in pieces} - {subject.statement}):
            its = [item.piece for item in pieces if item.statement == statement]
            if self._rivals.get(subject.piece, set()) & set(its):
                break
            first = {one for at, one in enumerate(its) if not self._alike(one) & set(its[:at])}
            self._near[subject.piece] |= first
            for one in first:
                self._near[one].add(subject.piece)

    def _alike(self, number: int) -> set[int]:
        """Return the rivals of a piece that its unit does not tell from it."""
        units, rivals = self._units.get(number, set()), self._rivals.get(number, set())
        return {one for one in rivals if units == (its := self._units.get(one, set())) or units & its}

    def faults(self, told: Reading) -> Iterator[Fault]:
        """Yield what stands by another piece than in the story."""
        close, near = Owners(), Owners()
        for sentence in told.sentences:
            for index, item in enumerate(sentence):
                close.setdefault(item.key, set()).update(_close_to(sentence, index))
                near.setdefault(item.key, set()).update(*neighbours(sentence, index))
        for sentence in told.sentences:
            for index, item in enumerate(sentence):
                if item.piece:
                    continue
                if item.lead:
                    at = self._misled(sentence, index)
                else:
                    at = self._misplaced(sentence, index, near[item.key], close[item.key])
                if at is not None:
                    yield self._fault(item.text, *at)
        for statement in told.statements:
            for index, item in enumerate(statement):
                if item.piece:
                    yield from self._piece_faults(statement, index)
        yield from self._misnamed(told)
        yield from self._disowned(told)
        if self._in_rows:
            yield from self._mixed_rows(told)

    def _disowned(self, told: Reading) -> Iterator[Fault]:
        """Yield the texts that something is said to be of, in place of a rival that it is of in the story."""
        here = _possessed(told)
        for number in (here - self._possessed) & self._texts:
            if lost := (self._possessed - here) & self._rivals.get(number, set()):
                yield self._fault("of", number, lost)

    def _misnamed(self, told: Reading) -> Iterator[Fault]:
        """Yield the words that name one text in the story and another, that is no rival of it, in the retelling."""
        for item in told.items:
            owners = self._names.get(item.key, set()) & self._texts
            if item.names in self._texts and owners and item.names not in owners:
                yield self._fault(item.text, item.names, owners)

    def _fault(self, word: str, number: int, owners: set[int]) -> Fault:
        there = ", ".join(f"[[{owner}]]" for owner in sorted(owners)[:3])
        return Fault("place", word, f"“{word}” stands by [[{number}]], in the story it belongs to {there}.")

    def _misled(self, sentence: Sequence[Item], index: int) -> tuple[int, set[int]] | None:
        """Return the piece to which a word may not lead, and those to which it does; None if all is well."""
        behind, owners = neighbours(sentence, index)[1], self._led.get(sentence[index].key, set())
        if not any(item.piece for item in sentence[index + 1 : index + 2 + FARTHEST_LED]):
            return None  # it leads to what is said, and that has a value somewhere
        if any(item.names and self._names.get(item.key) == {item.names} for item in sentence[index + 1 : index + 2]):
            return None  # a value behind the word that names it, and no other
        wrong = [number for number in behind if owners & self._rivals.get(number, set())]
        return (wrong[0], owners) if wrong and not behind & owners else None

    def _misplaced(
        self, sentence: Sequence[Item], index: int, near: set[int], close: set[int]
    ) -> tuple[int, set[int]] | None:
        """Return the piece by which a word may not stand, and those to which it belongs; None if all is well: a word
        that stands by its own piece somewhere (`near` and `close` are the pieces by which it stands) may be said of
        others, but not one of outcome."""
        item = sentence[index]
        beside = set[int]().union(*neighbours(sentence, index))
        owners = self._words.get(item.key, set())
        if item.weight == "outcomes":
            owners = owners | self._ended.get(item.key, set())
        is_outcome = item.weight == "outcomes" and owners & self._texts and not owners & beside
        if is_outcome and (wrong := beside & self._texts):
            return min(wrong), owners
        if owners and not owners & near:
            for number in beside:
                if owners <= self._rivals.get(number, set()):
                    return number, owners
        owners, right_by = self._close.get(item.key, set()), _close_to(sentence, index)
        if owners and right_by and not owners & close:
            done_by = any(other.before.lower() in self._agents for other in sentence[index + 1 : index + 3])
            for number in right_by:
                if done_by and number in self._words.get(item.key, set()):
                    continue  # "[[4]] was checked by [[3]]" for "[[3]] checked [[4]]"
                if owners & self._rivals.get(number, set()):
                    return number, owners
        return None

    def _piece_faults(self, sentence: Sequence[Item], index: int) -> Iterator[Fault]:
        number = sentence[index].piece
        around = [item.piece for item in sentence if item.piece]
        place = sum(bool(item.piece) for item in sentence[:index])
        before, behind = (around[at] if 0 <= at < len(around) else 0 for at in (place - 1, place + 1))
        rivals = self._alike(number)
        held = [self._near.get(other, set()) for other in (before, behind) if other and other not in rivals]
        taken = [near & (rivals | {number}) for near in held]
        told_by_others = any(taken) and all(number not in group for group in taken)
        if told_by_others and not self._stands_by_its_own(sentence, index):
            yield self._fault("its neighbours", number, set.union(*taken) - {number})
        pair = (behind, number)
        if behind in rivals and sentence[index + 1].piece and pair in self._pairs and pair[::-1] not in self._pairs:
            text = f"[[{number}]] stands before [[{behind}]], in the story it stands behind it."
            yield Fault("place", f"[[{number}]]", text)
        if known := self._units.get(number):
            here = _units_at(sentence, index)
            if not here & known:
                said = " or ".join(sorted(known))
                yield Fault("omission", f"[[{number}]]", f"[[{number}]] is told without its unit ({said}).")
            elif wrong := here - known:
                yield self._fault(sorted(wrong)[0], number, {n for n, units in self._units.items() if wrong & units})

    def _stands_by_its_own(self, items: Sequence[Item], index: int) -> bool:
        """Return True if a word right at a piece is one that the story gives to it and to none of its rivals."""
        number = items[index].piece
        for place in (index - 1, index + 1):
            if 0 <= place < len(items) and not items[place].piece:
                item = items[place]
                owners = (self._led if item.lead else self._close).get(item.key, set())
                if number in owners and not owners & self._rivals[number]:
                    return True
        return False

    def _mixed_rows(self, told: Reading) -> Iterator[Fault]:
        """Yield a fault for each row of a list whose values stand on both sides of a value of another of its rows."""
        rows = [(item.piece, self._rows[item.piece]) for item in told.items if item.piece in self._rows]
        for name in dict.fromkeys(row[:-1] for _, row in rows):
            left: set[tuple[str | int, ...]] = set()
            before: tuple[str | int, ...] | None = None
            for number, row in rows:
                if row[:-1] != name:
                    continue
                if before is not None and row != before:
                    left.add(before)
                if row in left:
                    yield Fault("place", f"[[{number}]]", f"[[{number}]] stands apart from the values told with it.")
                    break
                before = row


def rivals_of(source: GroundingSource) -> dict[int, set[int]]:
    """Return for each piece those that could take its place: written alike or of one property, with another text."""
    alike: dict[tuple[str, ...], set[int]] = {}
    for piece in source.pieces:
        alike.setdefault(_look_of(piece, source.texts[piece.number]), set()).add(piece.number)
        if piece.property:
            alike.setdefault(("property", piece.property), set()).add(piece.number)
    rivals: dict[int, set[int]] = {}
    for group in alike.values():
        for number in group:
            others = {other for other in group if source.texts[other] != source.texts[number]}
            rivals.setdefault(number, set()).update(others)
    return rivals


def _look_of(piece: Piece, text: str) -> tuple[str, ...]:
    """Return how a value is written: moments all alike, numbers with letters or without, texts by digits and
    capitals."""
    if piece.kind == "moment":
        return (piece.kind,)
    if piece.kind == "number":
        return (piece.kind, "letters" if re.search(r"[^\W\d_]", text) else "")
    if re.search(r"\d", text):
        return (piece.kind, "digits")
    return (piece.kind, "capitals" if text.isupper() else "small" if text[:1].islower() else "capitalised")


def _grouped(sentence: Sequence[Item]) -> list[list[Item]]:
    """Return the statements of a sentence."""
    return [list(items) for _, items in groupby(sentence, key=lambda item: item.statement)]


def _without_subject(sentence: Sequence[Item], statement: Sequence[Item], articles: Set[str]) -> Iterator[Item]:
    """Yield the items of the statements right behind one that begin with a verb, which has the subject before it: with
    neither a value nor an article."""
    for other in _grouped(sentence):
        if other[0].statement > statement[0].statement:
            if other[0].piece or other[0].lead or other[0].before.lower() in articles:
                return
            yield from other


def _possessed(reading: Reading) -> set[int]:
    words = reading.language.words("possessives")
    return {item.piece for item in reading.items if item.piece and item.before.lower() in words}


def _close_to(items: Sequence[Item], index: int) -> set[int]:
    """Return the pieces right before and right behind an item, with no sign of punctuation between."""
    beside = (items[place] for place in (index - 1, index + 1) if 0 <= place < len(items))
    return {item.piece for item in beside if item.piece and item.part == items[index].part}


def _units_at(items: Sequence[Item], index: int) -> set[str]:
    """Return the units right before and right behind a piece; of "US dollars" both words."""
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
