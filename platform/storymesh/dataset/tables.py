"""The tables of a build: the rows of its products, and its written cases with their splits, precedents and drops."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.contract.types import arrow_schema
from storymesh.dataset.build import Build
from storymesh.dataset.split import SPLITS, split_rank
from storymesh.engine.engine import Engine
from storymesh.language.types import Text

if TYPE_CHECKING:
    import ibis.expr.types as ir


def product_rows(build: Build, engine: Engine, roles: Iterable[str]) -> dict[str, "ir.Table"]:
    """Return role -> the rows of its product, without the personal data that their free text held."""
    masked = {role: build.files.personal_data / f"{role}.parquet" for role in roles}
    return {
        role: engine.read_parquet(path) if path.is_file() else published_rows(build, engine, role)
        for role, path in masked.items()
    }


def published_rows(build: Build, engine: Engine, role: str) -> "ir.Table":
    """Return the rows of a role's product as its snapshot has them."""
    return engine.read_parquet(build.snapshots[role].files, arrow_schema(build.contracts[role]))


def cases_with_splits(build: Build, engine: Engine) -> "ir.Table":
    """Return the written cases with `split` and its `rank`, both null for a case that is in no split, `component` and
    `period`; where the narrative withholds precedents of some, also `withheld` and `unseen`.

    `period` is the rank of the earliest split whose questions may count the case as a precedent, whether or not it is
    in a split itself; null for what no question takes for a case: it is nobody's precedent.
    """
    import ibis

    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    assigned = splits.select(
        "component",
        split_id="case_id",
        split="split",
        rank=split_rank(splits["split"]),
        lies_in=split_rank(splits["period"]),
    )
    joined = cases.left_join(assigned, cases["case_id"] == assigned["split_id"])
    happened = joined["question_dropped"].isnull()
    period = ibis.ifelse(happened, joined["lies_in"], ibis.null(joined["lies_in"].type()))
    placed = joined.mutate(period=period).drop("split_id", "lies_in")
    if (precedents := build.narrative.case.precedents) is None:
        return placed
    from storymesh.case.withholding import mark_withheld

    return mark_withheld(placed, precedents.withheld, precedents.withheld_columns)


def cases_with_precedents(build: Build, engine: Engine) -> "ir.Table":
    """Return the written cases with their split and, if the narrative has them, their precedents."""
    return add_precedents(cases_with_splits(build, engine), build, engine)


def add_precedents(cases: "ir.Table", build: Build, engine: Engine) -> "ir.Table":
    """Return cases that have a `rank` with their precedents instead, if the narrative has them."""
    if build.narrative.case.precedents is not None:
        from storymesh.case.precedent import add_precedents

        cases = add_precedents(cases, engine.read_parquet(build.files.precedents))
    return cases.drop(*({"rank", "period", "withheld", "unseen"} & {*cases.columns}))


@dataclass(frozen=True)
class QuotedPrecedents:
    """The precedents that are quoted: cases that ask the same are one `probe`, whose quotes are the same.

    `asking` has case_id and probe of every case that asks, `quoted` has probe and precedent, the id of a quoted case.
    """

    asking: "ir.Table"
    quoted: "ir.Table"


def quoted_precedents(build: Build, engine: Engine) -> QuotedPrecedents | None:
    """Return which precedents each case may quote, or None if the narrative quotes none."""
    if build.narrative.case.precedents is None:
        return None
    import ibis

    from storymesh.case.precedent import add_precedents
    from storymesh.engine import dialect

    found = engine.read_parquet(build.files.precedents)
    options = found["precedents"]["options"]
    if "quoted" not in options.type().value_type.names:
        return None
    ids = dialect.map_items(options, lambda option: dialect.map_items(option["quoted"], lambda quoted: quoted["id"]))
    # Numbered once: the same probe has the same number in both tables.
    probes = engine.materialize(found.mutate(probe=ibis.row_number(), quoted=ids.flatten()).drop("precedents"))
    asking = add_precedents(cases_with_splits(build, engine), probes.drop("quoted")).select("case_id", "probe")
    quoted = probes.select("probe", precedent=probes["quoted"].unnest())
    return QuotedPrecedents(asking.filter(asking["probe"].notnull()), quoted)


@dataclass(frozen=True)
class JudgedOutcomes:
    """The outcomes of the judged cases in the dataset: a `table` of action (by its label), score (a decimal) and
    worked. A column is null if it reads restricted values. `expressions` are theirs, as the narrative writes them."""

    table: "ir.Table"
    expressions: Mapping[str, str]


def judged_outcomes(build: Build, engine: Engine) -> JudgedOutcomes | None:
    """Return the outcomes of the judged cases that have a split, or None if the narrative has no outcome."""
    import ibis

    formulas = build.typed.case.outcome
    if not formulas:
        return None
    cases = cases_with_splits(build, engine)
    judged = cases.filter((cases["status"] == "judged") & cases["split"].notnull())
    columns = {
        name: ibis.null(judged["outcome"][name].type())
        if formula.checked.value.classification == "restricted" and not formula.checked.value.pseudonym
        else judged["outcome"][name]
        for name, formula in formulas.items()
    }
    kind = formulas["action"].checked.value.type
    labels = dict(kind.labels) if isinstance(kind, Text) else {}
    action = columns["action"].cast("string")
    labelled = action.substitute(labels, else_=action) if labels else action
    table = judged.select(action=labelled, score=columns["score"], worked=columns["worked"])
    outcome = build.narrative.case.outcome
    return JudgedOutcomes(table, {name: str(getattr(outcome, name)) for name in formulas})


def split_counts(build: Build, engine: Engine) -> dict[str, dict[str, int]]:
    """Return split -> the `cases` in its period and those `kept`; where what worked may be shown, also the `judged` of
    them and what `worked`, and the same of the kept."""
    import ibis

    worked = build.typed.case.outcome.get("worked")
    shown = worked is not None and (
        worked.checked.value.classification != "restricted" or worked.checked.value.pseudonym
    )
    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    found = cases.select(
        found="case_id",
        judged=(cases["status"] == "judged") if shown else ibis.literal(False),
        worked=cases["outcome"]["worked"].fill_null(False) if shown else ibis.literal(False),
    )
    joined = splits.inner_join(found, splits["case_id"] == found["found"])
    kept, judged, good = joined["split"].notnull(), joined["judged"], joined["judged"] & joined["worked"]
    counts = joined.group_by("period").aggregate(
        cases=joined.count(),
        judged=joined.count(where=judged),
        worked=joined.count(where=good),
        kept=joined.count(where=kept),
        kept_judged=joined.count(where=kept & judged),
        kept_worked=joined.count(where=kept & good),
    )
    rows = {row.pop("period"): row for row in engine.fetch_rows(counts)}
    return {split: {name: count for name, count in rows[split].items() if count} for split in SPLITS if split in rows}


def case_drops(build: Build, engine: Engine) -> "ir.Table":
    """Return case_id and reason of every case that no config has a record of."""
    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    unlinked = cases.select("case_id", reason=view_drop_reason(build, cases)).anti_join(splits, "case_id")
    unplaced = splits.select("case_id", reason="dropped")
    drops = unlinked.union(unplaced)
    return drops.filter(drops["reason"].notnull())


def view_drop_reason(build: Build, cases: "ir.Table") -> "ir.StringValue":
    """Return the reason for which every view that the records need drops a case, or null."""
    import ibis

    records = build.typed.records.values()
    reasons = [
        name
        for name, needed in (
            ("dropped", any(record.hindsight for record in records)),
            ("question_dropped", any(not record.hindsight for record in records)),
        )
        if needed
    ]
    if len(reasons) == 1:
        return cases[reasons[0]]
    both = cases["dropped"].notnull() & cases["question_dropped"].notnull()
    return ibis.ifelse(both, cases["dropped"], ibis.null("string"))
