"""Records rewritten by a language model: after rendering, before the release, and only where curation lets them stay.

Answers are kept in the store of the mesh and never asked for twice. Which answer a record has, by which attempt and
with which score, stands beside the record in `retellings`. A text without an accepted answer keeps the template's text
or drops its record, as the narrative says.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import staged_file
from storymesh.dataset.build import Build
from storymesh.dataset.build_step import build_step
from storymesh.dataset.render import BUILD_COLUMNS, SOURCE_COLUMNS, UNFIT, template_inputs
from storymesh.dataset.stages import (
    ReportProgress,
    StageResult,
    ignore_progress,
    write_cases_and_precedents,
    write_records,
)
from storymesh.dataset.tables import cases_with_precedents
from storymesh.engine.engine import Engine
from storymesh.errors import NarratorFailed, NarratorMissing
from storymesh.llm.budget import Usage
from storymesh.llm.fences import escape_fence
from storymesh.llm.response_cache import ResponseCache
from storymesh.narrative.formats.format import TextColumn
from storymesh.narrative.narrator_definition import Narrator
from storymesh.narrative.typed_record import TypedRecord
from storymesh.release.catalog import list_releases
from storymesh.release.curation.curate import find_repeats
from storymesh.release.folder import sound_answers
from storymesh.rewriting.estimate import CostEstimate, estimate_cost
from storymesh.rewriting.prompt import STORY_MARK
from storymesh.rewriting.rewrite import rewrite_texts
from storymesh.rewriting.rewriter import RewriteResult, RewriteTask
from storymesh.rewriting.story_pieces import StoryReader
from storymesh.rewriting.suggestion import VocabularySuggestion, suggest_vocabulary

if TYPE_CHECKING:
    import ibis.expr.types as ir

ANSWER_STORE = Path("narrator") / "answers.sqlite"  # in the mesh's store
RETELLINGS = "retellings"
NOT_RETOLD = "not retold"
NOTED = ("attempts", "score", "judged", "reason", "answer", "pieces")  # of a result, beside its record
BATCH = 1_000


@dataclass(frozen=True)
class RewrittenStageResult(StageResult):
    """Records of a rewritten config. `usage` is None if nothing was done now; `missing` says why there is no
    narrator, and so no record. Of `texts` those in `refused` (kind of fault -> count) were not accepted; `score` is the
    mean of all."""

    usage: Usage | None = None
    missing: str | None = None
    texts: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    score: float | None = None


def write_all_records(build: Build, *, paid: bool = False) -> None:
    """Write every file of the build that a release needs and that is not there."""
    write_cases_and_precedents(build)
    for config in build.configs:
        write_config_records(build, config, paid=paid)


def write_config_records(
    build: Build, config: str, progress: ReportProgress = ignore_progress, *, paid: bool = False
) -> StageResult:
    """Write the records of one config as a release has them: rendered, and rewritten if it has a narrator.

    A narrator without its package or key leaves the config without records, with that reason; they come with the next
    run that has both. Raises NarratorFailed when its budget is spent, the server refuses, or, `paid`, when the store
    lacks an answer: what was answered stays in the store.
    """
    rendered = write_records(build, config, progress)
    record = build.typed.records[config]
    return _ConfigRewriter(build, record).write(rendered, progress, paid=paid) if record.rewritten else rendered


def estimate_config(build: Build, config: str) -> CostEstimate:
    """Return what rewriting this config would cost, found without a call."""
    with _rewriting(build, config) as (rewriter, engine, answers):
        return estimate_cost(rewriter.tasks(engine), rewriter.narrator, answers)


def suggest_words(build: Build, config: str) -> VocabularySuggestion:
    """Return the words that the stored answers of a config were refused for, found without a call."""
    with _rewriting(build, config) as (rewriter, engine, answers):
        return suggest_vocabulary(rewriter.tasks(engine), rewriter.narrator, answers)


def sample_results(
    build: Build, config: str, count: int, progress: Callable[[Usage], None]
) -> Iterator[tuple[str, RewriteResult]]:
    """Yield some texts rewritten, as (the template's text, result). Nothing is written but the answers."""
    with _rewriting(build, config) as (rewriter, engine, answers):
        tasks = {task.id: task for task in rewriter.tasks(engine, count)}
        for found in rewrite_texts(tasks.values(), rewriter.narrator, answers, progress):
            yield tasks[found.id].source.story, found


@contextmanager
def _rewriting(build: Build, config: str) -> "Iterator[tuple[_ConfigRewriter, Engine, ResponseCache]]":
    """Have what rewrites a config open, on an engine and the store of answers; its records are made first."""
    write_cases_and_precedents(build)
    write_records(build, config)
    with build.open_engine() as engine, ResponseCache(build.store / ANSWER_STORE) as answers:
        yield _ConfigRewriter(build, build.typed.records[config]), engine, answers


def prune_answers(store: Path, releases: Path, products: Collection[str]) -> int:
    """Erase the answers for narratives with one of these products in their cast, but those that a release uses. Return
    the number of answers erased. Answers of a release that are not as its lock says are not read."""
    if not (store / ANSWER_STORE).is_file():
        return 0
    every = list_releases(releases)
    concerned = [release.manifest for release in every if not release.manifest.products.isdisjoint(products)]
    configs = {config for manifest in concerned for config in manifest.retold}
    kept = [file for release in every for file in sound_answers(release)]
    with ResponseCache(store / ANSWER_STORE) as answers:
        return answers.prune(configs, kept)


class _ConfigRewriter:
    """Rewrites the rendered records of one config of a build."""

    def __init__(self, build: Build, record: TypedRecord) -> None:
        assert record.record.narrator is not None
        self.build = build
        self.record = record
        self.config = record.config
        self.narrator: Narrator = record.record.narrator
        folder = build.files.rendered(self.config).parent
        self.results = folder / f"{self.config}.retellings.parquet"
        self.answers = build.files.answers(self.config)
        self.missing_note = folder / f"{self.config}.missing"

    def write(self, rendered: StageResult, progress: ReportProgress, *, paid: bool) -> RewrittenStageResult:
        began = time.monotonic()
        files = self.build.files
        path, dropped = files.records(self.config), files.record_drops(self.config)
        usage: Usage | None = None
        missing: str | None = None
        with build_step(self.build, f"rewritten-{self.config}") as step, self.build.open_engine() as engine:
            unchanged = step.whole and not self.missing_note.is_file()
            if not unchanged:
                if paid:
                    self._require_stored_answers(engine)
                try:
                    usage = self._rewrite(engine, progress, ask=not paid)
                    self.missing_note.unlink(missing_ok=True)
                except NarratorMissing as error:
                    missing = str(error)
                    self.missing_note.write_text(missing, encoding="utf-8")
                    self._write_no_results()
                rewritten = self._rewritten_records(engine)
                refused_records = self._not_rewritten(engine, rewritten, missing)
                drops = engine.read_parquet(rendered.path.with_name(f"{self.config}.drops.parquet")).select(
                    "case_id", "reason"
                )
                engine.write_parquet(drops.union(refused_records), dropped)
                engine.write_parquet(rewritten.anti_join(refused_records, "case_id"), path)
                step.seal(file for file in (path, dropped, self.results, self.answers) if file.is_file())
            records = engine.read_parquet(path)
            rows = int(engine.fetch_value(records.count()))
            reasons = engine.read_parquet(dropped).group_by("reason").aggregate(rows=lambda t: t.count())
            counted = engine.fetch_rows(reasons.order_by("reason"))
            shown = records.drop(*({*SOURCE_COLUMNS, *BUILD_COLUMNS} & {*records.columns}))
            sample = engine.fetch_rows(shown.order_by("at", "id").limit(2))
            texts, refused, score = self._summary(engine)
        return RewrittenStageResult(
            path,
            rows,
            unchanged,
            {row["reason"]: row["rows"] for row in counted},
            rendered.seconds + time.monotonic() - began,
            tuple(sample),
            usage,
            self.missing_note.read_text(encoding="utf-8") if self.missing_note.is_file() else None,
            texts,
            refused,
            score,
        )

    def _summary(self, engine: Engine) -> tuple[int, dict[str, int], float | None]:
        """Return how many texts were asked for, how many were refused by kind of fault, and their mean score."""
        results = engine.read_parquet(self.results)
        whole = engine.fetch_table(results.aggregate(texts=results.count(), score=results["score"].mean()))
        refused_records = results.filter(results["text"].isnull())
        kinds = refused_records.group_by(kind=refused_records["reason"].split(":")[0]).aggregate(
            rows=lambda table: table.count()
        )
        counted = engine.fetch_rows(kinds.order_by("kind"))
        (found,) = whole.to_pylist()
        return found["texts"], {row["kind"]: row["rows"] for row in counted}, found["score"]

    def tasks(self, engine: Engine, count: int | None = None) -> Iterator[RewriteTask]:
        """Yield a task for each text of the records that curation keeps; with `count`, of some that a hash picks."""
        records = engine.read_parquet(self.build.files.rendered(self.config))
        verdicts = find_repeats(records, self.build.narrative.dataset.dedup)
        stays = records.semi_join(verdicts.filter(verdicts["dropped"].isnull()), "id")
        if count is not None:
            stays = stays.order_by(stays["id"].hexdigest("md5")).limit(count)
        seen = template_inputs(cases_with_precedents(self.build, engine), self.build.typed, self.record)
        reader = StoryReader(self.build.typed, self.record, self.build.pseudonym_key)
        for batch in engine.stream_batches(stays.inner_join(seen, "case_id")):
            for row in batch.to_pylist():
                for column in self.columns:
                    yield self._task(row, column, reader)

    @property
    def columns(self) -> tuple[TextColumn, ...]:
        return tuple(column.text for column in self.record.rewritten)

    def _task(self, row: Mapping[str, Any], column: TextColumn, reader: StoryReader) -> RewriteTask:
        prompts = {message["role"]: message["content"] for message in row[f"ask_{column.name}"]}
        judge = prompts.pop("judge", None)
        names = {name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")}
        source = reader.read(column, row["case_id"], names, column.text_in(row) or "")
        judged = (("user", judge.replace(STORY_MARK, escape_fence(source.story))),) if judge is not None else ()
        return RewriteTask(f"{row['id']}#{column.name}", tuple(prompts.items()), source, judged)

    def _require_stored_answers(self, engine: Engine) -> None:
        with ResponseCache(self.build.store / ANSWER_STORE) as answers:
            missing_answers = estimate_cost(self.tasks(engine), self.narrator, answers).calls
        if missing_answers:
            answers_of = f"{missing_answers:,} answers of {self.narrator.model}"
            message = f"{answers_of} that '{self.config}' was told by are not in the store"
            raise NarratorFailed(message, "take them from a copy of the release: they stand in its answers/")

    def _rewrite(self, engine: Engine, progress: ReportProgress, *, ask: bool) -> Usage:
        """Rewrite, and write the result of each text. Raises NarratorFailed if the budget does not suffice, or, without
        `ask`, if an answer is not in the store: then no model is asked, whatever the answers there are."""
        last = Usage()

        def report(usage: Usage) -> None:
            nonlocal last
            last = usage
            cost = "" if usage.usd is None else f", {usage.usd:.2f} USD"
            progress(f"{self.config}: retold by {usage.calls:,} calls{cost}", usage.records)

        short = 0
        with ResponseCache(self.build.store / ANSWER_STORE) as answers:
            with _result_writer(self.results) as write:
                for result in rewrite_texts(self.tasks(engine), self.narrator, answers, report, ask=ask):
                    write(result)
                    short += result.reason == "budget"
            if short and not ask:
                message = (
                    f"{short:,} texts of '{self.config}' want answers of {self.narrator.model} that are not stored"
                )
                raise NarratorFailed(message, "take them from a copy of the release: they stand in its answers/")
            if short:
                message = f"the budget of '{self.config}' is spent: {short:,} texts are not retold"
                raise NarratorFailed(message, "what was answered is kept: raise the budget and run again")
            answers.to_parquet(self.answers)
        return last

    def _write_no_results(self) -> None:
        with _result_writer(self.results):
            pass

    def _rewritten_records(self, engine: Engine) -> "ir.Table":
        """Return the records with accepted texts in place of the rendered ones, and with `retellings`."""
        import ibis

        records = engine.read_parquet(self.build.files.rendered(self.config))
        results = engine.read_parquet(self.results)
        accepted: dict[str, ir.StringValue] = {}
        shown: list[ir.ArrayValue] = []
        joined = records
        for index, column in enumerate(self.columns):
            of_column = results.filter(results["column"] == column.name).drop("column").rename(f"{index}_{{name}}")
            joined = joined.left_join(of_column, joined["id"] == of_column[f"{index}_id"])
            text = joined[f"{index}_text"]
            accepted[column.name] = text
            entry = ibis.struct(
                {
                    "column": ibis.literal(column.name),
                    "story": column.value_in(joined),
                    "model": ibis.ifelse(text.notnull(), ibis.literal(self.narrator.model), ibis.null("string")),
                    **{name: joined[f"{index}_{name}"] for name in NOTED},
                }
            )
            shown.append(ibis.ifelse(joined[f"{index}_id"].notnull(), ibis.array([entry]), ibis.null()))
        listed = (
            shown[0] if len(shown) == 1 else ibis.ifelse(shown[0].notnull(), shown[0].concat(*shown[1:]), ibis.null())
        )
        asks = {f"ask_{column.name}" for column in self.columns}
        kept = [name for name in records.columns if name not in (*asks, UNFIT)]
        columns = {name: joined[name] for name in kept} | self.record.format.replace_texts(joined, accepted)
        return joined.select(**columns, **{RETELLINGS: listed, UNFIT: joined[UNFIT]})

    def _not_rewritten(self, engine: Engine, rewritten: "ir.Table", missing: str | None) -> "ir.Table":
        """Return case_id and reason of the records that drop because they are not rewritten."""
        import ibis

        if missing is not None:
            return rewritten.select("case_id", reason=ibis.literal(f"{NOT_RETOLD}: {missing}"))
        found = engine.read_parquet(self.results)
        found = found.filter(found["text"].isnull() & (self.narrator.otherwise == "drop"))
        kind = ibis.literal(f"{NOT_RETOLD}: ").concat(found["reason"].split(":")[0])
        reasons = found.select("id", reason=kind).group_by("id").aggregate(reason=lambda table: table["reason"].min())
        return rewritten.select("id", "case_id").inner_join(reasons, "id").select("case_id", "reason")


@contextmanager
def _result_writer(path: Path) -> Iterator[Callable[[RewriteResult], None]]:
    """Write results as they come, to a file that appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("id", pa.string()),
            ("column", pa.string()),
            ("text", pa.string()),
            ("attempts", pa.int32()),
            ("score", pa.float64()),
            ("judged", pa.float64()),
            ("reason", pa.string()),
            ("answer", pa.string()),
            ("pieces", pa.list_(pa.struct([(name, pa.int32()) for name in ("begin", "end", "origin")]))),
        ]
    )
    rows: list[dict[str, Any]] = []

    def write_batch() -> None:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        rows.clear()

    def take(result: RewriteResult) -> None:
        record, _, column = result.id.rpartition("#")
        rows.append(
            {
                "id": record,
                "column": column,
                "text": result.text,
                "attempts": result.attempts,
                "score": None if result.grounding is None else result.grounding.score,
                "judged": result.judged,
                "reason": result.reason,
                "answer": result.answer or None,
                "pieces": [asdict(piece) for piece in result.pieces],
            }
        )
        if len(rows) >= BATCH:
            write_batch()

    with staged_file(path) as staged, pq.ParquetWriter(staged, schema, compression="zstd") as writer:
        yield take
        write_batch()
