"""The cap on how often one action may be chosen, or rejected, in the pairs of a config.

Where one action is the worse one of most pairs, a model learns to shun that action without reading the question. Pairs
beyond the cap drop, drawn by the digests of their ids, in each split by itself.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from storymesh.dataset.render import UNPRINTED

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

    from storymesh.engine.engine import Engine

OVER_CAP = "over the cap of its action"
Pair = tuple[str, str]  # the chosen and the rejected action


def side_action(records: "Table", side: str) -> "StringValue | None":
    """Return the action of one side (`chosen`, `rejected`, `own`) of records, as they keep it; None where they do not.

    Rendered records have it among what they print or else read; those of a release only if they print it.
    """
    for column in ("facts", UNPRINTED):
        value, steps = (records[column] if column in records.columns else None), ("option", side, "action")
        for step in steps:
            value = (
                value[step] if value is not None and value.type().is_struct() and step in value.type().names else None
            )
        if value is not None:
            return value
    return None


def find_over_cap(engine: "Engine", records: "Table", cap: float) -> "Table":
    """Return id, dropped and same_as of the pairs beyond the cap."""
    import ibis
    import pyarrow as pa

    chosen, rejected = side_action(records, "chosen"), side_action(records, "rejected")
    assert chosen is not None and rejected is not None
    pairs = records.select("id", "split", chosen=chosen, rejected=rejected, order=records["id"].hexdigest("md5"))
    grouped = pairs.group_by("split", "chosen", "rejected").aggregate(rows=pairs.count())
    counts: dict[str, dict[Pair, int]] = {}
    for row in engine.fetch_rows(grouped):
        counts.setdefault(row["split"], {})[row["chosen"], row["rejected"]] = row["rows"]
    limits = [
        {"in_split": split, "better": better, "worse": worse, "limit": limit}
        for split, of_split in counts.items()
        for (better, worse), limit in kept_counts(of_split, cap).items()
    ]
    schema = pa.schema(
        [("in_split", pa.string()), ("better", pa.string()), ("worse", pa.string()), ("limit", pa.int64())]
    )
    limit = engine.materialize(pa.Table.from_pylist(limits, schema))
    placed = pairs.mutate(
        place=ibis.row_number().over(group_by=["split", "chosen", "rejected"], order_by=["order", "id"])
    )
    same = [
        placed["split"] == limit["in_split"],
        placed["chosen"] == limit["better"],
        placed["rejected"] == limit["worse"],
    ]
    joined = placed.inner_join(limit, same)
    over = joined.filter(joined["place"] >= joined["limit"])
    return over.select("id", dropped=ibis.literal(OVER_CAP), same_as=ibis.null("string"))


def kept_counts(counts: Mapping[Pair, int], cap: float) -> dict[Pair, int]:
    """Return how many of each pair stay, so that no action is more than `cap` of the chosen or of the rejected.

    With fewer actions on a side than the cap allows for, each may be an equal part of it. The action that is furthest
    over its bound gives way first, and of its pairs the most frequent, so that much stays.
    """
    kept = dict(counts)
    bounds = {side: max(cap, 1 / len({pair[side] for pair in counts})) for side in (0, 1)} if counts else {}
    while (over := max(_excesses(kept, bounds), default=None)) is not None and over[0] > 0:
        excess, side, action = over
        mine = sorted((pair for pair in kept if pair[side] == action), key=lambda pair: (-kept[pair], pair))
        # So many go that the rest of the action is its bound of what is left then; at least one, and no more than each
        # pair has over the next most frequent, so that the pairs of an action become alike.
        needed = -int(-excess // (1 - bounds[side]))
        next_most = kept[mine[1]] if len(mine) > 1 else 0
        kept[mine[0]] -= max(1, min(needed, kept[mine[0]] - next_most))
    return kept


def _excesses(kept: Mapping[Pair, int], bounds: Mapping[int, float]) -> Iterator[tuple[float, int, str]]:
    """Yield each side and action with how many pairs it has beyond its bound, where it has any."""
    total = sum(kept.values())
    for side, bound in bounds.items():
        of_action: dict[str, int] = {}
        for pair, count in kept.items():
            of_action[pair[side]] = of_action.get(pair[side], 0) + count
        for action, count in of_action.items():
            if count - bound * total > 1e-9:
                yield count - bound * total, side, action
