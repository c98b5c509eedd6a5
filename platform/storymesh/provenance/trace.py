"""Traces of released records: every value that a record prints, with the product, version, key and property behind it.

A record is rendered again by the interpreter with provenance (`language.provenance`), and `OriginResolver` says
where each value comes from. Nothing is taken on trust: the texts are compared with the record, the values with the
product, and the queries that count are run.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from storymesh.dataset.build import Build
from storymesh.dataset.pseudonym_key import VARIABLE
from storymesh.dataset.render import template_inputs
from storymesh.dataset.stages import write_cases_and_precedents
from storymesh.dataset.tables import cases_with_precedents
from storymesh.grounding.pieces import PlacedPiece
from storymesh.language.interpret import as_value
from storymesh.language.provenance import TracingInterpreter
from storymesh.language.traced_values import OriginPath, TextSpan
from storymesh.location import Location
from storymesh.narrative.formats.format import TextColumn
from storymesh.narrative.typed_record import TypedRecord
from storymesh.provenance.case_values import CaseValues, View
from storymesh.provenance.origins import OriginResolver, TracedSpan, TraceLog, value_at
from storymesh.provenance.row_values import read_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir

MAX_SELECTED = 500  # records; for more, all cases are read
_PSEUDONYM = re.compile(r"p-[0-9a-f]{12}")


@dataclass(frozen=True)
class TracedColumn:
    """One text of a record. The spans cover it, if it is what its template renders. `retold` is what a language model
    made of it, if the record has that instead; `retold_spans` cover that, with the values that it took over."""

    name: str
    text: str
    spans: tuple[TracedSpan, ...]
    retold: str | None = None
    retold_spans: tuple[TracedSpan, ...] = ()


@dataclass(frozen=True)
class RecordTrace:
    """One record with all its columns traced. `mistakes` say what cannot be traced; empty if everything can."""

    record: str
    case_id: str
    columns: tuple[TracedColumn, ...]
    mistakes: tuple[str, ...] = ()


class RenderedColumn(NamedTuple):
    """One column of one case, rendered again: its text and the spans that cover it."""

    name: str
    text: str
    parts: tuple[TextSpan, ...]


class RenderedCase(NamedTuple):
    """One case, rendered again; `names` are the values that its templates saw."""

    case_id: str
    names: Mapping[str, Any]
    columns: tuple[RenderedColumn, ...]


class Tracer:
    """Traces records of one build. Use it as a context manager; call `confirm` when the records are traced."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._engine = build.open_engine()
        self._cases = CaseValues(build, self._engine)
        self._log = TraceLog()
        self._held: frozenset[str] = frozenset()  # the cases that lie in `_held_cases`
        self._held_cases: ir.Table | None = None

    def __enter__(self) -> "Tracer":
        write_cases_and_precedents(self._build)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._engine.__exit__(*exception)

    def preload_cases(self, case_ids: Collection[str]) -> None:
        """Read these cases, and what they quote, once for all configs that are traced next."""
        cases = cases_with_precedents(self._build, self._engine)
        held = self._engine.materialize(cases.filter(cases["case_id"].isin(sorted(case_ids))))
        self._held, self._held_cases = frozenset(case_ids), held
        asked = self._engine.fetch_rows(held.select("precedents")) if "precedents" in held.columns else []
        quoted = (case_id for names in asked for case_id in _quoted_ids(names))
        self._cases.load(list(dict.fromkeys([*sorted(case_ids), *quoted])))

    def render_cases(
        self, config: str, case_ids: Sequence[str] | None, only: Collection[str] | None = None
    ) -> Iterator[RenderedCase]:
        """Yield the cases with these ids (None: all) of which the config has a record, rendered with their spans.

        Of those that are read, only `only` are rendered.
        """
        record = self._build.typed.records[config]
        interpreters = _tracing_interpreters(self._build, record)
        for row in self._template_inputs(record, case_ids):
            case_id = row["case_id"]
            if only is not None and case_id not in only:
                continue
            names = as_value({name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")})
            columns = []
            for column in record.texts:
                visible = _names_for(column, names)
                text, parts = interpreters[column.slot.name].trace_text(column.draw_id(case_id), visible)
                columns.append(RenderedColumn(column.path, text, parts))
            yield RenderedCase(case_id, names, tuple(columns))

    def trace_records(self, config: str, records: Iterable[Mapping[str, Any]]) -> Iterator[RecordTrace]:
        """Yield the traces of some records of one config, in the order of the cases.

        `records` have case_id and the columns of their format. Differences from them are in `mistakes`.
        """
        record = self._build.typed.records[config]
        pending = {released["case_id"]: released for released in records}
        many = len(pending) > MAX_SELECTED
        cases: Iterable[RenderedCase] = self.render_cases(config, None if many else list(pending), frozenset(pending))
        if many:
            self._cases.load(None)
        else:
            cases = list(cases)
            # Read at once with the cases that they quote: reading them one by one costs more than everything else.
            quoted = (case_id for case in cases for case_id in _quoted_ids(case.names))
            self._cases.load(list(dict.fromkeys([*pending, *quoted])))
        for case in cases:
            if case.case_id in pending:
                yield self._trace(record, pending.pop(case.case_id), case)
        for case_id in pending:
            message = f"the case {case_id} is not told by '{config}' any more"
            yield RecordTrace(f"{config}/{case_id}", case_id, (), (message,))

    def _trace(self, record: TypedRecord, released: Mapping[str, Any], case: RenderedCase) -> RecordTrace:
        columns, mistakes = [], []
        for column, (name, text, parts) in zip(record.texts, case.columns, strict=True):
            resolver = self._resolver(record, case, _names_for(column, case.names))
            expected = template_text(column, released)
            if expected != text:
                mistakes.append(_difference(name, expected, text))
            spans = tuple(_trace_span(part, expected, resolver) for part in parts)
            final = column.text_in(released) or ""
            retold: tuple[TracedSpan, ...] = ()
            if final != expected:
                told_at = self._build.narrative.at("records", record.config, "narrator")
                retold, wrong = trace_retold(final, placed_pieces(column, released), expected, spans, told_at)
                mistakes += [f"{name}: {mistake}" for mistake in wrong]
            columns.append(TracedColumn(name, expected, spans, final if final != expected else None, retold))
        if (label := record.format.label) is not None:
            text, narrative = str(released[label]), self._build.narrative
            at = narrative.at("case", "outcome", "worked")
            origins = self._resolver(record, case, case.names).resolve([("outcome", "worked")])
            span = TracedSpan(0, len(text), text, at, "outcome.worked", origins)
            columns.append(TracedColumn(label, text, (span,)))
            if str(getattr(origins[0], "value", None)) != text:
                mistakes.append(f"{label}: the record says {text}, its outcome says otherwise")
        return RecordTrace(f"{record.config}/{case.case_id}", case.case_id, tuple(columns), tuple(mistakes))

    def _resolver(self, record: TypedRecord, case: RenderedCase, names: Mapping[str, Any]) -> OriginResolver:
        view: View = "hindsight" if record.hindsight else "question"
        return OriginResolver(self._cases, self._log, case.case_id, view, names, f"{record.config}/{case.case_id}")

    def confirm(self, most: int | None = None) -> dict[str, list[str]]:
        """Return record -> the errors of its trace: rows that are missing in the product or differ, and expressions and
        queries with another value. At most `most` queries are run, evenly spread."""
        mistakes: dict[str, list[str]] = {}
        for record, message in (*self._log.mistakes, *self._wrong_readings(), *self._wrong_queries(most)):
            mistakes.setdefault(record, []).append(message)
        return mistakes

    def _template_inputs(self, record: TypedRecord, case_ids: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        if case_ids is not None and self._held_cases is not None and self._held.issuperset(case_ids):
            cases = self._held_cases
        else:
            cases = cases_with_precedents(self._build, self._engine)
        if case_ids is not None:
            cases = cases.filter(cases["case_id"].isin(list(case_ids)))
        rows = template_inputs(cases, self._build.typed, record)
        for batch in self._engine.stream_batches(rows):
            yield from batch.to_pylist()

    def _wrong_readings(self) -> Iterator[tuple[str, str]]:
        """Yield (record, message) for values that a product does not have, read from the product's own files."""
        by_role: dict[str, dict[str, list[tuple[OriginPath, Any, str]]]] = {}
        for (role, key, steps), (value, record) in self._log.readings.items():
            by_role.setdefault(role, {}).setdefault(key, []).append((steps, value, record))
        for role, keys in by_role.items():
            product, version = self._build.product_versions[role]
            columns = {str(steps[0]) for readings in keys.values() for steps, _, _ in readings if steps}
            rows = read_rows(self._build, self._engine, role, keys, columns)
            for key, readings in keys.items():
                for steps, value, record in readings:
                    row = f"{product} {key}, version {version[:12]}"
                    if key not in rows:
                        yield record, f"{row} is not there"
                    elif steps and value_at(rows[key], steps) != value:
                        yield record, f"{row}: {'.'.join(map(str, steps))} is not what the record was told from"

    def _wrong_queries(self, most: int | None) -> Iterator[tuple[str, str]]:
        queries = self._log.queries
        step = 1 if most is None else -(-len(queries) // most)
        for query, (value, record) in islice(queries.items(), None, None, step or 1):
            rows = self._engine.fetch_rows(query.expression)
            counted = rows[0]["value"] if rows else None
            if counted != value:
                yield record, f"a query gives {counted}, the record was told {value}:\n{query.sql}"


def trace_record(build: Build, record: Mapping[str, Any]) -> RecordTrace:
    """Return one record traced and confirmed. `record` and `build` are those of a release, as `read_record` and
    `build_of` return them."""
    config = str(record["id"]).partition("/")[0]
    with Tracer(build) as tracer:
        (trace,) = tracer.trace_records(config, [record])
        mistakes = tracer.confirm().get(trace.record, [])
    return replace(trace, mistakes=(*trace.mistakes, *mistakes))


def _names_for(column: TextColumn, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the names that the template of a column sees."""
    return {**names, "option": names[f"option_{column.option}"]} if column.option else names


def _trace_span(part: TextSpan, text: str, resolver: OriginResolver) -> TracedSpan:
    words = text[part.begin : part.end]
    if part.expression is None:
        return TracedSpan(part.begin, part.end, words, part.at)
    because = resolver.resolve(part.deciding - part.origins)
    return TracedSpan(part.begin, part.end, words, part.at, part.expression, resolver.resolve(part.origins), because)


def _quoted_ids(names: Any) -> Iterator[str]:
    """Yield the ids of the cases that the values of some names quote."""
    if isinstance(names, Mapping):
        for name, value in names.items():
            if name == "quoted" and isinstance(value, list):
                yield from (quoted["id"] for quoted in value)
            elif name in ("precedents", "best", "worst", "options") or name.startswith("option_"):
                yield from _quoted_ids(value)
    elif isinstance(names, list):
        for value in names:
            yield from _quoted_ids(value)


def template_text(column: TextColumn, released: Mapping[str, Any]) -> str:
    """Return a text of a record as its template rendered it; where a model rewrote it, the record keeps both."""
    for note in released.get("retellings") or ():
        if note["column"] == column.name:
            return str(note["story"])
    return column.text_in(released) or ""


def _tracing_interpreters(build: Build, record: TypedRecord) -> dict[str, TracingInterpreter]:
    return {name: TracingInterpreter(slot.checked.tree, build.pseudonym_key) for name, slot in record.slots.items()}


def _difference(name: str, released: str, rendered: str) -> str:
    if _PSEUDONYM.sub("", released) == _PSEUDONYM.sub("", rendered):
        return f"{name}: its pseudonyms were made with another key than the one at hand, see {VARIABLE}"
    pairs = enumerate(zip(released, rendered, strict=False))
    first = next((index for index, (old, new) in pairs if old != new), min(len(released), len(rendered)))
    old, new = released[first : first + 40], rendered[first : first + 40]
    return f"{name}, character {first}: the record says {old!r}, its templates and products say {new!r}"


def placed_pieces(column: TextColumn, released: Mapping[str, Any]) -> tuple[PlacedPiece, ...]:
    """Return the values in a retold text of a record; none of one that an older release has."""
    for note in released.get("retellings") or ():
        if note["column"] == column.name:
            return tuple(PlacedPiece(**piece) for piece in note.get("pieces") or ())
    return ()


def trace_retold(
    text: str, pieces: Sequence[PlacedPiece], story: str, spans: Sequence[TracedSpan], at: Location
) -> tuple[tuple[TracedSpan, ...], list[str]]:
    """Return the spans that cover a retold text, and what is wrong with its values. `at` is where the model is named
    whose words stand between them; `spans` are those of the template's text."""
    found: list[TracedSpan] = []
    mistakes: list[str] = []
    done = 0
    for piece in pieces:
        printed = text[piece.begin : piece.end]
        end = piece.origin + len(printed)
        source = next((span for span in spans if span.begin <= piece.origin and end <= span.end), None)
        if source is None or story[piece.origin : end] != printed:
            mistakes.append(f"character {piece.begin}: {printed!r} is not what its template printed")
            continue
        if done < piece.begin:
            found.append(TracedSpan(done, piece.begin, text[done : piece.begin], at))
        found.append(replace(source, begin=piece.begin, end=piece.end, text=printed))
        done = piece.end
    if done < len(text):
        found.append(TracedSpan(done, len(text), text[done:], at))
    return tuple(found), mistakes
