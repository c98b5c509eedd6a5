"""A check that the keys by which a case finds its rows are unique: one that repeats would repeat a case.

An audit held every snapshot to the contract of its day, so this only fails where the contract has changed since.
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

KEYS_SHOWN = 3


def require_unique_keys(engine: "Engine", cast: Cast, tables: Mapping[str, "ir.Table"]) -> None:
    """Raise StorymeshError, naming the keys, if one of `tables` (role -> rows) has two rows of a key by which a case
    takes one row: the anchor's own, or those of a role that its link finds by a unique key."""
    for name, table in tables.items():
        role = cast.roles[name]
        if columns := _key_of_link(role):
            _require_unique(engine, role, table, columns)


def _key_of_link(role: Role) -> Sequence[str]:
    """Return the columns that find at most one row of a role; none where its link may find several."""
    if role.link is None:
        return role.contract.key
    if role.listed or role.link.as_of is not None:
        return ()
    return list(dict.fromkeys(join.column for join in role.joins))


def _require_unique(engine: "Engine", role: Role, table: "ir.Table", columns: Sequence[str]) -> None:
    keyed = table.filter(reduce(and_, [table[column].notnull() for column in columns]))
    counted = keyed.group_by(list(columns)).agg(times=keyed.count())
    repeated = counted.filter(counted["times"] > 1)
    count = int(engine.fetch_value(repeated.count()))
    if not count:
        return
    hidden = any(role.contract.properties[column].classification == "restricted" for column in columns)
    rows = engine.fetch_rows(repeated.order_by(list(columns)).limit(KEYS_SHOWN))
    keys = [" and ".join(f"{column} = {row[column]}" for column in columns) for row in rows]
    shown = "" if hidden else f": {', '.join(keys)}{', …' if count > KEYS_SHOWN else ''}"
    message = (
        f"'{role.contract.id}' has {count:,} {'key that stands' if count == 1 else 'keys that stand'} more than once, "
        f"and its contract calls {' and '.join(columns)} unique{shown}"
    )
    raise StorymeshError(message, "its snapshot is older than the contract: publish the product again")
