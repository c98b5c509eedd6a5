"""Whether a file says a value of a row, and where: law 10, without a model's word for it.

A value is evident where the text says it in so many words: a quote of at most one sentence that stands in the text
exactly, or else any place that is looked for. It says the value in its unit, of this row and of no other, as it is and
neither denied, nor as a bound or a part of something else. What fails is refused with its reason.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Literal, TypeVar

from storymesh.files.evidence.folded_text import FoldedText, fold_text, is_whole
from storymesh.files.evidence.measures import measure_of
from storymesh.files.evidence.said_values import SaidDay, SaidNumber, said_clocks, said_days, said_numbers
from storymesh.files.evidence.sentences import TextSpans, text_spans
from storymesh.lexicon.language import LANGUAGES, language_of

Span = tuple[int, int]
Said = TypeVar("Said", SaidNumber, SaidDay)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_ENDS_DENIAL = re.compile(r"[;:!?]|\.(?=\s|$)")
_IDENTIFIER = re.compile(r"(?=.*[^\W\d_])(?=.*\d)[\w][\w./-]*[\w]")
_LIST_WORDS = 3  # behind a comma as many words at most go on with a list of what is denied


@dataclass(frozen=True)
class WantedValue:
    """A value of a row that a text is to say. `labels` are what people call an enum's code, `unit` as the contract has
    it; `words` are those of the property's name, by which a bare number is found."""

    name: str
    value: str | int | float | Decimal | bool | date | datetime
    unit: str | None = None
    labels: Sequence[str] = ()
    words: Sequence[str] = ()


@dataclass(frozen=True)
class FoundEvidence:
    """Where a text says a value, in its characters: as it was `quoted`, or where it was `found`."""

    how: Literal["quoted", "found"]
    begin: int
    end: int


@dataclass(frozen=True)
class NoEvidence:
    """A value that a text does not say. `reason`, which is counted, completes "delay_hours: …"."""

    reason: str


@dataclass
class EvidenceText:
    """A text in which values are looked for, of a language and, where days are said without a year, of a day.

    In a language whose words that deny are not known nothing is evident.
    """

    text: str
    language: str = "en"
    near: date | None = None
    _denials: dict[str, bool] = field(default_factory=dict)

    def find(
        self, wanted: WantedValue, quote: str | None, key: Sequence[str] = (), others: Iterable[str] = ()
    ) -> FoundEvidence | NoEvidence:
        """Return where the text says a value: in the quote, if it does there, or else anywhere.

        `key` are the texts of the row's own key, `others` those of other rows that the same file has.
        """
        if self.language not in LANGUAGES:
            known = " and ".join(LANGUAGES)
            return NoEvidence(f"what a text in '{self.language}' denies is not known: it is in {known}")
        row = _Row(self, [text for text in key if text], [text for text in others if text])
        refused = self._in_quote(wanted, quote, row) if quote else None
        if isinstance(refused, FoundEvidence):
            return refused
        best: NoEvidence | None = None
        for place in self._places(wanted, (0, len(self.folded.text)), found=True):
            if (fault := self._fault(place, wanted, row, found=True)) is None:
                return FoundEvidence("found", *self.folded.original(*place))
            best = best or NoEvidence(fault)
        return best or refused or NoEvidence("the file does not say it")

    # --- the text ---

    @cached_property
    def folded(self) -> FoldedText:
        return fold_text(self.text)

    @cached_property
    def _spans(self) -> TextSpans:
        return text_spans(self.text)

    def _around(self, at: int, kind: Literal["sentence", "paragraph"]) -> Span:
        """Return the sentence or the paragraph at a place of the folded text, in it."""
        original = self.folded.begins[at]
        begin, end = self._spans.sentence(original) if kind == "sentence" else self._spans.paragraph(original)
        return self.folded.folded(begin), self.folded.folded(end)

    # --- the value ---

    def _in_quote(self, wanted: WantedValue, quote: str, row: "_Row") -> FoundEvidence | NoEvidence:
        fault = "the quote is not in the file"
        for begin, end in self.folded.occurrences(quote):
            if self._around(begin, "sentence")[1] < end:
                fault = "the quote is longer than a sentence"
                continue
            fault = "the quote does not say it"
            for place in self._places(wanted, (begin, end), found=False):
                found = self._fault(place, wanted, row, found=False)
                if found is None:
                    return FoundEvidence("quoted", *self.folded.original(begin, end))
                fault = found
        return NoEvidence(fault)

    def _places(self, wanted: WantedValue, within: Span, *, found: bool) -> Iterator[Span]:
        """Yield where the value stands inside a stretch of the folded text; a bare number that is looked for only in a
        sentence with a word of its property."""
        match wanted.value:
            case bool():
                return
            case datetime() | date():
                yield from self._days(wanted.value, within)
            case int() | float() | Decimal():
                for place in self._numbers(wanted, within):
                    if not found or wanted.unit or self._is_named(place, wanted):
                        yield place
            case _:
                for text in (str(wanted.value), *wanted.labels):
                    yield from self._texts(text, within)

    def _numbers(self, wanted: WantedValue, within: Span) -> Iterator[Span]:
        value, measure = Decimal(str(wanted.value)), measure_of(wanted.unit or "", self.language)
        for number in _inside(self._said_numbers, within):
            # A unit in the next row of a table is not that of this number.
            if not number.exact or number.end > self._around(number.begin, "sentence")[1]:
                continue
            said = number.measure
            if measure is None:
                # A unit that nobody has a table of is told by its own words; one of a table is another unit.
                if said is None and number.value == value and self._has_unit(number.end, wanted.unit):
                    yield number.begin, number.end
            elif said is not None and said.is_multiple(number.value, value, measure):
                yield number.begin, number.end

    def _has_unit(self, end: int, unit: str | None) -> bool:
        if not unit:
            return True
        sentence = self.folded.text[slice(*self._around(max(0, end - 1), "sentence"))].casefold()
        return _stem(unit) in sentence

    @cached_property
    def _said_numbers(self) -> list[SaidNumber]:
        return said_numbers(self.folded.text, self.language)

    @cached_property
    def _said_days(self) -> list[SaidDay]:
        return said_days(self.folded.text, self.language)

    def _days(self, value: date | datetime, within: Span) -> Iterator[Span]:
        day = value.date() if isinstance(value, datetime) else value
        for said in _inside(self._said_days, within):
            if not said.may_be(day, self.near):
                continue
            sentence = self.folded.text[slice(*self._around(said.begin, "sentence"))]
            clock = (value.hour, value.minute, value.second) if isinstance(value, datetime) else (0, 0, 0)
            if clock == (0, 0, 0) or clock in said_clocks(sentence):
                yield said.begin, said.end

    def _texts(self, text: str, within: Span) -> Iterator[Span]:
        """Yield where a text stands as whole words, in whatever case; a code of letters and digits also with blanks or
        hyphens inside."""
        plain = fold_text(text).text.strip()
        if not plain:
            return
        pattern = re.escape(plain)
        if _IDENTIFIER.fullmatch(plain):
            pattern = "[ -]?".join(re.escape(sign) for sign in plain if sign != "-")
        for match in re.compile(pattern, re.IGNORECASE).finditer(self.folded.text, *within):
            if is_whole(self.folded.text, match.start(), match.end()):
                yield match.start(), match.end()

    def _is_named(self, place: Span, wanted: WantedValue) -> bool:
        sentence = self.folded.text[slice(*self._around(place[0], "sentence"))].casefold()
        return any(_stem(word) in sentence for word in wanted.words if len(word) > 2)

    # --- what is wrong with a place ---

    def _fault(self, place: Span, wanted: WantedValue, row: "_Row", *, found: bool) -> str | None:
        """Return why the words at a place do not say the value of the row, None if they do."""
        if self._is_denied(place, behind=not isinstance(wanted.value, str)):
            return "the file denies it"
        if str(wanted.value) in row.key:
            return None
        return row.fault(place, found=found)

    def _is_denied(self, place: Span, *, behind: bool) -> bool:
        """Return True where a word denies what is said at a place; `behind`: also one that comes later."""
        begin, end = self._around(place[0], "sentence")
        before, after = self.folded.text[begin : place[0]], self.folded.text[place[1] : end]
        if any(self._reaches(before[word.end() :]) for word in self._denying(before)):
            return True
        if not behind:
            return False
        cut = _ENDS_DENIAL.search(after)
        reach = after[: cut.start()] if cut else after
        reach = re.split(r",", reach, maxsplit=1)[0]
        language = language_of(self.language)
        words = list(_WORD.finditer(reach))
        joined = next((word.start() for word in words if language.joins(word[0])), len(reach))
        return any(word.start() < joined for word in self._denying(reach))

    def _denying(self, text: str) -> Iterator[re.Match[str]]:
        language = language_of(self.language)
        for word in _WORD.finditer(text):
            key, rest = word[0].casefold(), text[word.end() :]
            if key not in self._denials:
                self._denials[key] = language.weight(key) == "negations"
            numbered = key in language.words("numbered") and re.match(r"\.? ?\d", rest)
            if self._denials[key] and not numbered:
                following = _WORD.match(rest.removeprefix(" "))
                if following is None or following[0] not in language.words("only"):
                    yield word

    def _reaches(self, between: str) -> bool:
        """Return True if a denial reaches over some words: not into another statement, but along a list."""
        if _ENDS_DENIAL.search(between):
            return False
        language = language_of(self.language)
        *_, last = re.split(r",", between)
        if "," in between and len(_WORD.findall(last)) > _LIST_WORDS:
            return False
        joining = (word for word in _WORD.findall(between) if language.joins(word))
        return all(word.casefold() in language.words("lists") for word in joining)


@dataclass
class _Row:
    """The row that a value is of: the texts of its key, and those of other rows of the file."""

    text: EvidenceText
    key: list[str]
    others: list[str]

    def fault(self, place: Span, *, found: bool) -> str | None:
        """Return why a place does not speak of this row: its sentence names another one, or its paragraph does not
        name this one. In a file of one row a quote need not, and a place that was `found` does if the file names it."""
        if not self.key or not (self._own or self._other):
            return None
        begin, end = self.text._around(place[0], "sentence")
        own, other = self._named(begin, end)
        if other:
            begin, end = self._statement(place, begin, end)
            own, other = self._named(begin, end)
            return None if own and not other else "the sentence is of another row"
        if own or self._is_gone_on_with(begin):
            return None
        begin, end = self.text._around(place[0], "paragraph")
        own, other = self._named(begin, end)
        if other:
            return "the paragraph is of another row" if not own else "the sentence does not name the row"
        if own or not (found or self._other):
            return None
        return "neither sentence nor paragraph names the row"

    def _is_gone_on_with(self, begin: int) -> bool:
        """Return True if the sentence before, of the same paragraph, is of this row alone, and the one at `begin` says
        nothing of others: it goes on with it."""
        first, _ = self.text._around(begin, "paragraph")
        if begin <= first:
            return False
        own, other = self._named(*self.text._around(begin - 1, "sentence"))
        language = language_of(self.text.language)
        words = _WORD.findall(self.text.folded.text[slice(*self.text._around(begin, "sentence"))])
        counted = (word for word in words if language.weight(word.casefold()) == "numbers")
        return own and not other and not any(True for _ in counted)

    @cached_property
    def _own(self) -> list[Span]:
        whole = (0, len(self.text.folded.text))
        return sorted(place for key in self.key for place in self.text._texts(key, whole))

    @cached_property
    def _other(self) -> list[Span]:
        """Where the text names another row: by its key, or by a word that is written as the own key is."""
        whole = (0, len(self.text.folded.text))
        found = [place for key in self.others for place in self.text._texts(key, whole)]
        for key in self.key:
            if _IDENTIFIER.fullmatch(key):
                shape = "".join(map(_shape, key))
                found += [match.span() for match in re.finditer(rf"(?<!\w){shape}(?!\w)", self.text.folded.text)]
        own = set(self._own)
        return sorted(place for place in found if place not in own)

    def _named(self, begin: int, end: int) -> tuple[bool, bool]:
        return _has_inside(self._own, begin, end), _has_inside(self._other, begin, end)

    def _statement(self, place: Span, begin: int, end: int) -> Span:
        """Return the part of a sentence that a place is in: between signs, or words that join two statements."""
        text, language = self.text.folded.text, language_of(self.text.language)
        cuts = [match.end() for match in re.finditer(r"[,;](?= )| - |\(|\)", text[begin:end])]
        cuts += [word.start() for word in _WORD.finditer(text[begin:end]) if language.joins(word[0].casefold())]
        places = sorted({begin, end, *(begin + cut for cut in cuts)})
        before = max(at for at in places if at <= place[0])
        behind = min((at for at in places if at >= place[1]), default=end)
        return before, behind


def _inside(said: Sequence[Said], within: Span) -> Iterator[Said]:
    """Yield what is said inside a stretch of text, of all that is said in its order."""
    for index in range(bisect_left(said, within[0], key=lambda item: item.begin), len(said)):
        if said[index].begin >= within[1]:
            return
        if said[index].end <= within[1]:
            yield said[index]


def _has_inside(places: Sequence[Span], begin: int, end: int) -> bool:
    index = bisect_left(places, (begin, 0))
    return index < len(places) and places[index][1] <= end


def _shape(sign: str) -> str:
    return r"\d" if sign.isdigit() else r"[^\W\d_]" if sign.isalpha() else re.escape(sign)


def _stem(word: str) -> str:
    return word.casefold().removesuffix("s")
