"""The trace of a record: its values with where each comes from, on a terminal and as JSON."""

import json
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from storymesh.cli.output.console import console_on
from storymesh.printable import printable, printable_line, shortened

if TYPE_CHECKING:
    from storymesh.location import Location
    from storymesh.provenance.origins import ExpressionOrigin, Origin, QueryOrigin, RowOrigin, TracedSpan
    from storymesh.provenance.trace import RecordTrace, TracedColumn

VALUE = "cyan underline"
VARIED = "italic"  # words that the template itself varies
MASK = "•••"


def show_trace(
    trace: "RecordTrace", narrative: str, release: str, folder: str, of_files: Collection[str], *, sql: bool
) -> None:
    """Print each column with its values marked, then every value with its source.

    `folder` is put before the paths of templates; `of_files` are the products whose files a command shows; `sql` prints
    the queries too.
    """
    console = console_on(sys.stdout)
    console.print(f"{narrative} {release} · {trace.record} · case {trace.case_id}", style="bold")
    sources = _SourceLines(folder, of_files)
    for column in trace.columns:
        console.print()
        console.print(f"[{column.name}]", style="dim")
        if column.retold is not None:
            marks = ((span.begin, span.end, span.expression, bool(span.origins)) for span in column.retold_spans)
            console.print(mark_spans(column.retold, marks), soft_wrap=True)
            console.print("\n[retold from]", style="dim")
        console.print(mark_values(column), soft_wrap=True)
        console.print()
        for line in sources.lines(column):
            console.print(line, soft_wrap=True)
    if sources.queries and not sql:
        console.print(f"\n{len(sources.queries)} queries: --sql prints them")
    for query, number in sources.queries.items() if sql else ():
        console.print(f"\nquery {number}:", style="dim")
        console.print(query + ";", soft_wrap=True)
    for mistake in trace.mistakes:
        console.print(f"\nnot so: {mistake}", style="red", soft_wrap=True)


def mark_values(column: "TracedColumn") -> Text:
    """Return a column's text with its values marked."""
    spans = ((span.begin, span.end, span.expression, bool(span.origins)) for span in column.spans)
    return mark_spans(column.text, spans)


def mark_spans(text: str, spans: "Iterator[tuple[int, int, str | None, bool]]") -> Text:
    """Return the text with what expressions printed marked. A span: begin, end, expression, and True for a value."""
    result, done = Text(), 0
    for begin, end, expression, has_value in spans:
        if expression is not None:
            # Written out piece by piece: the places are those of the text as it is.
            result.append(printable(text[done:begin]))
            result.append(printable(text[begin:end]), style=VALUE if has_value else VARIED)
            done = end
    result.append(printable(text[done:]))
    result.rstrip()
    return result


class _SourceLines:
    """The lines that say where the values of a column come from; each query gets a number."""

    def __init__(self, folder: str, of_files: Collection[str]) -> None:
        self.folder = folder
        self.of_files = of_files
        self.queries: dict[str, int] = {}

    def lines(self, column: "TracedColumn") -> Iterator[Text]:
        for span in column.spans:
            if span.expression is None:
                continue
            line = Text.assemble(
                (f"{span.begin}–{span.end} ", "dim"), (_shorten(span.text), VALUE if span.origins else VARIED)
            )
            yield line.append(f"  {{{{ {span.expression} }}}}").append(f"  {self.place(span.at)}", style="dim")
            for origin in span.origins:
                yield from self.source(origin, 1)
            if not span.origins:
                yield Text("  words of the template", style="dim")
            for origin in span.because:
                yield from self.source(origin, 1, "because ")

    def source(self, origin: "Origin", depth: int, why: str = "") -> Iterator[Text]:
        begin = f"{'  ' * depth}{why}{origin.path}"
        match origin.kind:
            case "row":
                what = f" · {origin.property}" if origin.property else ""
                row = f"{origin.product} {origin.version[:12]} · {origin.key}{what}"
                left = f" · {origin.left}" if origin.left is not None else ""
                yield Text(printable(f"{begin}{_value_of(origin) if origin.property else ''}: {row}{left}"))
                if origin.evidence is not None:
                    indent = "  " * (depth + 1)
                    yield Text(printable_line(f"{indent}{origin.evidence.description}"), style="dim")
                    if (command := _file_command(origin, self.of_files)) is not None:
                        yield Text(printable_line(f"{indent}{command}"), style="dim")
            case "expression":
                line = Text(printable(f"{begin}{_value_of(origin)}: {origin.expression}"))
                yield line.append(f"  {self.place(origin.at)}", style="dim")
            case "query":
                number = self.queries.setdefault(origin.query.sql, len(self.queries) + 1)
                yield Text(printable(f"{begin} = {origin.value}: query {number}"))
        if origin.kind != "row":
            for inner in origin.origins:
                yield from self.source(inner, depth + 1)

    def place(self, at: "Location") -> str:
        return f"{self.folder}{at.path}:{at.line}:{at.column}"


def _file_command(origin: "RowOrigin", of_files: Collection[str]) -> str | None:
    """Return the command that shows the file of a value, if there is one and the file may be named."""
    if origin.evidence is None or origin.evidence.uri is None or origin.product not in of_files:
        return None
    return shlex.join(["storymesh", "files", origin.product, "--file", origin.evidence.uri])


def _value_of(origin: "RowOrigin | ExpressionOrigin") -> str:
    return f" = {MASK if origin.masked else origin.value}"


def _shorten(text: str) -> str:
    return shortened(printable(" ".join(text.split())), 60)


def trace_as_json(
    trace: "RecordTrace", narrative: str, release: str, folder: str, of_files: Collection[str] = ()
) -> str:
    """Return a JSON object: narrative, release, record, case, columns and mistakes.

    A column has name, text, the spans that cover it, and what a model `retold` of it, with `retold_spans`. A span has
    begin, end, text, at, expression (null for words of the template), origins and because; an origin is of the kind
    row, expression or query. A row whose value stands in a file has `evidence`: how, sha256, uri, quote and place as
    far as there are any and they may be shown, and the `command` that shows the file, if its product is one `of_files`.
    """
    encoder = _TraceEncoder(folder, of_files)
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
                    "spans": [encoder.span(span) for span in column.spans],
                    **({"retold": column.retold} if column.retold is not None else {}),
                    **({"retold_spans": [encoder.span(span) for span in column.retold_spans]} if column.retold else {}),
                }
                for column in trace.columns
            ],
            "mistakes": list(trace.mistakes),
        },
        indent=2,
        ensure_ascii=False,
        default=str,
    )


class _TraceEncoder:
    """Spans and origins as plain values; `folder` is put before the paths of templates."""

    def __init__(self, folder: str, of_files: Collection[str]) -> None:
        self.folder = folder
        self.of_files = of_files

    def span(self, span: "TracedSpan") -> dict[str, Any]:
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
        return [self.origin(origin) for origin in origins]

    def origin(self, origin: "RowOrigin | ExpressionOrigin | QueryOrigin") -> Mapping[str, Any]:
        match origin.kind:
            case "row":
                row = {"product": origin.product, "version": origin.version, "key": origin.key}
                value = {"property": origin.property, "value": origin.value, "masked": origin.masked}
                value |= {"left": origin.left} if origin.left is not None else {}
                if origin.evidence is not None:
                    command = _file_command(origin, self.of_files)
                    opened = {"command": command} if command is not None else {}
                    value |= {"evidence": {**origin.evidence.as_mapping(), **opened}}
                return {"kind": origin.kind, "path": origin.path, **row, **value}
            case "expression":
                written = {"expression": origin.expression, "at": self.place(origin.at), "case": origin.case}
                value = {"value": origin.value, "masked": origin.masked, "origins": self.origins(origin.origins)}
                return {"kind": origin.kind, "path": origin.path, **written, **value}
            case "query":
                value = {"value": origin.value, "origins": self.origins(origin.origins)}
                return {"kind": origin.kind, "path": origin.path, "sql": origin.query.sql, **value}

    def place(self, at: "Location") -> dict[str, Any]:
        return {"path": f"{self.folder}{at.path}", "line": at.line, "column": at.column}
