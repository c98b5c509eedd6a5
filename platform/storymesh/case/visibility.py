"""The view of a linked case in each phase: the names that a template may use, as expressions over the cases.

A question sees the rows and values that were known at `case.at`. What was not known is absent or null here, before any
template is compiled, so that no template can print it.
"""

from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.case.link import KNOWN, latest_or_null, rows_at_question, rows_in_hindsight, to_timestamp
from storymesh.case.resolve import Cast, Role
from storymesh.case.scopes import SCORE, Formula, Phase, TypedCase
from storymesh.engine import dialect
from storymesh.engine.cse import eliminate_common
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.static_values import Path
from storymesh.language.types import Array, Decimal, Struct, Type


def visible_rows(linked: ir.Table, cast: Cast, phase: Phase) -> dict[str, ir.Value]:
    """Return what a phase sees of each role: a row or null for `one` and `optional`, a list of rows for the others."""
    return {role.name: _visible(linked, cast, role, phase) for role in cast.roles.values()}


def add_facts(linked: ir.Table, cast: Cast, typed_case: TypedCase) -> ir.Table:
    """Return the linked cases with facts as of both moments, outcome, status and what precedents need.

    Adds `hindsight` and `question` (structs of facts, where there are any), `outcome` (struct of action, score, worked;
    null unless judged), `status` (open, unjudged, judged, or closed where there is no outcome), `known` (when a judged
    case was wholly known) and `fact_known` (when each fact was known, for facts that the outcome does not answer for).
    """
    hindsight = visible_rows(linked, cast, "hindsight") | {"case": case_row(linked, hindsight=True)}
    question = visible_rows(linked, cast, "question") | {"case": case_row(linked, hindsight=False)}
    hindsight_facts: dict[str, ir.Value] = {}
    question_facts: dict[str, ir.Value] = {}
    for name, fact in typed_case.facts.items():
        hindsight[name] = compile_expression(fact.expression, hindsight)
        hindsight_facts[name] = _written(hindsight[name], fact)
        if name not in typed_case.hidden_facts:
            question[name] = compile_expression(fact.expression, question)
            question_facts[name] = _written(question[name], fact)
    columns: dict[str, ir.Value] = {}
    if hindsight_facts:
        columns["hindsight"] = ibis.struct(hindsight_facts)
    if question_facts:
        columns["question"] = ibis.struct(question_facts)
    matched = {
        formula.name: _written(compile_expression(formula.expression, question), formula)
        for level in typed_case.match
        for formula in level
    }
    if matched:
        columns["match"] = ibis.struct(matched)
    closes = linked["closes"]
    if not typed_case.outcome:
        status = ibis.ifelse(closes.isnull(), "open", "closed") if cast.closes else ibis.literal("closed")
        return eliminate_common(linked.mutate(**dialect.name_columns(columns), status=status))
    outcome = {
        name: _written(compile_expression(formula.expression, hindsight), formula)
        for name, formula in typed_case.outcome.items()
    }
    outcome["score"] = _score(outcome["score"])
    judged = closes.notnull() & outcome["action"].notnull() & outcome["score"].notnull() & outcome["worked"].notnull()
    reads = frozenset(path for formula in typed_case.outcome.values() for path in _reads(formula, cast, typed_case))
    known = latest_or_null([linked["at"], closes, *_known_moments(linked, cast, sorted(reads))])
    columns |= {
        "outcome": ibis.ifelse(judged, ibis.struct(outcome), ibis.null(ibis.struct(outcome).type())),
        "status": ibis.cases((closes.isnull(), "open"), (judged, "judged"), else_="unjudged"),
        "known": ibis.ifelse(judged, known, ibis.null("timestamp(6)")),
        **_facts_known(linked, cast, typed_case, hindsight_facts, reads),
    }
    return eliminate_common(linked.mutate(**dialect.name_columns(columns)))


def _written(value: ir.Value, formula: Formula) -> ir.Value:
    """Return a value with the type that the checker gives it: a decimal that is computed has the digits it needs."""
    kind = formula.checked.value.type
    if isinstance(kind, Decimal) and isinstance(value.type(), dt.Decimal):
        return value.cast(dt.Decimal(kind.precision, kind.scale))
    return value


def case_row(linked: ir.Table, *, hindsight: bool) -> ir.StructValue:
    """Return what templates see as `case`."""
    fields = {"id": linked["case_id"], "at": linked["at"]}
    return ibis.struct(fields | ({"closes": linked["closes"]} if hindsight else {}))


def _visible(linked: ir.Table, cast: Cast, role: Role, phase: Phase) -> ir.Value:
    value = linked[role.column]
    if phase == "hindsight":
        rows = rows_in_hindsight(role, value) if role.listed else value
        return _only(rows) if role.listed and role.single else rows
    at = linked["at"]
    kind = value.type().value_type if role.listed else value.type()
    hidden = [name for name in kind.names if _may_be_unknown(cast, role, name)]
    null = ibis.null(kind)

    def masked(row: ir.StructValue) -> ir.StructValue:
        if not hidden:
            return row
        return ibis.struct(
            {name: _mask(cast, role, row, name, at) if name in hidden else row[name] for name in kind.names}
        )

    if role.listed:
        known = rows_at_question(role, value, at)
        if role.single:
            first = _only(known)
            return ibis.ifelse(first.isnull(), null, masked(first))
        return dialect.map_items(known, masked) if hidden else known
    if role.link is None:
        return masked(value)  # a case always has its anchor
    if not (role.may_be_unknown or hidden):
        return value
    seen = value.notnull() & (value[KNOWN] <= at).fill_null(False) if role.may_be_unknown else value.notnull()
    return ibis.ifelse(seen, masked(value), null)


def _only(rows: ir.ArrayValue) -> ir.StructValue:
    """Return the row of a `one` or `optional`; null where there are several, which drops the case from this phase."""
    first = dialect.item_at(rows, 0)
    return ibis.ifelse(rows.length() == 1, first, ibis.null(first.type()))


def _may_be_unknown(cast: Cast, role: Role, name: str) -> bool:
    if name not in role.contract.properties:
        return False
    return cast.never_known(role, name) or not cast.known_with_row(role, name)


def _mask(cast: Cast, role: Role, row: ir.StructValue, name: str, at: ir.TimestampValue) -> ir.Value:
    null = ibis.null(row[name].type())
    if cast.never_known(role, name):
        return null
    known = role.known_at_of(name) or role.contract.event_time
    assert known is not None
    return ibis.ifelse((to_timestamp(row[known]) <= at).fill_null(False), row[name], null)


def _known_moments(linked: ir.Table, cast: Cast, paths: Iterable[Path]) -> list[ir.TimestampValue]:
    """Return for each path the moment from which its value was known; null if it never was."""
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
            value = rows_in_hindsight(role, value)

        def of_row(row: ir.StructValue, own: str | None = own) -> ir.TimestampValue:
            return latest_or_null([row[KNOWN], to_timestamp(row[own])]) if own else row[KNOWN]

        if role.listed:
            moments = dialect.map_items(value, of_row)
            unknown = dialect.filter_items(moments, lambda when: when.isnull()).length() > 0
            last = moments.maxs().coalesce(at)
            found[role.name, own] = ibis.ifelse(unknown, ibis.null("timestamp(6)"), last)
        else:
            found[role.name, own] = ibis.ifelse(value.isnull(), at, of_row(value))
    return list(found.values())


def _facts_known(
    linked: ir.Table,
    cast: Cast,
    typed_case: TypedCase,
    hindsight_facts: Mapping[str, ir.Value],
    answered: frozenset[Path],
) -> dict[str, ir.Value]:
    """Return the moment from which each fact was known, for facts that read more than the outcome does.

    For a fact that is a row this is a struct: the moment of the row, and of each value with a knownAt of its own.
    """
    moments: dict[str, ir.Value] = {}
    for name, fact in typed_case.facts.items():
        kind = fact.checked.value.type
        reads = _reads(fact, cast, typed_case)
        if isinstance(kind, Array):
            reads |= _values_of(kind.item.type, hindsight_facts[name].type().value_type, cast)
        own = [path[1] for path in sorted(_values_of(kind, hindsight_facts[name].type(), cast))]
        if not own and reads <= answered:
            continue
        known = latest_or_null([linked["at"], *_known_moments(linked, cast, sorted(reads))])
        if own:
            assert isinstance(kind, Struct) and kind.origin is not None
            role, value = cast.roles[kind.origin], hindsight_facts[name]
            values = {column: latest_or_null([known, to_timestamp(value[role.known_at_of(column)])]) for column in own}
            moments[name] = ibis.struct({KNOWN: known, **values})
        else:
            moments[name] = known
    return {"fact_known": ibis.struct(moments)} if moments else {}


def _reads(formula: Formula, cast: Cast, typed_case: TypedCase) -> set[Path]:
    """Return the paths that a formula reads, and roles of which it reads only which rows there are."""
    paths = {path for read in formula.checked.reads for path in typed_case.base_paths(read)}
    valued = {path[0] for path in paths}
    for name in formula.checked.names:
        if name in typed_case.facts:
            paths |= {path for path in _reads(typed_case.facts[name], cast, typed_case) if len(path) == 1}
        elif name in cast.roles and name not in valued:
            paths.add((name,))
    return paths


def _values_of(kind: Type, row: dt.DataType, cast: Cast) -> set[Path]:
    """Return the values with a knownAt of their own in a row of a role, as far as the row carries them."""
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
    null = ibis.null(dt.Decimal(SCORE.precision, SCORE.scale))
    safe = ibis.ifelse(exact, score, ibis.null("float64"))
    return ibis.ifelse(exact, safe.cast(dt.Decimal(SCORE.precision, SCORE.scale)), null)


def template_names(linked: ir.Table, cast: Cast, typed_case: TypedCase, phase: Phase) -> Mapping[str, ir.Value]:
    """Return every name that a template of this phase may use but precedents, as expressions over the written cases."""
    names = visible_rows(linked, cast, "hindsight" if phase == "hindsight" else "question")
    names["case"] = case_row(linked, hindsight=phase == "hindsight")
    facts = "hindsight" if phase == "hindsight" else "question"
    if facts in linked.columns:
        for name in linked[facts].type().names:
            names[name] = linked[facts][name]
    if typed_case.outcome and phase != "question":
        outcome = linked["outcome"]
        if phase == "answer":
            outcome = ibis.struct({"action": outcome["action"], "worked": outcome["worked"]})
        names["outcome"] = outcome
    return names
