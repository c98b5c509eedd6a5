"""The join of each case with the latest row of a role at or before its moment, in time that grows as both do.

To join each case with all earlier rows and keep the last takes as many pairs as there are of both, multiplied.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir


def can_join(equal: Sequence[tuple[ir.Value, ir.Value]]) -> bool:
    """Return True if the sides of these equations have one type each, so that they can stand in one column."""
    return all(left.type().copy(nullable=True) == right.type().copy(nullable=True) for left, right in equal)


def join_latest(
    cases: ir.Table,
    rows: ir.Table,
    equal: Sequence[tuple[ir.Value, ir.Value]],
    event: ir.TimestampValue,
    order: Sequence[str],
) -> ir.Table:
    """Return each case (`case_id`, `at`, further columns) with the last row, by `event` and then `order`, that is not
    later than `at` and of which the `equal` values are those of the case. A case without such a row is left out.

    `event` and the right sides of `equal` are values over `rows`. No two of these are alike in `event` and `order`.
    """
    keys = [f"key_{place}" for place in range(len(equal))]
    theirs = rows.mutate(moment=event, **dict(zip(keys, (right for _, right in equal), strict=True)))
    for name in ("moment", *keys):
        theirs = theirs.filter(theirs[name].notnull())
    numbers = ibis.window(group_by=keys, order_by=["moment", *order])
    theirs = theirs.mutate(number=ibis.row_number().over(numbers))
    mine = cases.select("case_id", moment="at", **dict(zip(keys, (left for left, _ in equal), strict=True)))
    probes = mine.mutate(number=ibis.null("int64"), asks=ibis.literal(1))
    events = theirs.select(case_id=ibis.null("string"), **{name: theirs[name] for name in ("moment", *keys, "number")})
    both = probes.union(events.mutate(asks=ibis.literal(0)).select(*probes.columns))
    # Of one moment the rows stand before the cases, which so find them.
    so_far = ibis.window(group_by=keys, order_by=["moment", "asks"], preceding=None, following=0)
    found = both.mutate(number=both["number"].max().over(so_far))
    found = found.filter((found["asks"] == 1) & found["number"].notnull()).drop("moment", "asks")
    found = found.rename("latest_{name}")
    theirs = theirs.drop("moment").rename({f"row_{name}": name for name in ("number", *keys)})
    same = [found[f"latest_{name}"] == theirs[f"row_{name}"] for name in keys]
    latest = found.inner_join(theirs, [*same, found["latest_number"] == theirs["row_number"]])
    latest = latest.select("latest_case_id", *[name for name in theirs.columns if not name.startswith("row_")])
    return cases.inner_join(latest, cases["case_id"] == latest["latest_case_id"]).drop("latest_case_id")
