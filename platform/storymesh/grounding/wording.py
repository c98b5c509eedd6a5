"""The words between pieces: which may stand there, what they may not turn round, and what may not be left out."""

import re
from collections.abc import Iterator, Sequence

from storymesh.grounding.faults import Fault
from storymesh.grounding.pieces import GroundingSource
from storymesh.grounding.placing import rivals_of
from storymesh.grounding.reading import Item, Reading, is_common_sign, neighbours
from storymesh.lexicon.language import Language

_WORD_OF_NAME = re.compile(r"[^\W\d_]+?(?=[A-Z_\W\d]|$)")


class StoryWords:
    """The words of a story, and what it says and denies."""

    def __init__(self, story: Reading, language: Language, source: GroundingSource) -> None:
        self.language = language
        self._rivals = rivals_of(source)
        self._texts = {piece.number for piece in source.pieces if piece.kind == "text"}
        self._moments = {piece.number for piece in source.pieces if piece.kind == "moment"}
        self._names = {
            piece.number: {
                language.key(word.lower())
                for word in (*_WORD_OF_NAME.findall(piece.property), *language.words(piece.kind))
            }
            for piece in source.pieces
        }
        self._led = set[int]().union(*(_led_by(part, at) for part in story.statements for at in range(len(part))))
        self._signs = story.signs.union(source.vocabulary)
        self._keys = {item.key for item in story.items if item.is_word}
        self._allowed = {language.key(word) for word in source.vocabulary}
        self._passages = [
            ({item.piece for item in part}, {item.key for item in part if item.is_word}) for part in story.passages
        ]
        self._without_pieces = {
            item.key for part in story.sentences if not any(other.piece for other in part) for item in part
        }
        self._statements = [_said(part) for part in story.statements]
        self._denied = [(set(_said(part)), _ties(part)) for part in story.statements if _denials(part)]
        self._most_denials = max(map(_denials, story.statements), default=0)
        affirmed = (_said(part) for part in story.statements if not _denials(part))
        self._only_denied = set().union(*(said for said, _ in self._denied)).difference(*affirmed)
        self._required = {
            item.key: item.text for item in story.items if item.is_word and item.weight in ("negations", "outcomes")
        }

    def is_strange(self, told: Reading) -> bool:
        """Return True if a text has a word or sign that no retelling of the story may have."""
        return any(True for _ in self.unknown(told))

    def unknown(self, told: Reading) -> Iterator[Fault]:
        """Yield the words and signs that the story does not have, and which may not stand there of themselves."""
        for sign in sorted(told.signs - self._signs):
            if not is_common_sign(sign):
                sign = sign.strip() or sign
                shown = sign if sign.isprintable() else f"U+{ord(sign):04X}"
                written = "is not written so in the story" if sign.isalpha() else "is no sign of the story"
                yield Fault("text", shown, f"“{shown}” {written}.")
        for statement in told.statements:
            for index, item in enumerate(statement):
                if not item.is_word or item.key in self._keys or not item.text[:1].isalnum():
                    continue
                if item.lead:
                    allowed = self._says_no_place(statement, index)
                else:
                    harmless = item.key in self._allowed or self._names_piece(statement, index)
                    allowed = item.weight is None and harmless
                if not allowed:
                    yield Fault("word", item.text, f"“{item.text}” is no word of the story.")

    def _says_no_place(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a lead that says no more than whose a thing is, or to whom it goes, of a value that has no
        lead in the story; that it goes to somebody is said of a value only that nobody could take for another."""
        item, behind = statement[index], _led_by(statement, index)
        right_behind = {other.piece for other in statement[index + 1 : index + 2] if other.piece}
        if self.language.is_genitive(item.text):
            return not right_behind & (self._led | self._moments)
        plain = all(number in self._texts and not self._rivals.get(number) for number in right_behind)
        return plain and not behind & (self._led | self._moments) and self.language.is_dative(item.text, item.behind)

    def _names_piece(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a word right by a value that is in the name of its property, or names its kind."""
        key = statement[index].key
        for beside in (statement[index + 1 : index + 2], statement[index - 1 : index] if index else ()):
            if any(key in self._names.get(item.piece, ()) and item.part == statement[index].part for item in beside):
                return True
        return False

    def faults(self, told: Reading) -> Iterator[Fault]:
        """Yield what a retelling in known words says elsewhere than the story, turns round or leaves out."""
        yield from self._elsewhere(told)
        for statement in told.statements:
            yield from self._turned(statement)
        yield from self._left_out(told)

    def _elsewhere(self, told: Reading) -> Iterator[Fault]:
        """Yield the weighty words that the story has, and not of these values."""
        for sentence in told.sentences:
            numbers = {item.piece for item in sentence if item.piece}
            there: set[str] = set() if numbers else self._keys
            for pieces, keys in self._passages:
                there = there | keys if pieces & numbers else there
            for item in sentence:
                elsewhere = bool(item.weight) and item.key in self._keys and item.key not in there
                if elsewhere and (not numbers or item.key not in self._without_pieces):
                    yield Fault("place", item.text, f"“{item.text}” is said of something else in the story.")

    def _turned(self, statement: Sequence[Item]) -> Iterator[Fault]:
        said, ties = _said(statement), _ties(statement)
        if _denials(statement) > self._most_denials > 0:
            yield Fault("negation", "", "This denies more than once what the story denies once.")
        if _denials(statement):
            for tie, word in ties.items():
                if not any(self._may_deny(tie, said, *denied) for denied in self._denied):
                    yield Fault("negation", word, f"“{word}” denies something else than in the story.")
            return
        for words, its in self._denied:
            tied = said.keys() & its.keys()
            whole = said.keys() <= words and said.keys() & self._only_denied
            if tied and (tied & self._only_denied or whole):
                yield Fault("negation", "", f"The story denies this: say its “{next(iter(its.values()))}”.")
                return

    def _may_deny(self, tie: str, said: dict[str, str], words: set[str], ties: dict[str, str]) -> bool:
        """Return True if a word may be denied in a statement, for one that the story denies: the word that it denies,
        one that is said of nothing else (a piece: in its place), or if all of it is there, one before that word."""
        own = words & self._only_denied
        if own and not own & said.keys():
            return False
        behind = list(said)[list(said).index(tie) :] if tie in words <= said.keys() else []
        alone = tie in own and not (tie.startswith("#") and ties.keys() & said.keys())
        return tie in ties or alone or bool(ties.keys() & behind)

    def _left_out(self, told: Reading) -> Iterator[Fault]:
        keys = {item.key for item in told.items if item.is_word}
        for key, word in self._required.items():
            if key not in keys:
                yield Fault("omission", word, f"“{word}” is left out.")
        for statement in self._statements:
            others = [other for other in self._statements if other is not statement]
            own = {key for key in set(statement).difference(*others) if key[:1].isalnum()}
            if own and not any(key.startswith("#") for key in statement) and not own & keys:
                words = " ".join(statement.values())
                yield Fault("omission", words, f"“{words}” is left out.")


def _denials(statement: Sequence[Item]) -> int:
    return sum(item.weight == "negations" for item in statement)


def _led_by(statement: Sequence[Item], index: int) -> set[int]:
    """Return the pieces that a word leads to, if it is one that leads."""
    return neighbours(statement, index)[1] if statement[index].lead else set()


def _said(statement: Sequence[Item]) -> dict[str, str]:
    """Return what a statement is about, by key: its words but negations and leads, and its pieces."""
    return {
        f"#{item.piece}" if item.piece else item.key: item.text
        for item in statement
        if not item.lead and item.weight != "negations"
    }


def _ties(statement: Sequence[Item]) -> dict[str, str]:
    """Return the word or piece that each negation of a statement denies, with the negation: the next one, if there is
    one, else the one before."""
    ties: dict[str, str] = {}
    for index, item in enumerate(statement):
        if item.weight != "negations":
            continue
        around = [*statement[index + 1 :], *reversed(statement[:index])]
        tied = next((other for other in around if other.weight != "negations" and not other.lead), None)
        if tied is not None:
            ties[f"#{tied.piece}" if tied.piece else tied.key] = item.text
    return ties
