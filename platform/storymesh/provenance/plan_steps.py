"""The engine's plan of a narrative's cases as steps that people read, each under the link that it is made for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storymesh.case.resolve import Role
from storymesh.dataset.build import Build
from storymesh.engine.engine import OperatorKind, PlanOperator


@dataclass(frozen=True)
class PlanStep:
    """One step of the engine's plan. `link` is the role that it links, if it is for one; `rows` came where `estimated`
    were expected (None if the engine does not say); `seconds` is its own time."""

    link: str
    words: str
    estimated: int | None
    rows: int
    seconds: float


# What operators do to rows; those that only compute columns are left out.
_PHRASES: Mapping[OperatorKind, str] = {
    "first": "keep the first",
    "group": "gather the rows of each case",
    "rank": "rank the rows of each case",
    "pair": "every pair",
    "unfold": "unfold",
    "reuse": "take what was joined before",
}


def plan_steps(root: PlanOperator, build: Build) -> Iterator[PlanStep]:
    """Yield the steps of an executed plan (`Engine.profile_plan`) in the order in which rows flow."""
    for operator, role in _operators(root, build, None):
        if words := _describe_operator(operator, build):
            link = role.name if role else ""
            yield PlanStep(link, _name_columns(words, role), operator.estimated, operator.rows, operator.seconds)


def seconds_by_link(root: PlanOperator, build: Build) -> dict[str, float]:
    """Return role -> the engine's own seconds for its link; those of the cases themselves stand under ""."""
    seconds: dict[str, float] = {}
    for operator, role in _operators(root, build, None):
        link = role.name if role else ""
        seconds[link] = seconds.get(link, 0.0) + operator.seconds
    return seconds


def _operators(operator: PlanOperator, build: Build, role: Role | None) -> Iterator[tuple[PlanOperator, Role | None]]:
    """Yield the operators below one and itself, each with the link that it is for; `role` is that of the one above."""
    own = _linked_role(operator, build) or role
    for index, child in enumerate(operator.children):
        shared = _shared_role(child, build) if operator.kind == "share" and index == 0 else None
        yield from _operators(child, build, shared or (own if child is _link_side(operator) else role))
    yield operator, own


def _describe_operator(operator: PlanOperator, build: Build) -> str:
    match operator.kind:
        case "read":
            where = f" where {' and '.join(operator.expressions)}" if operator.expressions else ""
            return f"read {_product_read(operator, build)} ({', '.join(operator.columns)}){where}"
        case "join" if _joins_to_cases(operator):
            return "join to the cases"
        case "join":
            return f"join on {' and '.join(operator.expressions)}"
        case "filter":
            return f"keep {' and '.join(operator.expressions)}"
        case kind:
            return _PHRASES.get(kind, "")


def _joins_to_cases(operator: PlanOperator) -> bool:
    """Return True for the join of a link's rows to the cases: only this join has a column of the name `linked_id`."""
    return operator.kind == "join" and any("linked_id" in condition for condition in operator.expressions)


def _link_side(operator: PlanOperator) -> PlanOperator | None:
    """Return the side of a join to the cases that is joined."""
    return operator.added if _joins_to_cases(operator) else None


def _linked_role(operator: PlanOperator, build: Build) -> Role | None:
    """Return the role that a join to the cases is for: links are joined in order, and each reads its product."""
    side = _link_side(operator)
    if side is None:
        return None
    index = sum(map(_joins_to_cases, _with_children(operator))) - 1
    linked = [role for role in build.typed.cast.roles.values() if role.link is not None]
    role = linked[index] if index < len(linked) else None
    reads_shared = any(child.kind == "reuse" for child in _with_children(side))
    return role if role and (reads_shared or role.contract.id in _products_read(side, build)) else None


def _shared_role(definition: PlanOperator, build: Build) -> Role | None:
    """Return the role whose rows a shared part makes: the last that it reads among those that other roles join by, and
    those of which the latest rows are looked for by number."""
    roles = build.typed.cast.roles.values()
    joined_by = {join.other for role in roles for join in role.joins}
    shared = [role for role in roles if role.link and (role.name in joined_by or role.link.as_of)]
    products = _products_read(definition, build)
    candidates = [role for role in shared if role.contract.id in products]
    return candidates[-1] if candidates else None


def _products_read(operator: PlanOperator, build: Build) -> set[str]:
    return {_product_read(child, build) for child in _with_children(operator)}


def _product_read(operator: PlanOperator, build: Build) -> str:
    snapshots = build.snapshots.values()
    products = (
        snapshot.product for snapshot in snapshots if any(str(file) in operator.files for file in snapshot.files)
    )
    return next(products, "a file")


def _with_children(operator: PlanOperator) -> Iterator[PlanOperator]:
    yield operator
    for child in operator.children:
        yield from _with_children(child)


def _name_columns(words: str, role: Role | None) -> str:
    """Return the engine's words with readable columns: `r_boat` is the linked role's `boat`, `v_boat` another's."""
    others = {join.other_column: join.other for join in role.joins} if role else {}

    def qualified(match: re.Match[str]) -> str:
        owner = (role.name if role else "") if match["side"] == "r" else others.get(match["column"], "")
        return f"{owner}.{match['column']}" if owner else match["column"]

    words = re.sub(r"\bp\d+_case_id\b", "case_id", " ".join(words.split()))
    words = words.replace("case_id = case_id", "case_id")
    words = re.sub(r"COALESCE\((\w+), '9999-12-31 [^)]*\)", r"\1", words)  # an end that is open
    return re.sub(r"\b(?:p\d+_)?(?P<side>[vkr])_(?P<column>[a-z]\w*)", qualified, words)
