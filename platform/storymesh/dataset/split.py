"""Which split a case belongs to, and which cases belong to none because they would carry the future over a cut.

A cut is the midnight (UTC) with which the validation or the test split begins: a case asked at that very moment is in
the later split. By chance it is the component that is drawn, never the case, so that what belongs together stays so.
All of it is set-based and runs on the engine that holds the cases.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

    from storymesh.engine.engine import Engine
    from storymesh.narrative.definition import RandomSplit, Split

SPLITS = ("train", "validation", "test")


def assign(engine: "Engine", cases: "Table", split: "Split | None") -> "Table":
    """One row a case: case_id, split (null: the case drops), dropped (null or the reason), component (a case id).

    `cases` are all linked cases, with the columns case_id, at, closes and, where cases share values that keep them
    together, `together`: a list of texts. Without the column `closes` a case is over at the moment it is asked.

    A component is named by its smallest case id. `straddles` is a case before the last cut that its component crosses;
    `embargo` one that at `embargo` before the next cut is open or closes later: at that moment itself is in time.
    By chance, a component goes whole to the split that `drawn` gives for it. It is named by the smallest of its shared
    values, or `case.id=<id>` where it shares none: that name stays when cases come and go that share the same value.
    Nothing drops then: there is no moment to straddle.

    Without `split` every case is train, on its own.
    """
    import ibis

    if split is None:
        unsaid = ibis.null().cast("string")
        return cases.select("case_id", split=ibis.literal(SPLITS[0]), dropped=unsaid, component=cases.case_id)
    if split.random is not None:
        named = _named(engine, cases)
        found = drawn(named.component, split.random)
        return named.select("case_id", split=found, dropped=ibis.null().cast("string"), component="component")
    cuts = [ibis.literal(cut) for cut in split.cuts]
    alone = cases.mutate(component=cases.case_id)
    grouped = _with_components(engine, cases) if "together" in cases.columns else alone
    placed = grouped.mutate(rank=ibis.cases((cases.at < cuts[0], 0), (cases.at < cuts[1], 1), else_=2))
    reached = placed["rank"].max().over(group_by="component")
    closes = placed.closes if "closes" in placed.columns else placed.at
    embargo = ibis.interval(seconds=int(split.embargo.total_seconds()))
    limit = ibis.cases((placed["rank"] == 0, cuts[0] - embargo), (placed["rank"] == 1, cuts[1] - embargo))
    judged = placed.mutate(
        dropped=ibis.cases(
            (placed["rank"] < reached, "straddles"),
            ((placed["rank"] < 2) & (closes.isnull() | (closes > limit)), "embargo"),
        )
    )
    name = ibis.cases(*((judged["rank"] == rank, split) for rank, split in enumerate(SPLITS)))
    kept = judged.dropped.isnull().ifelse(name, ibis.null().cast("string"))
    return judged.select("case_id", split=kept, dropped=judged.dropped, component=judged.component)


def drawn(component: "StringValue", random: "RandomSplit") -> "StringValue":
    """The split of a component: where the MD5 of `<seed>:<component>` stands, as a share of all there are.

    The lowest shares are test, those above validation: with another share for validation the test stays what it was.
    Which other components there are has no say in it.
    """
    import ibis

    from storymesh.engine import dialect

    of = 1 << 32
    place = dialect.hash_choice(ibis.literal(f"{random.seed}:").concat(component), of)
    test, validation = round(random.test * of), round((random.test + random.validation) * of)
    found: StringValue = ibis.cases(
        (place < test, SPLITS[2]), (place < validation, SPLITS[1]), else_=ibis.literal(SPLITS[0])
    )
    return found


def alone(case_id: "StringValue") -> "StringValue":
    """The name of the component of a case that shares nothing."""
    import ibis

    name: StringValue = ibis.literal("case.id=").concat(case_id)
    return name


def _named(engine: "Engine", cases: "Table") -> "Table":
    """case_id and component of each case, the component by a name that stays when other cases come."""
    if "together" not in cases.columns:
        return cases.select("case_id", component=alone(cases.case_id))
    joined = _with_components(engine, cases)
    shared = joined.select("component", value=joined.together.unnest())
    least = shared.group_by("component").aggregate(least=shared.value.min())
    named = joined.left_join(least, "component")
    return named.select("case_id", component=named.least.coalesce(alone(named.case_id)))


def _with_components(engine: "Engine", cases: "Table") -> "Table":
    """`cases` with `component`: the smallest id among the cases that are joined by chains of shared values."""
    import ibis

    shared = cases.select("case_id", value=cases.together.unnest())
    shared = engine.materialize(shared.filter(shared.value.notnull()).distinct())
    (counts,) = engine.fetch_rows(shared.aggregate(pairs=shared.count(), cases=shared.case_id.nunique()))
    if counts["pairs"] == counts["cases"]:
        # One value a case, which is the common case: a component is all that has the value.
        first = shared.group_by("value").aggregate(component=shared.case_id.min())
        components = shared.join(first, "value").select("case_id", "component")
    else:
        numbered = engine.materialize(cases.select("case_id", node=ibis.row_number().over(order_by=cases.case_id)))
        roots = _stars(engine, shared.join(numbered, "case_id").select("node", "value"))
        components = (
            roots.join(numbered, "node")
            .select("case_id", "root")
            .join(numbered.select(root="node", component="case_id"), "root")
            .select("case_id", "component")
        )
    found = components.select(joined="case_id", found="component")
    joined = cases.left_join(found, cases.case_id == found.joined)
    return joined.mutate(component=ibis.coalesce(joined.found, joined.case_id)).drop("joined", "found")


def _stars(engine: "Engine", shared: "Table") -> "Table":
    """(node, root) for each node that is not the smallest of its component, from the (node, value) that nodes have.

    The alternating algorithm of Kiveris et al., "Connected Components in MapReduce and Beyond" (SoCC 2014): each step
    keeps what is connected connected and shortens the ways, so that even a chain of a million cases is a star around
    its smallest node after some 20 steps, where passing labels from neighbour to neighbour would take a million.
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
    """Whether each node has one root, and no root has one itself."""
    roots = edges.select(node="root").distinct()
    inner = edges.semi_join(roots, "node").count()
    counts = edges.aggregate(edges=edges.count(), nodes=edges.node.nunique(), inner=inner.as_scalar())
    (found,) = engine.fetch_rows(counts)
    return bool(found["edges"] == found["nodes"] and found["inner"] == 0)


def _large_star(edges: "Table") -> "Table":
    """Ties the larger neighbours of each node to the smallest of its neighbours and itself."""
    import ibis

    both = edges.union(edges.select(node="root", root="node"))
    tied = both.mutate(least=ibis.least(both.root.min().over(group_by="node"), both.node))
    return tied.filter(tied.root > tied.node).select(node="root", root="least").distinct()


def _small_star(edges: "Table") -> "Table":
    """Ties each node and its smaller neighbours to the smallest of these."""
    tied = edges.mutate(least=edges.root.min().over(group_by="node"))
    smaller = tied.filter(tied.root != tied.least).select(node="root", root="least")
    return smaller.union(tied.select("node", root="least")).distinct()
