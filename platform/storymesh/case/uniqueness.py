"""What a contract calls unique and what stands twice all the same: it would tell one case twice, so it is refused.

An audit held every snapshot to the contract of its day. Only where the contract has changed since can this be met.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from storymesh.case.resolve import Cast, Role
from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.engine.engine import Engine

TOLD = 3


def refuse_doubles(engine: "Engine", cast: Cast, tables: Mapping[str, "ir.Table"]) -> None:
    """Raises StorymeshError, naming the keys, where one of `tables` (role -> rows) has two rows of a key by which a
    case takes one: the anchor's own, or those of a role that its link finds by a unique key."""
    for name, table in tables.items():
        role = cast.roles[name]
        columns = _taken_by(role)
        if columns:
            _refuse(engine, role, table, columns)


def _taken_by(role: Role) -> Sequence[str]:
    if role.link is None:
        return role.contract.key
    if role.listed or role.link.as_of is not None:
        return ()
    return list(dict.fromkeys(join.column for join in role.joins))


def _refuse(engine: "Engine", role: Role, table: "ir.Table", columns: Sequence[str]) -> None:
    there = table.filter(reduce(and_, [table[column].notnull() for column in columns]))
    counted = there.group_by(list(columns)).agg(times=there.count())
    twice = counted.filter(counted["times"] > 1)
    count = int(engine.fetch_value(twice.count()))
    if not count:
        return
    hidden = any(role.contract.properties[column].classification == "restricted" for column in columns)
    rows = engine.fetch_rows(twice.order_by(list(columns)).limit(TOLD))
    keys = [" and ".join(f"{column} = {row[column]}" for column in columns) for row in rows]
    told = "" if hidden else f": {', '.join(keys)}{', …' if count > TOLD else ''}"
    words = (
        f"'{role.contract.id}' has {count:,} {'key that stands' if count == 1 else 'keys that stand'} more than once, "
        f"and its contract calls {' and '.join(columns)} unique{told}"
    )
    raise StorymeshError(words, "its snapshot is older than the contract: publish the product again")
