"""The wording check: which words may stand between pieces, may not be reversed, and may not be left out."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from storymesh.grounding.faults import Fault
from storymesh.grounding.pieces import GroundingSource
from storymesh.grounding.placing import rivals_of
from storymesh.grounding.reading import Item, Reading, is_common_sign, nearest
from storymesh.lexicon.language import Language

_REQUIRED = ("negations", "outcomes", "modals", "numbers", "months")  # the lists of which no word may be left out
_SILENT = ("negations", "modals")  # those of which no word is what a statement is about
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
                for name in (piece.property, piece.meaning)
                for word in (*_WORD_OF_NAME.findall(name), *language.words(piece.kind))
                if not language.says_nothing(word)
            }
            for piece in source.pieces
        }
        self._led = {
            led.piece
            for part in story.statements
            for at, item in enumerate(part)
            if item.lead
            for led in nearest(part, at, 1)
        } | {item.piece for item in story.items if item.piece and item.before.lower() in language.words("agents")}
        self._signs = story.signs.union(source.vocabulary)
        self._keys = {item.key for item in story.items if item.is_word}
        roles = [word for piece in source.pieces for word in _WORD_OF_NAME.findall(str(*piece.path[:1]))]
        self._allowed = {language.key(word.lower()) for word in (*source.vocabulary, *roles)}
        self._statements = [_subjects(part) for part in story.statements]
        self._denied = [(set(_subjects(part)), _negated_items(part)) for part in story.statements if _negations(part)]
        self._most_denials = max(map(_negations, story.statements), default=0)
        affirmed = (_subjects(part) for part in story.statements if not _negations(part))
        self._only_denied = set().union(*(said for said, _ in self._denied)).difference(*affirmed)
        # What a reason is given for may be said in the sentence before ("The reason was …").
        self._reasoned = {
            item.key
            for before, part in pairwise([[], *story.sentences])
            if any(other.key in language.causes for other in part)
            for item in (*before, *part)
        }
        self._required = {item.key: item.text for item in story.items if item.weight in _REQUIRED}

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
                if not (self._may_lead(statement, index) if item.lead else self._may_stand(statement, index)):
                    yield Fault("word", item.text, f"“{item.text}” is no word of the story.")

    def _may_stand(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a word that the story does not have and that may be added: one of the vocabulary, one that
        names a value, one that gives a reason where the story gives one, and "any" where something is denied."""
        item = statement[index]
        if item.text.lower() in self.language.words("polar"):
            return bool(_negations(statement))
        if item.text.lower() in self.language.words("light"):
            return True
        if item.key in self.language.causes:
            return bool(self.language.causes & self._keys)
        return item.weight is None and (item.key in self._allowed or self._names_piece(statement, index))

    def _may_lead(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a lead that the story does not have and that may be added: before a word, where it says no
        time and bounds no number; before a value that nobody could take for another, where it says whose it is."""
        item = statement[index]
        if item.behind and item.text.lower() in self.language.words("before_words"):
            return all(not other.piece and other.weight is None for other in statement[index + 1 : index + 2])
        if item.behind and item.text.lower() in self.language.words("so_long") and index:
            return statement[index - 1].weight == "units"
        if item.text.lower() in self.language.words("infinitives") and self._is_infinitive(statement, index):
            return True
        led = {other.piece for other in statement[index + 1 : index + 2] if other.piece}
        if self.language.is_genitive(item.text):
            return not led & (self._led | self._moments)
        if not self.language.is_dative(item.text, item.behind):
            return False
        alone = sum(other.lead and self.language.is_dative(other.text, "") for other in statement) == 1
        return bool(led) and led <= self._texts - self._led and (alone or not any(map(self._rivals.get, led)))

    def _is_infinitive(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a "to" before a verb of the story, where no word before it says that it must be."""
        item = statement[index]
        if not item.behind or item.before.lower() in self.language.words("obligations"):
            return False
        return any(
            verb.is_word and verb.key in self._keys and not verb.weight for verb in statement[index + 1 : index + 2]
        )

    def _names_piece(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a word of what the mesh calls a value, or of its kind, that stands by that value and by no
        other that could take its place."""
        key = statement[index].key
        beside = {item.piece for step in (1, -1) for item in nearest(statement, index, step)}
        named = {number for number in beside if key in self._names.get(number, ())}
        return bool(named) and not any(self._rivals.get(number, set()) & beside - named for number in named)

    def faults(self, told: Reading) -> Iterator[Fault]:
        """Yield what a retelling in known words says elsewhere than the story, turns round or leaves out."""
        for statement in told.statements:
            yield from self._reversed_statements(statement)
        yield from self._reasons(told)
        yield from self._omissions(told)

    def _reasons(self, told: Reading) -> Iterator[Fault]:
        """Yield the reasons and results that the story gives none for, or another."""
        for statement in told.statements:
            for item in statement:
                if item.is_word and item.key in self.language.causes and not item.lead:
                    others = [other for other in statement if other.is_word and not other.lead and other.weight is None]
                    if any(other.key not in self._reasoned and other.key in self._keys for other in others):
                        yield Fault("place", item.text, f"“{item.text}” gives a reason that the story does not give.")

    def _reversed_statements(self, statement: Sequence[Item]) -> Iterator[Fault]:
        said, ties = _subjects(statement), _negated_items(statement)
        if _negations(statement) > self._most_denials > 0:
            yield Fault("negation", "", "This denies more than once what the story denies once.")
        if _negations(statement):
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
        """Return True if a word may be denied here: the one that the story denies, or one said of nothing else."""
        own = words & self._only_denied
        alone = tie in own and not (tie.startswith("#") and ties.keys() & said.keys())
        return (tie in ties or alone) and (not own or bool(own & said.keys()))

    def _omissions(self, told: Reading) -> Iterator[Fault]:
        keys = {item.key for item in told.items}
        for key, word in self._required.items():
            if key not in keys:
                yield Fault("omission", word, f"“{word}” is left out.")
        for statement in self._statements:
            others = [other for other in self._statements if other is not statement]
            own = {key for key in set(statement).difference(*others) if key[:1].isalnum()}
            if own and not own & keys:
                words = " ".join(statement.values())
                yield Fault("omission", words, f"“{words}” is left out.")


def _negations(statement: Sequence[Item]) -> int:
    return sum(item.weight == "negations" for item in statement)


def _subjects(statement: Sequence[Item]) -> dict[str, str]:
    """Return what a statement is about, by key: its words but negations and leads, and its pieces."""
    return {item.key: item.text for item in statement if not item.lead and item.weight not in _SILENT}


def _negated_items(statement: Sequence[Item]) -> dict[str, str]:
    """Return the word or piece that each negation of a statement denies, with the negation: the next one, if there is
    one, else the one before."""
    ties: dict[str, str] = {}
    for index, item in enumerate(statement):
        if item.weight != "negations":
            continue
        around = [*statement[index + 1 :], *reversed(statement[:index])]
        tied = next((other for other in around if other.weight not in _SILENT and not other.lead), None)
        if tied is not None:
            ties[tied.key] = item.text
    return ties
