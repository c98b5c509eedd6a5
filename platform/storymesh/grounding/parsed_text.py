"""A text parsed once: its sentences and clauses, the values and names in it, and the words beside each of them.

The words beside a value give its role: "57 hours" beside "estimate" is another claim than beside "late".
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from storymesh.grounding.date_expressions import DateExpression
from storymesh.grounding.lexicon import (
    COMMON_CAPITALS,
    COMMON_WORDS,
    MONTH_NAMES,
    NEGATIONS,
    STOP,
    concept,
    listed,
)
from storymesh.grounding.name_index import CONNECTORS
from storymesh.grounding.quantities import Quantity, values_of
from storymesh.grounding.sentences import BREAKS, segment_tokens
from storymesh.grounding.similarity import demote_outranked
from storymesh.grounding.tokens import Token, tokens_of

MentionKind = Literal["number", "date", "clock", "name", "code"]

SAME_CLAUSE, CLAUSE_BEFORE, CLAUSE_AFTER, SAME_SENTENCE = 1.0, 0.45, 0.3, 0.15
"""How much a word counts for a value, by where it stands."""
SUBJECT, SUBJECT_BEFORE, OTHER_SUBJECT = 1.0, 0.7, 0.1
"""How much a word counts that names a row of a list (an option, a case), if the value is of it, was so a sentence
ago, or if another row is meant."""

_DATE_ENDS = {
    **dict.fromkeys(listed("from since between"), "@from"),
    **dict.fromkeys(listed("to until till through"), "@to"),
    **dict.fromkeys("-–—", "@to"),
}
_FUTURE = frozenset(listed("would will could to might may"))
_PRONOUNS = frozenset(listed("it this that they these those its their he she both each"))
COPIED = 0.7
LABEL = 0.6
REFERRED = 0.3
EVENT, BESIDE_EVENT = 1.2, 0.6
"""How much a word counts that stands before the colon which opens the sentence: it speaks of all that follows."""

DIRECTIONS = {
    **dict.fromkeys(listed("from leaving left departing departed out origin ex loaded"), "from"),
    **dict.fromkeys(listed("to bound toward towards into destined destination reach reached reaching"), "to"),
    **dict.fromkeys(listed("aboard vessel ship mv steamer"), "ship"),
    **dict.fromkeys(listed("carrier line operator operated"), "carrier"),
}
"""The part that a name plays, by the word before it."""


@dataclass(slots=True, eq=False)
class Mention:
    """A value or name in a text, tokens `at` up to `to`."""

    kind: MentionKind
    at: int
    to: int
    quantity: Quantity | None = None
    when: DateExpression | None = None
    key: tuple[str, ...] = ()
    parts: frozenset[str] = frozenset()
    """For names and codes: the parts that it plays (`DIRECTIONS`)."""
    by: dict[str, float] = field(default_factory=dict)
    """The words that stand by it, each with its weight."""


def folded(word: str) -> str:
    """The word in lower case without accents."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


class ParsedText:
    """A parsed text: tokens, the sentence and the clause of each, what each stands for, and the mentions."""

    def __init__(self, text: str, subjects: frozenset[str] = frozenset()) -> None:
        self.text = text
        self.subjects = subjects
        self.tokens: list[Token] = tokens_of(text)
        self.concepts = [
            concept(token.low) if token.kind == "word" else token.low.lower() if token.kind == "code" else ""
            for token in self.tokens
        ]
        for at, token in enumerate(self.tokens):
            # What would be lost is expected, not lost.
            if token.low in ("lost", "lose", "losing", "cost") and any(
                token.low in _FUTURE for token in self.tokens[max(0, at - 3) : at]
            ):
                self.concepts[at] = "expect"
            elif token.low == "ahead" and at + 2 < len(self.tokens) and self.tokens[at + 1].low == "of":
                self.concepts[at] = (
                    "recover" if self.tokens[at + 2].low not in _PRONOUNS | {"them", "him", "her"} else ""
                )
        self.sentence_of, self.clause_of, self.starts = segment_tokens(self.tokens, text)
        self.quantities, self.whens = values_of(self.tokens)

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """The first token of each sentence and one past its last."""
        spans: list[tuple[int, int]] = []
        for at, sentence in enumerate(self.sentence_of):
            if sentence == len(spans):
                spans.append((at, at + 1))
            else:
                spans[sentence] = (spans[sentence][0], at + 1)
        return spans

    @cached_property
    def vocabulary(self) -> Counter[str]:
        """How often each word that says something occurs."""
        return Counter(word for word in self.concepts if word)

    @cached_property
    def folded_words(self) -> list[str]:
        """Every word, number and code, folded: names are checked up in this."""
        return [
            folded(token.text.removesuffix("'s").removesuffix("’s")) for token in self.tokens if token.kind != "mark"
        ]

    @cached_property
    def mentions(self) -> list[Mention]:
        """Every value and name, in order, with the words that stand by each."""
        taken = bytearray(len(self.tokens))
        mentions: list[Mention] = []
        for quantity in self.quantities:
            taken[quantity.at : quantity.to] = b"\1" * (quantity.to - quantity.at)
            mentions.append(Mention("number", quantity.at, quantity.to, quantity=quantity))
        marks: dict[int, str] = {}
        for when in self.whens:
            taken[when.at : when.to] = b"\1" * (when.to - when.at)
            mentions.append(Mention("date" if when.clock is None else "clock", when.at, when.to, when=when))
            if when.month and when.day:
                marks[when.at] = f"{when.month}-{when.day}"
        mentions += self._names(taken)
        mentions.sort(key=lambda mention: mention.at)
        plain = ["" if taken[at] else word for at, word in enumerate(self.concepts)]
        words = [marks.get(at) or word for at, word in enumerate(plain)] if marks else plain
        for mention in mentions:
            dated = mention.kind == "date"
            mention.by = self.words_by(mention.at, mention.to, plain if dated else words, dated)
            demote_outranked(mention.by)
            if mention.quantity is not None:
                # Copied words are the best evidence: the two tokens before and the one after, as they stand.
                if mention.at > 1:
                    mention.by[f"<{self.tokens[mention.at - 2].low} {self.tokens[mention.at - 1].low}"] = COPIED
                if mention.to < len(self.tokens):
                    mention.by[f">{self.tokens[mention.to].low}"] = COPIED
            if mention.kind == "date" and mention.at:
                end = _DATE_ENDS.get(self.tokens[mention.at - 1].low)
                if end:
                    mention.by[end] = 0.9
        return mentions

    def words_by(self, at: int, to: int, words: list[str] | None = None, dated: bool = False) -> dict[str, float]:
        """The words in the sentence of tokens `at` to `to`, nearer ones heavier, and faintly those of the one
        before."""
        words = words if words is not None else self.concepts
        sentence = self.sentence_of[at]
        begin, end = self.spans[sentence]
        clauses = self.clause_of
        first, last = clauses[at], clauses[to - 1]
        label = clauses[begin] if self.tokens[begin].kind == "word" or words[begin] or begin < at else -1
        label = label if self._labelled(begin, end) else -1
        begin, end = max(begin, at - 80), min(end, to + 80)
        alone = not any(
            words[other] and first <= clauses[other] <= last and not at <= other < to for other in range(begin, end)
        )
        if alone:
            # A value alone in its clause: "on 18 February, they ..." opens the next, "(52%)" closes the one before.
            if at > begin and self.tokens[at - 1].text == ")":
                first -= 2
            elif dated and not (at > begin and self.tokens[at - 1].text == "("):
                last += 1
            else:
                first -= 1
        by: dict[str, float] = {}
        subjects = self.subjects
        if sentence and any(
            token.low in _PRONOUNS for token in self.tokens[self.spans[sentence][0] : self.spans[sentence][0] + 2]
        ):
            start, stop = self.spans[sentence - 1]
            for other in range(max(start, stop - 40), stop):
                if words[other] and words[other] not in subjects:
                    by[words[other]] = REFERRED
        named: list[int] = []
        events: set[str] = set()
        for other in range(begin, end):
            word = words[other]
            if not word or at <= other < to:
                continue
            if word in subjects:
                named.append(other)
                continue
            clause = clauses[other]
            away = at - other if other < at else other - to + 1
            weight = _clause_weight(clause, first, last) / (1 + 0.09 * away)
            if clause == label:
                weight = LABEL
            elif dated and other < at <= other + 2 and clause >= first and self.tokens[other].text.islower():
                weight = EVENT
                events.add(word)
            if weight > by.get(word, 0.0):
                by[word] = weight
        if events:
            for word in by.keys() - events:
                by[word] *= BESIDE_EVENT
        if subjects:
            self._add_subject(by, named, words, at, (first, last))
        return by

    def _labelled(self, begin: int, end: int) -> bool:
        """Return True if a sentence opens with a label: "- Wait for the passage: tried 3 times"."""
        clause = self.clause_of[begin]
        reach = 5 if self.tokens[begin].kind == "word" else 12
        for at in range(begin, min(end, begin + reach)):
            if self.tokens[at].text == ":":
                return True
            if self.clause_of[at] != clause:
                return False
        return False

    def _bracketed(self, at: int, other: int) -> bool:
        """Return True if token `other` opens the bracket that follows token `at`: "28.0 hours (case 17)"."""
        return self.tokens[other - 1].text == "(" and not any(
            self.tokens[here].text in ",;" for here in range(at, other)
        )

    def _add_subject(
        self, by: dict[str, float], named: list[int], words: list[str], at: int, within: tuple[int, int]
    ) -> None:
        """Add the words that name a row: those of the value's clause, else the nearest before it, else after it; where
        its sentence names none, the last one of the two sentences before."""
        clauses = self.clause_of
        first, last = within
        own = [other for other in named if at < other <= at + 5 and self._bracketed(at, other)]
        if not own:
            own = [other for other in named if first <= clauses[other] <= last]
        if not own:
            before = [other for other in named if other < at]
            nearest = before[-1] if before else None
            if nearest is None and named and not any(self.tokens[here].text == ":" for here in range(at, named[0])):
                nearest = named[0]
            if nearest is not None:
                own = [other for other in named if clauses[other] == clauses[nearest]]
        for other in named:
            by[words[other]] = max(by.get(words[other], 0.0), OTHER_SUBJECT)
        for other in own:
            by[words[other]] = SUBJECT
        sentence = self.sentence_of[at]
        if not named and sentence:
            begin, _ = self.spans[sentence]
            if not any(token.low in _PRONOUNS for token in self.tokens[begin : begin + 5]):
                return
            start, stop = self.spans[sentence - 1]
            there = [other for other in range(start, stop) if words[other] in self.subjects]
            for other in there:
                if clauses[other] == clauses[there[-1]]:
                    by[words[other]] = SUBJECT_BEFORE

    def _names(self, taken: bytearray) -> Iterable[Mention]:
        """Capitalised words that are not common ones, in a row; and codes."""
        tokens, count = self.tokens, len(self.tokens)
        at = 0
        while at < count:
            token = tokens[at]
            if token.kind == "code" and not taken[at]:
                yield Mention("code", at, at + 1, key=(token.text.lower(),), parts=self._parts(at))
                at += 1
                continue
            if taken[at] or token.kind != "word" or not token.text[0].isupper():
                at += 1
                continue
            to = at + 1
            while to < count and not taken[to]:
                if tokens[to - 1].text.endswith(("'s", "’s")):
                    break
                following = tokens[to]
                if following.kind == "word" and following.text[0].isupper() and not self._breaks(to):
                    to += 1
                elif (
                    following.low in CONNECTORS
                    and to + 1 < count
                    and not taken[to + 1]
                    and tokens[to + 1].kind == "word"
                    and tokens[to + 1].text[0].isupper()
                    and following.low != "and"
                    and not self._breaks(to + 1)
                ) or (
                    following.low in "-‑/."
                    and to + 1 < count
                    and tokens[to + 1].kind == "word"
                    and tokens[to + 1].text[0].isupper()
                    and following.begin == tokens[to - 1].end
                    and tokens[to + 1].begin == following.end
                ):
                    to += 2
                else:
                    break
            yield from self._name(at, to)
            at = to

    def _breaks(self, at: int) -> bool:
        return self.sentence_of[at] != self.sentence_of[at - 1]

    def _name(self, at: int, to: int) -> Iterable[Mention]:
        tokens = self.tokens
        opens = self.starts[at] or (at > 0 and tokens[at - 1].text in '"“‘*')
        while to > at and opens and (tokens[at].low in COMMON_WORDS or tokens[at].low in STOP):
            at += 1
            opens = False if at < to and tokens[at].text[0].isupper() and tokens[at].low not in COMMON_WORDS else opens
        while to > at and tokens[at].low in CONNECTORS:
            at += 1
        if at >= to:
            return
        words = [token for token in tokens[at:to] if token.kind == "word"]
        shouted = any(len(token.text) > 1 and token.text.isupper() for token in words)
        key = tuple(folded(token.low) for token in words if token.low not in CONNECTORS)
        if not key or all(word in COMMON_CAPITALS or word in MONTH_NAMES for word in key):
            return
        if not shouted and len(key) == 1 and (key[0] in COMMON_WORDS or key[0] in STOP):
            return
        if opens and len(key) == 1 and not shouted and not self._is_subject(to, key[0]):
            return
        if len(key) == 1 and len(words) == 1 and words[0].text.isupper() and len(words[0].text) == 5:
            yield Mention("code", at, to, key=key, parts=self._parts(at))
            return
        yield Mention("name", at, to, key=key, parts=self._parts(at))

    def _is_subject(self, after: int, word: str) -> bool:
        """Whether a capitalised word that opens a sentence is a name: it acts, and is no form of a verb or adverb."""
        known = concept(word)
        if word.endswith(("ing", "ed", "ly", "s")) or (known != word and self.vocabulary[known] > 1):
            return False
        if self.tokens[after - 1].text.endswith(("'s", "’s")):
            return True
        following = self.tokens[after].low if after < len(self.tokens) else ""
        return following in _ACTS or (following.endswith("ed") and len(following) > 4)

    def _parts(self, at: int) -> frozenset[str]:
        parts = set()
        for before in range(at - 1, max(-1, at - 4), -1):
            token = self.tokens[before]
            if token.low in DIRECTIONS and not token.text[0].isupper():
                parts.add(DIRECTIONS[token.low])
                break
            if token.low not in ("the", "mv", "m", "v", "/", "port", "of", "ship", "vessel", "for", "(", "carrier"):
                break
            if token.low == "for" and before and self.tokens[before - 1].low == "bound":
                parts.add("to")
                break
        return frozenset(parts)

    def negated(self, at: int, reach: int = 9) -> bool:
        """Return True if a negation stands within `reach` tokens before token `at`, in its clause or at its seam."""
        turned = False
        for before in range(at - 1, max(-1, at - 1 - max(reach, 14 if reach > 5 else 0)), -1):
            token = self.tokens[before]
            if at - before > reach and token.low != "too":
                continue
            if self.sentence_of[before] != self.sentence_of[at] or token.text in BREAKS:
                break
            if token.low in ("and", "but", "then"):
                break
            too = token.low == "too" and any(self.tokens[here].low == "to" for here in range(before, at))
            if too or token.low in NEGATIONS or token.low.endswith("n't"):
                turned = not turned
        return turned


def _clause_weight(clause: int, first: int, last: int) -> float:
    """Return how much a word counts for a value in the clauses `first` to `last`, by the clause of the word."""
    if clause < first:
        return CLAUSE_BEFORE if clause == first - 1 else SAME_SENTENCE
    if clause > last:
        return CLAUSE_AFTER if clause == last + 1 else SAME_SENTENCE
    return SAME_CLAUSE


_ACTS = frozenset(
    listed(
        "should must may will shall needs gets got waits still first never also was is were are had has have decided "
        "chose opted supported sailed arrived left reached moved paid took made went said "
        "handled operated shipped reported bought tried used could would did lost saved ran sits lies"
    )
)
