"""The values that a story prints, traced by the interpreter, as the pieces that a model may move."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from storymesh.errors import NarratorFailed
from storymesh.grounding.pieces import GroundingSource, Piece, PieceKind
from storymesh.language.interpret import as_value
from storymesh.language.provenance import TracingInterpreter
from storymesh.language.traced_values import COUNTED, HIDDEN, OriginPath, TextSpan
from storymesh.narrative.formats.format import TextColumn
from storymesh.narrative.meaning import title_of
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import TypedRecord

MAX_MEANING_LENGTH = 120  # characters of what a model is told of one piece
_NUMBERING = "loop."  # the number of an item of a list is no value of its row


class StoryReader:
    """Reads the stories of one config: their values as pieces, their language, and the words that may be added."""

    def __init__(self, typed: TypedNarrative, record: TypedRecord, key: bytes) -> None:
        self._typed = typed
        self._record = record
        self._interpreters = {name: TracingInterpreter(slot.checked.tree, key) for name, slot in record.slots.items()}
        self._meanings: dict[OriginPath, str] = {}

    def read(self, column: TextColumn, case_id: str, names: Mapping[str, Any], story: str) -> GroundingSource:
        """Return a story with its pieces; `names` are the bare values that its template sees. Raises NarratorFailed if
        the template gives another text: then nothing is known of its values."""
        seen = as_value({**names, **({"option": names[f"option_{column.option}"]} if column.option else {})})
        text, spans = self._interpreters[column.slot.name].trace_text(column.draw_id(case_id), seen)
        if text != story:
            message = f"the story of {self._record.config}/{case_id} is not what its template gives when it is traced"
            raise NarratorFailed(message, "this is a defect of storymesh: report it")
        pieces = tuple(self._pieces(story, spans, seen))
        language = self._record.record.language.partition("-")[0]
        return GroundingSource(story, pieces, language, self._typed.narrative.vocabulary)

    def _pieces(self, story: str, spans: Iterable[TextSpan], names: Mapping[str, Any]) -> Iterable[Piece]:
        numbers: dict[tuple[Any, str], int] = {}
        for span in spans:
            printed = story[span.begin : span.end]
            text = printed.strip()
            if not span.origins or not text or (span.expression or "").strip().startswith(_NUMBERING):
                continue
            begin = span.begin + printed.index(text)
            number = numbers.setdefault((span.origins, text), len(numbers) + 1)
            path = min(span.origins, key=lambda steps: [str(step) for step in steps])
            kinds = {_kind_of(steps, names) for steps in span.origins}
            kind: PieceKind = "moment" if "moment" in kinds else "number" if kinds == {"number"} else "text"
            plain = tuple(step for step in path if step not in (COUNTED, HIDDEN))
            yield Piece(number, begin, begin + len(text), kind, self._meaning(plain), plain)

    def _meaning(self, path: OriginPath) -> str:
        if path not in self._meanings:
            named = tuple(step for step in path if isinstance(step, str))
            self._meanings[path] = title_of(self._typed, named)[:MAX_MEANING_LENGTH]
        return self._meanings[path]


def _kind_of(path: OriginPath, names: Mapping[str, Any]) -> PieceKind:
    """Return what the value at a path is; a count is a number, a pseudonym a text."""
    if path[-1] == COUNTED:
        return "number"
    value: Any = names
    for step in path:
        if step == HIDDEN:
            return "text"
        value = value[step] if isinstance(value, Mapping | list) else None  # type: ignore[index]
    if isinstance(value, date):  # a moment is a date too
        return "moment"
    return "number" if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else "text"
