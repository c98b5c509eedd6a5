"""The rows of an answer, each value held against the words of its file (law 10)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from storymesh.contract.definition import Property
from storymesh.files.evidence.evidence import EvidenceText, FoundEvidence, NoEvidence, WantedValue
from storymesh.files.evidence.text_language import text_language
from storymesh.files.extraction.answer_schema import Unreadable, value_and_quote, value_in_words
from storymesh.files.extraction.definition import TypedExtraction, label_of
from storymesh.files.reading.passages import place_of
from storymesh.files.reading.reading import Passage
from storymesh.lexicon.language import LANGUAGES

_LATIN = 0x250  # letters below are those of Latin alphabets
_MOST_FOREIGN = 0.2  # of the letters of a text may be others, as names are


@dataclass(frozen=True)
class ReadContent:
    """The text of a file in which values are looked for. `near` is the day by which one without a year is told."""

    sha256: str
    text: str
    passages: Sequence[Passage]
    reader: str
    near: date | None


@dataclass
class ProvenRows:
    """The rows of one answer: those whose every value has its evidence, and the faults of the others, a list for each.

    A fault is a reason as it is counted, "delay_hours: the quote is not in the file".
    """

    rows: list[tuple[dict[str, Any], list[dict[str, Any]]]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)


class EvidenceReader:
    """Finds the evidence of rows in one content. The language of its text decides how numbers and denials are read."""

    def __init__(self, extraction: TypedExtraction, content: ReadContent) -> None:
        self._extraction, self._content = extraction, content
        language = text_language(content.text)
        languages = (language,) if language is not None else LANGUAGES
        # Whoever cannot tell the language has to find it said, and not denied, in each that is known.
        self._texts = [EvidenceText(content.text, code, content.near) for code in languages]
        self._unknown = language is None and _is_foreign(content.text)

    def prove(self, rows: Sequence[Mapping[str, Any]], answer: str) -> ProvenRows:
        """Return which of the rows the file says; `answer` is the key of the answer that has them."""
        proven = ProvenRows()
        read: list[tuple[dict[str, tuple[Any, str | None]], list[str]]] = [self._read(row) for row in rows]
        keys = [self._key_texts(values) for values, _ in read]
        met: set[tuple[str, ...]] = set()
        for index, (values, faults) in enumerate(read):
            others = {text for place, key in enumerate(keys) if place != index for text in key} - {*keys[index]}
            evidence: list[dict[str, Any]] = []
            if not faults and keys[index] and keys[index] in met:
                faults.append(f"{', '.join(self._extraction.key)}: the answer has another row of the same key")
            met.add(keys[index])
            for item in self._extraction.asked:
                if faults and faults[0].startswith(f"{item.name}:"):
                    continue
                found = self._evidence(item, *values.get(item.name, (None, None)), keys[index], others)
                if isinstance(found, str):
                    faults.append(f"{item.name}: {found}")
                elif found is not None:
                    evidence.append(found | {"answer": answer})
            if faults:
                proven.refused.append(list(dict.fromkeys(faults)))
            else:
                proven.rows.append(({name: value for name, (value, _) in values.items()}, evidence))
        return proven

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
        found = (values.get(name, (None, None))[0] for name in self._extraction.key)
        return tuple(value_in_words(value) for value in found if value is not None)

    def _evidence(
        self, item: Property, value: Any, quote: str | None, key: tuple[str, ...], others: Iterable[str]
    ) -> dict[str, Any] | str | None:
        """Return where the file says a value, None for no value, and a reason where it does not."""
        if value is None:
            return None
        judged = item.name in self._extraction.judged
        if judged:
            return self._item(item, "judged", self._quoted(quote))
        if self._unknown:
            return "the file is in a language in which denials are not known"
        found = self._find(item, value, quote, key, tuple(others))
        if isinstance(found, NoEvidence):
            return found.reason
        made = self._item(item, found.how, (found.begin, found.end))
        least, sure = item.least_confidence, made["confidence"]
        if least is not None and sure is not None and sure < least:
            return f"it was recognised with a confidence below {least:g}"
        return made

    def _find(
        self, item: Property, value: Any, quote: str | None, key: tuple[str, ...], others: tuple[str, ...]
    ) -> FoundEvidence | NoEvidence:
        labels = [label_of(item, value)] if item.enum else []
        words = [*item.name.split("_"), *item.title.split()]
        wanted = WantedValue(item.name, value, item.unit, [label for label in labels if label != value], words)
        first: FoundEvidence | None = None
        for text in self._texts:
            found = text.find(wanted, quote, key, others)
            if isinstance(found, NoEvidence):
                return found
            first = first or found
        assert first is not None
        return first

    def _quoted(self, quote: str | None) -> tuple[int, int] | None:
        """Return where a judgement's own quote stands, if it stands there; it proves nothing."""
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


def _is_foreign(text: str) -> bool:
    """Return True for a text that is mostly in other letters than those of the languages that are known."""
    letters = [sign for sign in text if sign.isalpha()]
    return sum(ord(sign) >= _LATIN for sign in letters) > _MOST_FOREIGN * len(letters)
