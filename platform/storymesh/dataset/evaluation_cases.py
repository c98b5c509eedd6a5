"""The cases that a release asks questions about, and the answers: drawn by their ids, computed by the engine.

A draw depends on nothing but the ids of the cases, so it is the same on every engine, and a case that comes or goes
moves at most one other of its stratum.
"""

from collections.abc import Callable, Mapping

import ibis
import ibis.expr.types as ir

from storymesh.case.precedent import Z95, wilson_bound
from storymesh.case.visibility import template_names
from storymesh.dataset.split import SPLITS
from storymesh.engine import dialect
from storymesh.language.compile.expressions import compile_expression
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_evaluation import TypedEvaluation

DRAWN = "drawn"  # the column of cases that says whether a case is asked about
NOT_OF_TEST = "not of the test's time"
NOT_DRAWN = "not drawn for the evaluation"
TOO_FEW = "not drawn: too few precedents"
BETWEEN_STRATA = " / "
Holds = Callable[[ir.StructValue], ir.BooleanValue]


def mark_drawn(cases: ir.Table, typed: TypedNarrative, evaluation: TypedEvaluation) -> ir.Table:
    """Return case_id and `drawn` of each case: of the judged ones in the test, the first `each` of every stratum in the
    order of the MD5 of their ids; of those with too few precedents as many again, where abstaining is asked.

    `cases` are the written cases with their split and precedents.
    """
    stratum = stratum_of(template_names(cases, typed.cast, typed.case, "question"), evaluation)
    enough = cases["precedents"]["enough"]
    asked = cases["split"] == SPLITS[-1]
    asked &= cases["question_dropped"].isnull() & (cases["status"] == "judged")
    asked &= ibis.literal(True) if evaluation.abstain else enough
    placed = cases.select("case_id", asked=asked.fill_null(False), enough=enough, stratum=stratum)
    order = [ibis.literal("evaluation:").concat(placed["case_id"]).hexdigest("md5"), placed["case_id"]]
    place = ibis.row_number().over(group_by=["asked", "enough", "stratum"], order_by=order)
    return placed.select("case_id", drawn=placed["asked"] & (place < evaluation.each))


def trained_actions(cases: ir.Table, typed: TypedNarrative, evaluation: TypedEvaluation) -> ir.Table:
    """Return stratum, action, tried and worked, of the judged cases of train: what a table of them knows. `cases` are
    as for `mark_drawn`."""
    stratum = stratum_of(template_names(cases, typed.cast, typed.case, "question"), evaluation)
    judged = cases["question_dropped"].isnull() & (cases["status"] == "judged") & (cases["split"] == SPLITS[0])
    outcomes = cases.filter(judged.fill_null(False)).select(
        stratum=stratum, action=cases["outcome"]["action"], worked=cases["outcome"]["worked"]
    )
    counted = outcomes.group_by("stratum", "action").aggregate(
        tried=outcomes.count(), worked=outcomes.count(where=outcomes["worked"])
    )
    return counted.order_by("stratum", "action")


def undrawn_reason(cases: ir.Table, evaluation: TypedEvaluation) -> ir.StringValue:
    """Return why a case is not asked about, or null. `cases` have `drawn`; where they do not, every one is asked, as in
    a preview."""
    if DRAWN not in cases.columns:
        return ibis.null("string")
    too_few = ~cases["precedents"]["enough"] if not evaluation.abstain else ibis.literal(False)
    return ibis.cases(
        (cases["split"] != SPLITS[-1], NOT_OF_TEST),
        (cases[DRAWN], ibis.null("string")),
        (too_few, TOO_FEW),
        else_=NOT_DRAWN,
    )


def stratum_of(names: Mapping[str, ir.Value], evaluation: TypedEvaluation) -> ir.StringValue:
    """Return the values of the strata of a case as one text."""
    values = [
        compile_expression(formula.expression, names).cast("string").fill_null("none") for formula in evaluation.strata
    ]
    between = ibis.literal(BETWEEN_STRATA)
    parts = [part for value in values for part in (between, value)][1:]
    return dialect.concat_texts(parts) if len(parts) > 1 else parts[0] if parts else ibis.literal("all")


def asked_option(names: Mapping[str, ir.Value], case_id: ir.StringValue, evaluation: TypedEvaluation) -> ir.StructValue:
    """Return the option whose rate is asked: one of those tried often enough, drawn by the case; else its own."""
    options = names["precedents"]["options"]
    ordered = _drawn_order(options, case_id, "rate", lambda option: option["tried"] >= evaluation.least)
    first = dialect.item_at(ordered, 0)
    return ibis.ifelse(first["action"].isnull(), names["option_own"], options[first["place"]])


def evaluation_values(
    names: Mapping[str, ir.Value], cases: ir.Table, evaluation: TypedEvaluation
) -> dict[str, ir.Value]:
    """Return the columns of an evaluation record beside its texts, given the names that its templates see."""
    precedents, outcome = names["precedents"], names["outcome"]
    options = precedents["options"]
    rates = dialect.map_items(options, _rate)
    able = dialect.filter_items(rates, lambda rate: (rate["tried"] >= evaluation.least) & (rate["worked"] > 0))
    best = dialect.item_at(able, 0)
    target = dialect.filter_items(able, lambda rate: rate["high"] >= best["low"])
    shuffled = _drawn_order(options, cases["case_id"], "options", lambda option: option["tried"] > 0)
    asked = dialect.item_at(
        dialect.filter_items(options, lambda option: option["action"] == names["option_asked"]["action"]), 0
    )
    component = cases["component"] if "component" in cases.columns else cases["case_id"]
    return {
        "options": dialect.map_items(shuffled, lambda option: _labelled(option["action"], evaluation.labels)),
        "target": dialect.map_items(target, lambda rate: rate["action"]),
        "rates": rates,
        "rate_action": asked["action"],
        "abstain": ~precedents["enough"],
        "withheld": precedents["withheld"] & ~precedents["unseen"],
        "action": outcome["action"],
        "label": outcome["worked"],
        "stratum": stratum_of(names, evaluation),
        "component": component,
    }


def _rate(option: ir.StructValue) -> ir.StructValue:
    tried, worked = option["tried"], option["worked"]
    return ibis.struct(
        {
            **{name: option[name] for name in ("action", "tried", "worked", "rate")},
            "low": wilson_bound(worked, tried, Z95),
            "high": ibis.least(wilson_bound(worked, tried, Z95, lower=False), 1.0),
        }
    )


def _labelled(action: ir.StringValue, labels: Mapping[str, str]) -> ir.StructValue:
    label = action.substitute(dict(labels), else_=action) if labels else action
    return ibis.struct({"action": action, "label": label})


def _drawn_order(options: ir.ArrayValue, case_id: ir.StringValue, purpose: str, holds: Holds) -> ir.ArrayValue:
    """Return draw, action and place (from 0) of the options that hold, in an order that the case's id draws."""
    drawn = dialect.map_indexed(
        options,
        lambda option, place: ibis.struct(
            {
                "draw": case_id.concat(f":{purpose}:", option["action"]).hexdigest("md5"),
                "action": option["action"],
                "place": place,
                "tried": option["tried"],
            }
        ),
    )
    return dialect.filter_items(drawn, holds).sort()
