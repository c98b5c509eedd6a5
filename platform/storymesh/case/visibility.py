"""What each view of time sees of a linked case, in the data: names of the language as columns of the engine.

A question's rows are those that were known at `case.at`, its values those that were; what was not is absent or null
here, before any template is looked at, so that no template can print it.
"""

from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.case.link import KNOWN, latest, moment, rows_asked, rows_told
from storymesh.case.resolve import Cast, Role
from storymesh.case.scopes import SCORE, Formula, Phase, Views
from storymesh.engine import dialect
from storymesh.engine.cse import eliminate_common
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.typecheck.static_values import Path
from storymesh.language.types import Array, Struct, Type


def rows_seen(linked: ir.Table, cast: Cast, phase: Phase) -> dict[str, ir.Value]:
    """Role -> what the phase sees of it: a row or null for `one` and `optional`, a list of rows for the others."""
    return {role.name: _seen(linked, cast, role, phase) for role in cast.roles.values()}


def with_facts(linked: ir.Table, cast: Cast, views: Views) -> ir.Table:
    """The linked cases with facts in both views, outcome, status and what precedents need.

    Adds `hindsight` and `question` (structs of facts, where there are any), `outcome` (struct of action, score, worked;
    null unless judged), `status` (open, unjudged, judged, or closed where there is no outcome), `known` (when a judged
    case was wholly known) and `fact_known` (when each fact was known, for facts that the outcome does not answer for).
    """
    hindsight = rows_seen(linked, cast, "hindsight") | {"case": case_row(linked, hindsight=True)}
    question = rows_seen(linked, cast, "question") | {"case": case_row(linked, hindsight=False)}
    told: dict[str, ir.Value] = {}
    asked: dict[str, ir.Value] = {}
    for name, fact in views.facts.items():
        labels = fact.checked.labels
        told[name] = hindsight[name] = compile_expression(fact.expression, hindsight, labels)
        if name not in views.hidden_facts:
            asked[name] = question[name] = compile_expression(fact.expression, question, labels)
    columns: dict[str, ir.Value] = {}
    if told:
        columns["hindsight"] = ibis.struct(told)
    if asked:
        columns["question"] = ibis.struct(asked)
    matched = {
        formula.name: compile_expression(formula.expression, question, formula.checked.labels)
        for level in views.match
        for formula in level
    }
    if matched:
        columns["match"] = ibis.struct(matched)
    closes = linked["closes"]
    if not views.outcome:
        status = ibis.ifelse(closes.isnull(), "open", "closed") if cast.closes else ibis.literal("closed")
        return eliminate_common(linked.mutate(**columns, status=status))
    made = {
        name: compile_expression(formula.expression, hindsight, formula.checked.labels)
        for name, formula in views.outcome.items()
    }
    made["score"] = _score(made["score"])
    judged = closes.notnull() & made["action"].notnull() & made["score"].notnull() & made["worked"].notnull()
    reads = frozenset(path for formula in views.outcome.values() for path in _reads(formula, cast, views))
    known = latest([linked["at"], closes, *_known(linked, cast, sorted(reads))])
    return eliminate_common(
        linked.mutate(
            **columns,
            outcome=ibis.ifelse(judged, ibis.struct(made), ibis.null(ibis.struct(made).type())),
            status=ibis.cases((closes.isnull(), "open"), (judged, "judged"), else_="unjudged"),
            known=ibis.ifelse(judged, known, ibis.null("timestamp(6)")),
            **_facts_known(linked, cast, views, told, reads),
        )
    )


def case_row(linked: ir.Table, *, hindsight: bool) -> ir.StructValue:
    fields = {"id": linked["case_id"], "at": linked["at"]}
    return ibis.struct(fields | ({"closes": linked["closes"]} if hindsight else {}))


def _seen(linked: ir.Table, cast: Cast, role: Role, phase: Phase) -> ir.Value:
    value = linked[role.column]
    if phase == "hindsight":
        rows = rows_told(role, value) if role.listed else value
        return _only(rows) if role.listed and role.single else rows
    at = linked["at"]

    def masked(row: ir.StructValue) -> ir.StructValue:
        names = row.type().names
        hidden = [name for name in names if _may_be_unknown(cast, role, name)]
        if not hidden:
            return row
        return ibis.struct({name: _mask(cast, role, row, name, at) if name in hidden else row[name] for name in names})

    nothing = ibis.null(value.type().value_type if role.listed else value.type())
    if role.listed:
        known = rows_asked(role, value, at)
        if role.single:
            first = _only(known)
            return ibis.ifelse(first.isnull(), nothing, masked(first))
        return dialect.map_items(known, masked)
    seen = value.notnull() & (value[KNOWN] <= at).fill_null(False) if role.may_be_unknown else value.notnull()
    return ibis.ifelse(seen, masked(value), nothing)


def _only(rows: ir.ArrayValue) -> ir.StructValue:
    """The row of a `one` or `optional`; where it met several, which drops the case from this view, it has none."""
    first = dialect.item_at(rows, 0)
    return ibis.ifelse(rows.length() == 1, first, ibis.null(first.type()))


def _may_be_unknown(cast: Cast, role: Role, name: str) -> bool:
    if name not in role.contract.properties:
        return False
    return cast.never_known(role, name) or not cast.known_with_row(role, name)


def _mask(cast: Cast, role: Role, row: ir.StructValue, name: str, at: ir.TimestampValue) -> ir.Value:
    nothing = ibis.null(row[name].type())
    if cast.never_known(role, name):
        return nothing
    known = role.known_at_of(name) or role.contract.event_time
    assert known is not None
    return ibis.ifelse((moment(row[known]) <= at).fill_null(False), row[name], nothing)


def _known(linked: ir.Table, cast: Cast, paths: Iterable[Path]) -> list[ir.TimestampValue]:
    """For each path, the moment from which its value was known; null when that was never."""
    found: dict[tuple[str, str | None], ir.TimestampValue] = {}
    for path in paths:
        role = cast.roles.get(path[0])
        if role is None:
            continue
        column = path[1] if len(path) > 1 and path[1] in role.contract.properties else None
        own = role.known_at_of(column) if column else None
        if role.link is None and own is None:
            own = role.contract.event_time
        if (role.name, own) in found:
            continue
        value, at = linked[role.column], linked["at"]
        if role.listed:
            value = rows_told(role, value)

        def of_row(row: ir.StructValue, own: str | None = own) -> ir.TimestampValue:
            return latest([row[KNOWN], moment(row[own])]) if own else row[KNOWN]

        if role.listed:
            moments = dialect.map_items(value, of_row)
            unknown = dialect.filter_items(moments, lambda when: when.isnull()).length() > 0
            last = moments.maxs().coalesce(at)
            found[role.name, own] = ibis.ifelse(unknown, ibis.null("timestamp(6)"), last)
        else:
            found[role.name, own] = ibis.ifelse(value.isnull(), at, of_row(value))
    return list(found.values())


def _facts_known(
    linked: ir.Table, cast: Cast, views: Views, told: Mapping[str, ir.Value], answered: frozenset[Path]
) -> dict[str, ir.Value]:
    """For each fact that reads more than the outcome does, the moment from which it was known.

    Of a fact that is a row, that of the row as `_row`, and that of each value with a knownAt of its own.
    """
    moments: dict[str, ir.Value] = {}
    for name, fact in views.facts.items():
        kind = fact.checked.value.type
        reads = _reads(fact, cast, views)
        if isinstance(kind, Array):
            reads |= _values_of(kind.item.type, told[name].type().value_type, cast)
        own = [path[1] for path in sorted(_values_of(kind, told[name].type(), cast))]
        if not own and reads <= answered:
            continue
        known = latest([linked["at"], *_known(linked, cast, sorted(reads))])
        if own:
            assert isinstance(kind, Struct) and kind.origin is not None
            role, value = cast.roles[kind.origin], told[name]
            values = {column: latest([known, moment(value[role.known_at_of(column)])]) for column in own}
            moments[name] = ibis.struct({KNOWN: known, **values})
        else:
            moments[name] = known
    return {"fact_known": ibis.struct(moments)} if moments else {}


def _reads(formula: Formula, cast: Cast, views: Views) -> set[Path]:
    """The paths that a formula reads, and the roles of which it reads no more than which rows there are."""
    paths = {path for read in formula.checked.reads for path in views.spread(read)}
    valued = {path[0] for path in paths}
    for name in formula.checked.names:
        if name in views.facts:
            paths |= {path for path in _reads(views.facts[name], cast, views) if len(path) == 1}
        elif name in cast.roles and name not in valued:
            paths.add((name,))
    return paths


def _values_of(kind: Type, row: dt.DataType, cast: Cast) -> set[Path]:
    """The values with a knownAt of their own in a row of a role, as far as the row carries them."""
    if not isinstance(kind, Struct) or kind.origin is None or kind.origin not in cast.roles:
        return set()
    role = cast.roles[kind.origin]
    return {(role.name, column) for column in kind.fields if column in row.names and role.known_at_of(column)}


def _score(score: ir.NumericValue) -> ir.NumericValue:
    kind = score.type()
    if kind.is_integer():
        return score.cast("int64")
    if isinstance(kind, dt.Decimal):
        return score
    exact = score.abs() < 1e18  # false for what is not finite, too
    nothing = ibis.null(dt.Decimal(SCORE.precision, SCORE.scale))
    safe = ibis.ifelse(exact, score, ibis.null("float64"))
    return ibis.ifelse(exact, safe.cast(dt.Decimal(SCORE.precision, SCORE.scale)), nothing)


def names_in(linked: ir.Table, cast: Cast, views: Views, phase: Phase) -> Mapping[str, ir.Value]:
    """Every name that a template of this phase may use, over the written cases; without precedents."""
    names = rows_seen(linked, cast, "hindsight" if phase == "hindsight" else "question")
    names["case"] = case_row(linked, hindsight=phase == "hindsight")
    facts = "hindsight" if phase == "hindsight" else "question"
    if facts in linked.columns:
        for name in linked[facts].type().names:
            names[name] = linked[facts][name]
    if views.outcome and phase != "question":
        outcome = linked["outcome"]
        if phase == "answer":
            outcome = ibis.struct({"action": outcome["action"], "worked": outcome["worked"]})
        names["outcome"] = outcome
    return names
