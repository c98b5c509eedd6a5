"""What worked before: for each case the options that earlier, closed, matching cases tried, as one ibis expression.

A precedent counts from the day after it was wholly known, so that all cases of a UTC day see the same precedents. Cases
that ask the same (the match values and the day) are one *probe*: running sums by day are taken once a probe, never once
a case.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.case.definition import Precedents
from storymesh.case.link import KNOWN
from storymesh.engine import dialect

Z95 = 1.959963984540054  # the normal quantile of a two-sided 95 % interval (Wilson 1927, JASA 22:209-212)


@dataclass(frozen=True)
class Matching:
    """The names of the match columns of each level, strictest first."""

    levels: Sequence[Sequence[str]]

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys(name for level in self.levels for name in level))


def precedents(
    cases: ir.Table, definition: Precedents, levels: Sequence[Sequence[str]], facts: Sequence[str]
) -> ir.Table:
    """`precedents` (a struct as templates see it) for each probe: rank, day and the columns in `levels`.

    `cases` has case_id, at, closes, rank (of its split, 0 the earliest; null: not kept, neither asks nor counts),
    outcome (null unless judged), known, match (struct of the columns in `levels`), hindsight (facts) and fact_known.
    """
    matching = Matching(levels)
    kept = cases.filter(cases["rank"].notnull())
    match = {name: kept["match"][name] for name in matching.all}
    events = _events(kept, matching, facts)
    probes = kept.select(rank=kept["rank"], day=kept["at"].cast("date"), **match).distinct()
    counted = [_counted(events, probes, level, index) for index, level in enumerate(matching.levels)]
    chosen = _chosen(probes, counted, matching, definition.min)
    options = _options(chosen, counted, events, matching, definition, facts)
    return _answers(probes, options, matching)


def with_precedents(cases: ir.Table, found: ir.Table) -> ir.Table:
    """The cases (at, rank, match) with what `precedents` found for their probe; null where they do not ask."""
    names = cases["match"].type().names
    theirs = found.rename({f"o_{name}": name for name in ("rank", "day", *names)})
    predicates = [cases["rank"] == theirs["o_rank"], cases["at"].cast("date") == theirs["o_day"]]
    predicates += [cases["match"][name].identical_to(theirs[f"o_{name}"]) for name in names]
    return cases.left_join(theirs, predicates).drop("o_rank", "o_day", *(f"o_{name}" for name in names))


def wilson(worked: ir.NumericValue, tried: ir.NumericValue, z: float, *, lower: bool = True) -> ir.FloatingValue:
    """One end of Wilson's score interval for `worked` of `tried`; the lower end is 0 exactly where none worked."""
    n, p = tried.cast("float64"), worked.cast("float64") / tried.cast("float64")
    middle = p + z * z / (2 * n)
    half = z * ((p * (1 - p) + z * z / (4 * n)) / n).sqrt()
    end = (middle - half if lower else middle + half) / (1 + z * z / n)
    return ibis.ifelse(worked == 0, 0.0, end) if lower else end


def _events(kept: ir.Table, matching: Matching, facts: Sequence[str]) -> ir.Table:
    """One row for each judged case that can be a precedent."""
    judged = kept.filter(kept["outcome"].notnull() & kept["known"].notnull())
    fields: dict[str, ir.Value] = {
        "id": judged["case_id"],
        "at": judged["at"],
        "closes": judged["closes"],
        "score": judged["outcome"]["score"],
        "worked": judged["outcome"]["worked"],
        **{f"fact_{name}": judged["hindsight"][name] for name in facts},
    }
    guarded = judged["fact_known"].type().names if "fact_known" in judged.columns else ()
    fields |= {f"known_{name}": judged["fact_known"][name] for name in facts if name in guarded}
    return judged.select(
        rank="rank",
        known="known",
        known_day=judged["known"].cast("date"),
        action=judged["outcome"]["action"],
        **{name: judged["match"][name] for name in matching.all},
        **fields,
    )


def _counted(events: ir.Table, probes: ir.Table, level: Sequence[str], index: int) -> ir.Table:
    """For each probe of the level and each action: how many were tried and worked before the day, and the exact sum."""
    keys = list(level)
    here = events.filter([events[name].notnull() for name in keys])
    asked = probes.filter([probes[name].notnull() for name in keys]).select("rank", "day", *keys).distinct()
    # A precedent counts for its own split and every later one.
    ranks = asked.select(ask_rank="rank").distinct()
    here = here.join(ranks, here["rank"] <= ranks["ask_rank"])
    daily = here.group_by("ask_rank", "action", *keys, "known_day").agg(
        tried=here.count(),
        worked=here["worked"].sum(),
        total=_exact(here["score"]).sum(),
    )
    actions = daily.select("ask_rank", "action", *keys).distinct()
    wanted = asked.rename(ask_rank="rank").inner_join(actions, ["ask_rank", *keys])
    marked = daily.select(
        "ask_rank",
        "action",
        *keys,
        day=daily["known_day"],
        asks=ibis.literal(0, "int8"),
        tried=daily["tried"],
        worked=dialect.sum_int64(daily["worked"]),
        total=daily["total"].cast(_sum_type(events)),
    ).union(
        wanted.select(
            "ask_rank",
            "action",
            *keys,
            "day",
            asks=ibis.literal(1, "int8"),
            tried=ibis.literal(0, "int64"),
            worked=ibis.literal(0, "int64"),
            total=ibis.literal(0).cast(_sum_type(events)),
        )
    )
    # On one day the probe comes before what became known that day.
    running = ibis.window(
        group_by=["ask_rank", "action", *keys],
        order_by=[marked["day"], marked["asks"].desc()],
        preceding=None,
        following=0,
    )
    summed = marked.mutate(
        tried=marked["tried"].sum().over(running),
        worked=marked["worked"].sum().over(running),
        total=marked["total"].sum().over(running),
    )
    found = summed.filter((summed["asks"] == 1) & (summed["tried"] > 0))
    return found.select(
        rank="ask_rank",
        day="day",
        action="action",
        **{name: name for name in keys},
        tried=dialect.sum_int64(found["tried"]),
        worked=dialect.sum_int64(found["worked"]),
        mean_score=found["total"].cast("float64") / found["tried"].cast("float64"),
        level=ibis.literal(index + 1, "int64"),
    )


def _exact(score: ir.NumericValue) -> ir.DecimalValue:
    kind = score.type()
    return score.cast(dt.Decimal(38, kind.scale if isinstance(kind, dt.Decimal) else 0))


def _sum_type(events: ir.Table) -> dt.Decimal:
    kind = events["score"].type()
    return dt.Decimal(38, kind.scale if isinstance(kind, dt.Decimal) else 0)


def _chosen(probes: ir.Table, counted: Sequence[ir.Table], matching: Matching, least: int) -> ir.Table:
    """Each probe that has enough on some level, with the first such level and how many it has there."""
    per_level = []
    for index, (level, table) in enumerate(zip(matching.levels, counted, strict=True)):
        keys = ["rank", "day", *level]
        totals = table.group_by(keys).agg(tried=dialect.sum_int64(table["tried"].sum()))
        enough = totals.filter(totals["tried"] >= least)
        joined = probes.inner_join(enough, keys)
        per_level.append(
            joined.select("rank", "day", *matching.all, tried="tried", level=ibis.literal(index + 1, "int64"))
        )
    together = per_level[0]
    for other in per_level[1:]:
        together = together.union(other)
    first = together.mutate(
        place=ibis.row_number().over(ibis.window(group_by=["rank", "day", *matching.all], order_by=[together["level"]]))
    )
    return first.filter(first["place"] == 0).drop("place")


def _options(
    chosen: ir.Table,
    counted: Sequence[ir.Table],
    events: ir.Table,
    matching: Matching,
    definition: Precedents,
    facts: Sequence[str],
) -> ir.Table:
    """rank, day, match columns, level, tried and the ordered options of each probe that has enough."""
    found = []
    for index, (level, table) in enumerate(zip(matching.levels, counted, strict=True)):
        keys = ["rank", "day", *level]
        probes = chosen.filter(chosen["level"] == index + 1).rename(all_tried="tried").drop("level")
        options = probes.inner_join(table, keys)
        options = options.select(
            "rank", "day", *matching.all, "all_tried", "action", "tried", "worked", "mean_score", "level"
        )
        found.append(_with_quotes(options, events, level, definition.quote, facts))
    together = found[0]
    for other in found[1:]:
        together = together.union(other)
    lower = wilson(together["worked"], together["tried"], Z95)
    option = ibis.struct(
        {
            "action": together["action"],
            "tried": together["tried"],
            "worked": together["worked"],
            "rate": together["worked"].cast("float64") / together["tried"].cast("float64"),
            "mean_score": together["mean_score"],
            "quoted": together["quoted"],
        }
    )
    # The order stands first in the row that is sorted: the lower end and the count falling, then the action.
    ordered = ibis.struct({"low": -lower, "fewer": -together["tried"], "name": together["action"], "option": option})
    together = together.mutate(ordered=ordered)
    return (
        together.group_by("rank", "day", *matching.all, "level", "all_tried")
        .agg(options=dialect.map_items(together["ordered"].collect().sort(), lambda row: row["option"]))
        .mutate(least=ibis.literal(definition.min, "int64"))
    )


def _with_quotes(
    options: ir.Table, events: ir.Table, level: Sequence[str], quote: int, facts: Sequence[str]
) -> ir.Table:
    """The `quote` latest-known cases of each option: of N known before the day, those that came to be known last."""
    keys = list(level)
    here = events.filter([events[name].notnull() for name in keys])
    ranks = options.select(ask_rank="rank").distinct()
    here = here.join(ranks, here["rank"] <= ranks["ask_rank"])
    order = [here["known"], here["id"].desc()]
    place = ibis.row_number().over(ibis.window(group_by=["ask_rank", "action", *keys], order_by=order))
    placed = here.mutate(place=place.cast("int64") + 1)
    theirs = placed.rename({f"q_{name}": name for name in placed.columns})
    places = options.select(
        "rank",
        "day",
        "action",
        *matching_columns(options),
        place=ibis.range(options["tried"] - quote + 1, options["tried"] + 1).unnest(),
    )
    places = places.filter(places["place"] > 0)
    predicates = [
        places["place"] == theirs["q_place"],
        places["rank"] == theirs["q_ask_rank"],
        places["action"] == theirs["q_action"],
        *(places[name] == theirs[f"q_{name}"] for name in keys),
    ]
    joined = places.inner_join(theirs, predicates)
    start = joined["day"].cast("timestamp(6)")
    told: dict[str, ir.Value] = {}
    for name in facts:
        value = joined[f"q_fact_{name}"]
        known = f"q_known_{name}"
        told[name] = _told(value, joined[known], start) if known in joined.columns else value
    row = ibis.struct(
        {
            "place": -joined["place"],
            "quoted": ibis.struct(
                {name: joined[f"q_{name}"] for name in ("id", "at", "closes", "score", "worked")} | told
            ),
        }
    )
    by = ["rank", "day", "action", *matching_columns(options)]
    joined = joined.mutate(row=row)
    gathered = joined.group_by(by).agg(
        quoted=dialect.map_items(joined["row"].collect().sort(), lambda item: item["quoted"])
    )
    renamed = gathered.rename({f"g_{name}": name for name in by})
    back = options.left_join(renamed, [options[name].identical_to(renamed[f"g_{name}"]) for name in by])
    empty = ibis.literal([], type=gathered["quoted"].type())
    back = back.mutate(quoted=back["quoted"].coalesce(empty))
    return back.select(*options.columns, "quoted")


def _told(value: ir.Value, known: ir.Value, start: ir.TimestampValue) -> ir.Value:
    """A fact as far as it was known before the day: null, or a row without the values that became known later."""

    def before(when: ir.TimestampValue) -> ir.BooleanValue:
        return (when < start).fill_null(False)

    nothing = ibis.null(value.type())
    if not known.type().is_struct():
        return ibis.ifelse(before(known), value, nothing)
    late = set(known.type().names)
    fields = {
        name: ibis.ifelse(before(known[name]), value[name], ibis.null(value[name].type()))
        if name in late - {KNOWN}
        else value[name]
        for name in value.type().names
    }
    return ibis.ifelse(before(known[KNOWN]) & value.notnull(), ibis.struct(fields), nothing)


def matching_columns(options: ir.Table) -> list[str]:
    fixed = {"rank", "day", "action", "tried", "worked", "mean_score", "level", "all_tried"}
    return [name for name in options.columns if name not in fixed]


def _answers(probes: ir.Table, options: ir.Table, matching: Matching) -> ir.Table:
    keys = ["rank", "day", *matching.all]
    renamed = options.rename({f"o_{name}": name for name in keys})
    joined = probes.left_join(renamed, [probes[name].identical_to(renamed[f"o_{name}"]) for name in keys])
    found = joined["options"].coalesce(ibis.literal([], type=options["options"].type()))
    least = joined["least"]
    able = dialect.filter_items(found, lambda option: option["tried"] >= least)
    good = dialect.filter_items(able, lambda option: option["worked"] > 0)
    enough = joined["level"].notnull()
    return joined.select(
        *keys,
        precedents=ibis.struct(
            {
                "enough": enough,
                "level": joined["level"],
                "tried": joined["all_tried"].coalesce(0),
                "best": dialect.item_at(good, 0),
                "worst": dialect.item_at(able, -1),
                "options": found,
            }
        ),
    )
