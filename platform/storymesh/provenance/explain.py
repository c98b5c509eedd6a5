"""Explanations of how a narrative makes its cases: its cast, each link with its rule and counts, and single cases."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from storymesh.case.definition import Link, Precedents
from storymesh.case.resolve import Role
from storymesh.dataset.build import Build
from storymesh.dataset.cases import linked_cases
from storymesh.dataset.stages import write_cases, write_cases_and_precedents
from storymesh.dataset.tables import case_drops, cases_with_precedents
from storymesh.engine import dialect
from storymesh.engine.engine import Engine
from storymesh.errors import WrongUsage, suggest_name
from storymesh.language.types import Array, Field, Struct
from storymesh.provenance.link_explanation import (
    HIDDEN,
    LinkExplanation,
    as_moment,
    distance_text,
    explain_links,
    span_text,
)
from storymesh.provenance.plan_steps import PlanStep, plan_steps

if TYPE_CHECKING:
    import ibis.expr.types as ir

UNSEEN = "_unseen"  # beside what every linked row bears of its own


@dataclass(frozen=True)
class PinnedRole:
    """One role of the cast, on the snapshot that the build is pinned to."""

    role: str
    product: str
    contract_version: str
    version: str
    rows: int


@dataclass(frozen=True)
class LinkSummary:
    """One link: its rule as a sentence, and how many cases it gave no row, one row or several rows."""

    role: str
    rule: str
    expect: str
    question: str
    none: int
    one: int
    many: int


@dataclass(frozen=True)
class NarrativeExplanation:
    """How all cases of a narrative come about, and how many there are by status, reason to drop, and split."""

    narrative: str
    anchor: str
    at: str
    closes: str | None
    where: str | None
    cast: tuple[PinnedRole, ...]
    links: tuple[LinkSummary, ...]
    precedents: str | None
    steps: tuple[PlanStep, ...]
    cases: int
    statuses: Mapping[str, int]
    drops: Mapping[str, int]
    splits: Mapping[str, int]


def explain_narrative(build: Build) -> NarrativeExplanation:
    """Explain the cases of a narrative; makes them if they are not written yet."""
    result = write_cases(build)
    cast = build.typed.cast
    with build.open_engine() as engine:
        cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
        links = tuple(_summarize_links(engine, cases, [role for role in cast.roles.values() if role.link is not None]))
        statuses = _count_by(engine, cases, "status")
        placed = _count_by(engine, splits.filter(splits["split"].notnull()), "split")
        steps = tuple(plan_steps(engine.profile_plan(linked_cases(build, engine)), build))
    anchor = cast.anchor.name
    return NarrativeExplanation(
        build.narrative.id,
        anchor,
        f"{anchor}.{cast.at}",
        f"{anchor}.{cast.closes}" if cast.closes else None,
        build.narrative.case.where,
        tuple(
            PinnedRole(role, snapshot.product, snapshot.contract_version, snapshot.version, snapshot.rows)
            for role, snapshot in build.snapshots.items()
        ),
        links,
        precedents_sentence(wanted) if (wanted := build.narrative.case.precedents) is not None else None,
        steps,
        result.rows,
        statuses,
        result.drops,
        placed,
    )


def _summarize_links(engine: Engine, cases: "ir.Table", roles: list[Role]) -> Iterator[LinkSummary]:
    if not roles:
        return
    (counts,) = engine.fetch_rows(cases.aggregate(**dict(_row_counts(cases, roles))))
    for role in roles:
        none, one, many = (int(counts[f"{role.name}_{count}"] or 0) for count in ("none", "one", "many"))
        expect = role.link.expect if role.link else ""
        yield LinkSummary(role.name, rule_sentence(role), expect, _question_sees(role), none, one, many)


def _row_counts(cases: "ir.Table", roles: list[Role]) -> Iterator[tuple[str, "ir.Value"]]:
    from storymesh.case.link import rows_in_hindsight

    for role in roles:
        value = cases[role.column]
        count = rows_in_hindsight(role, value).length() if role.listed else value.notnull().cast("int64")
        yield f"{role.name}_none", (count == 0).sum()
        yield f"{role.name}_one", (count == 1).sum()
        yield f"{role.name}_many", (count > 1).sum()


def _count_by(engine: Engine, table: "ir.Table", column: str) -> dict[str, int]:
    counts = table.group_by(column).agg(count=table.count()).order_by(column)
    return {row[column]: row["count"] for row in engine.fetch_rows(counts)}


@dataclass(frozen=True)
class DroppedCase:
    case_id: str
    reason: str


def dropped_cases(build: Build, limit: int) -> list[DroppedCase]:
    """Return the first cases that no config has a record of, by reason and id."""
    write_cases(build)
    with build.open_engine() as engine:
        rows = engine.fetch_rows(case_drops(build, engine).order_by("reason", "case_id").limit(limit))
    return [DroppedCase(row["case_id"], row["reason"]) for row in rows]


@dataclass(frozen=True)
class CaseExplanation:
    """One case explained: its columns, and for each role which rows are linked, which are not, and why. A row of
    `values` that the question sees lists under `_unseen` the values that it does not see, and why."""

    values: Mapping[str, Any]
    roles: tuple[LinkExplanation, ...]


def explain_case(build: Build, case_id: str) -> CaseExplanation:
    """Return a case with its rows and when a question may see each, its facts in both views, outcome, split and
    precedents. Raises WrongUsage if there is no such case."""
    write_cases_and_precedents(build)
    with build.open_engine() as engine:
        cases = cases_with_precedents(build, engine)
        found = engine.fetch_rows(cases.filter(cases["case_id"] == case_id))
        if not found:
            known = engine.fetch_table(cases.select("case_id").limit(10_000))["case_id"].to_pylist()
            raise WrongUsage(f"'{build.narrative.id}' has no case {case_id}", suggest_name(case_id, known))
        case = _mask_restricted(_mark_unseen(found[0], build), build)
        splits = engine.read_parquet(build.files.splits)
        for row in engine.fetch_rows(splits.filter(splits["case_id"] == case_id)):
            case["dropped"] = case["dropped"] or row["dropped"]
        return CaseExplanation(case, tuple(explain_links(build, engine, case_id)))


def _mark_unseen(case: Mapping[str, Any], build: Build) -> dict[str, Any]:
    """Return the case with `_unseen` in each row that its question sees: property -> why it does not see that value."""
    typed, marked = build.typed, dict(case)
    for role in typed.cast.roles.values():
        marked[role.column] = _with_unseen(case[role.column], role, build, case["at"])
    if facts := case.get("hindsight"):
        kinds = {name: fact.checked.value.type for name, fact in typed.case.facts.items()}
        kinds |= {name: kind.item.type for name, kind in kinds.items() if isinstance(kind, Array)}
        roles = {
            name: typed.cast.roles[kind.origin]
            for name, kind in kinds.items()
            if isinstance(kind, Struct) and kind.origin is not None and kind.origin in typed.cast.roles
        }
        rows = {name: _with_unseen(facts[name], role, build, case["at"]) for name, role in roles.items()}
        marked["hindsight"] = {**facts, **rows}
    return marked


def _with_unseen(value: Any, role: Role, build: Build, at: datetime) -> Any:
    from storymesh.case.link import KNOWN

    if isinstance(value, list):
        return [_with_unseen(row, role, build, at) for row in value]
    if value is None or value[KNOWN] is None or value[KNOWN] > at:
        return value  # of a row that is not seen no value is
    cast, unseen = build.typed.cast, dict[str, str]()
    for name in role.contract.properties:
        if value.get(name) is None:
            continue
        if cast.never_known(role, name):
            unseen[name] = "no question ever knows it"
        elif not cast.known_with_row(role, name):
            known = as_moment(value[role.known_at_of(name) or role.contract.event_time])
            if known is None:
                unseen[name] = "no question ever knows it"
            elif known > at:
                unseen[name] = f"known {distance_text(known - at)}"
    return {**value, UNSEEN: unseen} if unseen else value


def _mask_restricted(case: Mapping[str, Any], build: Build) -> dict[str, Any]:
    """Return the case without restricted values: a terminal may not show what a record may not print."""
    typed, masked = build.typed, dict(case)
    scope = typed.case.scopes["hindsight"]
    for role in typed.cast.roles.values():
        field = scope[role.name]
        assert isinstance(field, Field)
        masked[role.column] = _mask_value(case[role.column], field)
    for name in ("outcome", "precedents"):
        if isinstance(field := scope[name], Field) and name in case:
            masked[name] = _mask_value(case[name], field)
    facts = Field(Struct({name: fact.checked.value.field for name, fact in typed.case.facts.items()}))
    formulas = [formula for level in typed.case.match for formula in level]
    match = Field(Struct({formula.name: formula.checked.value.field for formula in formulas}))
    for name, field in (("hindsight", facts), ("question", facts), ("match", match)):
        if name in case:
            masked[name] = _mask_value(case[name], field)
    return masked


def _mask_value(value: Any, field: Field) -> Any:
    if value is None:
        return None
    match field.type:
        case Struct(fields=fields):
            inner = {name: part for name, part in fields.items() if isinstance(part, Field)}
            return {name: _mask_value(part, inner[name]) if name in inner else part for name, part in value.items()}
        case Array(item=item):
            return [_mask_value(part, item) for part in value]
        case _:
            return HIDDEN if field.classification == "restricted" else value


def cases_sql(build: Build) -> str:
    """Return the SQL that makes the cases, as the engine runs it, without the key of the pseudonyms."""
    with build.open_engine() as engine:
        sql = engine.compile_sql(linked_cases(build, engine))
    if dialect.SECRET_VARIABLE not in sql:
        return sql
    return f"-- for the pseudonyms first: SET VARIABLE {dialect.SECRET_VARIABLE} = '<the key>|';\n{sql}"


def rule_sentence(role: Role) -> str:
    """Return a link's rule as a sentence: `shipment_id = delay.shipment_id, time from +0d to +30d around case.at`."""
    link = role.link
    assert link is not None
    parts = [f"{join.column} = {join.other}.{join.other_column}" for join in role.joins]
    return ", ".join([*parts, *_time_rule(link, role)]) or "every row"


def precedents_sentence(definition: Precedents) -> str:
    """Return the rule of the precedents: `equal by delay.port and delay.cargo, else by delay.port: at least 5 cases,
    known in the 365 days before the day of case.at`."""
    levels = ", else by ".join(" and ".join(" ".join(text.split()) for text in level) for level in definition.match)
    cases = "1 case" if definition.min == 1 else f"{definition.min:,} cases"
    period = "before the day of case.at"
    if definition.since is not None:
        days = definition.since.days
        period = f"in the {f'{days:,} days' if days > 1 else 'day'} {period}"
    withheld = definition.withheld
    parts = [f"{withheld.cases:.4g} of the cases"] if withheld.cases else []
    parts += [f"values of {text}" for text in withheld.values]
    unless = f"; withheld of {' and of '.join(parts)}" if parts else ""
    return f"equal by {levels}: at least {cases}, known {period}{unless}"


def _time_rule(link: Link, role: Role) -> Iterator[str]:
    if link.within is not None:
        after, before = span_text(link.within.after), span_text(link.within.before)
        yield f"{role.contract.event_time} from {after} to {before} around case.at"
    if link.overlaps is not None:
        slack = f", {span_text(link.overlaps.slack).lstrip('+')} of slack" if link.overlaps.slack else ""
        yield f"{role.contract.event_time} to {role.contract.end_time} holds case.at{slack}"
    if link.as_of is not None:
        yield f"the latest {role.contract.event_time} up to case.at"


def _question_sees(role: Role) -> str:
    if role.contract.hindsight:
        return "never seen"
    return "those known by then" if role.may_be_future else "all"
