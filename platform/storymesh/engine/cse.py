"""Common subexpression elimination: what a selection computes twice becomes a column, also inside a lambda.

An engine finds what is repeated in plain expressions by itself, but not inside a `CASE` or a lambda, where templates
have most of it. And what is taken out of a list inside a `CASE` is taken before it: an engine copies the rows of each
branch, which for nested rows costs more than what is done in the branch.

So expressions have to be total: a branch may guard a value against null, never against an error.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Graph

from storymesh.engine import dialect
from storymesh.engine.dialect import INDEX_NAME
from storymesh.engine.enum_text import is_enum_text

_CONDITIONS = (ops.IfElse, ops.SimpleCase, ops.SearchedCase)
_TRIVIAL = (ops.Field, ops.Literal, ops.Argument)
# A stage rebuilds every item of a list, so an expression smaller than this is cheaper to compute twice.
_MIN_SIZE = 6
# A value that waits this many levels for its one reader costs more memory than computing it later.
_MIN_LEVELS = 3


def eliminate_common(table: ir.Table) -> ir.Table:
    """Return an equal selection that computes in a column below it what it would compute more than once."""
    selection = table.op()
    assert isinstance(selection, ops.Project), "a selection is wanted"
    values = _replace_all(selection.values, _stage_map, lambda node: isinstance(node, ops.Value))
    nodes = _Nodes(values.values())
    levels = nodes.levels(lambda node: not nodes.free[node], least=1, early=True)
    last = _last_levels(values.values(), levels)
    stage = selection.parent.to_expr()
    index = _next_index(stage.op().find(ops.Argument))
    # The column that holds each field and each shared expression, and where it stands in the present stage.
    names: dict[ops.Node, str] = {node: node.name for node in nodes.order if isinstance(node, ops.Field)}
    here: dict[ops.Node, ops.Node] = {node: node for node in names}
    for number, level in enumerate(levels):
        made = {f"shared_{number}_{place}": node for place, node in enumerate(level)}
        read_later = {name: here[node].to_expr() for node, name in names.items() if last.get(node, -1) > number}
        added = _as_columns(made, here, index)
        arguments = (argument for value in added.values() for argument in value.op().find(ops.Argument, ops.Value))
        index = max(index, _next_index(arguments))
        stage = _select(stage, {**read_later, **added, **dialect.BARRIER})
        names |= {node: name for name, node in made.items()}
        here = {node: ops.Field(stage, name) for node, name in names.items() if name in stage.columns}
    return _select(stage, _as_columns(values, here, index))


def _select(table: ir.Table, values: Mapping[str, ir.Value]) -> ir.Table:
    """Return a selection of values that read this very table: ibis's own `select` searches each value for its tables,
    which takes as long as the rest of this module."""
    return ops.Project(table, {name: value.op() for name, value in values.items()}).to_expr()


def _last_levels(roots: Iterable[ops.Value], levels: Sequence[Sequence[ops.Value]]) -> dict[ops.Node, int]:
    """Return the last level that reads each field and each hoisted expression; the roots count as one more level."""
    made = {node for level in levels for node in level}
    last: dict[ops.Node, int] = {}
    below = [[child for node in level for child in _children(node)] for level in levels]
    for number, readers in enumerate([*below, roots]):
        read = _reachable(readers, lambda node: node in made or isinstance(node, ops.Field))
        last |= dict.fromkeys((node for node in read if node in made or isinstance(node, ops.Field)), number)
    return last


def _reachable(roots: Iterable[ops.Value], ends: Callable[[ops.Value], bool]) -> set[ops.Value]:
    """Return the roots and every expression below them, not descending into those for which `ends` is true."""
    queue, seen = list(roots), set[ops.Value]()
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue.extend(() if ends(node) else _children(node))
    return seen


def _next_index(arguments: Iterable[ops.Node]) -> int:
    """Return the lowest index number that is above those of all these lambda arguments."""
    names = {argument.name for argument in arguments}
    return 1 + max((int(name.removeprefix(INDEX_NAME)) for name in names if name.startswith(INDEX_NAME)), default=-1)


def _as_columns(values: Mapping[str, ops.Value], here: Mapping[ops.Node, ops.Node], first: int) -> dict[str, ir.Value]:
    """Return the values over a table that has the columns in `here`, with lambda indexes numbered from `first`.

    ibis, which counts from 0 for engines that count from 1, looks for the name in the relations below as well.
    """
    # What is below a column of the table is many times what is above it.
    within = _reachable(values.values(), here.__contains__)

    def moved(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
        if (column := here.get(node)) is not None:
            return column
        node = node.__recreate__(changed) if changed else node
        if first and isinstance(node, ops.Argument) and node.name.startswith(INDEX_NAME):
            return node.copy(name=f"{INDEX_NAME}{first + int(node.name.removeprefix(INDEX_NAME))}")
        return node

    changed = _replace_all(values, moved, within.__contains__)
    return {name: value.to_expr() for name, value in changed.items()}


def _replace_all(
    values: Mapping[str, ops.Value],
    replacer: Callable[[ops.Node, Mapping[str, object] | None], ops.Node],
    filter_: Callable[[ops.Node], bool],
) -> dict[str, ops.Value]:
    """Apply a replacer to some values, visiting each node once."""
    if not values:
        return {}
    together = ops.StructColumn(names=tuple(values), values=tuple(values.values()))

    def of_parts(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
        if node is together:
            return node.__recreate__(changed) if changed else node
        return replacer(node, changed)

    replaced = together.replace(of_parts, filter=lambda node: node is together or filter_(node))
    return dict(zip(values, replaced.values, strict=True))


class HoistedExpressions:
    """The parts of a selection that read some columns of its parent and nothing else.

    Where the parent has these columns from another table of fewer rows, it is computed there, once for each of them:
    `below` gives that table the columns `names`, and `above` is the selection over a parent that has them.
    """

    def __init__(self, selection: ir.Table, columns: Collection[str]) -> None:
        project = selection.op()
        assert isinstance(project, ops.Project), "a selection is wanted"
        few = frozenset(ops.Field(project.parent, name) for name in columns)

        def split(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
            return _split_map(node.__recreate__(changed) if changed else node, few)

        self._values = _replace_all(project.values, split, lambda node: isinstance(node, ops.Value))
        self._nodes = _Nodes(self._values.values())
        made = self._nodes.topmost(lambda node: not self._nodes.free[node] and self._nodes.reads_only(node, few))
        self._made = {f"apart_{place}": node for place, node in enumerate(made)}
        self.names = list(self._made)

    def below(self, table: ir.Table) -> ir.Table:
        """Return `table`, which has those columns, with what is computed from them."""
        here = {node: ops.Field(table, node.name) for node in _Nodes(self._made.values()).fields_read}
        made = {name: node.replace(here, filter=ops.Value).to_expr() for name, node in self._made.items()}
        return eliminate_common(table.mutate(**made)) if made else table

    def above(self, parent: ir.Table) -> ir.Table:
        """Return the selection over `parent`, which has `names` and the other columns that are still read."""
        there = [node for node in self._nodes.fields_read if node.name in parent.columns]
        here: dict[ops.Node, ops.Node] = {node: ops.Field(parent, node.name) for node in there}
        here |= {node: ops.Field(parent, name) for name, node in self._made.items()}
        return _select(parent, _as_columns(self._values, here, _next_index(parent.op().find(ops.Argument))))


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
        self.fields: dict[ops.Node, frozenset[ops.Field]] = {}
        for node in self.order:
            below = _children(node)
            read = frozenset((node,)) if isinstance(node, ops.Field) else frozenset()
            self.fields[node] = read.union(*(self.fields[child] for child in below))
            own = frozenset((node,)) if isinstance(node, ops.Argument) else frozenset()
            self.free[node] = own.union(*(self.free[child] for child in below)) - _bound_arguments(node)
            of_plain = isinstance(node, ops.StructField | ops.Cast | ops.Alias) and self.plain[below[0]]
            self.plain[node] = of_plain or isinstance(node, _TRIVIAL) or dialect.is_secret(node) or is_enum_text(node)
            self.size[node] = 0 if self.plain[node] else 1 + sum(self.size[child] for child in below)

    @property
    def fields_read(self) -> frozenset[ops.Field]:
        return frozenset[ops.Field]().union(*(self.fields[root] for root in self.roots))

    def reads_only(self, node: ops.Node, few: frozenset[ops.Field]) -> bool:
        return bool(self.fields[node]) and self.fields[node] <= few

    def topmost(self, wanted: Callable[[ops.Value], bool]) -> list[ops.Value]:
        """Return the outermost expressions that `wanted` holds for and that cost something."""
        found: dict[ops.Value, None] = {}
        queue, seen = list(self.roots), set[ops.Value]()
        while queue:
            node = queue.pop()
            if node in seen:
                continue
            seen.add(node)
            if wanted(node) and not self.plain[node]:
                found[node] = None
            else:
                queue.extend(_children(node))
        return list(found)

    def levels(self, own: Callable[[ops.Value], bool], least: int, *, early: bool = False) -> list[list[ops.Value]]:
        """Return the expressions that are worth a column of their own, in levels that read only earlier levels.

        `own` says which can be a column, `least` how large one has to be, `early` that what is read once is one too
        where it stands for several others on many levels.
        """
        uses = Counter(self.roots)
        outward: set[ops.Node] = set()  # read by what cannot stand there, such as the body of a lambda
        guarded: set[ops.Node] = set()
        for node in reversed(self.order):
            below = _children(node)
            uses.update(below)
            if not own(node):
                outward.update(below)
            if node in guarded or isinstance(node, _CONDITIONS):
                guarded.update(below)
        level: dict[ops.Node, int] = {}  # of what is made, the one after its own
        made: dict[ops.Node, int] = {}
        for node in self.order:
            below = _children(node)
            level[node] = max((level[child] for child in below), default=0)
            if not own(node) or self.size[node] < least:
                continue
            lists = any(child.dtype.is_array() and not self.plain[child] for child in below)
            taken = lists and not node.dtype.is_array() and node in guarded
            if uses[node] > 1 or node in outward or taken:
                made[node] = level[node]
                level[node] += 1
        if early:
            made |= self._read_once_values(made, level, lambda node: own(node) and self.size[node] >= least)
        levels: list[list[ops.Value]] = [[] for _ in range(1 + max(made.values(), default=-1))]
        for node in self.order:
            if node in made:
                levels[made[node]].append(node)
        return levels

    def _read_once_values(
        self,
        made: Mapping[ops.Node, int],
        level: Mapping[ops.Node, int],
        able: Callable[[ops.Value], bool],
    ) -> dict[ops.Node, int]:
        """Return values that are read once, many levels after their own inputs, each with the level at which those
        exist.

        Made there, it is one column on all these levels, and what it reads are several: in a long chain of variables
        the conditions of each are read once more at the end.
        """
        end = 1 + max(made.values(), default=-1)
        read_at = dict.fromkeys(self.roots, end)
        early: dict[ops.Node, int] = {}
        some_rows: set[ops.Node] = set()  # those of a branch
        for node in reversed(self.order):
            at = made.get(node, read_at[node])
            below = _children(node)
            if node in some_rows:
                some_rows.update(below)
            elif isinstance(node, _CONDITIONS):
                some_rows.update(below[1:] if isinstance(node, ops.IfElse) else below)
            if node not in made and node not in some_rows and at - level[node] >= _MIN_LEVELS and able(node):
                read = _reachable(below, lambda other: other in made)
                if not node.dtype.is_nested() and sum(other in made for other in read) > 1:
                    at = early[node] = level[node]
            for child in below:
                read_at[child] = min(at, read_at.get(child, end))
        return early


def _stage_map(node: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
    """Split a map over a list that computes something twice in two: the shared part of each item, then the rest."""
    node = node.__recreate__(changed) if changed else node
    if not isinstance(node, ops.ArrayMap):
        return node
    nodes = _Nodes([node.body])
    inner = frozenset[ops.Argument]().union(*(_bound_arguments(other) for other in nodes.order))
    bound = _bound_arguments(node)

    def own(other: ops.Value) -> bool:
        return bool(nodes.free[other] & bound) and not nodes.free[other] & inner

    here: dict[ops.Node, ops.Node] = {}
    levels = nodes.levels(own, least=_MIN_SIZE)
    for number, level in enumerate(levels):
        later = [nodes.roots[0], *(other for rest in levels[number + 1 :] for other in rest)]
        carried = _read_values(later, {*level, *(other for past in levels[:number] for other in past)}, nodes, bound)
        node, here = _map_over(node, list(dict.fromkeys([*level, *carried])), here)
    return node.copy(body=nodes.roots[0].replace(here, filter=ops.Value)) if levels else node


def _split_map(node: ops.Node, few: frozenset[ops.Field]) -> ops.Node:
    """Split a map that reads more than `few`, over a list that does not, into two: the first reads `few` only."""
    if not isinstance(node, ops.ArrayMap):
        return node
    lists, bound = _Nodes([node.arg]), _bound_arguments(node)
    if lists.free[node.arg] or not lists.reads_only(node.arg, few) or _Nodes([node.body]).fields[node.body] <= few:
        return node

    def able(part: ops.Value, nodes: _Nodes) -> bool:
        return bool(nodes.free[part]) and nodes.free[part] <= bound and nodes.fields[part] <= few

    def run_together(part: ops.Node, changed: Mapping[str, object] | None) -> ops.Node:
        part = part.__recreate__(changed) if changed else part
        texts = dialect.concat_operands(part)
        if not texts:
            return part
        nodes = _Nodes(texts)
        runs = groupby(texts, lambda text: able(text, nodes) or isinstance(text, ops.Literal))
        return dialect.concat_texts([dialect.concat_texts([text.to_expr() for text in run]) for _, run in runs]).op()

    node = node.copy(body=node.body.replace(run_together, filter=ops.Value))
    nodes = _Nodes([node.body])
    made = set(nodes.topmost(lambda part: able(part, nodes)))
    walk, here = _map_over(node, _read_values([node.body], made, nodes, bound), {})
    return walk.copy(body=node.body.replace(here, filter=ops.Value))


def _map_over(
    node: ops.ArrayMap, wanted: Sequence[ops.Value], here: Mapping[ops.Node, ops.Node]
) -> tuple[ops.ArrayMap, dict[ops.Node, ops.Node]]:
    """Return a map over structs of each item's `wanted` values, without a body, and the field of each value."""
    row = ops.StructColumn(
        names=tuple(f"s{place}" for place in range(len(wanted))),
        values=tuple(other.replace(here, filter=ops.Value) if here else other for other in wanted),
    )
    items = node.copy(body=row)
    param = ops.Argument(name=node.param.name, shape=items.shape, dtype=row.dtype)
    walk = ops.ArrayMap(items, body=param, param=param, index=None)
    return walk, {other: ops.StructField(param, f"s{place}") for place, other in enumerate(wanted)}


def _read_values(
    roots: Sequence[ops.Value], made: set[ops.Value], nodes: _Nodes, bound: frozenset[ops.Argument]
) -> list[ops.Value]:
    """Return what expressions read from an item: its properties, and the values in `made` that they still need."""
    found: dict[ops.Value, None] = {}
    queue, seen = list(roots), set[ops.Value]()
    while queue:
        for node in _children(queue.pop()) if queue else ():
            if node in seen or not nodes.free[node] & bound:
                continue
            seen.add(node)
            if node in made or nodes.plain[node]:
                found[node] = None
            else:
                queue.append(node)
    return list(found)


def _children(node: ops.Node) -> list[ops.Value]:
    return [child for child in node.__children__ if isinstance(child, ops.Value)]


def _bound_arguments(node: ops.Node) -> frozenset[ops.Argument]:
    if not isinstance(node, ops.ArrayMap | ops.ArrayFilter):
        return frozenset()
    return frozenset(argument for argument in (node.param, node.index) if argument is not None)
