"""Which option is better than which: what a preference record compares, by what earlier cases showed."""

from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.case.precedent import wilson
from storymesh.engine import dialect

Z90 = 1.6448536269514722  # the normal quantile of a two-sided 90 % interval
FIGURES = ("action", "tried", "worked")


@dataclass(frozen=True)
class Pair:
    """`own` is the case's own action as an option (tried 0 times where nobody tried it before); `undone` says why
    `chosen` and `rejected` make no pair, null when they do."""

    own: ir.StructValue
    chosen: ir.StructValue
    rejected: ir.StructValue
    undone: ir.StringValue


def pair(precedents: ir.StructValue, outcome: ir.StructValue, least: int) -> Pair:
    """The options that a judged case compares.

    `chosen` is the case's own action if it worked, else the best option among the others; `rejected` its own action if
    it failed, else the worst among the others. Best and worst are taken of options tried at least `least` times, and a
    best one has worked. They make a pair when the 90 % Wilson interval of `chosen` lies above that of `rejected`.
    """
    options, action, worked = precedents["options"], outcome["action"], outcome["worked"]
    kind = options.type().value_type
    # Options are looked for among their figures: what is quoted of each is copied for those that are taken only.
    figures = dialect.map_indexed(
        options, lambda option, place: ibis.struct({name: option[name] for name in FIGURES} | {"place": place})
    )

    def option(figure: ir.StructValue) -> ir.StructValue:
        return options[figure["place"]]

    mine = option(dialect.item_at(dialect.filter_items(figures, lambda one: one["action"] == action), 0))
    others = dialect.filter_items(figures, lambda one: (one["action"] != action) & (one["tried"] >= least))
    best = option(dialect.item_at(dialect.filter_items(others, lambda one: one["worked"] > 0), 0))
    worst = option(dialect.item_at(others, -1))
    chosen = ibis.ifelse(worked, mine, best)
    rejected = ibis.ifelse(worked, worst, mine)
    low = wilson(chosen["worked"], chosen["tried"], Z90)
    high = wilson(rejected["worked"], rejected["tried"], Z90, lower=False)
    undone = ibis.cases(
        (~precedents["enough"], "no pair: too few precedents"),
        (mine["action"].isnull(), "no pair: the own action has no precedent"),
        (chosen["action"].isnull() | rejected["action"].isnull(), "no pair: no other option"),
        (~(low > high).fill_null(False), "no pair: not clearly better"),
    )
    return Pair(ibis.ifelse(mine["action"].isnull(), _untried(action, kind), mine), chosen, rejected, undone)


def _untried(action: ir.StringValue, kind: dt.Struct) -> ir.StructValue:
    nothing = {"tried": ibis.literal(0), "worked": ibis.literal(0), "rate": ibis.literal(0.0)}
    nothing |= {"mean_score": ibis.literal(0.0), "quoted": ibis.literal([], type=kind["quoted"])}
    return ibis.struct({"action": action, **{name: value.cast(kind[name]) for name, value in nothing.items()}})
