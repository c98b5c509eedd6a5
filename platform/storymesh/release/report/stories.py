"""The stories of the report: sample records whose printed values lead back to their rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from storymesh.narrative.formats import format_of_columns
from storymesh.printable import shortened

if TYPE_CHECKING:
    from storymesh.provenance.origins import Origin, TracedSpan
    from storymesh.provenance.trace import RecordTrace, TracedColumn

MAX_TEXT = 6_000  # characters of one column
MAX_VALUE = 200  # characters of one value of a row
MAX_EVIDENCE = 1_000
MAX_ROWS = 8  # rows behind one value
DEPTH = 4  # expressions inside expressions


@dataclass(frozen=True)
class SourceStep:
    """One step to where a value comes from: `kind` is row, expression or query, `color` that of the product.
    `evidence` says where it stands in a file, or is empty.

    `inner` are the steps behind it, of which `more` are not shown.
    """

    kind: str
    path: str
    product: str = ""
    version: str = ""
    key: str = ""
    name: str = ""
    value: str = ""
    masked: bool = False
    color: int = 0
    evidence: str = ""
    inner: "tuple[SourceStep, ...]" = ()
    more: int = 0


@dataclass(frozen=True)
class PrintedValue:
    """One value of a story: what was printed, by which expression at which place, and where it comes from."""

    id: str
    printed: str
    expression: str
    place: str
    origins: tuple[SourceStep, ...]
    because: tuple[SourceStep, ...]
    more: int
    style: str


@dataclass(frozen=True)
class TextPiece:
    """A stretch of a text: words of the template, or a printed value."""

    text: str
    value: PrintedValue | None = None


@dataclass(frozen=True)
class StoryText:
    """One column of a story. `role` says how to read it: chosen, rejected, worked, failed, or nothing."""

    name: str
    role: str
    pieces: tuple[TextPiece, ...]
    hidden_characters: int


@dataclass(frozen=True)
class Story:
    """One sample record; `mistakes` are what of it could not be traced."""

    id: str
    record_id: str
    case_id: str
    at: datetime
    split: str
    title: str
    texts: tuple[StoryText, ...]
    values: tuple[PrintedValue, ...]
    mistakes: tuple[str, ...]


def build_story(id_: str, record: Mapping[str, Any], trace: "RecordTrace | None", colors: Mapping[str, int]) -> Story:
    """Return the story of a record. Without a trace its values have no sources; `colors`: product -> number."""
    builder = _StoryBuilder(id_, colors)
    traced = {column.name: column for column in trace.columns} if trace is not None else {}
    texts = tuple(
        builder.text(shown, text, column)
        for name, original in _record_texts(record)
        for shown, text, column in _with_template_text(name, original, traced.get(name))
    )
    format_ = format_of_columns(record)
    first = next((text for column, text in format_.texts_in(record) if column.slot.required), "") if format_ else ""
    title = next((line.strip("# ") for line in first.splitlines() if line.strip("# ")), "")
    return Story(
        id_,
        record["id"],
        record["case_id"],
        record["at"],
        record["split"],
        shorten(title, 110),
        texts,
        tuple(builder.values.values()),
        trace.mistakes if trace is not None else (),
    )


def _with_template_text(
    name: str, text: str, column: "TracedColumn | None"
) -> Iterator[tuple[str, str, "TracedColumn | None"]]:
    """Yield a text, and after one that a model rewrote the template's own, whose values can be traced."""
    if column is None or column.retold is None:
        yield name, text, column
    else:
        yield name, text, replace(column, text=column.retold, spans=column.retold_spans, retold=None)
        yield f"{name}.retold from", column.text, column


def _record_texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each text and the label, named as a trace names it."""
    if (format_ := format_of_columns(record)) is None:
        return
    yield from ((column.path, text) for column, text in format_.texts_in(record))
    if format_.label is not None:
        yield format_.label, str(record[format_.label])


class _StoryBuilder:
    """The texts of one story; each value that they print becomes one entry of `values`."""

    def __init__(self, id_: str, colors: Mapping[str, int]) -> None:
        self.id = id_
        self.colors = colors
        self.values: dict[Any, PrintedValue] = {}

    def text(self, name: str, text: str, column: "TracedColumn | None") -> StoryText:
        shown = text[:MAX_TEXT]
        role = {"True": "worked", "False": "failed"}.get(text, "") if name == "label" else name.rpartition(".")[2]
        traced = column is not None and column.text == text
        pieces = tuple(self._pieces(shown, column)) if column is not None and traced else (TextPiece(shown),)
        return StoryText(name, role, pieces, len(text) - len(shown))

    def _pieces(self, text: str, column: "TracedColumn") -> Iterator[TextPiece]:
        words, at = "", 0
        for span in column.spans:
            if span.begin >= len(text):
                break
            words += text[at : span.begin]
            at = min(span.end, len(text))
            printed = text[span.begin : at]
            if span.expression is None or not (span.origins or span.because) or not printed.strip():
                words += printed
                continue
            if words:
                yield TextPiece(words)
            words = ""
            yield TextPiece(printed, self._value(span))
        if words + text[at:]:
            yield TextPiece(words + text[at:])

    def _value(self, span: "TracedSpan") -> PrintedValue:
        key = (span.text, span.expression, str(span.at), repr(span.origins), repr(span.because))
        if key not in self.values:
            origins, because = self._steps(span.origins, DEPTH), self._steps(span.because, DEPTH)
            self.values[key] = PrintedValue(
                f"{self.id}-{len(self.values)}",
                shorten(span.text, MAX_VALUE),
                shorten(span.expression or "", MAX_VALUE),
                f"{span.at.path}:{span.at.line}:{span.at.column}",
                origins,
                because,
                max(len(span.origins) - MAX_ROWS, 0) + max(len(span.because) - MAX_ROWS, 0),
                _style(origins or because),
            )
        return self.values[key]

    def _steps(self, origins: "Sequence[Origin]", depth: int) -> tuple[SourceStep, ...]:
        return tuple(self._step(origin, depth) for origin in origins[:MAX_ROWS])

    def _step(self, origin: "Origin", depth: int) -> SourceStep:
        if origin.kind == "row":
            return SourceStep(
                "row",
                shorten(origin.path, MAX_VALUE),
                origin.product,
                origin.version[:12],
                shorten(origin.key, MAX_VALUE),
                origin.property or "",
                "" if origin.masked or origin.property is None else shorten(format_value(origin.value), MAX_VALUE),
                origin.masked,
                self.colors.get(origin.product, 0),
                shorten(origin.evidence.description, MAX_EVIDENCE) if origin.evidence is not None else "",
            )
        inner = self._steps(origin.origins, depth - 1) if depth else ()
        more = len(origin.origins) - len(inner)
        path = shorten(origin.path, MAX_VALUE)
        if origin.kind == "query":
            return SourceStep("query", path, value=format_value(origin.value), inner=inner, more=more)
        return SourceStep(
            "expression",
            path,
            key=origin.case,
            name=shorten(origin.expression, MAX_VALUE),
            value="" if origin.masked else shorten(format_value(origin.value), MAX_VALUE),
            masked=origin.masked,
            inner=inner,
            more=more,
        )


def _style(origins: Sequence[SourceStep]) -> str:
    """Return how a value is marked: by its product, or as computed from several, or as counted."""
    if len(origins) != 1:
        return "computed"
    return {"row": f"p{origins[0].color}", "query": "counted"}.get(origins[0].kind, "computed")


def format_value(value: Any) -> str:
    """Return a value of a row or an expression as the report shows it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(sep=" ")
        case Decimal():
            return f"{value:f}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a row"
        case _:
            return str(value)


def shorten(text: str, most: int = 90) -> str:
    """Return the text on one line, cut off after `most` characters."""
    return shortened(" ".join(text.split()), most)
