"""The parsed words between pieces: sentences, statements, and the neighbours of each piece.

A *statement* ends at a sign of punctuation or at a word that joins two ("and", "which"). Neutral words and common signs
are no items. A verb whose particle has parted from it ("kam … an") is one item, where the particle stands.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from storymesh.lexicon.language import Language

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]|[^\S \t\n\r]|_|\w")
COMMON_SIGNS = frozenset(".,;:!()'’¡。、·")
_QUOTES = frozenset("'’")
_ENDS = frozenset(".!?;。")
_PARTS = frozenset(",:()") | {"–", "—", "、"}


def is_common_sign(sign: str) -> bool:
    """Return True for a sign of plain prose: punctuation and dashes; a quotation mark or a bracket of code is none."""
    return sign in COMMON_SIGNS or (len(sign) == 1 and unicodedata.category(sign) in ("Pd", "Zs"))


@dataclass(frozen=True, slots=True)
class Item:
    """A piece (`piece` is its number), a word that says something, a number or an uncommon sign. `key` stands for all
    forms of a word; `weight` names its list, if it is a weighty one. `part` numbers the part, where two items with no
    sign between them are of one. `before` is the word right before it, `behind` that right behind one that leads,
    empty where a piece stands there. `names` is the piece right behind a word ("crew [[4]]")."""

    key: str
    text: str
    sentence: int
    statement: int
    part: int
    piece: int = 0
    weight: str | None = None
    lead: bool = False
    before: str = ""
    behind: str = ""
    names: int = 0

    @property
    def is_word(self) -> bool:
        return self.piece == 0


class Reading:
    """A text of words and pieces, read in one language."""

    def __init__(self, parts: Sequence[str | int], language: Language, numbers: Set[int] = frozenset()) -> None:
        self.language = language
        self.items: list[Item] = []
        self.signs: set[str] = set()  # with what is written as one: words in capitals, and brackets without a piece
        self._bracket = -1  # the item at which one opens
        self._sentence = self._statement = self._part = 0
        self._verb: tuple[int, str, Item | None] | None = None  # of this statement: how sure it is, and where it stands
        self._last = self._led = (
            ""  # the last word of this statement and the last but determiners, if no piece stands after it
        )
        self._word = ""  # the last word, wherever it stands, if no piece stands after it
        for part, behind in pairwise((*parts, "")):
            if isinstance(part, int):
                if self._word and self.items and self.items[-1].text == self._word:
                    self.items[-1] = replace(self.items[-1], names=part)
                self.items.append(Item(f"#{part}", "", *self._place, piece=part, before=self._led))
                self._last = self._word = self._led = ""
            else:
                text = language.without_phrases(part)
                self._read(language.with_plain_bound(text) if behind in numbers else text)
        self._end_statement()

    @property
    def _place(self) -> tuple[int, int, int]:
        return self._sentence, self._statement, self._part

    def _read(self, text: str) -> None:
        language, done = self.language, 0
        for match in _TOKEN.finditer(text):
            token = match[0]
            if "\n" in text[done : match.start()]:
                self._end_sentence()
            done = match.end()
            if any(sign.isnumeric() for sign in token):  # also a half, a Roman or a Chinese number
                self.items.append(Item(token, token, *self._place, weight="numbers"))
            elif token[0].isalpha():
                if len(token) > 1 and token.isupper():
                    self.signs.add(token)
                if language.joins(token) and token != text.strip():  # between two pieces it parts nothing
                    self._end_statement()
                self._read_word(token, text[done:])
            else:
                self._read_sign(token, text, match.start(), match.end())
        if "\n" in text[done:]:
            self._end_sentence()

    def _read_word(self, word: str, rest: str) -> None:
        language, item = self.language, None
        if not language.says_nothing(word):
            weight, lead = language.weight(word), language.leads(word)
            item = Item(language.key(word), word, *self._place, weight=weight, lead=lead, before=self._word)
            if lead:
                following = _TOKEN.search(rest)
                item = replace(item, behind=following[0] if following else "")
                if item.behind and language.gives_reason(word):
                    self._word = word
                    return
            self.items.append(item)
        self._word = word
        if word.lower() not in language.words("determiners"):
            self._led = word
        if language.has_particles:
            sure = language.finiteness(word)
            if sure > (self._verb[0] if self._verb else 0):
                self._verb = (sure, word, item)
            self._last = word

    def _end_statement(self) -> None:
        """End a statement, and make one item of its verb and the particle that it ends with."""
        if self._verb is not None and self.language.is_particle(self._last):
            _, word, item = self._verb
            whole = self._last.lower() + word
            if self.items and self.items[-1].text == self._last:
                self.items.pop()
            if item is not None:
                self.items = [other for other in self.items if other is not item]
            weight = self.language.weight(whole)
            self.items.append(Item(self.language.key(whole), f"{word} {self._last}", *self._place, weight=weight))
        self._verb, self._last = None, ""
        self._statement += 1

    def _read_sign(self, sign: str, text: str, begin: int, end: int) -> None:
        self._word = self._led = ""
        # An apostrophe that neither a letter nor a value stands before opens a quotation.
        before = text[begin - 1] if begin else "" if self.items and self.items[-1].piece else " "
        self.signs.add(f" {sign}" if sign in _QUOTES and before and not before.isalpha() else sign)
        if sign == "(":
            self._bracket = len(self.items)
        elif sign == ")" and not any(item.piece for item in self.items[self._bracket :]):
            self.signs.add("()")
        if sign in _ENDS and (end == len(text) or text[end].isspace() or text[end] in "\"'”’)"):
            self._end_sentence()
        elif sign in _PARTS or unicodedata.category(sign) == "Pd":
            self._end_statement()
            self._part += 1
        elif not is_common_sign(sign):
            self.items.append(Item(sign, sign, *self._place))

    def _end_sentence(self) -> None:
        self._end_statement()
        self._sentence += 1
        self._part += 1

    # --- what stands together ---

    @cached_property
    def sentences(self) -> list[list[Item]]:
        return list(_group_items(self.items, [item.sentence for item in self.items]))

    @cached_property
    def statements(self) -> list[list[Item]]:
        return list(_group_items(self.items, [item.statement for item in self.items]))


def _group_items(items: Sequence[Item], numbers: Sequence[int]) -> Iterator[list[Item]]:
    group: list[Item] = []
    before = -1
    for item, number in zip(items, numbers, strict=True):
        if number != before and group:
            yield group
            group = []
        group.append(item)
        before = number
    if group:
        yield group


def nearest(items: Sequence[Item], index: int, step: int) -> Iterator[Item]:
    """Yield the value nearest to an item, after it or (by a `step` of -1) before it; of a word with those that stand
    right by it."""
    found = False
    for other in items[index + 1 :] if step > 0 else reversed(items[:index]):
        if other.piece and other.key != items[index].key:
            yield other
            found = True
        if found and (not other.piece or items[index].piece):
            return
