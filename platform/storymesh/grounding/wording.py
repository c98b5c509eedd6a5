"""The words between pieces: which may stand there, what they may not turn round, and what may not be left out."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
        self._story = story
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
        self._led_by: dict[str, set[int]] = {}  # lead -> the pieces that it leads to
        for part in story.statements:
            for at, item in enumerate(part):
                if item.lead:
                    self._led_by.setdefault(item.text.lower(), set()).update(_led_by(part, at))
        self._led = set[int]().union(*self._led_by.values())
        self._signs = story.signs.union(source.vocabulary)
        self._keys = {item.key for item in story.items if item.is_word}
        roles = [word for piece in source.pieces for word in _WORD_OF_NAME.findall(str(*piece.path[:1]))]
        self._allowed = {language.key(word.lower()) for word in (*source.vocabulary, *roles)}
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
        # What a reason is given for may be said in the sentence before ("The reason was …").
        self._reasoned = {
            item.key
            for before, part in pairwise([[], *story.sentences])
            if any(other.key in language.causes for other in part)
            for item in (*before, *part)
        }
        self._bigrams = {
            (item.key, other.key)
            for part in story.statements
            for item, other in pairwise(part)
            if item.weight == "outcomes" and other.is_word and other.weight is None and not other.lead
        }
        self._homes: dict[str, set[int]] = {}  # word or piece -> the statements that have it
        for item in story.items:
            self._homes.setdefault(f"#{item.piece}" if item.piece else item.key, set()).add(item.statement)
        self._retold = {item.statement for item in story.items if item.sentence in story.retold}
        self._ends = _ends(story)
        self._heads = _ends(story, first_alone=True)
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
                if not (self._may_lead(statement, index, told) if item.lead else self._may_stand(statement, index)):
                    yield Fault("word", item.text, f"“{item.text}” is no word of the story.")

    def _may_stand(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a word that the story does not have and that may be added: one of the vocabulary, one that
        names a value, one that gives a reason where the story gives one, and "any" where something is denied."""
        item = statement[index]
        if item.text.lower() in self.language.words("polar"):
            return bool(_denials(statement))
        if item.text.lower() in self.language.words("light"):
            return True
        if item.key in self.language.causes:
            return bool(self.language.causes & self._keys)
        return item.weight is None and (item.key in self._allowed or self._names_piece(statement, index))

    def _may_lead(self, statement: Sequence[Item], index: int, told: Reading) -> bool:
        """Return True for a lead that the story does not have and that may be added: before a word, where it says no
        time and bounds no number; before a value that nobody could take for another, where it says whose it is."""
        item = statement[index]
        right_behind = [other.piece for other in statement[index + 1 : index + 3] if other.piece]
        if right_behind and self._is_range(item.text.lower(), right_behind):
            return True
        if item.behind and item.text.lower() in self.language.words("before_words"):
            return all(not other.piece and other.weight is None for other in statement[index + 1 : index + 2])
        if item.behind and self._tells_order(statement, index, told):
            return True
        if item.behind and item.text.lower() in self.language.words("so_long") and index:
            return statement[index - 1].weight == "units"
        if item.text.lower() in self.language.words("infinitives") and self._is_infinitive(statement, index):
            return True
        named = statement[index + 1].names if index + 1 < len(statement) else 0
        led = {other.piece for other in statement[index + 1 : index + 2] if other.piece}
        if self.language.is_genitive(item.text):
            return not led & (self._led | self._moments)
        if not self.language.is_dative(item.text, "" if named else item.behind):
            return False
        if named:  # "to cook [[5]]"
            return statement[index + 1].key in self._keys and named in self._texts - self._led
        if not led:  # "to the hotel", and no "to the day [[3]]"
            return not {other.piece for other in statement[index + 2 : index + 3]} & (self._led | self._moments)
        alone = sum(other.lead and self.language.is_dative(other.text, "") for other in statement) == 1
        return led <= self._texts - self._led and (alone or not any(map(self._rivals.get, led)))

    def _tells_order(self, statement: Sequence[Item], index: int, told: Reading) -> bool:
        """Return True for an "after" or "before" that puts what two statements tell in the order in which the story
        tells them, where nothing in it says that it tells them in another."""
        word = statement[index].text.lower()
        earlier = word in self.language.words("earlier")
        says_when = earlier or word in self.language.words("later")
        if not says_when or not statement[index + 1 :] or statement[index + 1].piece:
            return False
        sentence = next(part for part in told.sentences if statement[index] in part)
        led = [self._home(item) for item in statement[index + 1 :]]
        rest = [self._home(item) for item in sentence if item not in statement[index:]]
        behind, main = ({at for at in homes if at is not None} for homes in (led, rest))
        if not behind or not main or (behind | main) & self._retold:
            return False
        return max(behind) < min(main) if earlier else max(main) < min(behind)

    def _home(self, item: Item) -> int | None:
        """Return the statement of the story that alone has a word or piece, None if several have it or it leads."""
        homes = self._homes.get(f"#{item.piece}" if item.piece else item.key, set())
        return next(iter(homes)) if len(homes) == 1 and not item.lead else None

    def _is_range(self, word: str, right_behind: Sequence[int]) -> bool:
        """Return True for "until [[2]]" and "between [[1]] and [[2]]" of what the story tells "from [[1]] to [[2]]"."""
        ends = set[int]().union(*(self._led_by.get(end, set()) for end in self.language.words("to")))
        if word in self.language.words("to"):
            return right_behind[0] in ends
        between = word in self.language.words("between") and len(right_behind) == 2
        return between and right_behind[0] in self._led - ends and right_behind[1] in ends

    def _is_infinitive(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a "to" before a verb of the story that says neither that it must be nor that it was not yet:
        before one of outcome only where it took so many hours to be."""
        item, before = statement[index], statement[index - 1] if index else None
        verb = statement[index + 1] if index + 1 < len(statement) else None
        if not item.behind or item.before.lower() in self.language.words("obligations") or verb is None or verb.piece:
            return False
        took_so_long = before is not None and before.weight == "units"
        return verb.key in self._keys and (verb.weight is None or (verb.weight == "outcomes" and took_so_long))

    def _names_piece(self, statement: Sequence[Item], index: int) -> bool:
        """Return True for a word of what the mesh calls a value, or of its kind, that stands by that value and by no
        other that could take its place."""
        key = statement[index].key
        beside = set[int]().union(*neighbours(statement, index))
        named = {number for number in beside if key in self._names.get(number, ())}
        return bool(named) and not any(self._rivals.get(number, set()) & beside - named for number in named)

    def faults(self, told: Reading) -> Iterator[Fault]:
        """Yield what a retelling in known words says elsewhere than the story, turns round or leaves out."""
        yield from self._elsewhere(told)
        for statement in told.statements:
            yield from self._turned(statement)
        yield from self._reasons(told)
        yield from self._ended_otherwise(told)
        yield from self._left_out(told)

    def _elsewhere(self, told: Reading) -> Iterator[Fault]:
        """Yield the weighty words that the story has, and not of these values."""
        for sentence in told.sentences:
            numbers = {item.piece for item in sentence if item.piece}
            there: set[str] = set() if numbers else self._keys
            for pieces, keys in self._passages:
                there = there | keys if pieces & numbers else there
            next_keys = {id(item): other.key for item, other in pairwise(sentence) if other.is_word}
            for item in sentence:
                if not item.weight or item.key not in self._keys:
                    continue
                if (item.key, next_keys.get(id(item))) in self._bigrams:
                    continue
                elsewhere = item.key not in there and (not numbers or item.key not in self._without_pieces)
                if elsewhere or (not numbers and item.weight == "outcomes" and not self._ends_so(sentence, item)):
                    yield Fault("place", item.text, f"“{item.text}” is said of something else in the story.")

    def _ends_so(self, sentence: Sequence[Item], outcome: Item) -> bool:
        """Return True if a sentence of the story says an outcome of a word that is said of here, where no value is."""
        others = {
            item.key for item in sentence if item.statement == outcome.statement and not (item.weight or item.lead)
        }
        return not others or any(
            outcome.key in keys and others & keys
            for keys in ({item.key for item in part} for part in self._story.sentences)
        )

    def _reasons(self, told: Reading) -> Iterator[Fault]:
        """Yield the reasons and results that the story gives none for, or another."""
        for statement in told.statements:
            for item in statement:
                if item.is_word and item.key in self.language.causes and not item.lead:
                    others = [other for other in statement if other.is_word and not other.lead and other.weight is None]
                    if any(other.key not in self._reasoned and other.key in self._keys for other in others):
                        yield Fault("place", item.text, f"“{item.text}” gives a reason that the story does not give.")

    def _ended_otherwise(self, told: Reading) -> Iterator[Fault]:
        """Yield the words that have each other's words of outcome, and those that a statement begins with which has the
        outcome of another that is there."""
        ends = _ends(told)
        moved = {
            (word, end, own)
            for word, its in ends.items()
            for end in its - self._ends.get(word, its)
            for own in self._ends.get(word, set()) - its
        }
        exchanged = {word for word, end, own in moved for other in ends if (other, own, end) in moved and other != word}
        heads = _ends(told, first_alone=True)
        taken = {(word, end) for word, its in heads.items() for end in its - self._heads.get(word, its)}
        lost = {end for word, its in self._heads.items() for end in its - heads.get(word, its)}
        for word in sorted(exchanged | {word for word, end in taken if end in lost}):
            yield Fault("place", word, f"“{word}” has another outcome than in the story.")

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
        denials = [set(_said(part)) for part in told.statements if _denials(part)]
        for said, ties in self._denied:
            if said and not any(said & denied for denied in denials):
                denial = next(iter(ties.values()), "")
                yield Fault("omission", denial, f"What the story denies by “{denial}” is left out.")
        for statement in self._statements:
            others = [other for other in self._statements if other is not statement]
            own = {key for key in set(statement).difference(*others) if key[:1].isalnum()}
            if own and not any(key.startswith("#") for key in statement) and not own & keys:
                words = " ".join(statement.values())
                yield Fault("omission", words, f"“{words}” is left out.")


def _denials(statement: Sequence[Item]) -> int:
    return sum(item.weight == "negations" for item in statement)


def _ends(reading: Reading, *, first_alone: bool = False) -> dict[str, set[str]]:
    """Return for each word, or for those that statements begin with, the words of outcome in its statements."""
    found: dict[str, set[str]] = {}
    for statement in reading.statements:
        ends = {item.key for item in statement if item.weight == "outcomes"}
        words = [item for item in statement if item.is_word and not item.lead and item.weight in (None, "outcomes")]
        for item in words[:1] if first_alone else words:
            found.setdefault(item.key, set()).update(ends - {item.key})
    return found


def _led_by(statement: Sequence[Item], index: int) -> set[int]:
    """Return the pieces that a word leads to, if it is one that leads."""
    return neighbours(statement, index)[1] if statement[index].lead else set()


def _said(statement: Sequence[Item]) -> dict[str, str]:
    """Return what a statement is about, by key: its words but negations and leads, and its pieces."""
    return {
        f"#{item.piece}" if item.piece else item.key: item.text
        for item in statement
        if not item.lead and item.weight not in ("negations", "modals")
    }


def _ties(statement: Sequence[Item]) -> dict[str, str]:
    """Return the word or piece that each negation of a statement denies, with the negation: the next one, if there is
    one, else the one before."""
    ties: dict[str, str] = {}
    for index, item in enumerate(statement):
        if item.weight != "negations":
            continue
        around = [*statement[index + 1 :], *reversed(statement[:index])]
        silent = ("negations", "modals")
        tied = next((other for other in around if other.weight not in silent and not other.lead), None)
        if tied is not None:
            ties[f"#{tied.piece}" if tied.piece else tied.key] = item.text
    return ties
