"""The rows of an answer, each value verified against the words of its file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from storymesh.contract.definition import Property
from storymesh.files.evidence.competing_values import PropertyNames
from storymesh.files.evidence.evidence import EvidenceText, ExpectedValue, FoundEvidence, NoEvidence
from storymesh.files.evidence.measures import measure_of
from storymesh.files.extraction.answer_schema import Unreadable, value_and_quote, value_in_words
from storymesh.files.extraction.definition import TypedExtraction, label_of
from storymesh.files.reading.passages import place_of
from storymesh.files.reading.reading import Passage
from storymesh.language.types import Date, Decimal, Float, Integer, Timestamp
from storymesh.lexicon.language import LANGUAGES, text_language

_LATIN = 0x250  # letters below are those of Latin alphabets
_MAX_FOREIGN = 0.2  # of the letters of a text may be others, as names are


@dataclass(frozen=True)
class ReadContent:
    """The text of a file in which values are looked for. `near` is the day by which one without a year is told."""

    sha256: str
    text: str
    passages: Sequence[Passage]
    reader: str
    near: date | None


@dataclass
class VerifiedRows:
    """The rows of one answer: those with evidence for every value, and for each other row its list of faults.

    A fault is a reason as it is counted, "delay_hours: the quote is not in the file".
    """

    rows: list[tuple[dict[str, Any], list[dict[str, Any]]]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)


_Values = Mapping[str, tuple[Any, str | None]]


class EvidenceReader:
    """Finds the evidence of rows in one content. The language of its text decides how numbers and denials are read."""

    def __init__(self, extraction: TypedExtraction, content: ReadContent) -> None:
        self._extraction, self._content = extraction, content
        language = text_language(content.text)
        languages = (language,) if language is not None else LANGUAGES
        # Whoever cannot tell the language has to find it said, and not denied, in each that is known.
        self._texts = [EvidenceText(content.text, code, content.near, unsure=language is None) for code in languages]
        self._unknown = language is None and _is_foreign(content.text)

    def verify(self, rows: Sequence[Mapping[str, Any]], answer: str) -> VerifiedRows:
        """Verify the rows of an answer against the file; `answer` is its key."""
        proven = VerifiedRows()
        read: list[tuple[dict[str, tuple[Any, str | None]], list[str]]] = [self._read(row) for row in rows]
        keys = [self._key_texts(values) for values, _ in read]
        told: dict[tuple[str, ...], dict[str, Any] | None] = {}
        for index, (values, faults) in enumerate(read):
            others = {text for place, key in enumerate(keys) if place != index for text in key} - {*keys[index]}
            evidence: list[dict[str, Any]] = []
            for item in self._extraction.asked:
                if faults and faults[0].startswith(f"{item.name}:"):
                    continue
                found = self._evidence(item, values, keys[index], others)
                if isinstance(found, str):
                    faults.append(f"{item.name}: {found}")
                elif found is not None:
                    evidence.append(found | {"answer": answer})
            row = {name: value for name, (value, _) in values.items()}
            if not faults and keys[index] and told.setdefault(keys[index], row) is not row:
                faults.append(self._rows_by_key)
                told[keys[index]] = row if told[keys[index]] == row else None  # the file says both: neither is known
            if faults:
                proven.refused.append(list(dict.fromkeys(faults)))
            else:
                proven.rows.append((row, evidence))
        disputed = [item for item in proven.rows if (key := self._row_key(item[0])) and told[key] is None]
        proven.refused += [[self._rows_by_key] for _ in disputed]
        proven.rows = [item for item in proven.rows if item not in disputed]
        return proven

    @property
    def _rows_by_key(self) -> str:
        return f"{', '.join(self._extraction.key)}: the answer has another row of the same key"

    def _read(self, row: Mapping[str, Any]) -> tuple[dict[str, tuple[Any, str | None]], list[str]]:
        values: dict[str, tuple[Any, str | None]] = {}
        faults: list[str] = []
        for item in self._extraction.asked:
            try:
                values[item.name] = value_and_quote(row, item)
            except Unreadable as fault:
                faults.append(f"{item.name}: the answer {fault}")
                continue
            if values[item.name][0] is None and (item.required or item.key_position is not None):
                faults.append(f"{item.name}: the answer has no value, and the contract requires one")
        return values, faults

    def _key_texts(self, values: Mapping[str, tuple[Any, str | None]]) -> tuple[str, ...]:
        return self._row_key({name: value for name, (value, _) in values.items()})

    def _row_key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        found = (row.get(name) for name in self._extraction.key)
        return tuple(value_in_words(value) for value in found if value is not None)

    def _evidence(
        self, item: Property, values: "_Values", key: tuple[str, ...], others: Iterable[str]
    ) -> dict[str, Any] | str | None:
        """Return where the file says a value, None for no value, and a reason where it does not."""
        value, quote = values.get(item.name, (None, None))
        if value is None:
            return None
        judged = item.name in self._extraction.judged
        if judged:
            return self._item(item, "judged", self._quoted(quote))
        if self._unknown:
            return "the file is in a language in which denials are not known"
        found = self._find(self._expected_value(item, values), quote, key, tuple(others))
        if isinstance(found, NoEvidence):
            return found.reason
        made = self._item(item, found.how, (found.begin, found.end))
        least, sure = item.least_confidence, made["confidence"]
        if least is not None and sure is not None and sure < least:
            return f"it was recognised with a confidence below {least:g}"
        return made

    def _expected_value(self, item: Property, values: "_Values") -> ExpectedValue:
        value = values[item.name][0]
        labels = [label_of(item, value)] if item.enum else []
        words = [*item.name.split("_"), *item.title.split()]
        rivals = [
            _property_names(other, values.get(other.name, (None, None))[0])
            for other in self._extraction.asked
            if other.name != item.name and not other.enum and _is_alike(other, item)
        ]
        labels = [label for label in labels if label != value]
        return ExpectedValue(item.name, value, item.unit, labels, words, _property_names(item, value), rivals)

    def _find(
        self, wanted: ExpectedValue, quote: str | None, key: tuple[str, ...], others: tuple[str, ...]
    ) -> FoundEvidence | NoEvidence:
        first: FoundEvidence | None = None
        for text in self._texts:
            found = text.find(wanted, quote, key, others)
            if isinstance(found, NoEvidence):
                return found
            first = first or found
        assert first is not None
        return first

    def _quoted(self, quote: str | None) -> tuple[int, int] | None:
        """Return where the quote of a judged value stands, if it does; it is no evidence."""
        if quote is None:
            return None
        folded = self._texts[0].folded
        return next((folded.original(*place) for place in folded.occurrences(quote)), None)

    def _item(self, item: Property, how: str, span: tuple[int, int] | None) -> dict[str, Any]:
        """Return one item of the evidence of a row."""
        content = self._content
        made: dict[str, Any] = {"property": item.name, "how": how, "sha256": content.sha256, "reader": content.reader}
        if span is None:
            return made | {"quote": None, "confidence": None}
        place = place_of(content.passages, *span) or Passage(*span)
        return made | {
            "quote": content.text[slice(*span)],
            "part": place.part,
            "page": place.page,
            "box": [*place.box] if place.box else None,
            "seconds": [*place.seconds] if place.seconds else None,
            "cell": place.cell,
            "begin": place.begin,
            "end": place.end,
            "confidence": place.confidence,
        }


def _property_names(item: Property, value: Any) -> PropertyNames:
    return PropertyNames(item.name, f"{item.name} {item.title}", item.description, value)


def _is_alike(one: Property, other: Property) -> bool:
    """Return True for properties whose values a text says in the same way."""
    moments, numbers = (Date, Timestamp), (Integer, Decimal, Float)
    if isinstance(one.type, numbers) and isinstance(other.type, numbers):
        first, second = measure_of(one.unit or ""), measure_of(other.unit or "")
        return (first and first.dimension) == (second and second.dimension)
    return isinstance(one.type, moments) and isinstance(other.type, moments)


def _is_foreign(text: str) -> bool:
    """Return True for a text that is mostly in other letters than those of the languages that are known."""
    letters = [sign for sign in text if sign.isalpha()]
    return sum(ord(sign) >= _LATIN for sign in letters) > _MAX_FOREIGN * len(letters)
