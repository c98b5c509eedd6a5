"""DuckDB's executed plans as the port has them."""

import re
from collections.abc import Mapping
from typing import Any

from storymesh.engine.engine import OperatorKind, PlanOperator

# Operators of other names only compute columns or hand rows on.
_KINDS: Mapping[str, OperatorKind] = {
    "READ_PARQUET": "read",
    "FILTER": "filter",
    "HASH_GROUP_BY": "group",
    "PERFECT_HASH_GROUP_BY": "group",
    "WINDOW": "rank",
    "STREAMING_WINDOW": "rank",
    "CROSS_PRODUCT": "pair",
    "UNNEST": "unfold",
    "CTE": "share",
    "CTE_SCAN": "reuse",
}
_FIRST_OF_RANK = re.compile(r"\(#\d+ = 1\)")


def plan_operator(node: Mapping[str, Any]) -> PlanOperator:
    """Return an operator, and what is below it, of a plan that `EXPLAIN (ANALYZE, FORMAT JSON)` gave."""
    info = node.get("extra_info") or {}
    name = str(node.get("operator_name", "")).strip()
    kind: OperatorKind = "join" if name.endswith("JOIN") else _KINDS.get(name, "other")
    words = {"read": "Filters", "join": "Conditions", "filter": "Expression"}.get(kind, "")
    expressions = _as_tuple(info.get(words))
    if kind == "filter" and any(map(_FIRST_OF_RANK.fullmatch, expressions)):
        kind = "first"
    children = tuple(map(plan_operator, node["children"]))
    estimated = info.get("Estimated Cardinality")
    return PlanOperator(
        kind=kind,
        children=children,
        expressions=expressions,
        files=str(info.get("Filename(s)", "")),
        columns=_as_tuple(info.get("Projections")),
        estimated=int(estimated) if estimated is not None else None,
        rows=int(node.get("operator_cardinality", 0)),
        seconds=float(node.get("operator_timing", 0)),
        # The sides of a join are swapped where the other is the larger one.
        added=children[0 if info.get("Join Type") == "RIGHT" else 1] if kind == "join" else None,
    )


def _as_tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value or ())
