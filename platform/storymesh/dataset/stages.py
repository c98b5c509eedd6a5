"""The stages of a build: cases, precedents and the records of each config, each written once as Parquet files.

What makes them is imported, with ibis, by a stage that has something to make.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import staged_file
from storymesh.case.definition import Precedents
from storymesh.dataset.build import Build
from storymesh.dataset.build_step import BuildStep, StepSummary, build_step
from storymesh.dataset.cases import case_splits, divide_cases, linked_cases
from storymesh.dataset.split import release_order
from storymesh.dataset.tables import (
    add_precedents,
    case_drops,
    cases_with_precedents,
    cases_with_splits,
    product_rows,
    published_rows,
)
from storymesh.engine.engine import Engine
from storymesh.errors import OutOfMemory, WrongUsage, suggest_name
from storymesh.narrative.typed_record import TypedRecord

if TYPE_CHECKING:
    import ibis.expr.types as ir

# What a case, and each row that cases may link, take while they are made, at first guess; and the size of a part that
# is not divided further.
CASE_BYTES, ROW_BYTES = 1_500, 300
MIN_PART_CASES = 5_000
ReportProgress = Callable[[str, int], None]


def ignore_progress(_phase: str, _rows: int) -> None:
    return None


@dataclass(frozen=True)
class StageResult:
    """One file of a build. `drops`: reason -> count of what did not go on; `sample`: some rows for people."""

    path: Path
    rows: int
    unchanged: bool
    drops: Mapping[str, int]
    seconds: float
    sample: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def write_cases(build: Build, progress: ReportProgress = ignore_progress) -> StageResult:
    """Write the cases of the narrative and the split of each, as one Parquet file each."""
    began = time.monotonic()
    files = build.files
    with build_step(build, "cases") as step:
        if (summary := step.read_summary()) is None:
            with build.open_engine() as engine:
                if not step.whole:
                    _make_cases(build, engine, progress)
                    step.seal([files.cases, files.splits, *files.personal_data.glob("[!.]*")])
                cases = engine.read_parquet(files.cases)
                summary = StepSummary(
                    rows=int(engine.fetch_value(cases.count())),
                    drops=count_by_reason(engine, case_drops(build, engine)),
                    sample=tuple(engine.fetch_rows(cases.select("case_id", "at", "status").limit(5))),
                )
            step.note_summary(summary)
    return _stage_result(files.cases, summary, began, unchanged=step.whole)


def _stage_result(path: Path, summary: StepSummary, began: float, *, unchanged: bool) -> StageResult:
    return StageResult(path, summary.rows, unchanged, summary.drops, time.monotonic() - began, summary.sample)


def _make_cases(build: Build, engine: Engine, progress: ReportProgress) -> None:
    files = build.files
    progress("cases", 0)
    _refuse_duplicate_keys(build, engine)
    if build.narrative.dataset.personal != "off":
        from storymesh.dataset.personal_data import write_masked_rows

        progress("free text", 0)
        published = {role: published_rows(build, engine, role) for role in build.typed.cast.roles}
        write_masked_rows(engine, build.typed, published, files.personal_data)
    with _stage_engine(build, engine) as stage:
        _write_in_parts(build, stage)
        progress("splits", 0)
        stage.write_parquet(case_splits(build, stage, stage.read_parquet(files.cases)), files.splits)


@contextmanager
def _stage_engine(build: Build, engine: Engine) -> Iterator[Engine]:
    """Yield the engine that makes the files of a stage: `engine`, which counts them afterwards, or a cluster."""
    if build.open_cluster is None:
        yield engine
        return
    with build.open_cluster() as cluster:
        yield cluster


def _refuse_duplicate_keys(build: Build, engine: Engine) -> None:
    """Check the keys of snapshots that were audited against another contract than the cases are made with."""
    from storymesh.case.uniqueness import require_unique_keys

    cast = build.typed.cast
    other = [role for role in cast.roles if build.snapshots[role].contract_digest != build.contracts[role].digest]
    require_unique_keys(engine, cast, product_rows(build, engine, other))


def _write_in_parts(build: Build, engine: Engine) -> None:
    """Write the cases in as many parts as the memory requires: the engine never spills lists that it collects."""
    rows = build.snapshots[build.typed.cast.anchor.name].rows
    linked = sum(build.snapshots[role].rows for role in build.typed.cast.roles)
    count = 1 + (rows * CASE_BYTES + linked * ROW_BYTES) // engine.memory
    while True:
        parts = [linked_cases(build, engine, part) for part in divide_cases(build, engine, count)]
        try:
            engine.write_parquet_parts(parts, build.files.cases)
            return
        except OutOfMemory:
            if rows // count < MIN_PART_CASES:
                raise
            count *= 2


def write_precedents(build: Build, progress: ReportProgress = ignore_progress) -> StageResult:
    """Write what worked before, for every case that the dataset keeps."""
    began = time.monotonic()
    path, definition = build.files.precedents, build.narrative.case.precedents
    if definition is None:
        raise WrongUsage(f"'{build.narrative.id}' asks for no precedents", "add `precedents` under `case`")
    with build_step(build, "precedents", after=["cases"]) as step:
        if (summary := step.read_summary()) is None:
            with build.open_engine() as engine:
                if not step.whole:
                    _make_precedents(build, engine, definition, progress)
                    step.seal([path])
                enough = cases_with_precedents(build, engine)["precedents"]["enough"]
                asking = enough.as_table()
                (found,) = engine.fetch_rows(asking.aggregate(rows=enough.count(), enough=enough.sum().coalesce(0)))
            too_few = found["rows"] - int(found["enough"])
            summary = StepSummary(rows=found["rows"], drops={"too few": too_few} if too_few else {})
            step.note_summary(summary)
    return _stage_result(path, summary, began, unchanged=step.whole)


def _make_precedents(build: Build, engine: Engine, definition: Precedents, progress: ReportProgress) -> None:
    from storymesh.case.precedent import find_precedents

    progress("precedents", 0)
    levels = [[formula.name for formula in level] for level in build.typed.case.match]
    with _stage_engine(build, engine) as stage:
        cases, facts = cases_with_splits(build, stage), build.typed.quoted_facts
        split = build.narrative.dataset.split
        by_time = split is None or split.random is None
        table = find_precedents(cases, definition, levels, facts, stage.compute_once, chronological=by_time)
        stage.write_parquet(table, build.files.precedents)


def write_cases_and_precedents(build: Build) -> None:
    """Write everything that a record is rendered from: the cases and, if the narrative has them, their precedents."""
    write_cases(build)
    if build.narrative.case.precedents is not None:
        write_precedents(build)


def write_records(build: Build, config: str, progress: ReportProgress = ignore_progress) -> StageResult:
    """Write the records of one config as its templates render them, and the cases that have none, with the reason."""
    began = time.monotonic()
    record = typed_record(build, config)
    path, dropped = build.files.rendered(config), build.files.rendered_drops(config)
    has_precedents = build.narrative.case.precedents is not None
    after = ["cases", *(["precedents"] if has_precedents else [])]
    with build_step(build, _records_step(build, config), after=after) as step:
        if (summary := step.read_summary()) is None:
            with build.open_engine() as engine:
                if not step.whole:
                    progress(config, 0)
                    with _stage_engine(build, engine) as stage:
                        _render_records(build, engine, stage, record)
                    step.seal([path, dropped])
                summary = _summarize_records(engine, path, dropped)
            step.note_summary(summary)
    return _stage_result(path, summary, began, unchanged=step.whole)


def _records_step(build: Build, config: str) -> str:
    return f"{build.files.rendered(config).parent.name}-{config}"


def find_written_cases(build: Build) -> StepSummary | None:
    """Return the summary of the cases, if they and all that is rendered from them are there as they were written."""
    has_precedents = build.narrative.case.precedents is not None
    steps = ["cases", *(["precedents"] if has_precedents else [])]
    steps += [_records_step(build, config) for config in build.configs]
    summaries = [BuildStep(build.files.folder, step).read_summary() for step in steps]
    return summaries[0] if all(summary is not None for summary in summaries) else None


def _summarize_records(engine: Engine, path: Path, dropped: Path) -> StepSummary:
    import pyarrow.parquet as pq

    from storymesh.dataset.render import BUILD_COLUMNS, SOURCE_COLUMNS

    records = engine.read_parquet(path)
    shown = records.drop(*({*SOURCE_COLUMNS, *BUILD_COLUMNS} & {*records.columns}))
    return StepSummary(
        rows=pq.read_metadata(path).num_rows,
        drops=count_by_reason(engine, engine.read_parquet(dropped)),
        sample=tuple(engine.fetch_rows(shown.order_by("at", "id").limit(2))),
    )


def _render_records(build: Build, local: Engine, engine: Engine, record: TypedRecord) -> None:
    """Render a config on `engine`, and count on `local` what it wrote: on a cluster each count is a job of its own."""
    from storymesh.dataset.evaluation_cases import mark_drawn
    from storymesh.dataset.render import UNFIT, render_records, unrenderable

    path = build.files.rendered(record.config)
    cases = cases_with_splits(build, engine)
    has_precedents = build.narrative.case.precedents is not None
    precedents = engine.read_parquet(build.files.precedents) if has_precedents else None
    if record.evaluation is not None:
        drawn = mark_drawn(cases_with_precedents(build, engine), build.typed, record.evaluation)
        cases = cases.left_join(drawn, "case_id").drop("case_id_right")
    rendered = render_records(cases, precedents, build.typed, record, build.product_versions, build.pseudonym_key)

    def unfit_of(records: "ir.Table") -> "ir.Table":
        return records.filter(records[UNFIT].notnull()).select("case_id", reason=UNFIT)

    with staged_file(path) as staged:
        rows = engine.write_parquet(rendered, staged, order=release_order(rendered))
        written, path_of_drops = local.read_parquet(staged), build.files.rendered_drops(record.config)
        unfit = int(local.fetch_value(unfit_of(written).count()))
        missing = int(local.fetch_value(local.read_parquet(build.files.splits)["split"].count())) - rows
        if missing:
            records = engine.read_parquet(staged)
            others = add_precedents(cases.anti_join(records, "case_id"), build, engine)
            drops = unrenderable(others, build.typed, record, whatever_it_costs=True).union(unfit_of(records))
            if engine.write_parquet(drops, path_of_drops) < missing + unfit:
                drops = unrenderable(others, build.typed, record).union(unfit_of(records))
                engine.write_parquet(drops, path_of_drops)
        else:
            local.write_parquet(unfit_of(written), path_of_drops)
        if unfit:
            records = engine.read_parquet(staged)
            fit = records.filter(records[UNFIT].isnull())
            engine.write_parquet(fit, staged, order=release_order(fit))


def typed_record(build: Build, config: str) -> TypedRecord:
    """Return a config of the narrative. Raises WrongUsage if there is none of this name."""
    if config not in build.typed.records:
        words = f"'{build.narrative.id}' has no record '{config}'"
        raise WrongUsage(words, suggest_name(config, build.typed.records))
    return build.typed.records[config]


def count_by_reason(engine: Engine, drops: "ir.Table") -> dict[str, int]:
    counts = drops.group_by("reason").agg(count=drops.count()).order_by("reason")
    return {row["reason"]: row["count"] for row in engine.fetch_rows(counts)}
