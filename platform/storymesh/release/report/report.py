"""report.html: a release for people. Stories whose every value shows the row that it comes from, and their figures.

It is one file that needs no network: style and script are inside it, and its policy lets nothing else run. All that
others wrote is escaped by the template; nothing of it becomes an attribute that acts, a style or a script.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from storymesh.dataset.split import SPLITS
from storymesh.dataset.tables import judged_outcomes
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.narrative.formats import format_of_columns
from storymesh.release.card.card import PROMISES, Card, citation, internal_paths, links_in_words
from storymesh.release.report.charts import actions_of, lengths_of, months_of, scores_of, share_out

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from storymesh.dataset.build import Build
    from storymesh.provenance.origins import Origin
    from storymesh.provenance.trace import RecordTrace, TracedColumn, TracedSpan

REPORT = "report.html"
TEMPLATE = Path(__file__).with_name("report.html.jinja")
STYLE = Path(__file__).with_name("report.css")
SCRIPT = Path(__file__).with_name("report.js")

STORIES = 10  # of a config
FEWEST = 2
LONGEST = 6_000  # characters of one column
RAW = 200  # characters of one value of a row
ROWS = 8  # rows behind one value
DEPTH = 4  # expressions inside expressions
LARGEST = 1_500_000  # bytes of the page
COLOURS = 8


class Tracing(Protocol):
    def trace_records(self, config: str, records: "Sequence[Mapping[str, Any]]") -> "Iterator[RecordTrace]":
        """The traces of some records of one config."""


Tracer = Callable[[], AbstractContextManager[Tracing]]


@dataclass(frozen=True)
class Led:
    """One step to where a value comes from: `kind` is row, expression or query; `colour` the product's; `inner` the
    steps behind it, of which `more` are not shown."""

    kind: str
    path: str
    product: str = ""
    version: str = ""
    key: str = ""
    name: str = ""
    value: str = ""
    masked: bool = False
    colour: int = 0
    inner: "tuple[Led, ...]" = ()
    more: int = 0


@dataclass(frozen=True)
class Entry:
    """One value of a story: what was printed, by which expression at which place, and where it comes from."""

    id: str
    printed: str
    expression: str
    place: str
    origins: tuple[Led, ...]
    because: tuple[Led, ...]
    more: int
    style: str


@dataclass(frozen=True)
class Piece:
    """A stretch of a text: words of the template, or a value that an entry tells of."""

    text: str
    entry: Entry | None = None


@dataclass(frozen=True)
class Part:
    """One column of a story. `role` says how it is to be read: chosen, rejected, worked, failed, or nothing."""

    name: str
    role: str
    pieces: tuple[Piece, ...]
    cut: int  # characters that are not shown


@dataclass(frozen=True)
class Story:
    id: str
    record: str
    case_id: str
    at: datetime
    split: str
    first: str
    parts: tuple[Part, ...]
    entries: tuple[Entry, ...]
    mistakes: tuple[str, ...]


def render_report(
    card: Card,
    build: "Build",
    files: Mapping[str, Mapping[str, Sequence[Path]]],
    tracer: Tracer | None = None,
) -> str:
    """report.html of a release. `files` are its Parquet files: config -> split -> shards. Without a tracer the stories
    stand there without their sources."""
    with open_engine() as engine:
        colours: dict[str, int] = {}
        for member in card.lock["cast"].values():
            colours.setdefault(member["product"], len(colours) % COLOURS)
        given = _given(card, build, engine, files, colours)
        with tracer() if tracer is not None else nullcontext() as tracing:
            stories = {
                config: tuple(_stories(engine, config, splits, tracing, colours)) for config, splits in files.items()
            }
    most = STORIES
    while True:
        shown = {config: every[:most] for config, every in stories.items()}
        page = _page(stories=shown, traced=tracer is not None, **given)
        if most <= FEWEST or len(page.encode()) <= LARGEST:
            return page
        most -= 2


def _page(**given: Any) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["count"] = "{:,}".format
    environment.filters["percent"] = "{:.0%}".format
    environment.filters["short"] = _short
    style, script = (path.read_text(encoding="utf-8") for path in (STYLE, SCRIPT))
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(style),  # noqa: S704 - it stands beside this file
        script=Markup(script),  # noqa: S704 - it stands beside this file
        style_hash=_hash(style),
        script_hash=_hash(script),
        **given,
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _given(
    card: Card,
    build: "Build",
    engine: Engine,
    files: Mapping[str, Mapping[str, Sequence[Path]]],
    colours: Mapping[str, int],
) -> dict[str, Any]:
    narrative, lock = card.narrative, card.lock
    splits = SPLITS if narrative.dataset.split else SPLITS[:1]
    cases = _placed(engine, build)
    statuses = cases.filter(cases["split"].notnull()).group_by("status").aggregate(rows=lambda kept: kept.count())
    outcomes = judged_outcomes(build, engine)
    actions, others = actions_of(engine, outcomes) if outcomes is not None else ((), 0)
    configs = lock["configs"]
    return {
        "narrative": narrative,
        "version": card.version,
        "lock": lock,
        "internal": internal_paths(card),
        "formats": {config: narrative.format_of(config).purpose for config in narrative.records},
        "splits": splits,
        "totals": {config: sum(rows.values()) for config, rows in configs.items()},
        "statuses": {row["status"]: row["rows"] for row in engine.fetch_rows(statuses)},
        "actions": actions,
        "others": others,
        "judged": outcomes is not None,
        "expressions": outcomes.expressions if outcomes is not None else {},
        "scores": scores_of(engine, outcomes) if outcomes is not None else None,
        "lengths": {
            config: lengths_of(engine, [path for paths in parts.values() for path in paths])
            for config, parts in files.items()
        },
        "months": months_of(engine, cases, splits),
        "variety": card.variety,
        "promises": PROMISES,
        "links": links_in_words(narrative),
        "owners": {role: contract.owner for role, contract in card.contracts.items()},
        "colours": colours,
        "citation": citation(card),
    }


def _placed(engine: Engine, build: "Build") -> "Table":
    """at, status and split of every case."""
    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    placed = splits.select(placed="case_id", split="split")
    return cases.left_join(placed, cases["case_id"] == placed["placed"]).select("at", "status", "split")


# --- stories ---


def _stories(
    engine: Engine,
    config: str,
    splits: Mapping[str, Sequence[Path]],
    tracing: Tracing | None,
    colours: Mapping[str, int],
) -> Iterator[Story]:
    """Some records of a config from all its splits, by the MD5 of their cases: configs show the same where they can."""
    found = {}
    for split, paths in splits.items():
        rows = engine.read_parquet(paths)
        rows = rows.drop("facts", "sources").order_by(rows["case_id"].hexdigest("md5")).limit(STORIES)
        found[split] = [{**row, "split": split} for row in engine.fetch_rows(rows)]
    chosen = list(share_out(found, STORIES))
    traces = (
        {trace.case_id: trace for trace in tracing.trace_records(config, chosen)}
        if tracing is not None and chosen
        else {}
    )
    for number, record in enumerate(chosen):
        yield _story(f"{_plain_id(config)}-{number}", record, traces.get(record["case_id"]), colours)


def _story(id_: str, record: Mapping[str, Any], trace: "RecordTrace | None", colours: Mapping[str, int]) -> Story:
    writing = _Writing(id_, colours)
    traced = {column.name: column for column in trace.columns} if trace is not None else {}
    parts = tuple(
        writing.part(shown, told, column)
        for name, text in _texts(record)
        for shown, told, column in _told_by(name, text, traced.get(name))
    )
    format_ = format_of_columns(record)
    first = next((text for column, text in format_.texts_in(record) if column.slot.required), "") if format_ else ""
    first = next((line.strip("# ") for line in first.splitlines() if line.strip("# ")), "")
    return Story(
        id_,
        record["id"],
        record["case_id"],
        record["at"],
        record["split"],
        _short(first, 110),
        parts,
        tuple(writing.entries.values()),
        trace.mistakes if trace is not None else (),
    )


def _told_by(name: str, text: str, column: "TracedColumn | None") -> Iterator[tuple[str, str, "TracedColumn | None"]]:
    """A text, and behind one that a language model retold the story that it was retold from, which is led back."""
    yield name, text, column
    if column is not None and column.retold is not None:
        yield f"{name}.retold from", column.text, column


def _texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, text) of each text and the label, named as a trace names it."""
    if (format_ := format_of_columns(record)) is None:
        return
    yield from ((column.path, text) for column, text in format_.texts_in(record))
    if format_.label is not None:
        yield format_.label, str(record[format_.label])


class _Writing:
    """The parts of one story; each value that they print becomes an entry, once."""

    def __init__(self, id_: str, colours: Mapping[str, int]) -> None:
        self.id = id_
        self.colours = colours
        self.entries: dict[Any, Entry] = {}

    def part(self, name: str, text: str, column: "TracedColumn | None") -> Part:
        shown = text[:LONGEST]
        role = {"True": "worked", "False": "failed"}.get(text, "") if name == "label" else name.rpartition(".")[2]
        pieces = tuple(self._pieces(shown, column)) if column is not None and column.text == text else (Piece(shown),)
        return Part(name, role, pieces, len(text) - len(shown))

    def _pieces(self, text: str, column: "TracedColumn") -> Iterator[Piece]:
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
                yield Piece(words)
            words = ""
            yield Piece(printed, self._entry(span))
        if words + text[at:]:
            yield Piece(words + text[at:])

    def _entry(self, span: "TracedSpan") -> Entry:
        name = (span.text, span.expression, str(span.at), repr(span.origins), repr(span.because))
        if name not in self.entries:
            origins, because = self._led(span.origins, DEPTH), self._led(span.because, DEPTH)
            self.entries[name] = Entry(
                f"{self.id}-{len(self.entries)}",
                _short(span.text, RAW),
                _short(span.expression or "", RAW),
                f"{span.at.path}:{span.at.line}:{span.at.column}",
                origins,
                because,
                max(len(span.origins) - ROWS, 0) + max(len(span.because) - ROWS, 0),
                _style(origins or because),
            )
        return self.entries[name]

    def _led(self, origins: "Sequence[Origin]", depth: int) -> tuple[Led, ...]:
        return tuple(self._step(origin, depth) for origin in origins[:ROWS])

    def _step(self, origin: "Origin", depth: int) -> Led:
        if origin.kind == "row":
            return Led(
                "row",
                _short(origin.path, RAW),
                origin.product,
                origin.version[:12],
                _short(origin.key, RAW),
                origin.property or "",
                "" if origin.masked or origin.property is None else _short(_spelled(origin.value), RAW),
                origin.masked,
                self.colours.get(origin.product, 0),
            )
        inner = self._led(origin.origins, depth - 1) if depth else ()
        more = len(origin.origins) - len(inner)
        if origin.kind == "query":
            return Led("query", _short(origin.path, RAW), value=_spelled(origin.value), inner=inner, more=more)
        return Led(
            "expression",
            _short(origin.path, RAW),
            key=origin.case,
            name=_short(origin.expression, RAW),
            value="" if origin.masked else _short(_spelled(origin.value), RAW),
            masked=origin.masked,
            inner=inner,
            more=more,
        )


def _style(origins: Sequence[Led]) -> str:
    """How a value is marked: by the product that it comes from, or as computed from several or counted."""
    if len(origins) != 1:
        return "computed"
    return {"row": f"p{origins[0].colour}", "query": "counted"}.get(origins[0].kind, "computed")


def _spelled(value: Any) -> str:
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


def _short(text: str, most: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


def _plain_id(config: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in config)
