"""Each expression computed once: what stands twice in a selection becomes a column, also inside the lambda of a list.

An engine finds what is repeated in plain expressions by itself, but not inside a `CASE` or a lambda, where templates
have most of it. And what is taken out of a list inside a `CASE` is taken before it: an engine copies the rows of each
branch, which for nested rows costs more than what is done in the branch.

So expressions have to be total: a branch may guard a value against null, never against an error.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Graph

from storymesh.engine import dialect
from storymesh.engine.dialect import PLACE

_CONDITIONS = (ops.IfElse, ops.SimpleCase, ops.SearchedCase)
_PLAIN = (ops.Field, ops.Literal, ops.Argument)
# A stage makes every item of a list anew, so what is this small is rather computed twice.
_SMALL = 6


def shared(table: ir.Table) -> ir.Table:
    """The rows and columns of a selection over another table; what it computes more than once is a column below it."""
    selection = table.op()
    assert isinstance(selection, ops.Project), "a selection is wanted"
    values = {name: value.replace(_staged, filter=ops.Value) for name, value in selection.values.items()}
    nodes = _Nodes(values.values())
    levels = nodes.levels(lambda node: not nodes.free[node], least=1)
    stage = selection.parent.to_expr()
    # The column that holds each field and each shared expression, and where it stands in the present stage.
    names: dict[ops.Node, str] = {node: node.name for node in nodes.order if isinstance(node, ops.Field)}
    here: dict[ops.Node, ops.Node] = {}
    for number, level in enumerate(levels):
        made = {f"shared_{number}_{place}": node for place, node in enumerate(level)}
        stage = dialect.fenced(stage.mutate(**_over(stage, made, here)))
        names |= {node: name for name, node in made.items()}
        here = {node: ops.Field(stage, name) for node, name in names.items()}
    return stage.select(**_over(stage, values, here))


def _over(stage: ir.Table, values: Mapping[str, ops.Value], here: Mapping[ops.Node, ops.Node]) -> dict[str, ir.Value]:
    """The values as columns over `stage`, their lambdas counting items under names that nothing below it has.

    ibis, which counts from 0 for engines that count from 1, looks for the name in the relations below as well.
    """
    below = [node.name for node in stage.op().find(ops.Argument)]
    taken = [int(name.removeprefix(PLACE)) for name in below if name.startswith(PLACE)]
    first = 1 + max(taken, default=-1)

    def renamed(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
        node = node.__recreate__(changed) if changed else node
        if isinstance(node, ops.Argument) and node.name.startswith(PLACE):
            return node.copy(name=f"{PLACE}{first + int(node.name.removeprefix(PLACE))}")
        return node

    moved = {name: value.replace(here, filter=ops.Value) if here else value for name, value in values.items()}
    return {
        name: (value.replace(renamed, filter=ops.Value) if first else value).to_expr() for name, value in moved.items()
    }


class _Nodes:
    """The expressions below some roots, each after those that it reads."""

    def __init__(self, roots: Iterable[ops.Value]) -> None:
        self.roots = list(roots)
        graph, _ = Graph.from_bfs(self.roots, filter=ops.Value).toposort()
        self.order: list[ops.Value] = list(graph)
        # The arguments of lambdas around a node that it reads; whether it costs nothing to have it again; how much
        # there is below it.
        self.free: dict[ops.Node, frozenset[ops.Argument]] = {}
        self.plain: dict[ops.Node, bool] = {}
        self.size: dict[ops.Node, int] = {}
        for node in self.order:
            below = _below(node)
            own = frozenset((node,)) if isinstance(node, ops.Argument) else frozenset()
            self.free[node] = own.union(*(self.free[child] for child in below)) - _bound(node)
            of_plain = isinstance(node, ops.StructField | ops.Cast | ops.Alias) and self.plain[below[0]]
            self.plain[node] = of_plain or isinstance(node, _PLAIN)
            self.size[node] = 0 if self.plain[node] else 1 + sum(self.size[child] for child in below)

    def levels(self, own: Callable[[ops.Value], bool], least: int) -> list[list[ops.Value]]:
        """What is worth a column of its own, in the order in which one reads the other. `own`: can stand there."""
        uses = Counter(self.roots)
        outward: set[ops.Node] = set()  # read by what cannot stand there, such as the body of a lambda
        guarded: set[ops.Node] = set()
        for node in reversed(self.order):
            below = _below(node)
            uses.update(below)
            if not own(node):
                outward.update(below)
            if node in guarded or isinstance(node, _CONDITIONS):
                guarded.update(below)
        level: dict[ops.Node, int] = {}
        levels: list[list[ops.Value]] = []
        for node in self.order:
            below = _below(node)
            level[node] = max((level[child] for child in below), default=0)
            if not own(node) or self.size[node] < least:
                continue
            lists = any(child.dtype.is_array() and not self.plain[child] for child in below)
            taken = lists and not node.dtype.is_array() and node in guarded
            if uses[node] > 1 or node in outward or taken:
                levels.extend([[]] if level[node] == len(levels) else [])
                levels[level[node]].append(node)
                level[node] += 1
        return levels


def _staged(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
    """A walk over a list that computes something twice as two walks: what is shared of each item, then the rest."""
    node = node.__recreate__(changed) if changed else node
    if not isinstance(node, ops.ArrayMap):
        return node
    nodes = _Nodes([node.body])
    inner = frozenset[ops.Argument]().union(*(_bound(other) for other in nodes.order))
    bound = _bound(node)

    def own(other: ops.Value) -> bool:
        return bool(nodes.free[other] & bound) and not nodes.free[other] & inner

    items, param, index = node.arg, node.param, node.index
    here: dict[ops.Node, ops.Node] = {}
    levels = nodes.levels(own, least=_SMALL)
    for number, level in enumerate(levels):
        later = [node.body, *(other for rest in levels[number + 1 :] for other in rest)]
        carried = _read(later, {*level, *(other for past in levels[:number] for other in past)}, nodes, bound)
        wanted = list(dict.fromkeys([*level, *carried]))
        row = ops.StructColumn(
            names=tuple(f"s{place}" for place in range(len(wanted))),
            values=tuple(other.replace(here, filter=ops.Value) if here else other for other in wanted),
        )
        items = ops.ArrayMap(items, body=row, param=param, index=index)
        param, index = ops.Argument(name=node.param.name, shape=items.shape, dtype=row.dtype), None
        here = {other: ops.StructField(param, f"s{place}") for place, other in enumerate(wanted)}
    if not levels:
        return node
    return ops.ArrayMap(items, body=node.body.replace(here, filter=ops.Value), param=param, index=index)


def _read(
    roots: Sequence[ops.Value], made: set[ops.Value], nodes: _Nodes, bound: frozenset[ops.Argument]
) -> list[ops.Value]:
    """What some expressions read of an item: properties, and of what was made of it before as far as still needed."""
    found: dict[ops.Value, None] = {}
    queue, seen = list(roots), set[ops.Value]()
    while queue:
        for node in _below(queue.pop()) if queue else ():
            if node in seen or not nodes.free[node] & bound:
                continue
            seen.add(node)
            if node in made or nodes.plain[node]:
                found[node] = None
            else:
                queue.append(node)
    return list(found)


def _below(node: ops.Node) -> list[ops.Value]:
    return [child for child in node.__children__ if isinstance(child, ops.Value)]


def _bound(node: ops.Node) -> frozenset[ops.Argument]:
    if not isinstance(node, ops.ArrayMap | ops.ArrayFilter):
        return frozenset()
    return frozenset(argument for argument in (node.param, node.index) if argument is not None)
