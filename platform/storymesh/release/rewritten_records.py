"""Records told again by a language model: after the templates, before the cut, and only where curation lets them stay.

What a model answers is kept in the store of the mesh and never asked for twice; which answer a record has, by which
attempt and how it scored, stands beside the record in `retellings`. What is not accepted keeps the template's text or
drops, as the narrative says.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import staged_file
from storymesh.dataset.build import Build
from storymesh.dataset.render import UNFIT
from storymesh.dataset.stages import (
    ReportProgress,
    StageResult,
    ignore_progress,
    write_cases_and_precedents,
    write_records,
)
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import NarratorFailed, NarratorMissing
from storymesh.llm.budget import Spent
from storymesh.llm.response_cache import Answers
from storymesh.narrative.definition import Narrator
from storymesh.narrative.formats.format import TextColumn
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import TypedRecord
from storymesh.release.catalog import list_releases
from storymesh.release.curation.curate import find_repeats
from storymesh.release.layout import ANSWERS_FOLDER
from storymesh.rewriting.rewrite import Estimate, Retelling, Task, estimate, narrate

if TYPE_CHECKING:
    import ibis.expr.types as ir

ANSWERS = Path("narrator") / "answers.sqlite"  # in the mesh's store
RETELLINGS = "retellings"
NOT_RETOLD = "not retold"
BATCH = 1_000


@dataclass(frozen=True)
class Narrated(StageResult):
    """`spent` is what it took; None where nothing was done now. `missing`: the words of why there is no narrator, and
    then no record. Of `texts` those in `refused` (kind of fault -> count) were not accepted; `score` is their mean."""

    spent: Spent | None = None
    missing: str | None = None
    texts: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    score: float | None = None


def write_all(build: Build, *, paid: bool = False) -> None:
    """Every file of the build, as far as it is not there: it can be cut then."""
    write_cases_and_precedents(build)
    for config in build.configs:
        write_config(build, config, paid=paid)


def write_config(
    build: Build, config: str, progress: ReportProgress = ignore_progress, *, paid: bool = False
) -> StageResult:
    """The records of one config as they are cut: told, and retold where a narrator does it.

    A narrator without its package or key leaves the config without records, with that reason; they come with the next
    run that has both. Raises NarratorFailed when its budget is spent, the server refuses, or, `paid`, when the store
    lacks an answer: what was answered stays in the store.
    """
    written = write_records(build, config, progress)
    record = build.typed.records[config]
    return _Retelling(build, record).written(written, progress, paid=paid) if record.rewritten else written


def estimated(build: Build, config: str) -> Estimate:
    """What retelling this config would cost, found without a call."""
    write_cases_and_precedents(build)
    write_records(build, config)
    retelling = _Retelling(build, build.typed.records[config])
    with open_engine() as engine, Answers(build.store / ANSWERS) as answers:
        return estimate(retelling.tasks(engine), retelling.narrator, answers)


def sampled(
    build: Build, config: str, count: int, progress: Callable[[Spent], None]
) -> Iterator[tuple[str, Retelling]]:
    """Some records retold, as (the template's text, what became of it). Nothing is written but the answers."""
    write_cases_and_precedents(build)
    write_records(build, config)
    retelling = _Retelling(build, build.typed.records[config])
    with open_engine() as engine, Answers(build.store / ANSWERS) as answers:
        tasks = {task.id: task for task in retelling.tasks(engine, count)}
        for found in narrate(tasks.values(), retelling.narrator, answers, progress):
            yield tasks[found.id].source.story, found


def prune_answers(store: Path, releases: Path, products: Collection[str]) -> int:
    """Erase the answers for narratives that have one of these products in their cast, but for those that a release
    stands on. Returns how many went."""
    if not (store / ANSWERS).is_file():
        return 0
    every = list_releases(releases)
    concerned = [release.manifest for release in every if not release.manifest.products.isdisjoint(products)]
    configs = {config for manifest in concerned for config in manifest.retold}
    kept = [file for release in every for file in sorted((release.path / ANSWERS_FOLDER).glob("*.parquet"))]
    with Answers(store / ANSWERS) as answers:
        return answers.prune(configs, kept)


class _Retelling:
    """One config of a build on its way from told to retold."""

    def __init__(self, build: Build, record: TypedRecord) -> None:
        assert record.record.narrator is not None
        self.build = build
        self.record = record
        self.config = record.config
        self.narrator: Narrator = record.record.narrator
        self.units = _units(build.typed, record)
        folder = build.files.rendered(self.config).parent
        self.notes = folder / f"{self.config}.retellings.parquet"
        self.answers = build.files.answers(self.config)
        self.absent = folder / f"{self.config}.missing"

    def written(self, told: StageResult, progress: ReportProgress, *, paid: bool) -> Narrated:
        began = time.monotonic()
        path, dropped = self.build.files.records(self.config), self.build.files.record_drops(self.config)
        unchanged = path.is_file() and dropped.is_file() and not self.absent.is_file()
        spent: Spent | None = None
        missing: str | None = None
        with open_engine() as engine:
            if not unchanged:
                if paid:
                    self._refuse_unpaid(engine)
                try:
                    spent = self._narrate(engine, progress)
                    self.absent.unlink(missing_ok=True)
                except NarratorMissing as error:
                    missing = str(error)
                    self.absent.write_text(missing, encoding="utf-8")
                    self._note([])
                retold = self._retold(engine)
                lost = self._lost(engine, retold, missing)
                drops = engine.read_parquet(told.path.with_name(f"{self.config}.drops.parquet")).select(
                    "case_id", "reason"
                )
                engine.write_parquet(drops.union(lost), dropped)
                engine.write_parquet(retold.anti_join(lost, "case_id"), path)
            records = engine.read_parquet(path)
            rows = int(engine.fetch_value(records.count()))
            reasons = engine.read_parquet(dropped).group_by("reason").aggregate(rows=lambda t: t.count())
            counted = engine.fetch_rows(reasons.order_by("reason"))
            sample = engine.fetch_rows(records.order_by("at", "id").drop("facts", "sources", UNFIT).limit(2))
            texts, refused, score = self._counted(engine)
        return Narrated(
            path,
            rows,
            unchanged,
            {one["reason"]: one["rows"] for one in counted},
            told.seconds + time.monotonic() - began,
            tuple(sample),
            spent,
            self.absent.read_text(encoding="utf-8") if self.absent.is_file() else None,
            texts,
            refused,
            score,
        )

    def _counted(self, engine: Engine) -> tuple[int, dict[str, int], float | None]:
        """How many texts were asked for, how many were refused by kind of fault, and their mean score."""
        notes = engine.read_parquet(self.notes)
        whole = engine.fetch_table(notes.aggregate(texts=notes.count(), score=notes["score"].mean()))
        lost = notes.filter(notes["text"].isnull())
        kinds = lost.group_by(kind=lost["reason"].split(":")[0]).aggregate(rows=lambda table: table.count())
        counted = engine.fetch_rows(kinds.order_by("kind"))
        (found,) = whole.to_pylist()
        return found["texts"], {one["kind"]: one["rows"] for one in counted}, found["score"]

    def tasks(self, engine: Engine, count: int | None = None) -> Iterator[Task]:
        """What the narrator is asked, for each record that curation lets stay; of some, those that a hash picks."""
        records = engine.read_parquet(self.build.files.rendered(self.config))
        verdicts = find_repeats(records, self.build.narrative.dataset.dedup)
        stays = records.semi_join(verdicts.filter(verdicts["dropped"].isnull()), "id")
        if count is not None:
            stays = stays.order_by(stays["id"].hexdigest("md5")).limit(count)
        for batch in engine.stream_batches(stays):
            for row in batch.to_pylist():
                for column in self.columns:
                    yield self._task(row, column)

    @property
    def columns(self) -> tuple[TextColumn, ...]:
        return tuple(column.text for column in self.record.rewritten)

    def _task(self, row: Mapping[str, Any], column: TextColumn) -> Task:
        from storymesh.grounding.check import Source

        asked = {message["role"]: message["content"] for message in row[f"ask_{column.name}"]}
        judge = asked.pop("judge", None)
        # The question is true text, of which a rewritten answer may speak.
        question = self.record.format.question_in(row)
        source = Source(column.text_in(row) or "", dict(_flat(row["facts"])), self.units, question)
        messages = tuple(asked.items())
        return Task(f"{row['id']}#{column.name}", messages, source, (("user", judge),) if judge is not None else ())

    def _refuse_unpaid(self, engine: Engine) -> None:
        with Answers(self.build.store / ANSWERS) as answers:
            lacking = estimate(self.tasks(engine), self.narrator, answers).calls
        if lacking:
            words = (
                f"{lacking:,} answers of {self.narrator.model} that '{self.config}' was told by are not in the store"
            )
            raise NarratorFailed(words, "take them from a copy of the release: they stand in its answers/")

    def _narrate(self, engine: Engine, progress: ReportProgress) -> Spent:
        """Retell, and note what became of each record. Raises NarratorFailed when the budget does not suffice."""
        last = Spent()

        def told(spent: Spent) -> None:
            nonlocal last
            last = spent
            cost = "" if spent.usd is None else f", {spent.usd:.2f} USD"
            progress(f"{self.config}: retold by {spent.calls:,} calls{cost}", spent.records)

        short = 0
        with Answers(self.build.store / ANSWERS) as answers:
            with _notes(self.notes) as note:
                for one in narrate(self.tasks(engine), self.narrator, answers, told):
                    note(one)
                    short += one.reason == "budget"
            if short:
                words = f"the budget of '{self.config}' is spent: {short:,} texts are not retold"
                raise NarratorFailed(words, "what was answered is kept: raise the budget and run again")
            answers.to_parquet(self.answers)
        return last

    def _note(self, retellings: "list[Retelling]") -> None:
        with _notes(self.notes) as note:
            for one in retellings:
                note(one)

    def _retold(self, engine: Engine) -> "ir.Table":
        """The told records with what was retold in place of what the templates told, and `retellings`."""
        import ibis

        records = engine.read_parquet(self.build.files.rendered(self.config))
        notes = engine.read_parquet(self.notes)
        accepted: dict[str, ir.StringValue] = {}
        shown: list[ir.ArrayValue] = []
        joined = records
        for index, column in enumerate(self.columns):
            mine = notes.filter(notes["column"] == column.name).drop("column").rename(f"{index}_{{name}}")
            joined = joined.left_join(mine, joined["id"] == mine[f"{index}_id"])
            text = joined[f"{index}_text"]
            accepted[column.name] = text
            one = ibis.struct(
                {
                    "column": ibis.literal(column.name),
                    "story": column.value_in(joined),
                    "model": ibis.ifelse(text.notnull(), ibis.literal(self.narrator.model), ibis.null("string")),
                    **{name: joined[f"{index}_{name}"] for name in ("attempts", "score", "judged", "reason", "answer")},
                }
            )
            shown.append(ibis.ifelse(joined[f"{index}_id"].notnull(), ibis.array([one]), ibis.null()))
        listed = (
            shown[0] if len(shown) == 1 else ibis.ifelse(shown[0].notnull(), shown[0].concat(*shown[1:]), ibis.null())
        )
        asks = {f"ask_{column.name}" for column in self.columns}
        kept = [name for name in records.columns if name not in (*asks, UNFIT)]
        columns = {name: joined[name] for name in kept} | self.record.format.replace_texts(joined, accepted)
        return joined.select(**columns, **{RETELLINGS: listed, UNFIT: joined[UNFIT]})

    def _lost(self, engine: Engine, retold: "ir.Table", missing: str | None) -> "ir.Table":
        """case_id and reason of the records that drop because they are not retold."""
        import ibis

        if missing is not None:
            return retold.select("case_id", reason=ibis.literal(f"{NOT_RETOLD}: {missing}"))
        found = engine.read_parquet(self.notes)
        found = found.filter(found["text"].isnull() & (self.narrator.otherwise == "drop"))
        kind = ibis.literal(f"{NOT_RETOLD}: ").concat(found["reason"].split(":")[0])
        reasons = found.select("id", reason=kind).group_by("id").aggregate(reason=lambda table: table["reason"].min())
        return retold.select("id", "case_id").inner_join(reasons, "id").select("case_id", "reason")


@contextmanager
def _notes(path: Path) -> Iterator[Callable[[Retelling], None]]:
    """Write what became of each text as it comes, to a file that is there whole or not at all."""
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
        ]
    )
    rows: list[dict[str, Any]] = []

    def write_batch() -> None:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        rows.clear()

    def take(one: Retelling) -> None:
        record, _, column = one.id.rpartition("#")
        rows.append(
            {
                "id": record,
                "column": column,
                "text": one.text,
                "attempts": one.attempts,
                "score": None if one.grounding is None else one.grounding.score,
                "judged": one.judged,
                "reason": one.reason,
                "answer": one.answer or None,
            }
        )
        if len(rows) >= BATCH:
            write_batch()

    with staged_file(path) as staged, pq.ParquetWriter(staged, schema, compression="zstd") as writer:
        yield take
        write_batch()


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a record's facts by their dotted paths; rows of a list share theirs, as lists."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        found: dict[str, list[Any]] = {}
        for one in value:
            for name, inner in _flat(one, path):
                found.setdefault(name, []).append(inner)
        yield from found.items()
    elif isinstance(value, str | int | float | Decimal | bool | date | datetime | list) or value is None:
        yield path, value


def _units(typed: TypedNarrative, record: TypedRecord) -> dict[str, str]:
    """Path -> unit of what a config prints, as the contracts say."""
    found: dict[str, str] = {}
    for path in record.prints:
        role = typed.cast.roles.get(path[0])
        named = role.contract.properties.get(path[1]) if role is not None and len(path) > 1 else None
        if named is not None and named.unit:
            found[".".join(path)] = named.unit
    return found
