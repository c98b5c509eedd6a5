"""From cases to the records of one config: which cases it tells, the facts each record prints, and the rows behind it.

Facts and sources are expressions of the engine. The words are the interpreter's, case by case.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from storymesh.case.link import KEY, Pseudonym
from storymesh.case.role import Cast
from storymesh.case.seen import names_in
from storymesh.case.view import Views
from storymesh.engine import dialect
from storymesh.errors import NotInLanguage, Refused, TooLarge
from storymesh.language import syntax
from storymesh.language.check import Path, check_expression
from storymesh.language.compile import compile_expression
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.syntax import Expression
from storymesh.language.types import Struct
from storymesh.narrative.typed import Slot, TypedNarrative, TypedRecord

Versions = Mapping[str, tuple[str, str]]  # role -> (product, version)
SOURCE = "struct<product: string, version: string, key: string>"
Z90 = 1.6448536269514722  # the normal quantile of a two-sided 90 % interval


@dataclass
class Drops:
    """Records that were not told: case id and reason."""

    cases: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, case_id: str, reason: str) -> None:
        self.cases.append(case_id)
        self.reasons.append(reason)


def told(cases: ir.Table, typed: TypedNarrative, record: TypedRecord, versions: Versions, key: bytes) -> ir.Table:
    """The rows from which the records of one config are rendered: one for each case with a split.

    case_id, at, split, `undone` (why the config cannot tell this case, else null), `facts`, `sources`, and for each
    slot a struct of the names that its template uses. `cases` are the written cases with split and precedents.
    """
    phase = "hindsight" if record.hindsight else "question"
    seen = names_in(cases, typed.cast, typed.views, phase)
    if record.answered:
        seen = {**seen, **_answer(cases, typed)}
    if "precedents" in cases.columns:
        seen = {**seen, "precedents": cases["precedents"]}
    columns: dict[str, ir.Value] = {
        "undone": _undone(cases, record),
        "facts": _facts(record, seen, key),
        "sources": _sources(cases, typed, record, seen, versions),
    }
    for slot in record.slots.values():
        used = {name: seen[name] for name in sorted(slot.checked.names)}
        columns[f"slot_{slot.name}"] = ibis.struct(used) if used else ibis.struct({"nothing": ibis.literal(True)})
    kept = cases.mutate(**columns)
    return kept.filter(kept["split"].notnull()).select("case_id", "at", "split", *columns)


def _answer(cases: ir.Table, typed: TypedNarrative) -> dict[str, ir.Value]:
    return {"outcome": names_in(cases, typed.cast, typed.views, "answer")["outcome"]}


def _undone(cases: ir.Table, record: TypedRecord) -> ir.StringValue:
    """Why this config cannot tell a case that others can."""
    dropped = cases["dropped"] if record.hindsight else cases["question_dropped"]
    if not record.answered:
        return dropped
    unanswered = ibis.ifelse(cases["status"] == "judged", ibis.null("string"), cases["status"])
    return ibis.coalesce(dropped, unanswered)


# --- facts: every path that the templates print ---


def _facts(record: TypedRecord, names: Mapping[str, ir.Value], key: bytes) -> ir.StructValue:
    tree: dict[str, Any] = {}
    for path in sorted(record.prints):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
    if not tree:
        return ibis.struct({"case": ibis.struct({"id": names["case"]["id"]})})
    return ibis.struct({name: _pruned(names[name], below, key) for name, below in tree.items()})


def _pruned(value: ir.Value, below: Mapping[str, Any], key: bytes) -> ir.Value:
    """Of a value what is printed: all of it, its length (`#`), its pseudonym (`~`), or some of its properties."""
    if not below:
        return value
    if "#" in below and len(below) == 1:
        return value.length().cast("int64")
    if "~" in below:
        return value if len(below) > 1 else Pseudonym(key)(value)
    inner = {name: parts for name, parts in below.items() if name != "#"}
    if value.type().is_array():
        return dialect.each(value, lambda row: _struct(row, inner, key))
    return ibis.ifelse(value.isnull(), ibis.null(_struct(value, inner, key).type()), _struct(value, inner, key))


def _struct(row: ir.StructValue, below: Mapping[str, Any], key: bytes) -> ir.StructValue:
    return ibis.struct({name: _pruned(row[name], parts, key) for name, parts in below.items()})


# --- sources: the rows behind a record ---


def _sources(
    cases: ir.Table, typed: TypedNarrative, record: TypedRecord, names: Mapping[str, ir.Value], versions: Versions
) -> ir.ArrayValue:
    """product, version and key of the rows of every role that the templates name, of the row behind `outcome.action`
    and of the anchors of printed quotes; each once, by product and key."""
    parts: list[ir.ArrayValue] = []
    for role in record.roles:
        if role in typed.cast.roles:
            parts.append(_keys(names[role], versions[role]))
    if any(path[0] == "outcome" for path in record.prints) or record.answered:
        hindsight = names_in(cases, typed.cast, typed.views, "hindsight")
        action = typed.views.outcome["action"].expression
        for role, row in rows_behind(action, typed.views, typed.cast, hindsight):
            parts.append(_keys(row, versions[role]))
    anchor = versions[typed.cast.anchor.name]
    for kind in sorted({path[1] for path in record.prints if path[0] == "precedents" and "quoted" in path}):
        options = names["precedents"][kind]
        if not options.type().is_array():
            options = ibis.array([options])
        quoted = dialect.each(options, lambda option: option["quoted"]).flatten()
        parts.append(
            dialect.each(dialect.those(quoted, lambda row: row.notnull()), lambda row: _source(anchor, row["id"]))
        )
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.concat(part)
    return joined.unique().sort()


def _source(version: tuple[str, str], key: ir.Value) -> ir.StructValue:
    return ibis.struct({"product": ibis.literal(version[0]), "version": ibis.literal(version[1]), "key": key})


def _keys(value: ir.Value, version: tuple[str, str]) -> ir.ArrayValue:
    rows = value if value.type().is_array() else ibis.array([value])
    there = dialect.those(rows, lambda row: row[KEY].notnull())
    return dialect.each(there, lambda row: _source(version, row[KEY]))


def rows_behind(
    expression: Expression, views: Views, cast: Cast, names: Mapping[str, ir.Value]
) -> Iterator[tuple[str, ir.Value]]:
    """The rows whose properties an expression reads, as (role, row), facts followed to their own expressions."""
    scope = views.scopes["hindsight"]
    match expression:
        case syntax.Attribute():
            try:
                found = check_expression(expression.base, scope).value.type
            except Refused:
                return
            if isinstance(found, Struct) and found.origin in cast.roles:
                yield found.origin, compile_expression(expression.base, names, {})
            else:
                yield from rows_behind(expression.base, views, cast, names)
        case syntax.Name() if expression.name in views.facts:
            yield from rows_behind(views.facts[expression.name].expression, views, cast, names)
        case syntax.Name() if expression.name in cast.roles:
            yield expression.name, names[expression.name]
        case _:
            for part in vars(expression).values():
                for inner in part if isinstance(part, tuple) else (part,):
                    if isinstance(inner, Expression):
                        yield from rows_behind(inner, views, cast, names)


# --- words ---


def rendered(
    batches: Iterator[pa.RecordBatch], record: TypedRecord, interpreter: Interpreter, drops: Drops
) -> Iterator[pa.RecordBatch]:
    """The records of the rows that `told` gives, batch by batch; what cannot be told goes to `drops` with its reason."""
    for batch in batches:
        undone = batch.column("undone").to_pylist()
        case_ids = batch.column("case_id").to_pylist()
        texts: dict[str, list[str | None]] = {name: [] for name in record.slots}
        keep: list[bool] = []
        slots = {name: batch.column(f"slot_{name}").to_pylist() for name in record.slots}
        for index, (case_id, reason) in enumerate(zip(case_ids, undone, strict=True)):
            words = {} if reason else _words(record.slots, slots, index, case_id, interpreter)
            if isinstance(words, str):
                reason = words
            if reason:
                drops.add(case_id, reason)
            keep.append(not reason)
            for name in record.slots:
                texts[name].append(words[name] if isinstance(words, dict) and not reason else None)
        columns = {
            "id": pa.array([f"{record.config}/{case_id}" for case_id in case_ids], pa.string()),
            "case_id": batch.column("case_id"),
            "split": batch.column("split"),
            **_shaped(record, texts),
            "at": batch.column("at"),
            "facts": batch.column("facts"),
            "sources": batch.column("sources"),
        }
        yield pa.RecordBatch.from_pydict(columns).filter(pa.array(keep, pa.bool_()))


def _words(
    slots: Mapping[str, Slot],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    index: int,
    case_id: str,
    interpreter: Interpreter,
) -> dict[str, str] | str:
    """The text of each slot of one case, or the reason why it cannot be told."""
    try:
        return {
            name: interpreter.render(slot.template, case_id, as_value(rows[name][index]))
            for name, slot in slots.items()
        }
    except (NotInLanguage, TooLarge) as error:
        return error.words


MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])


def _shaped(record: TypedRecord, texts: Mapping[str, list[str | None]]) -> dict[str, pa.Array]:
    """The format's own columns, named and typed as TRL takes them."""
    match record.record.format:
        case "messages":
            order = [name for name in ("system", "user", "assistant") if name in texts]
            messages = [
                [{"role": name, "content": content} for name, content in zip(order, contents, strict=True)]
                for contents in zip(*(texts[name] for name in order), strict=True)
            ]
            return {"messages": pa.array(messages, pa.list_(MESSAGE))}
        case _:
            return {name: pa.array(values, pa.string()) for name, values in texts.items()}
