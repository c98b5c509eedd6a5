"""The two options that a preference record compares, better and worse by what earlier cases showed."""

from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.case.precedent import wilson_bound
from storymesh.engine import dialect

Z90 = 1.6448536269514722  # the normal quantile of a two-sided 90 % interval
COMPARED = ("action", "tried", "worked")


@dataclass(frozen=True)
class OptionPair:
    """A case's own action as an option (tried 0 times where nobody tried it before), and the two options to compare.
    `drop_reason` says why `chosen` and `rejected` make no pair, null when they do."""

    own: ir.StructValue
    chosen: ir.StructValue
    rejected: ir.StructValue
    drop_reason: ir.StringValue


def compare_options(precedents: ir.StructValue, outcome: ir.StructValue, least: int) -> OptionPair:
    """Return the options that a judged case compares.

    `chosen` is the case's own action if it worked, else the best option among the others; `rejected` its own action if
    it failed, else the worst among the others. Best and worst are taken of options tried at least `least` times, and a
    best one has worked. They make a pair when the 90 % Wilson interval of `chosen` lies above that of `rejected`.
    """
    options, action, worked = precedents["options"], outcome["action"], outcome["worked"]
    kind = options.type().value_type
    # Options are searched by a few of their fields, so that quoted cases are copied only for those that are taken.
    compared = dialect.map_indexed(
        options, lambda option, place: ibis.struct({name: option[name] for name in COMPARED} | {"place": place})
    )

    def full_option(numbers: ir.StructValue) -> ir.StructValue:
        return options[numbers["place"]]

    own = full_option(dialect.item_at(dialect.filter_items(compared, lambda option: option["action"] == action), 0))
    others = dialect.filter_items(compared, lambda option: (option["action"] != action) & (option["tried"] >= least))
    best = full_option(dialect.item_at(dialect.filter_items(others, lambda option: option["worked"] > 0), 0))
    worst = full_option(dialect.item_at(others, -1))
    chosen = ibis.ifelse(worked, own, best)
    rejected = ibis.ifelse(worked, worst, own)
    low = wilson_bound(chosen["worked"], chosen["tried"], Z90)
    high = wilson_bound(rejected["worked"], rejected["tried"], Z90, lower=False)
    drop_reason = ibis.cases(
        (~precedents["enough"], "no pair: too few precedents"),
        (own["action"].isnull(), "no pair: the own action has no precedent"),
        (chosen["action"].isnull() | rejected["action"].isnull(), "no pair: no other option"),
        (~(low > high).fill_null(False), "no pair: not clearly better"),
    )
    return OptionPair(ibis.ifelse(own["action"].isnull(), _untried(action, kind), own), chosen, rejected, drop_reason)


def _untried(action: ir.StringValue, kind: dt.Struct) -> ir.StructValue:
    nothing = {"tried": ibis.literal(0), "worked": ibis.literal(0), "rate": ibis.literal(0.0)}
    nothing |= {"mean_score": ibis.literal(0.0), "quoted": ibis.literal([], type=kind["quoted"])}
    return ibis.struct({"action": action, **{name: value.cast(kind[name]) for name, value in nothing.items()}})
