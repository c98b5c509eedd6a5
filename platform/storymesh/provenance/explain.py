"""What a narrative does, as a person reads it: its cast, each link with its rule and what it met, drops, one case."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storymesh.case.definition import Link
from storymesh.case.resolve import Role
from storymesh.dataset.build import Build
from storymesh.dataset.cases import linked_cases
from storymesh.dataset.stages import write_cases, write_cases_and_precedents
from storymesh.dataset.tables import case_drops, cases_with_precedents
from storymesh.engine.engine import Engine
from storymesh.errors import WrongUsage, suggest_name
from storymesh.language.types import Array, Field, Struct
from storymesh.provenance.link_explanation import HIDDEN, Membership, length, members

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
class Step:
    """One step of the engine's plan, from the first to the last: `link` is the role that it links, if it is for one;
    rows as the engine expected them (null where it does not say) and as they came, and its time in seconds."""

    link: str
    words: str
    estimated: int | None
    rows: int
    seconds: float


@dataclass(frozen=True)
class Explanation:
    narrative: str
    anchor: str
    at: str
    closes: str | None
    cast: tuple[Member, ...]
    links: tuple[Linked, ...]
    steps: tuple[Step, ...]
    cases: int
    statuses: Mapping[str, int]
    drops: Mapping[str, int]
    splits: Mapping[str, int]


def explain(build: Build) -> Explanation:
    """The plan of a narrative and what it met; makes the cases where they are not there yet."""
    written = write_cases(build)
    cast = build.typed.cast
    with build.open_engine() as engine:
        cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
        links = [role for role in cast.roles.values() if role.link is not None]
        met = engine.fetch_rows(cases.aggregate(**dict(_counts(cases, links))))[0]
        statuses = _by(engine, cases, "status")
        placed = _by(engine, splits.filter(splits["split"].notnull()), "split")
        steps = tuple(_steps(engine.profile_plan(linked_cases(build, engine)), build, None))
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
        steps,
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
    with build.open_engine() as engine:
        drops = case_drops(build, engine)
        rows = engine.fetch_rows(drops.order_by("reason", "case_id").limit(most))
    return [Drop(row["case_id"], row["reason"]) for row in rows]


@dataclass(frozen=True)
class OneCase:
    """Everything that belongs to one case: its columns, and for each role what it linked, nearly linked and why."""

    values: Mapping[str, Any]
    roles: tuple[Membership, ...]


def one_case(build: Build, case_id: str) -> OneCase:
    """A case with its rows and the moment from which a question may see each, its facts in both views, its outcome,
    split and precedents. Raises WrongUsage when there is no such case."""
    write_cases_and_precedents(build)
    with build.open_engine() as engine:
        cases = cases_with_precedents(build, engine)
        found = engine.fetch_rows(cases.filter(cases["case_id"] == case_id))
        if not found:
            some = engine.fetch_table(cases.select("case_id").limit(10_000))["case_id"].to_pylist()
            raise WrongUsage(f"'{build.narrative.id}' has no case {case_id}", suggest_name(case_id, some))
        case = _masked(found[0], build)
        splits = engine.read_parquet(build.files.splits)
        for row in engine.fetch_rows(splits.filter(splits["case_id"] == case_id)):
            case["dropped"] = case["dropped"] or row["dropped"]
        return OneCase(case, tuple(members(build, engine, case_id)))


def _masked(case: Mapping[str, Any], build: Build) -> dict[str, Any]:
    """The case without restricted values: a terminal is no place for what a record may not print."""
    typed, masked = build.typed, dict(case)
    scope = typed.views.scopes["hindsight"]
    for role in typed.cast.roles.values():
        place = scope[role.name]
        assert isinstance(place, Field)
        masked[role.column] = _shown(case[role.column], place)
    for name in ("outcome", "precedents"):
        if isinstance(place := scope[name], Field) and name in case:
            masked[name] = _shown(case[name], place)
    facts = Field(Struct({name: fact.checked.value.field for name, fact in typed.views.facts.items()}))
    match = Struct({one.name: one.checked.value.field for level in typed.views.match for one in level})
    for name, place in (("hindsight", facts), ("question", facts), ("match", Field(match))):
        if name in case:
            masked[name] = _shown(case[name], place)
    return masked


def _shown(value: Any, place: Field) -> Any:
    if value is None:
        return None
    match place.type:
        case Struct(fields=fields):
            inner = {name: found for name, found in fields.items() if isinstance(found, Field)}
            return {name: _shown(one, inner[name]) if name in inner else one for name, one in value.items()}
        case Array(item=item):
            return [_shown(one, item) for one in value]
        case _:
            return HIDDEN if place.classification == "restricted" else value


def sql(build: Build) -> str:
    """The SQL that makes the cases, as the engine runs it."""
    with build.open_engine() as engine:
        return engine.compile_sql(linked_cases(build, engine))


def rule_in_words(role: Role) -> str:
    """A link as a sentence: 'shipment_id = delay.shipment_id, within 0 days to 30 days of case.at'."""
    link = role.link
    assert link is not None
    parts = [f"{join.column} = {join.other}.{join.other_column}" for join in role.joins]
    return ", ".join([*parts, *_time_in_words(link, role)]) or "every row"


def _time_in_words(link: Link, role: Role) -> Iterator[str]:
    if link.within is not None:
        after, before = length(link.within.after), length(link.within.before)
        yield f"{role.contract.event_time} from {after} to {before} around case.at"
    if link.overlaps is not None:
        slack = f", {length(link.overlaps.slack).lstrip('+')} of slack" if link.overlaps.slack else ""
        yield f"{role.contract.event_time} to {role.contract.end_time} holds case.at{slack}"
    if link.as_of is not None:
        yield f"the latest {role.contract.event_time} up to case.at"


def _in_question(role: Role) -> str:
    if role.contract.hindsight:
        return "never seen"
    return "those known by then" if role.may_be_future else "all"


# What DuckDB's operators do to rows; those that only compute columns are left out.
_WORDS = {
    "HASH_GROUP_BY": "gather the rows of each case",
    "PERFECT_HASH_GROUP_BY": "gather the rows of each case",
    "WINDOW": "rank the rows of each case",
    "STREAMING_WINDOW": "rank the rows of each case",
    "CROSS_PRODUCT": "every pair",
    "UNNEST": "unfold",
    "CTE_SCAN": "take what was joined before",
}
_SHARED = "CTE"  # what two links read is made once, before them
_RANKED_FIRST = re.compile(r"\(#\d+ = 1\)")
Operator = Mapping[str, Any]


def _steps(operator: Operator, build: Build, role: Role | None) -> Iterator[Step]:
    """The operators below `operator` and itself, in the order in which rows flow; `role` is the link they are for."""
    mine = _linked_by(operator, build) or role
    for place, part in enumerate(operator["children"]):
        shared = _shared(part, build) if operator.get("operator_name") == _SHARED and place == 0 else None
        yield from _steps(part, build, shared or (mine if part is _link_side(operator) else role))
    said, words = operator.get("extra_info") or {}, _words(operator, build)
    if words:
        estimated = said.get("Estimated Cardinality")
        yield Step(
            mine.name if mine else "",
            _plain(words, mine),
            int(estimated) if estimated is not None else None,
            int(operator["operator_cardinality"]),
            float(operator["operator_timing"]),
        )


def _words(operator: Operator, build: Build) -> str:
    said, name = operator.get("extra_info") or {}, str(operator.get("operator_name", "")).strip()
    if name == "READ_PARQUET":
        kept = _listed(said.get("Filters"))
        where = f" where {' and '.join(kept)}" if kept else ""
        return f"read {_product_of(operator, build)} ({', '.join(_listed(said.get('Projections')))}){where}"
    if name.endswith("JOIN"):
        return (
            "join to the cases" if _to_cases(operator) else f"join on {' and '.join(_listed(said.get('Conditions')))}"
        )
    if name == "FILTER":
        kept = _listed(said.get("Expression"))
        return "keep the first" if any(map(_RANKED_FIRST.fullmatch, kept)) else f"keep {' and '.join(kept)}"
    return _WORDS.get(name, "")


def _to_cases(operator: Operator) -> bool:
    """Whether it joins what a link gathered to the cases, which it does by the name that only this join has."""
    conditions = _listed((operator.get("extra_info") or {}).get("Conditions"))
    return any("linked_id" in condition for condition in conditions)


def _link_side(operator: Operator) -> Operator | None:
    """Of a join to the cases the side that is joined; the engine turns the sides when the cases are the fewer."""
    if not _to_cases(operator):
        return None
    place = 0 if operator["extra_info"].get("Join Type") == "RIGHT" else 1
    side: Operator = operator["children"][place]
    return side


def _linked_by(operator: Operator, build: Build) -> Role | None:
    """The role that a join to the cases is for: links are joined one after the other, and each reads its product."""
    side = _link_side(operator)
    if side is None:
        return None
    place = sum(_to_cases(one) for one in _all(operator)) - 1
    linked = [role for role in build.typed.cast.roles.values() if role.link is not None]
    role = linked[place] if place < len(linked) else None
    reads_shared = any(one.get("operator_name") == "CTE_SCAN" for one in _all(side))
    return role if role and (reads_shared or role.contract.id in _read(side, build)) else None


def _shared(definition: Operator, build: Build) -> Role | None:
    """The role whose rows are made for its own link and for those that join by it: the last of them that is read."""
    roles = build.typed.cast.roles.values()
    joined_by = {join.other for role in roles for join in role.joins}
    read = _read(definition, build)
    able = [role for role in roles if role.link and role.name in joined_by and role.contract.id in read]
    return able[-1] if able else None


def _read(operator: Operator, build: Build) -> set[str]:
    return {_product_of(one, build) for one in _all(operator)}


def _all(operator: Operator) -> Iterator[Operator]:
    yield operator
    for part in operator["children"]:
        yield from _all(part)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value or []]


def _product_of(operator: Operator, build: Build) -> str:
    files = str((operator.get("extra_info") or {}).get("Filename(s)", ""))
    found = (one.product for one in build.snapshots.values() if any(str(file) in files for file in one.files))
    return next(found, "a file")


def _plain(words: str, role: Role | None) -> str:
    """The engine's words with columns as people know them: `r_boat` is the linked role's `boat`, `v_boat` another's."""
    others = {join.other_column: join.other for join in role.joins} if role else {}

    def named(met: re.Match[str]) -> str:
        owner = (role.name if role else "") if met["side"] == "r" else others.get(met["column"], "")
        return f"{owner}.{met['column']}" if owner else met["column"]

    words = re.sub(r"\bp\d+_case_id\b", "case_id", " ".join(words.split()))
    words = words.replace("case_id = case_id", "case_id")
    return re.sub(r"\b(?:p\d+_)?(?P<side>[vkr])_(?P<column>[a-z]\w*)", named, words)


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
    return {row[column]: row["count"] for row in engine.fetch_rows(counted)}
