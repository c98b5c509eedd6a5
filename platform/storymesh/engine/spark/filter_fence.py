"""Filters by computed values, kept where they stand.

Spark moves a filter below the selections under it, and writes out there what each column stands for, as often as it is
read. Of a value computed in levels, each of which reads the one before several times, that is a condition a hundred
times as long, and all of it is computed for every row and once more for those that stay. What is random holds up a
filter that is above it, so the filter reads a random column too.
"""

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.expr.operations.relations import Simple

FENCE = "filter_fence"
# Operations of a condition, written out down to the columns of the tables, from which on it is not computed twice; a
# lambda over a list is as many.
_MIN_COST = 8
_MAX_COST = 10**9


def fence_filters(table: ir.Table) -> ir.Table:
    """Return an equal expression in which no filter by a dear value moves below what computes that value."""
    sizes: dict[ops.Node, int] = {}

    def fenced(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
        if isinstance(node, ops.Value):
            sizes[node] = _written_out(node, sizes)
        late = isinstance(node, ops.Filter) and [_is_expensive(predicate, sizes) for predicate in node.predicates]
        node = node.__recreate__(changed) if changed else node
        if not late or not any(late):
            return node
        assert isinstance(node, ops.Filter)
        each = list(zip(node.predicates, late, strict=True))
        return _fence(node.parent, [one for one, dear in each if not dear], [one for one, dear in each if dear])

    fenced_table: ir.Table = table.op().replace(fenced).to_expr()
    return fenced_table


def _written_out(node: ops.Value, sizes: Mapping[ops.Node, int]) -> int:
    """Return how many operations a value has once each column below it is written out."""
    if isinstance(node, ops.Field):
        return _column_size(node.rel, node.name, sizes)
    if isinstance(node, ops.Literal | ops.Argument | ops.WindowFunction):
        return 0  # no filter moves below a window that it reads
    own = _MIN_COST if isinstance(node, ops.ArrayMap | ops.ArrayFilter) else 1
    return min(own + sum(sizes[child] for child in node.__children__ if isinstance(child, ops.Value)), _MAX_COST)


def _column_size(relation: ops.Relation, name: str, sizes: Mapping[ops.Node, int]) -> int:
    while True:
        match relation:
            case ops.Project() | ops.JoinChain():
                value = relation.values[name]
                if not isinstance(value, ops.Field):
                    return sizes[value]
                relation, name = value.rel, value.name
            case Simple() | ops.Reference() | ops.DropColumns():
                relation = relation.parent
            case ops.Set():
                relation = relation.left
            case _:
                return 0


def _is_expensive(predicate: ops.Value, sizes: Mapping[ops.Node, int]) -> bool:
    return sizes[predicate] >= _MIN_COST and not predicate.find(ops.WindowFunction, filter=ops.Value)


def _fence(parent: ops.Relation, plain: Sequence[ops.Value], dear: Sequence[ops.Value]) -> ops.Relation:
    """Return the rows for which all conditions hold; the plain ones may move."""
    below = ops.Filter(parent, plain) if plain else parent
    columns = {name: ops.Field(below, name) for name in parent.schema.names}
    held = ops.Project(below, {**columns, FENCE: ibis.random().op()})
    here = {ops.Field(parent, name): ops.Field(held, name) for name in columns}
    conditions = [condition.replace(here, filter=ops.Value) for condition in dear]
    kept = ops.Filter(held, [*conditions, ops.GreaterEqual(ops.Field(held, FENCE), ibis.literal(0.0).op())])
    return ops.Project(kept, {name: ops.Field(kept, name) for name in columns})
