"""The engine's plan of a narrative's cases as steps that people read, each under the link that it is made for.

The names of operators are those of DuckDB; an operator of another name is left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storymesh.case.resolve import Role
from storymesh.dataset.build import Build


@dataclass(frozen=True)
class PlanStep:
    """One step of the engine's plan. `link` is the role that it links, if it is for one; `rows` came where `estimated`
    were expected (None if the engine does not say); `seconds` is its own time."""

    link: str
    words: str
    estimated: int | None
    rows: int
    seconds: float


# What the engine's operators do to rows; those that only compute columns are left out.
_PHRASES = {
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


def plan_steps(root: Operator, build: Build) -> Iterator[PlanStep]:
    """Yield the steps of an executed plan (`Engine.profile_plan`) in the order in which rows flow."""
    return _steps(root, build, None)


def _steps(operator: Operator, build: Build, role: Role | None) -> Iterator[PlanStep]:
    """Yield the steps below an operator and its own; `role` is the link that they are for."""
    own = _linked_role(operator, build) or role
    for index, child in enumerate(operator["children"]):
        shared = _shared_role(child, build) if operator.get("operator_name") == _SHARED and index == 0 else None
        yield from _steps(child, build, shared or (own if child is _link_side(operator) else role))
    info, words = operator.get("extra_info") or {}, _words(operator, build)
    if words:
        estimated = info.get("Estimated Cardinality")
        yield PlanStep(
            own.name if own else "",
            _name_columns(words, own),
            int(estimated) if estimated is not None else None,
            int(operator["operator_cardinality"]),
            float(operator["operator_timing"]),
        )


def _words(operator: Operator, build: Build) -> str:
    info, name = operator.get("extra_info") or {}, str(operator.get("operator_name", "")).strip()
    if name == "READ_PARQUET":
        filters = _as_list(info.get("Filters"))
        where = f" where {' and '.join(filters)}" if filters else ""
        return f"read {_product_read(operator, build)} ({', '.join(_as_list(info.get('Projections')))}){where}"
    if name.endswith("JOIN"):
        if _joins_to_cases(operator):
            return "join to the cases"
        return f"join on {' and '.join(_as_list(info.get('Conditions')))}"
    if name == "FILTER":
        filters = _as_list(info.get("Expression"))
        return "keep the first" if any(map(_RANKED_FIRST.fullmatch, filters)) else f"keep {' and '.join(filters)}"
    return _PHRASES.get(name, "")


def _joins_to_cases(operator: Operator) -> bool:
    """Return True for the join of a link's rows to the cases: only this join has a column of the name `linked_id`."""
    conditions = _as_list((operator.get("extra_info") or {}).get("Conditions"))
    return any("linked_id" in condition for condition in conditions)


def _link_side(operator: Operator) -> Operator | None:
    """Return the side of a join to the cases that is joined. The engine swaps the sides if there are fewer cases."""
    if not _joins_to_cases(operator):
        return None
    side: Operator = operator["children"][0 if operator["extra_info"].get("Join Type") == "RIGHT" else 1]
    return side


def _linked_role(operator: Operator, build: Build) -> Role | None:
    """Return the role that a join to the cases is for: links are joined in order, and each reads its product."""
    side = _link_side(operator)
    if side is None:
        return None
    index = sum(map(_joins_to_cases, _with_children(operator))) - 1
    linked = [role for role in build.typed.cast.roles.values() if role.link is not None]
    role = linked[index] if index < len(linked) else None
    reads_shared = any(child.get("operator_name") == "CTE_SCAN" for child in _with_children(side))
    return role if role and (reads_shared or role.contract.id in _products_read(side, build)) else None


def _shared_role(definition: Operator, build: Build) -> Role | None:
    """Return the role whose rows a shared part makes: the last that it reads among those that other roles join by."""
    roles = build.typed.cast.roles.values()
    joined_by = {join.other for role in roles for join in role.joins}
    products = _products_read(definition, build)
    candidates = [role for role in roles if role.link and role.name in joined_by and role.contract.id in products]
    return candidates[-1] if candidates else None


def _products_read(operator: Operator, build: Build) -> set[str]:
    return {_product_read(child, build) for child in _with_children(operator)}


def _product_read(operator: Operator, build: Build) -> str:
    files = str((operator.get("extra_info") or {}).get("Filename(s)", ""))
    snapshots = build.snapshots.values()
    products = (snapshot.product for snapshot in snapshots if any(str(file) in files for file in snapshot.files))
    return next(products, "a file")


def _with_children(operator: Operator) -> Iterator[Operator]:
    yield operator
    for child in operator["children"]:
        yield from _with_children(child)


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or []]


def _name_columns(words: str, role: Role | None) -> str:
    """Return the engine's words with readable columns: `r_boat` is the linked role's `boat`, `v_boat` another's."""
    others = {join.other_column: join.other for join in role.joins} if role else {}

    def qualified(match: re.Match[str]) -> str:
        owner = (role.name if role else "") if match["side"] == "r" else others.get(match["column"], "")
        return f"{owner}.{match['column']}" if owner else match["column"]

    words = re.sub(r"\bp\d+_case_id\b", "case_id", " ".join(words.split()))
    words = words.replace("case_id = case_id", "case_id")
    return re.sub(r"\b(?:p\d+_)?(?P<side>[vkr])_(?P<column>[a-z]\w*)", qualified, words)
