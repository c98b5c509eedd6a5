"""Precedents: for each case the options that earlier, judged, matching cases tried, as one ibis expression.

A judged case is a precedent whether or not the dataset keeps a record of it. It counts from the day after it was wholly
known, with `since` for as many days, so that all cases of a UTC day see the same precedents. Cases that ask the same
(the match values and the day) are one *probe*: running sums by day are taken once a probe, never once a case.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.case.definition import Precedents
from storymesh.case.link import KNOWN
from storymesh.case.withholding import WITHHELD, with_withheld
from storymesh.engine import decimals, dialect

Z95 = 1.959963984540054  # the normal quantile of a two-sided 95 % interval (Wilson 1927, JASA 22:209-212)


@dataclass(frozen=True)
class MatchLevels:
    """The names of the match columns by level, the strictest level first."""

    levels: Sequence[Sequence[str]]

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys(name for level in self.levels for name in level))


ComputeOnce = Callable[[ir.Table], ir.Table]


def find_precedents(
    cases: ir.Table,
    definition: Precedents,
    levels: Sequence[Sequence[str]],
    facts: Sequence[str],
    compute_once: ComputeOnce = lambda table: table,
    *,
    chronological: bool = False,
) -> ir.Table:
    """Return `precedents` for each probe (rank, day, the columns in `levels`): a struct as templates see it, and
    `withheld`, which they do not see.

    Where `cases` has the columns `withheld` and `unseen`, the probes have the first: those of cases that are withheld
    have no precedents, and say whether their value is `unseen`.

    `cases` has case_id, at, closes, rank (of its split, 0 the earliest; null: it has none, and does not ask), period
    (the rank of the earliest split whose cases may count it; null: it is nobody's precedent), outcome (null unless
    judged), known, match (struct of the columns in `levels`), hindsight (facts) and fact_known. Through
    `compute_once`, that of the engine, goes what several parts of the expression read. Where the periods of the splits
    follow one another in time (`chronological`), what a case may count by its day it may count by its rank as well, so
    that no rank is looked at.
    """
    match_levels = MatchLevels(levels)
    kept = cases.filter(cases["rank"].notnull())
    match = {name: kept["match"][name] for name in match_levels.all}
    if chronological:
        any_rank = ibis.literal(0, cases["period"].type())
        cases = cases.mutate(period=ibis.ifelse(cases["period"].notnull(), any_rank, ibis.null(any_rank.type())))
    judged_cases = compute_once(_judged_cases(cases, match_levels, facts))
    own = {"own_rank": kept["rank"], "rank": any_rank if chronological else kept["rank"]}
    probes = compute_once(kept.select(**own, day=kept["at"].cast("date"), **match).distinct())
    days = definition.since.days if definition.since is not None else None
    counted = [
        compute_once(_count_tries(judged_cases, probes, level, index, days))
        for index, level in enumerate(match_levels.levels)
    ]
    chosen = compute_once(_choose_levels(probes, counted, match_levels, definition.min))
    quoted = [
        _with_quotes(compute_once(options), judged_cases, level, definition.quote, facts)
        for level, options in zip(
            match_levels.levels, _chosen_options(chosen, counted, match_levels, definition.quote), strict=True
        )
    ]
    options = _ordered_options(quoted, match_levels, definition.min)
    found = _as_struct(probes, options, match_levels)
    return found if WITHHELD not in cases.columns else with_withheld(found, kept, match)


def add_precedents(cases: ir.Table, found: ir.Table) -> ir.Table:
    """Return the cases (at, rank, match) with the precedents that `found` has for their probe; null where none are."""
    names = cases["match"].type().names
    drawn = [WITHHELD] if WITHHELD in cases.columns else []
    other = found.rename({f"o_{name}": name for name in ("rank", "day", *names, *drawn)})
    predicates = [cases["rank"] == other["o_rank"], cases["at"].cast("date") == other["o_day"]]
    predicates += [cases["match"][name].identical_to(other[f"o_{name}"]) for name in names]
    predicates += [cases[name] == other[f"o_{name}"] for name in drawn]
    return cases.left_join(other, predicates).drop("o_rank", "o_day", *(f"o_{name}" for name in (*names, *drawn)))


def wilson_bound(worked: ir.NumericValue, tried: ir.NumericValue, z: float, *, lower: bool = True) -> ir.FloatingValue:
    """Return one end of Wilson's score interval for `worked` of `tried`; the lower is exactly 0 where none worked."""
    n, p = tried.cast("float64"), worked.cast("float64") / tried.cast("float64")
    middle = p + z * z / (2 * n)
    half = z * ((p * (1 - p) + z * z / (4 * n)) / n).sqrt()
    end = (middle - half if lower else middle + half) / (1 + z * z / n)
    return ibis.ifelse(worked == 0, 0.0, end) if lower else end


def _judged_cases(cases: ir.Table, match_levels: MatchLevels, facts: Sequence[str]) -> ir.Table:
    """Return one row for each judged case that can be a precedent; `rank` is that of its period."""
    judged = cases.filter(cases["period"].notnull() & cases["outcome"].notnull() & cases["known"].notnull())
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
        rank="period",
        known="known",
        known_day=judged["known"].cast("date"),
        action=judged["outcome"]["action"],
        **{name: judged["match"][name] for name in match_levels.all},
        **fields,
    )


def _count_tries(
    judged_cases: ir.Table, probes: ir.Table, level: Sequence[str], index: int, days: int | None
) -> ir.Table:
    """Return for each probe of the level and each action how many cases tried it and it worked in so many days before
    the day, and the exact sum of their scores; and how many tried it before the day at all (`latest`)."""
    keys = list(level)
    asked = probes.filter([probes[name].notnull() for name in keys]).select("rank", "day", *keys).distinct()
    changes = _changes(judged_cases, asked, keys, days)
    actions = changes.select("ask_rank", "action", *keys).distinct()
    needed = asked.rename(ask_rank="rank").inner_join(actions, ["ask_rank", *keys])
    nothing = {name: ibis.literal(0, changes[name].type()) for name in ("tried", "worked", "total", "came")}
    asking = needed.select("ask_rank", "action", *keys, "day", asks=ibis.literal(1, "int8"), **nothing)
    marked = changes.union(asking)
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
        **({} if days is None else {"latest": marked["came"].sum().over(running)}),
    )
    found = summed.filter((summed["asks"] == 1) & (summed["tried"] > 0))
    return found.select(
        rank="ask_rank",
        day="day",
        action="action",
        **{name: name for name in keys},
        tried=dialect.sum_int64(found["tried"]),
        worked=dialect.sum_int64(found["worked"]),
        mean_score=decimals.to_float(found["total"]) / found["tried"].cast("float64"),
        latest=dialect.sum_int64(found["tried" if days is None else "latest"]),
        level=ibis.literal(index + 1, "int64"),
    )


def _changes(judged_cases: ir.Table, asked: ir.Table, keys: Sequence[str], days: int | None) -> ir.Table:
    """Return by how much the counts and the sum of an action change on a day, for those who ask later: `came` cases are
    added on the day that they are known, and taken away so many days later."""
    counted = judged_cases.filter([judged_cases[name].notnull() for name in keys])
    # A precedent counts for the split of its period and every later one.
    ranks = asked.select(ask_rank="rank").distinct()
    counted = counted.join(ranks, counted["rank"] <= ranks["ask_rank"])
    daily = counted.group_by("ask_rank", "action", *keys, "known_day").agg(
        tried=counted.count(),
        worked=counted["worked"].sum(),
        total=decimals.to_widest(counted["score"]).sum(),
    )
    came = daily.select(
        "ask_rank",
        "action",
        *keys,
        day="known_day",
        asks=ibis.literal(0, "int8"),
        tried=daily["tried"],
        worked=dialect.sum_int64(daily["worked"]),
        total=daily["total"].cast(_sum_type(judged_cases)),
        came=daily["tried"],
    )
    if days is None:
        return came
    last_day = (came["day"].cast("timestamp(6)") + ibis.interval(days=days)).cast("date")
    taken = {name: -came[name] for name in ("tried", "worked", "total")}
    return came.union(came.mutate(day=last_day, **taken, came=ibis.literal(0, "int64")))


def _sum_type(judged_cases: ir.Table) -> dt.Decimal:
    kind = judged_cases["score"].type()
    return dt.Decimal(38, kind.scale if isinstance(kind, dt.Decimal) else 0)


def _choose_levels(probes: ir.Table, counted: Sequence[ir.Table], match_levels: MatchLevels, least: int) -> ir.Table:
    """Return each probe that has enough on some level, with the first such level and the count there."""
    per_level = []
    for index, (level, table) in enumerate(zip(match_levels.levels, counted, strict=True)):
        keys = ["rank", "day", *level]
        totals = table.group_by(keys).agg(tried=dialect.sum_int64(table["tried"].sum()))
        enough = totals.filter(totals["tried"] >= least)
        joined = probes.inner_join(enough, keys)
        per_level.append(
            joined.select("rank", "day", *match_levels.all, tried="tried", level=ibis.literal(index + 1, "int64"))
        )
    together = per_level[0]
    for other in per_level[1:]:
        together = together.union(other)
    first = together.mutate(
        place=ibis.row_number().over(
            ibis.window(group_by=["rank", "day", *match_levels.all], order_by=[together["level"]])
        )
    )
    return first.filter(first["place"] == 0).drop("place")


def _chosen_options(
    chosen: ir.Table, counted: Sequence[ir.Table], match_levels: MatchLevels, quote: int
) -> Iterator[ir.Table]:
    """Yield for each level the options of the probes that have enough on it, with its level and its count, and how many
    cases the options before it quote."""
    for index, (level, table) in enumerate(zip(match_levels.levels, counted, strict=True)):
        probes = chosen.filter(chosen["level"] == index + 1).rename(all_tried="tried").drop("level")
        options = probes.inner_join(table, ["rank", "day", *level]).select(
            *("rank", "day", *match_levels.all, "all_tried", "action"),
            *("tried", "worked", "mean_score", "latest", "level"),
        )
        # Quotes are numbered through the options in an order that does not tell which one is best.
        through = ibis.window(
            group_by=["rank", "day", *match_levels.all], order_by=["action"], preceding=None, following=0
        )
        quoted = ibis.least(options["tried"], quote)
        yield options.mutate(quoted_before=dialect.sum_int64(quoted.sum().over(through)) - quoted)


def _ordered_options(quoted: Sequence[ir.Table], match_levels: MatchLevels, least: int) -> ir.Table:
    """Return rank, day, match columns, level, tried and the ordered options of each probe that has enough. `quoted` are
    the options of each level with their quotes."""
    together = quoted[0]
    for other in quoted[1:]:
        together = together.union(other)
    lower = wilson_bound(together["worked"], together["tried"], Z95)
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
        together.group_by("rank", "day", *match_levels.all, "level", "all_tried")
        .agg(options=dialect.map_items(together["ordered"].collect().sort(), lambda row: row["option"]))
        .mutate(least=ibis.literal(least, "int64"))
    )


def _with_quotes(
    options: ir.Table, judged_cases: ir.Table, level: Sequence[str], quote: int, facts: Sequence[str]
) -> ir.Table:
    """Return the options with the `quote` cases of each that were known last, of those that it counts."""
    keys = list(level)
    counted = judged_cases.filter([judged_cases[name].notnull() for name in keys])
    ranks = options.select(ask_rank="rank").distinct()
    counted = counted.join(ranks, counted["rank"] <= ranks["ask_rank"])
    order = [counted["known"], counted["id"].desc()]
    place = ibis.row_number().over(ibis.window(group_by=["ask_rank", "action", *keys], order_by=order))
    placed = counted.mutate(place=place.cast("int64") + 1)
    other = placed.rename({f"q_{name}": name for name in placed.columns})
    places = options.select(
        "rank",
        "day",
        "action",
        "quoted_before",
        "latest",
        *matching_columns(options),
        place=ibis.range(options["latest"] - ibis.least(options["tried"], quote) + 1, options["latest"] + 1).unnest(),
    )
    predicates = [
        places["place"] == other["q_place"],
        places["rank"] == other["q_ask_rank"],
        places["action"] == other["q_action"],
        *(places[name] == other[f"q_{name}"] for name in keys),
    ]
    joined = places.inner_join(other, predicates)
    start = joined["day"].cast("timestamp(6)")
    number = joined["quoted_before"] + joined["latest"] - joined["place"] + 1
    cited_as = dialect.concat_texts([ibis.literal("["), number.cast("string"), ibis.literal("]")])
    quoted_facts: dict[str, ir.Value] = {}
    for name in facts:
        value = joined[f"q_fact_{name}"]
        known = f"q_known_{name}"
        quoted_facts[name] = _known_before(value, joined[known], start) if known in joined.columns else value
    row = ibis.struct(
        {
            "place": -joined["place"],
            "quoted": ibis.struct(
                {"id": joined["q_id"], "cited_as": cited_as}
                | {name: joined[f"q_{name}"] for name in ("at", "closes", "score", "worked")}
                | quoted_facts
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
    return back.select(*options.columns, "quoted").drop("quoted_before")


def _known_before(value: ir.Value, known: ir.Value, start: ir.TimestampValue) -> ir.Value:
    """Return a fact as known before the day: null, or a row without the values that became known later."""

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
    fixed = {"rank", "day", "action", "tried", "worked", "mean_score", "latest", "level", "all_tried", "quoted_before"}
    return [name for name in options.columns if name not in fixed]


def _as_struct(probes: ir.Table, options: ir.Table, match_levels: MatchLevels) -> ir.Table:
    keys = ["rank", "day", *match_levels.all]
    renamed = options.rename({f"o_{name}": name for name in keys})
    joined = probes.left_join(renamed, [probes[name].identical_to(renamed[f"o_{name}"]) for name in keys])
    found = joined["options"].coalesce(ibis.literal([], type=options["options"].type()))
    least = joined["least"]
    able = dialect.filter_items(found, lambda option: option["tried"] >= least)
    good = dialect.filter_items(able, lambda option: option["worked"] > 0)
    enough = joined["level"].notnull()
    return joined.select(
        *("day", *match_levels.all),
        rank="own_rank",
        precedents=ibis.struct(
            {
                "enough": enough,
                "unseen": ibis.literal(False),
                "withheld": ibis.literal(False),
                "level": joined["level"],
                "tried": joined["all_tried"].coalesce(0),
                "best": dialect.item_at(good, 0),
                "worst": dialect.item_at(able, -1),
                "options": found,
            }
        ),
    )
