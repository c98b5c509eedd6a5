"""A record led back, as people read it on a terminal and as JSON."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from storymesh.cli.progress import console_on

if TYPE_CHECKING:
    from storymesh.location import Location
    from storymesh.provenance.trace import Cell, Column, Computed, Counted, Origin, Span, Trace

VALUE = "cyan underline"
DRAWN = "italic"  # words that the template itself varies
MASK = "•••"


def show_trace(trace: "Trace", narrative: str, release: str, folder: str, *, sql: bool) -> None:
    """Each column with its values marked, then every value with where it comes from. `folder` is put before the places
    of templates; `sql` prints the queries too."""
    console = console_on(sys.stdout)
    console.print(f"{narrative} {release} · {trace.record} · case {trace.case_id}", style="bold", highlight=False)
    showing = _Showing(folder)
    for column in trace.columns:
        console.print()
        console.print(f"[{column.name}]", style="dim", markup=False, highlight=False)
        if column.retold is not None:
            console.print(Text(column.retold), soft_wrap=True)
            console.print("\n[retold from]", style="dim", markup=False, highlight=False)
        console.print(marked(column), soft_wrap=True)
        console.print()
        for line in showing.lines(column):
            console.print(line, soft_wrap=True)
    if showing.queries and not sql:
        console.print(f"\n{len(showing.queries)} queries: --sql prints them", highlight=False)
    for query, number in showing.queries.items() if sql else ():
        console.print(f"\nquery {number}:", style="dim", highlight=False)
        console.print(query + ";", markup=False, highlight=False, soft_wrap=True)
    for mistake in trace.mistakes:
        console.print(f"\nnot so: {mistake}", style="red", markup=False, highlight=False, soft_wrap=True)


def marked(column: "Column") -> Text:
    """A column's text with its values marked."""
    return marks(column.text, ((one.begin, one.end, one.expression, bool(one.origins)) for one in column.spans))


def marks(text: str, spans: "Iterator[tuple[int, int, str | None, bool]]") -> Text:
    """A text with what expressions printed marked: begin, end, expression, and whether a value is behind it."""
    marked = Text(text.rstrip("\n"))
    for begin, end, expression, valued in spans:
        if expression is not None:
            marked.stylize(VALUE if valued else DRAWN, begin, end)
    return marked


class _Showing:
    """The lines that say where the values of a column come from; queries get numbers on the way."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.queries: dict[str, int] = {}

    def lines(self, column: "Column") -> Iterator[Text]:
        for span in column.spans:
            if span.expression is None:
                continue
            line = Text.assemble(
                (f"{span.begin}–{span.end} ", "dim"), (_short(span.text), VALUE if span.origins else DRAWN)
            )
            yield line.append(f"  {{{{ {span.expression} }}}}").append(f"  {self.place(span.at)}", style="dim")
            for origin in span.origins:
                yield from self.led(origin, 1)
            if not span.origins:
                yield Text("  words of the template", style="dim")
            for origin in span.because:
                yield from self.led(origin, 1, "because ")

    def led(self, origin: "Origin", depth: int, why: str = "") -> Iterator[Text]:
        begin = f"{'  ' * depth}{why}{origin.path}"
        match origin.kind:
            case "row":
                what = f" · {origin.property}" if origin.property else ""
                row = f"{origin.product} {origin.version[:12]} · {origin.key}{what}"
                yield Text(f"{begin}{_is(origin) if origin.property else ''}: {row}")
            case "expression":
                line = Text(f"{begin}{_is(origin)}: {origin.expression}")
                yield line.append(f"  {self.place(origin.at)}", style="dim")
            case "query":
                number = self.queries.setdefault(origin.query.sql, len(self.queries) + 1)
                yield Text(f"{begin} = {origin.value}: query {number}")
        if origin.kind != "row":
            for inner in origin.origins:
                yield from self.led(inner, depth + 1)

    def place(self, at: "Location") -> str:
        return f"{self.folder}{at.path}:{at.line}:{at.column}"


def _is(origin: "Cell | Computed") -> str:
    return f" = {MASK if origin.masked else origin.value}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:60]}…"


def trace_as_json(trace: "Trace", narrative: str, release: str, folder: str) -> str:
    """An object: narrative, release, record, case, columns (name, text, spans that cover it, and what a model `retold`
    of it) and mistakes. A span has begin, end, text, at, expression (null for words of the template), origins and
    because; an origin is of the kind row, expression or query.
    """
    writing = _Writing(folder)
    return json.dumps(
        {
            "narrative": narrative,
            "release": release,
            "record": trace.record,
            "case": trace.case_id,
            "columns": [
                {
                    "name": column.name,
                    "text": column.text,
                    "spans": [writing.span(span) for span in column.spans],
                    **({"retold": column.retold} if column.retold is not None else {}),
                }
                for column in trace.columns
            ],
            "mistakes": list(trace.mistakes),
        },
        indent=2,
        ensure_ascii=False,
        default=str,
    )


class _Writing:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def span(self, span: "Span") -> dict[str, Any]:
        return {
            "begin": span.begin,
            "end": span.end,
            "text": span.text,
            "at": self.place(span.at),
            "expression": span.expression,
            "origins": self.origins(span.origins),
            "because": self.origins(span.because),
        }

    def origins(self, origins: "Sequence[Origin]") -> list[Mapping[str, Any]]:
        return [self.origin(one) for one in origins]

    def origin(self, one: "Cell | Computed | Counted") -> Mapping[str, Any]:
        match one.kind:
            case "row":
                named = {"product": one.product, "version": one.version, "key": one.key, "property": one.property}
                return {"kind": one.kind, "path": one.path, **named, "value": one.value, "masked": one.masked}
            case "expression":
                written = {"expression": one.expression, "at": self.place(one.at), "case": one.case}
                value = {"value": one.value, "masked": one.masked, "origins": self.origins(one.origins)}
                return {"kind": one.kind, "path": one.path, **written, **value}
            case "query":
                value = {"value": one.value, "origins": self.origins(one.origins)}
                return {"kind": one.kind, "path": one.path, "sql": one.query.sql, **value}

    def place(self, at: "Location") -> dict[str, Any]:
        return {"path": f"{self.folder}{at.path}", "line": at.line, "column": at.column}
