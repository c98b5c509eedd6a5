"""Rendering of one config: from cases to its records, with the facts that they print and the rows behind them.

`render_records` is one expression of the engine, into which the templates are compiled. `render_rows` returns the same
records by the interpreter, case by case: for previews, and as a test of the compiler.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from storymesh.case.link import KEY
from storymesh.case.precedent import add_precedents
from storymesh.case.preference import compare_options
from storymesh.case.resolve import Cast
from storymesh.case.scopes import Phase, TypedCase
from storymesh.case.visibility import template_names
from storymesh.dataset.build import ProductVersions
from storymesh.dataset.personal_data import mark_conditions, mark_reason
from storymesh.engine import dialect
from storymesh.engine.cse import HoistedExpressions, eliminate_common
from storymesh.errors import DefinitionErrors, NotInLanguage, TooLarge
from storymesh.language import ast
from storymesh.language.ast import Expression, Template
from storymesh.language.compile.expressions import UNPRINTABLE, compile_expression, pseudonym
from storymesh.language.compile.templates import Resolved, compile_template
from storymesh.language.interpret import MAX_OUTPUT, Interpreter, as_value
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import Struct
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import STORY, TypedRecord, TypedTemplate
from storymesh.rewriting.prompt import FENCE

BEHIND = ("facts", "sources")  # the columns that say what a record is made from
UNFIT = "unfit"  # the column that says why a told record cannot stand; null: it can
NOT_EXACT = "a number is not finite or too large to print exactly"
TOO_LONG = f"a text is longer than {MAX_OUTPUT // 1024} KiB"


def record_inputs(
    cases: ir.Table, typed: TypedNarrative, record: TypedRecord, versions: ProductVersions, key: bytes
) -> ir.Table:
    """What one config needs of each case that has a split: one row a case.

    case_id, at, split, `undone` (why the config cannot tell this case, else null), `facts`, `sources`, and a column
    `n_<name>` for each name that its templates use. `cases` are the written cases with split and precedents.
    """
    named = _Named(cases, typed, record)
    return eliminate_common(named.table.select(*named.kept, *named.columns, **named.behind(versions, key)))


def render_records(
    cases: ir.Table,
    found: ir.Table | None,
    typed: TypedNarrative,
    record: TypedRecord,
    versions: ProductVersions,
    key: bytes,
) -> ir.Table:
    """The records of the cases that the config can tell, with the columns of the format.

    `cases` are the written cases with split and rank, `found` the precedents of each probe. What a record says of
    precedents alone is made once for each of them. `unfit` says of what is told why it cannot stand.
    """

    def named(few: ir.Table | None, *more: str) -> _Named:
        joined = cases if few is None else add_precedents(cases, few)
        return _Named(joined, typed, record, able=True, more=more)

    first = named(found)
    columns = first.texts(key)
    asks = first.asks(columns, key)
    behind = first.behind(versions, key)
    said = [*columns.values(), *map(_contents, asks.values())]
    persons = [*said, behind["facts"].cast("string")] if typed.narrative.dataset.personal == "refuse" else []
    texts = {**record.format.assemble(columns), **asks, UNFIT: _unfit(said, persons)}
    id_ = ibis.literal(f"{record.config}/").concat(first.table["case_id"])
    rows = first.table.select("case_id", "split", "at", id=id_, **texts, **behind)
    if found is not None and "n_precedents" in first.columns:
        apart = HoistedExpressions(rows, ["n_precedents"])
        few = apart.below(found.mutate(n_precedents="precedents")).drop("n_precedents")
        rows = apart.above(named(few, *apart.names).table)
    order = [name for name in texts if name != UNFIT]
    further = [name for name in behind if name not in BEHIND]
    return eliminate_common(rows).select("id", "case_id", "split", *order, *further, "at", "facts", "sources", UNFIT)


def unrenderable(cases: ir.Table, typed: TypedNarrative, record: TypedRecord) -> ir.Table:
    """case_id and reason of the cases with a split that the config cannot tell."""
    rows = _Named(cases, typed, record).table.select("case_id", reason="undone")
    return rows.filter(rows["reason"].notnull())


class _Named:
    """The cases that have a split, with a column `n_<name>` for each name that the templates of one config use, and
    `a_<n>` for each row behind its action. `able`: only those that the config can tell; `more`: columns to keep."""

    def __init__(
        self,
        cases: ir.Table,
        typed: TypedNarrative,
        record: TypedRecord,
        *,
        able: bool = False,
        more: Sequence[str] = (),
    ) -> None:
        self.typed, self.record = typed, record
        phase: Phase = "hindsight" if record.hindsight else "question"
        seen = dict(template_names(cases, typed.cast, typed.case, phase))
        if record.format.needs_outcome:
            seen = {**seen, "outcome": template_names(cases, typed.cast, typed.case, "answer")["outcome"]}
        if "precedents" in cases.columns:
            seen = {**seen, "precedents": cases["precedents"]}
        undone = _undone(cases, record)
        if record.least_tried is not None:
            pair = compare_options(seen["precedents"], seen["outcome"], record.least_tried)
            seen |= {f"option_{side}": getattr(pair, side) for side in ("own", "chosen", "rejected")}
            if record.format.needs_pair:
                undone = undone.coalesce(pair.drop_reason)
        used = {name for slot in record.templates for name in slot.checked.names} - {"option", STORY}
        used |= {f"option_{text.option}" for text in record.texts if text.option}
        roles = {name for name in record.roles if name in typed.cast.roles}
        columns = {f"n_{name}": seen[name] for name in sorted(used | roles)}
        action = _rows_behind_action(cases, typed, record)
        columns |= {f"a_{index}": row for index, (_, row) in enumerate(action)}
        case_values = record.format.case_values(cases, typed.cast, typed.case, seen)
        columns |= {f"c_{name}": value for name, value in case_values.items()}
        kept = cases.filter(cases["split"].notnull())
        table = dialect.materialization_barrier(
            eliminate_common(kept.select("case_id", "at", "split", *more, undone=undone, **columns))
        )
        self.table = dialect.materialization_barrier(table.filter(table["undone"].isnull())) if able else table
        self.kept = ["case_id", "at", "split", "undone"]
        self.columns = [f"n_{name}" for name in sorted(used)]
        self.names = {name: self.table[f"n_{name}"] for name in used | roles}
        self.action = [(role, self.table[f"a_{index}"]) for index, (role, _) in enumerate(action)]
        self.case_values = {name: self.table[f"c_{name}"] for name in case_values}

    def behind(self, versions: ProductVersions, key: bytes) -> dict[str, ir.Value]:
        """Return the columns beside the texts: the format's own, the printed facts and the rows behind them."""
        facts = _facts(self.record, self.names, self.table["case_id"], key)
        return {
            **self.record.format.further_columns(self.case_values, facts),
            "facts": facts,
            "sources": _sources(self.typed, self.record, self.names, self.action, versions),
        }

    def texts(self, key: bytes) -> dict[str, ir.StringValue]:
        """The text of each column that the config tells."""
        return {
            text.name: self._text(self.record.slots[text.slot.name], text.option, key) for text in self.record.texts
        }

    def asks(self, texts: Mapping[str, ir.StringValue], key: bytes) -> dict[str, ir.ArrayValue]:
        """For each column that is told again the messages that its narrator is sent: `ask_<column>`."""
        return {
            f"ask_{column.text.name}": ibis.array(
                [
                    ibis.struct({"role": role, "content": self._text(prompt, column.text.option, key, story)})
                    for role, prompt in column.prompts.items()
                ]
            )
            for column in self.record.rewritten
            for story in (texts[column.text.name],)
        }

    def _text(
        self, slot: TypedTemplate, option: str | None, key: bytes, story: ir.StringValue | None = None
    ) -> ir.StringValue:
        narrative = self.typed.narrative

        def template(name: str) -> Template:
            return parse_template(narrative.templates[name], name, f"{narrative.folder}/{name}")

        names = {**self.names}
        if option:
            names["option"] = self.names[f"option_{option}"]
        if story is not None:
            names[STORY] = story
        # What the data says in a prompt cannot end the fence around it.
        guard = (lambda text: dialect.remove_tag(text, FENCE)) if story is not None else None
        resolved = Resolved(slot.checked.labels, slot.checked.replaced, key, guard)
        return compile_template(template(slot.template), names, self.table["case_id"], template, resolved)


def _unfit(texts: Sequence[ir.StringValue], persons: Sequence[ir.StringValue]) -> ir.StringValue:
    """Why texts cannot stand: a number in them is not exact, one is too long, or, of those in `persons`, one held what
    is personal."""
    inexact = reduce(or_, [text.contains(UNPRINTABLE) for text in texts])
    long = reduce(or_, [text.length() > MAX_OUTPUT for text in texts])
    personal = mark_conditions(persons) if persons else ()
    return ibis.cases((inexact, NOT_EXACT), (long, TOO_LONG), *personal)


def _contents(messages: ir.ArrayValue) -> ir.StringValue:
    return dialect.concat_items(dialect.map_items(messages, lambda message: message["content"]))


def _undone(cases: ir.Table, record: TypedRecord) -> ir.StringValue:
    """Why this config cannot tell a case that others can."""
    dropped = cases["dropped"] if record.hindsight else cases["question_dropped"]
    if not record.format.needs_outcome:
        return dropped
    unanswered = ibis.ifelse(cases["status"] == "judged", ibis.null("string"), cases["status"])
    return ibis.coalesce(dropped, unanswered)


# --- facts: every path that the templates print ---


def _facts(record: TypedRecord, names: Mapping[str, ir.Value], case_id: ir.Value, key: bytes) -> ir.StructValue:
    tree: dict[str, Any] = {}
    for path in sorted(record.prints):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
    if not tree:
        return ibis.struct({"case": ibis.struct({"id": case_id})})
    told = {name: _pruned(names[name], below, key) for name, below in tree.items() if name != "option"}
    if "option" in tree:
        sides = [text.option for text in record.texts if text.option]
        told["option"] = ibis.struct({side: _pruned(names[f"option_{side}"], tree["option"], key) for side in sides})
    return ibis.struct(told)


def _pruned(value: ir.Value, below: Mapping[str, Any], key: bytes) -> ir.Value:
    """Of a value what is printed: all of it, its length (`#`), its pseudonym (`~`), or some of its properties."""
    if not below:
        return value
    if "#" in below and len(below) == 1:
        return value.length().cast("int64")
    if "~" in below:
        return (
            dialect.map_items(value, lambda one: pseudonym(one, key))
            if value.type().is_array()
            else pseudonym(value, key)
        )
    inner = {name: parts for name, parts in below.items() if name != "#"}
    if value.type().is_array():
        return dialect.map_items(value, lambda row: _struct(row, inner, key))
    return ibis.ifelse(value.isnull(), ibis.null(_struct(value, inner, key).type()), _struct(value, inner, key))


def _struct(row: ir.StructValue, below: Mapping[str, Any], key: bytes) -> ir.StructValue:
    return ibis.struct({name: _pruned(row[name], parts, key) for name, parts in below.items()})


# --- sources: the rows behind a record ---


def _sources(
    typed: TypedNarrative,
    record: TypedRecord,
    names: Mapping[str, ir.Value],
    behind: Sequence[tuple[str, ir.Value]],
    versions: ProductVersions,
) -> ir.ArrayValue:
    """product, version and key of the rows of every role that the templates name, of the row behind `outcome.action`
    and of the anchors of printed quotes; each once, by product and key."""
    rows: dict[tuple[str, str], list[ir.Value]] = {}
    for role in record.roles:
        if role in typed.cast.roles:
            rows.setdefault(versions[role], []).append(names[role])
    for role, row in behind:
        rows.setdefault(versions[role], []).append(row)
    keys = {version: [_keys(value) for value in values] for version, values in rows.items()}
    quoting = [names["precedents"][kind] for kind in sorted(_quoting(record, "precedents"))]
    if _quoting(record, "option"):
        quoting += [names[f"option_{text.option}"] for text in record.texts if text.option]
    for options in quoting:
        keys.setdefault(versions[typed.cast.anchor.name], []).append(_quoted(options))
    parts = [_of_product(product, lists) for product, lists in sorted(keys.items())]
    if not parts:
        return ibis.literal([], type="array<struct<product: string, version: string, key: string>>")
    return dialect.concat_lists(parts)


def _keys(value: ir.Value) -> ir.Value:
    return dialect.map_items(value, lambda row: row[KEY]) if value.type().is_array() else value[KEY]


def _quoted(options: ir.Value) -> ir.ArrayValue:
    if not options.type().is_array():
        return dialect.map_items(options["quoted"], lambda row: row["id"])
    return dialect.map_items(
        options, lambda option: dialect.map_items(option["quoted"], lambda row: row["id"])
    ).flatten()


def _of_product(version: tuple[str, str], keys: Sequence[ir.Value]) -> ir.ArrayValue:
    """The rows of one product, each key once and in order: only the keys are sorted, not all that stands with them."""
    product, digest = (ibis.literal(text) for text in version)

    def source(key: ir.Value) -> ir.StructValue:
        return ibis.struct({"product": product, "version": digest, "key": key})

    first = keys[0]
    if len(keys) == 1 and not first.type().is_array():
        alone = ibis.array([source(first)])
        return ibis.ifelse(first.isnull(), ibis.literal([], type=alone.type()), alone)
    lists = [key if key.type().is_array() else ibis.array([key]) for key in keys]
    joined = dialect.concat_lists(lists) if len(lists) > 1 else lists[0]
    return dialect.map_items(dialect.distinct_items(joined), source)


def _rows_behind_action(cases: ir.Table, typed: TypedNarrative, record: TypedRecord) -> list[tuple[str, ir.Value]]:
    tells = record.format.needs_outcome or any(path[0] == "outcome" for path in record.prints)
    if not tells and not (record.format.shows_outcome and typed.case.outcome):
        return []
    hindsight = template_names(cases, typed.cast, typed.case, "hindsight")
    return list(rows_behind(typed.case.outcome["action"].expression, typed.case, typed.cast, hindsight))


def _quoting(record: TypedRecord, root: str) -> set[str]:
    return {path[1] for path in record.prints if path[0] == root and "quoted" in path}


def rows_behind(
    expression: Expression, typed_case: TypedCase, cast: Cast, names: Mapping[str, ir.Value]
) -> Iterator[tuple[str, ir.Value]]:
    """The rows whose properties an expression reads, as (role, row), facts followed to their own expressions."""
    scope = typed_case.scopes["hindsight"]
    match expression:
        case ast.Attribute():
            try:
                found = check_expression(expression.base, scope).value.type
            except DefinitionErrors:
                return
            if isinstance(found, Struct) and found.origin is not None and found.origin in cast.roles:
                yield found.origin, compile_expression(expression.base, names, {})
            else:
                yield from rows_behind(expression.base, typed_case, cast, names)
        case ast.Name() if expression.name in typed_case.facts:
            yield from rows_behind(typed_case.facts[expression.name].expression, typed_case, cast, names)
        case ast.Name() if expression.name in cast.roles:
            yield expression.name, names[expression.name]
        case _:
            for part in vars(expression).values():
                for inner in part if isinstance(part, tuple) else (part,):
                    if isinstance(inner, Expression):
                        yield from rows_behind(inner, typed_case, cast, names)


# --- the interpreter's words ---


def render_rows(
    batches: Iterator[pa.RecordBatch],
    record: TypedRecord,
    interpreters: Mapping[str, Interpreter],
    drops: MutableMapping[str, str],
) -> Iterator[dict[str, Any]]:
    """The records of the rows that `record_inputs` returns, by one interpreter per slot.

    The reason for which a case has none goes into `drops`, by case id.
    """
    for batch in batches:
        for row in batch.to_pylist():
            names = as_value({name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")})
            words = row["undone"] or _words(record, names, row["case_id"], interpreters)
            if not isinstance(words, str):
                words = mark_reason(words, row.get("facts")) or words
            if isinstance(words, str):
                drops[row["case_id"]] = words
                continue
            beside = ("case_id", "split", *(name for name in record.format.columns if name in row), "at", *BEHIND)
            texts = record.format.assemble_row(words)
            yield {"id": f"{record.config}/{row['case_id']}", **texts, **{name: row[name] for name in beside}}


def _words(
    record: TypedRecord, names: Mapping[str, Any], case_id: str, interpreters: Mapping[str, Interpreter]
) -> dict[str, str] | str:
    """The text of each column of one case, or the reason why it cannot be told."""
    try:
        return {
            text.name: interpreters[text.slot.name].render(
                record.slots[text.slot.name].template,
                case_id,
                {**names, "option": names[f"option_{text.option}"]} if text.option else names,
            )
            for text in record.texts
        }
    except TooLarge:
        return TOO_LONG
    except NotInLanguage:
        return NOT_EXACT
