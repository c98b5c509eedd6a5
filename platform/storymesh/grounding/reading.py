"""The words between pieces, read: sentences, statements and passages, and what stands by which piece.

A *statement* ends at a sign of punctuation or at a word that joins two ("and", "which"). A *passage* is a sentence that
has pieces with those behind it that have none. Neutral words and common signs are no items. A verb whose particle has
parted from it ("kam … an") is one item, where the particle stands.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from storymesh.lexicon.language import Language

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]|[^\S \t\n\r]|_|\w")
COMMON_SIGNS = frozenset(".,;:!()'’¡。、·")
_IS_NAMED = re.compile(r"[^\W\d_], $")
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

    def __init__(self, parts: Sequence[str | int], language: Language) -> None:
        self.language = language
        self.items: list[Item] = []
        self.retold: set[int] = set()  # the sentences that may tell what was before those before them
        self.signs: set[str] = set()  # with what is written as one: words in capitals, and brackets without a piece
        self._bracket = -1  # the item at which one opens
        self._sentence = self._statement = self._part = 0
        self._verb: tuple[int, str, Item | None] | None = None  # of this statement: how sure it is, and where it stands
        self._last = ""  # the last word of this statement, if no piece stands behind it
        self._word = ""  # the last word, wherever it stands, if no piece stands behind it
        for index, part in enumerate(parts):
            if isinstance(part, int):
                if self._word and self.items and self.items[-1].text == self._word:
                    self.items[-1] = replace(self.items[-1], names=part)
                self._add(Item("", "", *self._place, piece=part, before=self._word))
                self._last = self._word = ""
            else:
                self._read(self._plain(parts, index))
        self._end_statement()

    def _plain(self, parts: Sequence[str | int], index: int) -> str:
        """Return the words at a place without phrases, and without the commas of an apposition, whether a value stands
        before it or is it ("the manager, [[4]], said")."""
        text = self.language.without_phrases(str(parts[index]))
        before = parts[index - 2] if index > 1 else ""
        if index and isinstance(parts[index - 1], int):
            text = self.language.without_apposition(text)
            if text.startswith(", ") and isinstance(before, str) and _IS_NAMED.search(before):
                text = text[1:]
        if index + 2 < len(parts) and isinstance(behind := parts[index + 2], str) and behind.startswith(", "):
            text = re.sub(r"(?<=[^\W\d_]), $", " ", text)
        return text

    @property
    def _place(self) -> tuple[int, int, int]:
        return self._sentence, self._statement, self._part

    def _add(self, item: Item) -> None:
        self.items.append(item)

    def _read(self, text: str) -> None:
        language, done = self.language, 0
        for match in _TOKEN.finditer(text):
            token = match[0]
            if "\n" in text[done : match.start()]:
                self._end_sentence()
            done = match.end()
            if any(sign.isnumeric() for sign in token):  # also a half, a Roman or a Chinese number
                self._add(Item(token, token, *self._place, weight="numbers"))
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
        if word.lower() in language.words("had"):
            self.retold.add(self._sentence)
        if not language.says_nothing(word):
            weight, lead = language.weight(word), language.leads(word)
            item = Item(language.key(word), word, *self._place, weight=weight, lead=lead, before=self._word)
            if lead:
                following = _TOKEN.search(rest)
                item = replace(item, behind=following[0] if following else "")
                if item.behind and language.gives_reason(word):
                    self._word = word
                    return
            self._add(item)
        self._word = word
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
            self._add(Item(self.language.key(whole), f"{word} {self._last}", *self._place, weight=weight))
        self._verb, self._last = None, ""
        self._statement += 1

    def _read_sign(self, sign: str, text: str, begin: int, end: int) -> None:
        self._word = ""
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
            self._add(Item(sign, sign, *self._place))

    def _end_sentence(self) -> None:
        self._end_statement()
        self._sentence += 1
        self._part += 1

    # --- what stands together ---

    @cached_property
    def sentences(self) -> list[list[Item]]:
        return list(_grouped(self.items, [item.sentence for item in self.items]))

    @cached_property
    def statements(self) -> list[list[Item]]:
        return list(_grouped(self.items, [item.statement for item in self.items]))

    @cached_property
    def passages(self) -> list[list[Item]]:
        """The passages in order; what stands before the first piece belongs to the first."""
        found: list[list[Item]] = []
        for sentence in self.sentences:
            begins = any(item.piece for item in sentence) and (not found or any(item.piece for item in found[-1]))
            if begins or not found:
                found.append([])
            found[-1].extend(sentence)
        return found


def _grouped(items: Sequence[Item], numbers: Sequence[int]) -> Iterator[list[Item]]:
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


def neighbours(items: Sequence[Item], index: int) -> tuple[set[int], set[int]]:
    """Return the pieces before and behind an item of a list: the nearest, with those that stand right by it."""
    return _nearest(reversed(items[:index])), _nearest(items[index + 1 :])


def _nearest(items: Iterable[Item]) -> set[int]:
    found: set[int] = set()
    for item in items:
        if item.piece:
            found.add(item.piece)
        elif found:
            break
    return found
