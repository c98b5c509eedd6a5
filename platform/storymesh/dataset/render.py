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

from storymesh.case.precedent import add_precedents
from storymesh.case.preference import compare_options
from storymesh.case.scopes import Phase
from storymesh.case.visibility import template_names
from storymesh.dataset.build import ProductVersions
from storymesh.dataset.evaluation_cases import asked_option, evaluation_values, undrawn_reason
from storymesh.dataset.personal_data import mark_conditions, mark_reason
from storymesh.dataset.record_sources import action_rows, printed_facts, quoted_keys, source_rows, unprinted_values
from storymesh.engine import dialect
from storymesh.engine.cse import HoistedExpressions, eliminate_common
from storymesh.engine.dialect import UNPRINTABLE
from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.bounds import MAX_CHARACTERS, MAX_STEPS
from storymesh.language.compile.cost import evaluate_polynomial
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.compile.templates import compile_template
from storymesh.language.evaluate import MAX_OUTPUT
from storymesh.language.interpret import Interpreter, as_value
from storymesh.llm.fences import FENCE
from storymesh.narrative.conditions import NOT_SELECTED
from storymesh.narrative.formats.format import TextColumn
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import STORY, TypedRecord
from storymesh.narrative.typed_template import TypedTemplate
from storymesh.rewriting.prompt import STORY_MARK

SOURCE_COLUMNS = ("facts", "sources")  # the columns that say what a record is made from
UNPRINTED = "unprinted"  # the column with what decided the texts and stands in none, where there is such
UNFIT = "unfit"  # the column that says why a rendered record must drop, or null
BUILD_COLUMNS = (UNPRINTED, UNFIT)  # the columns of rendered records that no release has
UNRENDERABLE = "unrenderable"  # the column that says why a config has no record of a case, or null
WITHHELD_VALUE = "withheld: nothing is to be known of its value"
NOT_EXACT = "a number is not finite or too large to print exactly"
TOO_MANY_STEPS = f"a text takes more than {MAX_STEPS:,} steps"
TOO_MANY_CHARACTERS = f"the texts on the way to one can grow past {MAX_CHARACTERS // 1024:,} KiB"
TOO_LONG = f"a text is longer than {MAX_OUTPUT // 1024} KiB"


def record_inputs(
    cases: ir.Table, typed: TypedNarrative, record: TypedRecord, versions: ProductVersions, key: bytes
) -> ir.Table:
    """Return what one config needs of each case that has a split, one row per case.

    The columns are case_id, at, split, `unrenderable` (a reason or null), those beside the texts and `n_<name>` for
    each name that the templates use. `cases` are the written cases with split and precedents.
    """
    inputs = _RecordInputs(cases, typed, record)
    others = dialect.name_columns(inputs.other_columns(versions, key))
    return eliminate_common(inputs.table.select(*inputs.kept, *inputs.columns, **others))


def render_records(
    cases: ir.Table,
    precedents: ir.Table | None,
    typed: TypedNarrative,
    record: TypedRecord,
    versions: ProductVersions,
    key: bytes,
) -> ir.Table:
    """Return the records of the cases that the config can render, with the columns of its format.

    `cases` are the written cases with split and rank, `precedents` those of each probe. Text that depends on precedents
    alone is rendered once per probe. Behind those of the format stand BUILD_COLUMNS: a record with a reason in `unfit`
    must drop.
    """

    def inputs_with(probes: ir.Table | None, *more: str) -> _RecordInputs:
        joined = cases if probes is None else add_precedents(cases, probes)
        return _RecordInputs(joined, typed, record, renderable_only=True, more=more)

    inputs = inputs_with(precedents)
    texts = inputs.texts(key)
    prompts = inputs.prompts(texts, key)
    others = inputs.other_columns(versions, key)
    every_text = [*texts.values(), *map(_message_texts, prompts.values())]
    searched = [*every_text, others["facts"].cast("string")] if typed.narrative.dataset.personal == "refuse" else []
    columns = {**record.format.assemble(texts), **prompts, UNFIT: _unfit_reason(every_text, searched)}
    id_ = ibis.literal(f"{record.config}/").concat(inputs.table["case_id"])
    rows = inputs.table.select("case_id", "split", "at", id=id_, **dialect.name_columns({**columns, **others}))
    if precedents is not None and "n_precedents" in inputs.columns:
        hoisted = HoistedExpressions(rows, ["n_precedents"])
        if hoisted.names:
            probes = hoisted.below(precedents.mutate(n_precedents="precedents")).drop("n_precedents")
            rows = hoisted.above(inputs_with(probes, *hoisted.names).table)
    order = [name for name in columns if name != UNFIT]
    further = [name for name in others if name not in (*SOURCE_COLUMNS, UNPRINTED)]
    build_columns = [name for name in BUILD_COLUMNS if name in rows.columns]
    columns_in_order = ("id", "case_id", "split", *order, *further, "at", *SOURCE_COLUMNS, *build_columns)
    return eliminate_common(rows).select(*columns_in_order)


def template_inputs(cases: ir.Table, typed: TypedNarrative, record: TypedRecord) -> ir.Table:
    """Return case_id and `n_<name>` for each name that the templates of a config use, of the cases that it renders."""
    inputs = _RecordInputs(cases, typed, record, renderable_only=True)
    return inputs.table.select("case_id", *inputs.columns)


def unrenderable(
    cases: ir.Table, typed: TypedNarrative, record: TypedRecord, *, whatever_it_costs: bool = False
) -> ir.Table:
    """Return case_id and reason of the cases with a split that the config cannot render; with `whatever_it_costs`,
    without those of which the texts alone could cost too much, which takes all that these read to say."""
    inputs = _RecordInputs(cases, typed, record, bounded=not whatever_it_costs)
    rows = inputs.table.select("case_id", reason=UNRENDERABLE)
    return rows.filter(rows["reason"].notnull())


class _RecordInputs:
    """The cases that have a split, with a column `n_<name>` for each name that the templates of one config use,
    `a_<n>` for each row behind its action and `c_<name>` for each value that its format takes from the case.

    With `renderable_only`, only the cases that the config can render. Without `bounded`, also those whose texts could
    cost too much. `more` are further columns to keep.
    """

    def __init__(
        self,
        cases: ir.Table,
        typed: TypedNarrative,
        record: TypedRecord,
        *,
        renderable_only: bool = False,
        bounded: bool = True,
        more: Sequence[str] = (),
    ) -> None:
        self.typed, self.record = typed, record
        phase: Phase = "hindsight" if record.hindsight else "question"
        visible = dict(template_names(cases, typed.cast, typed.case, phase))
        if record.format.needs_outcome:
            visible = {**visible, "outcome": template_names(cases, typed.cast, typed.case, "answer")["outcome"]}
        if "precedents" in cases.columns:
            visible = {**visible, "precedents": cases["precedents"]}
        reason = _unrenderable_reason(cases, record).coalesce(_unselected_reason(cases, record, visible))
        if record.least_tried is not None:
            pair = compare_options(visible["precedents"], visible["outcome"], record.least_tried)
            visible |= {f"option_{side}": getattr(pair, side) for side in ("own", "chosen", "rejected")}
            if record.evaluation is not None:
                visible["option_asked"] = asked_option(visible, cases["case_id"], record.evaluation)
                reason = reason.coalesce(undrawn_reason(cases, record.evaluation))
            if record.format.needs_pair:
                reason = reason.coalesce(pair.drop_reason)
        used = {name for slot in record.templates for name in slot.checked.names} - {"option", STORY}
        used |= {f"option_{text.option}" for text in record.texts if text.option}
        roles = {name for name in record.roles if name in typed.cast.roles}
        columns = {f"n_{name}": visible[name] for name in sorted(used | roles)}
        action = action_rows(cases, typed, record)
        columns |= {f"a_{index}": row for index, (_, row) in enumerate(action)}
        case_values = record.format.case_values(cases, typed.cast, typed.case, visible)
        if record.evaluation is not None:
            case_values |= evaluation_values(visible, cases, record.evaluation)
        columns |= {f"c_{name}": value for name, value in case_values.items()}
        placed = cases.filter(cases["split"].notnull())
        columns = dialect.name_columns({UNRENDERABLE: reason, **columns})
        selected = placed.select("case_id", "at", "split", *more, **columns)
        table = dialect.materialization_barrier(eliminate_common(selected))
        if bounded and (cost := _cost_reason(table, record)) is not None:
            table = dialect.materialization_barrier(table.mutate(**{UNRENDERABLE: table[UNRENDERABLE].coalesce(cost)}))
        if renderable_only:
            table = dialect.materialization_barrier(table.filter(table[UNRENDERABLE].isnull()))
        self.table = table
        self.kept = ["case_id", "at", "split", UNRENDERABLE]
        self.columns = [f"n_{name}" for name in sorted(used)]
        self.names = {name: table[f"n_{name}"] for name in used | roles}
        self.action = [(role, table[f"a_{index}"]) for index, (role, _) in enumerate(action)]
        self.case_values = {name: table[f"c_{name}"] for name in case_values}

    def other_columns(self, versions: ProductVersions, key: bytes) -> dict[str, ir.Value]:
        """Return the columns beside the texts: the format's own, the printed facts, the rows behind them, and what else
        the templates read, if anything."""
        facts = printed_facts(self.record, self.names, self.table["case_id"], key)
        unprinted = unprinted_values(self.record, self.names)
        return {
            **self.record.format.further_columns(self.case_values, facts),
            "facts": facts,
            "sources": source_rows(self.typed, self.record, self.names, self.action, self._quoted(key), versions),
            **({UNPRINTED: unprinted} if unprinted is not None else {}),
        }

    def texts(self, key: bytes) -> dict[str, ir.StringValue]:
        """Return column -> text, as the templates of the config render it."""
        return {text.name: self._text(self.record.slots[text.slot.name], text, key) for text in self.record.texts}

    def prompts(self, texts: Mapping[str, ir.StringValue], key: bytes) -> dict[str, ir.ArrayValue]:
        """Return `ask_<column>` -> the messages to the language model that rewrites the column."""
        return {
            f"ask_{column.text.name}": ibis.array(
                [
                    ibis.struct({"role": role, "content": self._text(prompt, column.text, key, prompt=True)})
                    for role, prompt in column.prompts.items()
                ]
            )
            for column in self.record.rewritten
        }

    def _quoted(self, key: bytes) -> list[ir.ArrayValue]:
        """Return the ids of the quoted cases that each template of the config prints."""
        quoted: list[ir.ArrayValue | None] = []
        for text in self.record.texts:
            slot = self.record.slots[text.slot.name]
            quoted.append(self._quoted_by(slot, text, self._names_seen(text.option), key))
            for column in self.record.rewritten:
                if column.text is text:
                    names = self._names_seen(text.option, prompt=True)
                    quoted += [self._quoted_by(prompt, text, names, key) for prompt in column.prompts.values()]
        return [keys for keys in quoted if keys is not None]

    def _quoted_by(
        self, template: TypedTemplate, text: TextColumn, names: Mapping[str, ir.Value], key: bytes
    ) -> ir.ArrayValue | None:
        return quoted_keys(template.checked.tree, names, text.draw_id(self.table["case_id"]), key)

    def _names_seen(self, option: str | None, *, prompt: bool = False) -> dict[str, ir.Value]:
        """Return the values of the names that one template sees. In a prompt a mark stands for the text to rewrite,
        which takes its place with its values as pieces (`rewriting.prompt`)."""
        names = {**self.names}
        if option:
            names["option"] = self.names[f"option_{option}"]
        if prompt:
            names[STORY] = ibis.literal(STORY_MARK)
        return names

    def _text(self, template: TypedTemplate, text: TextColumn, key: bytes, *, prompt: bool = False) -> ir.StringValue:
        """Return what a template makes of one text's names, `prompt` if it is that of a prompt to rewrite the text."""
        names = self._names_seen(text.option, prompt=prompt)
        # What the data says in a prompt must not end the fence around it.
        guard = (lambda printed: dialect.remove_tag(printed, FENCE)) if prompt else None
        return compile_template(template.checked.tree, names, text.draw_id(self.table["case_id"]), key, guard)


def _cost_reason(table: ir.Table, record: TypedRecord) -> ir.StringValue | None:
    """Return why rendering a case could cost too much, by the names that its templates use; None where none can."""
    sides: dict[str, list[ir.Value]] = {}
    for column in table.columns:
        if column.startswith("n_"):
            name = "option" if column.startswith("n_option_") else column.removeprefix("n_")
            sides.setdefault(name, []).append(table[column])
    names = {name: tuple(values) for name, values in sides.items()}
    reasons: list[tuple[ir.BooleanValue, str]] = []
    for cost in (template.cost for template in record.templates):
        if cost.bounds_steps:
            reasons.append((evaluate_polynomial(cost.steps, names) > float(MAX_STEPS), TOO_MANY_STEPS))
        if cost.bounds_characters:
            characters = evaluate_polynomial(cost.characters, names)
            reasons.append((characters > float(MAX_CHARACTERS), TOO_MANY_CHARACTERS))
    return ibis.cases(*reasons, else_=ibis.null("string")) if reasons else None


def _unrenderable_reason(cases: ir.Table, record: TypedRecord) -> ir.StringValue:
    """Return why this config cannot render a case although others can, or null."""
    dropped = cases["dropped"] if record.hindsight else cases["question_dropped"]
    reasons = [dropped]
    if record.format.needs_outcome:
        reasons.append(ibis.ifelse(cases["status"] == "judged", ibis.null("string"), cases["status"]))
    tells = (record.hindsight or record.format.shows_outcome) and record.evaluation is None
    if tells and "precedents" in cases.columns:
        # Where nothing is to be known of a value, no text and no label tells how its cases went.
        unseen = cases["precedents"]["unseen"].fill_null(False)
        reasons.append(ibis.ifelse(unseen, WITHHELD_VALUE, ibis.null("string")))
    return ibis.coalesce(*reasons)


def _unselected_reason(cases: ir.Table, record: TypedRecord, visible: Mapping[str, ir.Value]) -> ir.StringValue:
    """Return NOT_SELECTED where a condition of the config does not hold, else null. `visible` are the names that its
    templates see; a condition sees all of the outcome."""
    names = {**visible, "outcome": cases["outcome"]} if "outcome" in cases.columns else visible
    held = [compile_expression(condition.tree, names).fill_null(False) for condition in record.conditions]
    unselected = [(~condition, NOT_SELECTED) for condition in held]
    return ibis.cases(*unselected, else_=ibis.null("string")) if unselected else ibis.null("string")


def _unfit_reason(texts: Sequence[ir.StringValue], searched: Sequence[ir.StringValue]) -> ir.StringValue:
    """Return the drop reason of the texts, or null: inexact number, over-long, or personal data in `searched`."""
    inexact = reduce(or_, [text.contains(UNPRINTABLE) for text in texts])
    long = reduce(or_, [text.length() > MAX_OUTPUT for text in texts])
    personal = mark_conditions(searched) if searched else ()
    return ibis.cases((inexact, NOT_EXACT), (long, TOO_LONG), *personal)


def _message_texts(messages: ir.ArrayValue) -> ir.StringValue:
    return dialect.concat_items(dialect.map_items(messages, lambda message: message["content"]))


def render_rows(
    batches: Iterator[pa.RecordBatch],
    record: TypedRecord,
    interpreters: Mapping[str, Interpreter],
    drops: MutableMapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Yield the records of the rows that `record_inputs` returns, by one interpreter per slot.

    The reason for which a case has no record is added to `drops`, by case id.
    """
    for batch in batches:
        for row in batch.to_pylist():
            names = as_value({name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")})
            texts: dict[str, str] = {}
            reason = row[UNRENDERABLE]
            if reason is None:
                texts, reason = _interpret_texts(record, names, row["case_id"], interpreters)
            if reason is None:
                reason = mark_reason(texts, row.get("facts"))
            if reason is not None:
                drops[row["case_id"]] = reason
                continue
            further = [name for name in record.format.columns if name in row]
            others = ("case_id", "split", *further, "at", *SOURCE_COLUMNS)
            assembled = record.format.assemble_row(texts)
            yield {"id": f"{record.config}/{row['case_id']}", **assembled, **{name: row[name] for name in others}}


def _interpret_texts(
    record: TypedRecord, names: Mapping[str, Any], case_id: str, interpreters: Mapping[str, Interpreter]
) -> tuple[dict[str, str], str | None]:
    """Return the text of each column of one case, or the reason why it must drop."""
    try:
        texts = {
            text.name: interpreters[text.slot.name].render(
                text.draw_id(case_id),
                {**names, "option": names[f"option_{text.option}"]} if text.option else names,
            )
            for text in record.texts
        }
    except TooLarge:
        return {}, TOO_LONG
    except NotInLanguage:
        return {}, NOT_EXACT
    return texts, None
