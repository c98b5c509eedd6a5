"""The evidence for a row's value in a file, found without trusting a model.

A value is evident where the text says it in so many words: a quote of at most one sentence that stands in the text
exactly, or else any place that is looked for. It says the value in its unit, of this row and of no other, as it is and
neither denied, nor as a bound or a part of something else. What fails is refused with its reason.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Literal, TypeVar

from storymesh.files.evidence.competing_values import CompetingValues, PropertyNames, is_comparable
from storymesh.files.evidence.date_mentions import DateMention, date_mentions, time_mentions
from storymesh.files.evidence.folded_text import FoldedText, fold_text, is_whole
from storymesh.files.evidence.measures import Measure, measure_of
from storymesh.files.evidence.number_mentions import NumberMention, number_mentions
from storymesh.files.evidence.row_mentions import IDENTIFIER, RowMentions, Span
from storymesh.files.evidence.statements import Statements, TextSpans, text_spans
from storymesh.lexicon.language import LANGUAGES, language_of

Said = TypeVar("Said", NumberMention, DateMention)


@dataclass(frozen=True)
class ExpectedValue:
    """A value that is looked for in a text. `labels` are the labels of an enum's code, `unit` is the contract's;
    `words`, from the property's name, identify a bare number. `names` tell the property from its `rivals`, the row's
    other properties of the same kind."""

    name: str
    value: str | int | float | Decimal | bool | date | datetime
    unit: str | None = None
    labels: Sequence[str] = ()
    words: Sequence[str] = ()
    names: PropertyNames | None = None
    rivals: Sequence[PropertyNames] = ()


@dataclass(frozen=True)
class FoundEvidence:
    """The characters of a text that state a value: as a model `quoted` it, or where it was `found`."""

    how: Literal["quoted", "found"]
    begin: int
    end: int


@dataclass(frozen=True)
class NoEvidence:
    """A value without evidence. `reason`, which is counted, completes "delay_hours: …"."""

    reason: str


@dataclass
class EvidenceText:
    """A text in which values are looked for, of a language and, where days are said without a year, of a day.

    In a language whose words that deny are not known nothing is evident. `unsure`: nobody has told the language, and
    what is denied in any of them is no other value of a row.
    """

    text: str
    language: str = "en"
    near: date | None = None
    unsure: bool = False
    _last_row: tuple[object, RowMentions] | None = field(default=None, init=False, repr=False)
    _found: dict[str, list[Span]] = field(default_factory=dict, init=False, repr=False)
    _spans_at: dict[tuple[int, str], Span] = field(default_factory=dict, init=False, repr=False)
    _stated: dict[Span, bool] = field(default_factory=dict, init=False, repr=False)

    def find(
        self, wanted: ExpectedValue, quote: str | None, key: Sequence[str] = (), others: Iterable[str] = ()
    ) -> FoundEvidence | NoEvidence:
        """Return where the text states a value: in the quote if possible, else anywhere.

        `key` are the texts of the row's own key, `others` those of other rows that the same file has.
        """
        if self.language not in LANGUAGES:
            known = " and ".join(LANGUAGES)
            return NoEvidence(f"what a text in '{self.language}' denies is not known: it is in {known}")
        row = self._row(tuple(filter(None, key)), tuple(filter(None, others)))
        refused = self._in_quote(wanted, quote, row) if quote else None
        if isinstance(refused, FoundEvidence):
            return refused
        best: NoEvidence | None = None
        for place in self._places(wanted, (0, len(self.folded.text)), found=True):
            if (fault := self._fault(place, wanted, row, found=True)) is None:
                return FoundEvidence("found", *self.folded.original(*place))
            best = best or NoEvidence(fault)
        return best or refused or NoEvidence("the file does not say it")

    def _row(self, key: tuple[str, ...], others: tuple[str, ...]) -> RowMentions:
        if self._last_row is None or self._last_row[0] != (key, others):
            self._last_row = (key, others), RowMentions(self, [*key], [*others])
        return self._last_row[1]

    # --- the text ---

    @cached_property
    def folded(self) -> FoldedText:
        return fold_text(self.text)

    @cached_property
    def _spans(self) -> TextSpans:
        return text_spans(self.text)

    def around(self, at: int, kind: Literal["sentence", "paragraph"]) -> Span:
        """Return the sentence or the paragraph at a place of the folded text, in it."""
        if (known := self._spans_at.get((at, kind))) is not None:
            return known
        original = self.folded.begins[at]
        begin, end = self._spans.sentence(original) if kind == "sentence" else self._spans.paragraph(original)
        found = self._spans_at[at, kind] = self.folded.folded(begin), self.folded.folded(end)
        return found

    # --- the value ---

    def _in_quote(self, wanted: ExpectedValue, quote: str, row: RowMentions) -> FoundEvidence | NoEvidence:
        fault = "the quote is not in the file"
        for begin, end in self.folded.occurrences(quote):
            if self.around(begin, "sentence")[1] < end:
                fault = "the quote is longer than a sentence"
                continue
            fault = "the quote does not say it"
            for place in self._places(wanted, (begin, end), found=False):
                found = self._fault(place, wanted, row, found=False)
                if found is None:
                    return FoundEvidence("quoted", *self.folded.original(begin, end))
                fault = found
        return NoEvidence(fault)

    def _places(self, wanted: ExpectedValue, within: Span, *, found: bool) -> Iterator[Span]:
        """Yield where the value stands in a stretch of the folded text; a bare number that no model quoted counts only
        in a sentence with a word of its property."""
        match wanted.value:
            case bool():
                return
            case int() | float() | Decimal() | date():
                bare = found and not wanted.unit and not isinstance(wanted.value, date)
                for place, same in self._alike(wanted, within):
                    if same and (not bare or self._is_named(place, wanted)):
                        yield place
            case _:
                for text in (str(wanted.value), *wanted.labels):
                    yield from self.places_of(text, within)

    def _alike(self, wanted: ExpectedValue, within: Span) -> Iterator[tuple[Span, bool]]:
        """Yield the values of the same kind in a stretch of the folded text, and whether each equals the expected
        one."""
        if isinstance(wanted.value, date):
            for said in _mentions_within(self._date_mentions, within):
                yield (said.begin, said.end), self._is_day(said, wanted.value)
        else:
            yield from self._numbers(wanted, within)

    def _numbers(self, wanted: ExpectedValue, within: Span) -> Iterator[tuple[Span, bool]]:
        value, measure = Decimal(str(wanted.value)), measure_of(wanted.unit or "", self.language)
        for number in _mentions_within(self._number_mentions, within):
            place = (number.begin, number.end)
            if not number.exact:
                continue
            said = number.measure or (self._column_measure(place) if measure is not None else None)
            if measure is None:
                # A unit that nobody has a table of is told by its own words; one of a table is another unit.
                named = said is not None and said.dimension.casefold() == (wanted.unit or "").casefold()
                if named or (said is None and self._has_unit(number.end, wanted.unit)):
                    yield place, number.value == value
            elif said is not None and said.dimension == measure.dimension:
                same = said.is_multiple(number.value, value, measure)
                if same or not isinstance(wanted.value, int) or not number.value * said.size % measure.size:
                    yield place, same

    def _column_measure(self, place: Span) -> Measure | None:
        unit = self._competing_values.beside.column_unit(place)
        return measure_of(unit, self.language) if unit is not None else None

    def _has_unit(self, end: int, unit: str | None) -> bool:
        if not unit:
            return True
        sentence = self.folded.text[slice(*self.around(max(0, end - 1), "sentence"))].casefold()
        return _stem(unit) in sentence

    @cached_property
    def _number_mentions(self) -> list[NumberMention]:
        # A unit in the next row of a table is not that of a number at the end of this one.
        ends = (self.folded.folded(begin) - 1 for begin in self._spans.sentences)
        return number_mentions(self.folded.in_cells([end for end in ends if end > 0]), self.language)

    @cached_property
    def _date_mentions(self) -> list[DateMention]:
        return date_mentions(self.folded.text, self.language)

    def _is_day(self, said: DateMention, value: date | datetime) -> bool:
        """Return True if a mention is a moment: the day with the time next to it, or else a time in its sentence."""
        if not isinstance(value, datetime):
            return said.may_be(value, self.near)
        if said.clock is not None:
            moment = value + timedelta(minutes=said.ahead)
            return said.may_be(moment.date(), self.near) and said.clock == (moment.hour, moment.minute, moment.second)
        clock = (value.hour, value.minute, value.second)
        sentence = self.folded.text[slice(*self.around(said.begin, "sentence"))]
        return said.may_be(value.date(), self.near) and (clock == (0, 0, 0) or clock in time_mentions(sentence))

    def places_of(self, text: str, within: Span) -> Iterator[Span]:
        """Yield where a text stands as whole words, in whatever case; a code of letters and digits also with blanks or
        hyphens inside."""
        if text not in self._found:
            whole = self.folded.text
            spans = (match.span() for match in _pattern_of(text).finditer(whole))
            self._found[text] = [span for span in spans if is_whole(whole, *span)]
        for place in self._found[text]:
            if within[0] <= place[0] and place[1] <= within[1]:
                yield place

    def _is_named(self, place: Span, wanted: ExpectedValue) -> bool:
        sentence = self.folded.text[slice(*self.around(place[0], "sentence"))].casefold()
        return any(_stem(word) in sentence for word in wanted.words if len(word) > 2)

    # --- what is wrong with a place ---

    def _fault(self, place: Span, wanted: ExpectedValue, row: RowMentions, *, found: bool) -> str | None:
        """Return why the words at a place are no evidence for the row's value, None if they are."""
        is_key = str(wanted.value) in row.key
        fault = self._statements.fault(place, behind=not isinstance(wanted.value, str), supposed=not is_key)
        if fault is not None or is_key:
            return fault
        fault = row.fault(place, found=found)
        if fault is not None or wanted.names is None or not is_comparable(wanted.value):
            return fault
        return self._competing_values.fault(
            place, wanted.names, wanted.rivals, row, lambda within: self._alike(wanted, within), found=found
        )

    @cached_property
    def _statements(self) -> Statements:
        return self._statements_in(self.language)

    def _statements_in(self, language: str) -> Statements:
        return Statements(self.folded.text, language_of(language), lambda at: self.around(at, "sentence"))

    @cached_property
    def _competing_values(self) -> CompetingValues:
        every = [self._statements_in(code) for code in LANGUAGES] if self.unsure else [self._statements]

        def states(place: Span) -> bool:
            if place not in self._stated:
                self._stated[place] = not self._statements.asks(place) and all(
                    statements.fault(place, behind=True) is None for statements in every
                )
            return self._stated[place]

        return CompetingValues(self.text, self.folded, self.language, self.around, states, self._statements.asks)


def _mentions_within(said: Sequence[Said], within: Span) -> Iterator[Said]:
    """Yield what is said inside a stretch of text, of all that is said in its order."""
    for index in range(bisect_left(said, within[0], key=lambda item: item.begin), len(said)):
        if said[index].begin >= within[1]:
            return
        if said[index].end <= within[1]:
            yield said[index]


@lru_cache(maxsize=4_000)
def _pattern_of(text: str) -> re.Pattern[str]:
    plain = fold_text(text).text.strip()
    pattern = re.escape(plain) if plain else "(?!)"
    if IDENTIFIER.fullmatch(plain):
        pattern = "[ -]?".join(re.escape(sign) for sign in plain if sign != "-")
    return re.compile(pattern, re.IGNORECASE)


def _stem(word: str) -> str:
    return word.casefold().removesuffix("s")
