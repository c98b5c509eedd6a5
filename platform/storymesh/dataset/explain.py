"""What a narrative does, as a person reads it: its cast, each link with its rule and what it met, drops, one case."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from storymesh.case.definition import Link
from storymesh.case.role import Role
from storymesh.dataset.build import Build, case_drops, cases_with_all, write_cases, write_precedents
from storymesh.engine.duckdb import Engine
from storymesh.errors import WrongUsage, nearest

if TYPE_CHECKING:
    import ibis.expr.types as ir


@dataclass(frozen=True)
class Member:
    """One role of the cast on the snapshot that the build is pinned to."""

    role: str
    product: str
    contract_version: str
    version: str
    rows: int


@dataclass(frozen=True)
class Linked:
    """One link: its rule in words, and how many cases it gave no row, one row, several rows."""

    role: str
    rule: str
    expect: str
    question: str
    none: int
    one: int
    many: int


@dataclass(frozen=True)
class Explanation:
    narrative: str
    anchor: str
    at: str
    closes: str | None
    cast: tuple[Member, ...]
    links: tuple[Linked, ...]
    cases: int
    statuses: Mapping[str, int]
    drops: Mapping[str, int]
    splits: Mapping[str, int]


def explain(build: Build) -> Explanation:
    """The plan of a narrative and what it met; makes the cases where they are not there yet."""
    written = write_cases(build)
    cast = build.typed.cast
    with Engine() as engine:
        cases, splits = engine.read(build.cases_path), engine.read(build.splits_path)
        links = [role for role in cast.roles.values() if role.link is not None]
        met = engine.connection.to_pyarrow(cases.aggregate(**dict(_counts(cases, links)))).to_pylist()[0]
        statuses = _by(engine, cases, "status")
        placed = _by(engine, splits.filter(splits["split"].notnull()), "split")
    anchor = cast.anchor.name
    return Explanation(
        build.narrative.id,
        anchor,
        f"{anchor}.{cast.at}",
        f"{anchor}.{cast.closes}" if cast.closes else None,
        tuple(
            Member(role, one.product, one.contract_version, one.version, one.rows)
            for role, one in build.snapshots.items()
        ),
        tuple(
            Linked(
                role.name,
                rule_in_words(role),
                role.link.expect if role.link else "",
                _in_question(role),
                *(int(met[f"{role.name}_{count}"] or 0) for count in ("none", "one", "many")),
            )
            for role in links
        ),
        written.rows,
        statuses,
        written.drops,
        placed,
    )


@dataclass(frozen=True)
class Drop:
    case_id: str
    reason: str


def dropped(build: Build, most: int) -> list[Drop]:
    """The first `most` cases that no config tells, by reason and id."""
    write_cases(build)
    with Engine() as engine:
        drops = case_drops(build, engine.read(build.cases_path), engine.read(build.splits_path))
        rows = engine.connection.to_pyarrow(drops.order_by("reason", "case_id").limit(most)).to_pylist()
    return [Drop(row["case_id"], row["reason"]) for row in rows]


def one_case(build: Build, case_id: str) -> dict[str, Any]:
    """Everything that belongs to one case: its rows with the moment from which a question may see each, its facts in
    both views, its outcome, split and precedents. Raises WrongUsage when there is no such case."""
    write_cases(build)
    if build.precedents_path is not None:
        write_precedents(build)
    with Engine() as engine:
        cases = cases_with_all(build, engine)
        found = engine.connection.to_pyarrow(cases.filter(cases["case_id"] == case_id)).to_pylist()
        if not found:
            some = engine.connection.to_pyarrow(cases.select("case_id").limit(10_000))["case_id"].to_pylist()
            raise WrongUsage(f"'{build.narrative.id}' has no case {case_id}", nearest(case_id, some))
    return dict(found[0])


def sql(build: Build) -> str:
    """The SQL that makes the cases, as the engine runs it."""
    from storymesh.dataset.build import cases_of

    with Engine() as engine:
        return engine.sql(cases_of(build, engine))


def rule_in_words(role: Role) -> str:
    """A link as a sentence: 'shipment_id = delay.shipment_id, within 0 days to 30 days of case.at'."""
    link = role.link
    assert link is not None
    parts = [f"{join.column} = {join.other}.{join.other_column}" for join in role.joins]
    return ", ".join([*parts, *_time_in_words(link, role)]) or "every row"


def _time_in_words(link: Link, role: Role) -> Iterator[str]:
    if link.within is not None:
        after, before = _length(link.within.after), _length(link.within.before)
        yield f"{role.contract.event_time} from {after} to {before} around case.at"
    if link.overlaps is not None:
        slack = f", {_length(link.overlaps.slack).lstrip('+')} of slack" if link.overlaps.slack else ""
        yield f"{role.contract.event_time} to {role.contract.end_time} holds case.at{slack}"
    if link.as_of is not None:
        yield f"the latest {role.contract.event_time} up to case.at"


def _length(length: timedelta) -> str:
    seconds = abs(int(length.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{'-' if length < timedelta(0) else '+'}{seconds // size}{unit}"
    return f"{int(length.total_seconds()):+d}s"


def _in_question(role: Role) -> str:
    if role.contract.hindsight:
        return "never seen"
    return "those known by then" if role.may_be_future else "all"


def _counts(cases: "ir.Table", links: list[Role]) -> Iterator[tuple[str, "ir.Value"]]:
    from storymesh.case.link import rows_told

    for role in links:
        value = cases[role.column]
        count = rows_told(role, value).length() if role.listed else value.notnull().cast("int64")
        yield f"{role.name}_none", (count == 0).sum()
        yield f"{role.name}_one", (count == 1).sum()
        yield f"{role.name}_many", (count > 1).sum()


def _by(engine: Engine, table: "ir.Table", column: str) -> dict[str, int]:
    counted = table.group_by(column).agg(count=table.count()).order_by(column)
    return {row[column]: row["count"] for row in engine.connection.to_pyarrow(counted).to_pylist()}
