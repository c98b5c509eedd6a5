"""The tables of a build: the rows of its products, and its written cases with their splits, precedents and drops."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.contract.types import arrow_schema
from storymesh.dataset.build import Build
from storymesh.dataset.split import split_rank
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
    """Return the written cases with `split` and its `rank`, both null for a case that is in no split."""
    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    assigned = splits.select(split_id="case_id", split="split", rank=split_rank(splits["split"]))
    return cases.left_join(assigned, cases["case_id"] == assigned["split_id"]).drop("split_id")


def cases_with_precedents(build: Build, engine: Engine) -> "ir.Table":
    """Return the written cases with their split and, if the narrative has them, their precedents."""
    return add_precedents(cases_with_splits(build, engine), build, engine)


def add_precedents(cases: "ir.Table", build: Build, engine: Engine) -> "ir.Table":
    """Return cases that have a `rank` with their precedents instead, if the narrative has them."""
    if build.narrative.case.precedents is not None:
        from storymesh.case.precedent import add_precedents

        cases = add_precedents(cases, engine.read_parquet(build.files.precedents))
    return cases.drop("rank")


def precedents_by_case(build: Build, engine: Engine) -> "ir.Table | None":
    """Return case_id and precedents of every case that asks for them, or None if the narrative has none."""
    if build.narrative.case.precedents is None:
        return None
    cases = cases_with_precedents(build, engine).select("case_id", "precedents")
    return cases.filter(cases["precedents"].notnull())


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


def case_drops(build: Build, engine: Engine) -> "ir.Table":
    """Return case_id and reason of every case that no config has a record of."""
    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    unlinked = cases.select("case_id", reason=view_drop_reason(build, cases))
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
