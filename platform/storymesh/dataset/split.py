"""The split of each case, and which cases are in none because they would carry the future into the past.

A boundary is the midnight (UTC) with which the validation or the test split begins; a case asked at that very moment is
in the later split. A random split draws components, never single cases, so that cases that share values stay together.
Everything is set-based and runs on the engine that holds the cases.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, StringValue, Table, Value

    from storymesh.engine.engine import Engine
    from storymesh.narrative.split_definition import RandomSplit, Split

SPLITS = ("train", "validation", "test")
HELD_OUT = "held out: only the test has its value"


def split_rank(split: "StringValue") -> "IntegerValue":
    """Return the place of a split in the order of time, from 0; null for null."""
    rank: IntegerValue = split.cases(*[(name, rank) for rank, name in enumerate(SPLITS)], else_=None)
    return rank


def release_order(records: "Table") -> "list[Value]":
    """Return what the records of a config are ordered by in a release: their splits, their moments and their ids."""
    return [split_rank(records["split"]), records["at"], records["id"]]


def assign_splits(engine: "Engine", cases: "Table", split: "Split | None") -> "Table":
    """Return one row per case: case_id, split (null: the case drops), dropped (the reason or null), component (name),
    period (the split in whose period the case lies, also where it drops).

    `cases` are all linked cases, with the columns case_id, at, closes and, if cases share values that keep them
    together, `together`: a list of texts. Without the column `closes` a case is over at the moment it is asked. A case
    with a reason in `unrecorded`, where there is that column, drops for it. One that is `held_out`, where there is
    that column, drops from all splits but the last.

    By time, a component is named by its smallest case id. A case `straddles` if it lies before the last boundary that
    its component crosses. A case drops for the `embargo` if it closes later than `embargo` before the next boundary, or
    never. At random, a component goes whole to the split that `draw_split` returns, which is its period too.

    Without `split` every case is train, on its own.
    """
    import ibis

    if "unrecorded" not in cases.columns:
        cases = cases.mutate(unrecorded=ibis.null().cast("string"))
    if split is None:
        placed = cases.mutate(period=ibis.literal(SPLITS[0]), component=cases.case_id, dropped="unrecorded")
    elif split.random is not None:
        named = _with_stable_names(engine, cases)
        placed = named.mutate(period=draw_split(named.component, split.random), dropped="unrecorded")
    else:
        placed = _assign_by_time(engine, cases, split)
    if "held_out" in placed.columns:
        early = placed.held_out & (placed.period != SPLITS[-1])
        placed = placed.mutate(dropped=placed.dropped.coalesce(ibis.ifelse(early, HELD_OUT, ibis.null("string"))))
    kept = placed.dropped.isnull().ifelse(placed.period, ibis.null().cast("string"))
    return placed.select("case_id", split=kept, dropped="dropped", component="component", period="period")


def _assign_by_time(engine: "Engine", cases: "Table", split: "Split") -> "Table":
    """Return the cases with component, period and dropped."""
    import ibis

    cuts = [ibis.literal(cut) for cut in split.cuts]
    singles = cases.mutate(component=cases.case_id)
    grouped = _with_components(engine, cases) if "together" in cases.columns else singles
    placed = grouped.mutate(rank=ibis.cases((cases.at < cuts[0], 0), (cases.at < cuts[1], 1), else_=2))
    last_rank = placed["rank"].max().over(group_by="component")
    closes = placed.closes if "closes" in placed.columns else placed.at
    embargo = ibis.interval(seconds=int(split.embargo.total_seconds()))
    limit = ibis.cases((placed["rank"] == 0, cuts[0] - embargo), (placed["rank"] == 1, cuts[1] - embargo))
    return placed.mutate(
        period=ibis.cases(*((placed["rank"] == rank, name) for rank, name in enumerate(SPLITS))),
        dropped=ibis.cases(
            (placed["unrecorded"].notnull(), placed["unrecorded"]),
            (placed["rank"] < last_rank, "straddles"),
            ((placed["rank"] < 2) & (closes.isnull() | (closes > limit)), "embargo"),
        ),
    )


def draw_split(component: "StringValue", random: "RandomSplit") -> "StringValue":
    """Return the split of a component by the MD5 of `<seed>:<component>`, as a share of the largest possible value.

    The lowest shares are test, the next validation: if the share of validation changes, test stays as it was. Other
    components have no influence.
    """
    import ibis

    from storymesh.engine import dialect

    values = 1 << 32
    share = dialect.hash_choice(ibis.literal(f"{random.seed}:").concat(component), values)
    test, validation = round(random.test * values), round((random.test + random.validation) * values)
    split: StringValue = ibis.cases(
        (share < test, SPLITS[2]), (share < validation, SPLITS[1]), else_=ibis.literal(SPLITS[0])
    )
    return split


def single_component(case_id: "StringValue") -> "StringValue":
    """Return the name of the component of a case that shares no value with another."""
    import ibis

    name: StringValue = ibis.literal("case.id=").concat(case_id)
    return name


def _with_stable_names(engine: "Engine", cases: "Table") -> "Table":
    """Return the cases with `component`. A component is named by its smallest shared value, or by
    `single_component`, so that it keeps its name when cases with the same values come and go."""
    if "together" not in cases.columns:
        return cases.mutate(component=single_component(cases.case_id))
    joined = _with_components(engine, cases)
    shared = joined.select("component", value=joined.together.unnest())
    least = shared.group_by("component").aggregate(least=shared.value.min())
    named = joined.left_join(least, "component")
    return named.mutate(component=named.least.coalesce(single_component(named.case_id)))


def _with_components(engine: "Engine", cases: "Table") -> "Table":
    """Return `cases` with `component`: the smallest id among the cases that chains of shared values connect."""
    import ibis

    shared = cases.select("case_id", value=cases.together.unnest())
    shared = engine.materialize(shared.filter(shared.value.notnull()).distinct())
    (counts,) = engine.fetch_rows(shared.aggregate(pairs=shared.count(), cases=shared.case_id.nunique()))
    if counts["pairs"] == counts["cases"]:
        # One value per case, the common situation: a component is all cases that have the value.
        first = shared.group_by("value").aggregate(component=shared.case_id.min())
        components = shared.join(first, "value").select("case_id", "component")
    else:
        order = ibis.row_number().over(order_by=cases.case_id)
        numbered = engine.materialize(cases.select("case_id", node=order))
        roots = _connected_roots(engine, shared.join(numbered, "case_id").select("node", "value"))
        components = (
            roots.join(numbered, "node")
            .select("case_id", "root")
            .join(numbered.select(root="node", component="case_id"), "root")
            .select("case_id", "component")
        )
    renamed = components.select(connected_id="case_id", connected="component")
    joined = cases.left_join(renamed, cases.case_id == renamed.connected_id)
    return joined.mutate(component=ibis.coalesce(joined.connected, joined.case_id)).drop("connected_id", "connected")


def _connected_roots(engine: "Engine", shared: "Table") -> "Table":
    """Return (node, root) for each node that is not the smallest of its component, from (node, value).

    The alternating algorithm of Kiveris et al., "Connected Components in MapReduce and Beyond" (SoCC 2014). Each step
    preserves the components and shortens their paths, so that even a chain of a million cases is a star around its
    smallest node after some 20 steps; passing labels from neighbour to neighbour would take a million.
    """
    root = shared.node.min().over(group_by="value")
    edges = shared.select("node", root=root)
    edges = engine.materialize(edges.filter(edges.node > edges.root).distinct())
    while not _are_stars(engine, edges):
        shorter = engine.materialize(_small_star(_large_star(edges)))
        engine.drop(edges)
        edges = shorter
    return edges


def _are_stars(engine: "Engine", edges: "Table") -> bool:
    """Return True if each node has one root, and no root has a root itself."""
    roots = edges.select(node="root").distinct()
    inner = edges.semi_join(roots, "node").count()
    counts = edges.aggregate(edges=edges.count(), nodes=edges.node.nunique(), inner=inner.as_scalar())
    (row,) = engine.fetch_rows(counts)
    return bool(row["edges"] == row["nodes"] and row["inner"] == 0)


def _large_star(edges: "Table") -> "Table":
    """Connect the larger neighbours of each node to the smallest of its neighbours and itself."""
    import ibis

    both = edges.union(edges.select(node="root", root="node"))
    connected = both.mutate(least=ibis.least(both.root.min().over(group_by="node"), both.node))
    return connected.filter(connected.root > connected.node).select(node="root", root="least").distinct()


def _small_star(edges: "Table") -> "Table":
    """Connect each node and its smaller neighbours to the smallest of these."""
    connected = edges.mutate(least=edges.root.min().over(group_by="node"))
    smaller = connected.filter(connected.root != connected.least).select(node="root", root="least")
    return smaller.union(connected.select("node", root="least")).distinct()
