"""The data files and drops of a release that is being written, its manifest, and what its documents describe.

The certificate is taken from the files as they were written, the digest from the rows on their way into them.
"""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from storymesh.dataset.build import BUILD_VERSION
from storymesh.dataset.erasure_list import ERASED
from storymesh.dataset.render import BUILD_COLUMNS
from storymesh.dataset.split import SPLITS
from storymesh.dataset.tables import quoted_precedents, split_counts
from storymesh.engine.engine import Engine
from storymesh.release.card.header import parquet_metadata
from storymesh.release.config_summaries import ConfigSummaries
from storymesh.release.curation.curate import apply_curation_rules, curation_rules, redact_texts
from storymesh.release.curation.decontaminate import (
    EvaluationSet,
    load_evaluation_hashes,
    read_evaluation_set,
    write_evaluation_hashes,
)
from storymesh.release.data_files import DROP_COLUMNS, DataFiles
from storymesh.release.definition_snapshot import write_definition_snapshot
from storymesh.release.description import ReleaseDescription
from storymesh.release.digests import compute_digests
from storymesh.release.diversity import count_characters, measure_diversity, sample_texts
from storymesh.release.evaluation_questions import (
    KNOWN_QUESTION,
    asks_questions,
    find_known_questions,
    training_texts,
)
from storymesh.release.layout import (
    DEFINITION_FOLDER,
    DROPS_FOLDER,
    EVALUATION_HASHES,
    all_record_files,
    drops_file,
    record_files,
)
from storymesh.release.leakage import count_leaks
from storymesh.release.manifest import (
    CASE,
    PersonalDataSummary,
    ReleasedProduct,
    ReleaseManifest,
    read_manifest,
)
from storymesh.release.observer import ObserveStep, unobserved
from storymesh.release.record_sample import sample_files
from storymesh.release.refusal import LeakRefused, ReleaseRefused
from storymesh.release.strata import measure_strata

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

    from storymesh.dataset.build import Build
    from storymesh.narrative.definition import Narrative


class ReleaseAssembly:
    """The release of one build, written into the new folder `staged` as `version`."""

    def __init__(
        self,
        build: "Build",
        engine: Engine,
        staged: Path,
        version: str,
        shard_rows: int | None,
        observe: ObserveStep = unobserved,
    ) -> None:
        self.build = build
        self.observe = observe
        self.engine = engine
        self.staged = staged
        self.version = version
        self.shard_rows = shard_rows or build.narrative.dataset.shard_rows
        self.split = build.narrative.dataset.split
        cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
        placed = splits.select(placed="case_id", split="split", late="dropped", component="component")
        joined = cases.left_join(placed, cases.case_id == placed.placed)
        # A case that one view drops may be told by another; it is dropped when it has no place in the splits.
        reason = joined.placed.isnull().ifelse(_case_drop_reason(build.narrative, joined), joined.late)
        columns = ("case_id", "at", "closes", "status", "split", "component")
        happened = joined.question_dropped.isnull()
        self.cases = engine.materialize(joined.select(*columns, reason=reason, happened=happened))
        self.placed = self._count(self.cases.filter(self.cases.reason.isnull()))
        self.evaluation = self._evaluation_set()
        self.digests: dict[str, str] = {}  # of the configs that are written
        self.known_questions: list[str] | None = None  # of the evaluation, which is written last
        (staged / DROPS_FOLDER).mkdir(parents=True)

    def write_files(self) -> ReleaseDescription:
        """Write data, drops and definition. Returns the description, with a manifest that lacks its files.

        Raises ReleaseRefused when no record is left, when a case is neither recorded nor dropped, or when the
        certificate is not all zero.
        """
        narrative = self.build.narrative
        drops: dict[str, dict[str, int]] = {CASE: self._write_case_drops()}
        configs: dict[str, dict[str, int]] = {}
        conflicts: dict[str, int] = {}
        for config in narrative.records:
            configs[config], drops[config], conflicts[config] = self._write_config(config)
        if not any(rows for splits in configs.values() for rows in splits.values()):
            reasons = [f"{reason} ({count})" for counts in drops.values() for reason, count in counts.items()]
            words = f"no record of '{narrative.id}' is left to release"
            raise ReleaseRefused(words, f"dropped: {', '.join(reasons)}" if reasons else "its anchor has no rows")
        with self.observe("certificate"):
            certificate = self._certificate()
        summaries = ConfigSummaries(self.build, self.engine, self.staged, self._samples(), self.observe)
        evidence, recitation = summaries.evidence(), summaries.recitation()
        write_definition_snapshot(narrative, self.build.contracts, self.staged)
        if self.evaluation is not None:
            write_evaluation_hashes(self.engine, self.evaluation, self.staged / DEFINITION_FOLDER / EVALUATION_HASHES)
        personal = self.build.personal_data
        with self.observe("digest"):
            digests = compute_digests(self.engine, self.staged, configs, self.digests)
        description = self._description(
            ReleaseManifest(
                narrative=narrative.id,
                version=self.version,
                digest=digests.whole,
                narrative_version=narrative.version,
                fingerprint=self.build.fingerprint,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                storymesh=package_version("storymesh"),
                rules=BUILD_VERSION,
                cast=self._cast(),
                guarded=self.build.guarded,
                egress=self.build.receipts,
                keys_sent=self.build.keys_sent,
                forgotten=self.build.erased_keys,
                evaluation=self.evaluation.summary if self.evaluation is not None else None,
                personal=PersonalDataSummary(mode=personal.mode, values=personal.values)
                if personal.mode != "off"
                else None,
                configs=configs,
                drops=drops,
                conflicts=conflicts,
                splits=split_counts(self.build, self.engine),
                digests=digests,
                retold=summaries.rewriting(),
                evidence=evidence,
                recitation=recitation,
                tricks=summaries.tricks(),
                certificate=certificate,
            )
        )
        shutil.rmtree(self._sample_folder, ignore_errors=True)
        return description

    def _cast(self) -> dict[str, ReleasedProduct]:
        return {
            role: ReleasedProduct(
                product=member.product,
                contract_version=snapshot.contract_version,
                contract_digest=snapshot.contract_digest,
                product_version=snapshot.version,
                snapshot=snapshot.snapshot_id,
                rows=snapshot.rows,
            )
            for role, member in self.build.narrative.cast.items()
            for snapshot in (self.build.snapshots[role],)
        }

    def _evaluation_set(self) -> EvaluationSet | None:
        rule, files = self.build.narrative.dataset.decontaminate, self.build.evaluation
        if rule is None:
            return None
        if isinstance(files, Path):
            summary = read_manifest(files.parents[1]).evaluation
            if summary is not None:
                return load_evaluation_hashes(self.engine, files, rule.ngram, summary)
        elif files:
            return read_evaluation_set(self.engine, files, rule.ngram)
        words = f"the evaluation set of '{self.build.narrative.id}' is not at hand, and nothing is held against it"
        raise ReleaseRefused(words, f"bring back {EVALUATION_HASHES} from a copy of the release")

    def _write_case_drops(self) -> dict[str, int]:
        lost = self.cases.filter(self.cases.split.isnull() & self.cases.reason.isnull())
        self._refuse_lost(lost, "has neither a split nor a reason to drop")
        # Only what names the case: the rows of its roles may hold what no release may print. A forgotten case is
        # counted without its name.
        columns = ("case_id", "at", "closes", "status")
        named = self.cases.reason != ERASED
        dropped = self.cases.filter(self.cases.reason.notnull()).select(
            **{name: named.ifelse(self.cases[name], None) for name in columns}, reason="reason"
        )
        return self._write_drops(dropped, CASE)

    def _write_config(self, config: str) -> tuple[dict[str, int], dict[str, int], int]:
        """Write one config. Returns its records by split, its drops by reason, and how many records conflict."""
        rendered = self.engine.read_parquet(self.build.files.records(config))
        rules = curation_rules(self.build.narrative, config)
        with self.observe("duplicates", config):
            curated = apply_curation_rules(self.engine, rendered, rules, self.evaluation)
            if asks_questions(rendered.columns):
                curated = self._without_known_questions(rendered, curated)
        records = self._records(config)
        judged = self._judged_counts(records, curated)
        names = SPLITS if self.split is not None else SPLITS[:1]
        rows = {split: judged[split]["kept"] if split in judged else 0 for split in names}
        left_out = self.staged / f".{config}.dropped"
        with self.observe("files and digest", config):
            self._write_splits(config, curated, rows, left_out)
        with self.observe("drops", config):
            drops = self._write_record_drops(config, records, left_out)
        accounted = self.engine.read_parquet(drops_file(self.staged, config)).select("case_id")
        if files := all_record_files(self.staged, config):
            accounted = accounted.union(self.engine.read_parquet(files).select("case_id"))
        placed = self.cases.filter(self.cases.reason.isnull())
        self._refuse_lost(placed.anti_join(accounted, "case_id"), f"has no record in '{config}' and no reason to drop")
        total = sum(rows.values()) + sum(drops.values())
        if total != self.placed:
            words = f"'{config}' tells or drops {total} records of {self.placed} cases: a case is there more than once"
            raise ReleaseRefused(words, "this is a defect of storymesh")
        if conflicts := sum(row["conflicts"] for row in judged.values()):
            conflicting = records.semi_join(curated.filter(curated.conflict), "id").select("id", "case_id", "split")
            path = self.staged / DROPS_FOLDER / f"{config}.conflicts.parquet"
            self.engine.write_parquet(conflicting.order_by("id"), path)
        self.engine.drop(curated)
        return rows, drops, conflicts

    def _without_known_questions(self, rendered: "Table", curated: "Table") -> "Table":
        """Drop the questions that stand in a text for training, which is written before them."""
        files = {config: record_files(self.staged, config) for config in self.build.narrative.records}
        training, samples = (training_texts(self.engine, some) for some in (files, self._samples()))
        known = find_known_questions(self.engine, rendered, training, samples)
        self.known_questions = known
        if not known:
            return curated
        reason = ibis.ifelse(curated.id.isin(known), KNOWN_QUESTION, ibis.null("string"))
        dropped = curated.dropped.cast("string").coalesce(reason)
        judged = self.engine.materialize(curated.mutate(dropped=dropped))
        self.engine.drop(curated)
        return judged

    def _records(self, config: str) -> "Table":
        """Return the records of one config, without the columns that no release has."""
        records = self.engine.read_parquet(self.build.files.records(config))
        return records.drop(*({*BUILD_COLUMNS} & {*records.columns}))

    def _judged_counts(self, records: "Table", curated: "Table") -> dict[str, dict[str, int]]:
        """Return for each split how many records are kept and dropped, and how many conflict with another."""
        joined = records.select("id", "split").inner_join(curated.drop("same_as"), "id")
        left_out = joined.dropped.notnull()
        counts = joined.group_by("split").aggregate(
            kept=joined.count(where=~left_out), dropped=joined.count(where=left_out), conflicts=joined.conflict.sum()
        )
        return {row.pop("split"): row for row in self.engine.fetch_rows(counts)}

    def _write_record_drops(self, config: str, records: "Table", left_out: Path) -> dict[str, int]:
        """Write the cases without a record, and the records that curation dropped, in the file `left_out` (there is
        none without such), with all that they had: they stay readable."""
        placed = self.cases.filter(self.cases.reason.isnull())
        without = self.engine.read_parquet(self.build.files.record_drops(config)).select("case_id", "reason")
        without = without.semi_join(placed, "case_id").anti_join(records, "case_id")
        kinds = {**records.schema(), **dict.fromkeys(DROP_COLUMNS, "string")}
        empty = {name: ibis.null().cast(kind) for name, kind in kinds.items() if name not in without.columns}
        rows = without.mutate(**empty).select(*kinds)
        try:
            if left_out.is_file():
                rows = rows.union(redact_texts(self.engine.read_parquet(left_out)).select(*kinds))
            return self._write_drops(rows.relocate("case_id", *DROP_COLUMNS), config)
        finally:
            left_out.unlink(missing_ok=True)

    def _write_drops(self, dropped: "Table", name: str) -> dict[str, int]:
        path = drops_file(self.staged, name)
        self.engine.write_parquet(dropped.order_by("case_id"), path)
        return self._counts_by(self.engine.read_parquet(path), "reason")

    def _count(self, table: "Table") -> int:
        return int(self.engine.fetch_value(table.count()))

    def _counts_by(self, table: "Table", by: str) -> dict[str, int]:
        """Return how many rows have each value of `by`, the most frequent first."""
        counts = self.engine.fetch_rows(table.group_by(by).aggregate(rows=table.count()))
        return {row[by]: row["rows"] for row in sorted(counts, key=lambda row: (-row["rows"], row[by]))}

    def _write_splits(self, config: str, curated: "Table", rows: Mapping[str, int], left_out: Path) -> None:
        """Write the files of a config split by split, and the records that curation drops to `left_out`."""
        files = [
            (self.staged / "data" / config / f"{split}-{shard:05d}-of-{shards:05d}.parquet", size)
            for split, count in rows.items()
            for shards in (-(-count // self.shard_rows),)
            for shard in range(shards)
            for size in (min(self.shard_rows, count - shard * self.shard_rows),)
        ]
        metadata = parquet_metadata(self._records(config).drop("split").schema().to_pyarrow())
        writing = DataFiles(self.engine, rows, files, left_out, self._sample_folder / config, metadata)
        digest = writing.write(self.build.files.records(config), curated)
        if files and digest is not None:
            self.digests[config] = digest

    @property
    def _sample_folder(self) -> Path:
        return self.staged / ".sample"

    def _samples(self) -> dict[str, dict[str, list[Path]]]:
        """Return the files of the sample of each config that was written: config -> split -> files."""
        return {config: sample_files(self._sample_folder / config) for config in self.build.narrative.records}

    def _certificate(self) -> dict[str, int]:
        narrative = self.build.narrative
        files = {config: record_files(self.staged, config) for config in narrative.records}
        cases = self.cases if narrative.case.closes is not None else self.cases.drop("closes")
        precedents = quoted_precedents(self.build, self.engine)
        certificate = count_leaks(self.engine, files, self.split, cases, precedents, self.known_questions)
        if narrative.evaluation is not None:
            certificate.setdefault("evaluation", 0)  # also of an evaluation that no question is left of
        if broken := [f"{name}: {count}" for name, count in certificate.items() if count]:
            words = f"the certificate of '{narrative.id}' is not clean ({', '.join(broken)})"
            raise LeakRefused(words, "nothing was released; a split leaks into another", certificate)
        return certificate

    def _refuse_lost(self, lost: "Table", problem: str) -> None:
        first = self.engine.fetch_rows(lost.select("case_id").order_by("case_id").limit(1))
        if first:
            words = f"{self._count(lost)} cases are unaccounted for: '{first[0]['case_id']}' {problem}"
            raise ReleaseRefused(words, "this is a defect of storymesh")

    def _description(self, manifest: ReleaseManifest) -> ReleaseDescription:
        configs = manifest.configs
        files = {config: record_files(self.staged, config) for config in configs}
        texts = {
            config: sample_texts(self.engine, [path for paths in parts.values() for path in paths])
            for config, parts in self._samples().items()
        }
        return ReleaseDescription(
            narrative=self.build.narrative,
            contracts=self.build.contracts,
            manifest=manifest,
            schemas={config: self._records(config).drop("split").schema().to_pyarrow() for config in files},
            samples={
                config: self.engine.fetch_rows(self.engine.read_parquet(next(iter(parts.values()))[0]).limit(1))[0]
                for config, parts in files.items()
                if parts
            },
            sizes={
                config: {split: sum(path.stat().st_size for path in paths) for split, paths in parts.items()}
                for config, parts in files.items()
            },
            loaded_sizes={
                config: {split: _loaded_bytes(paths[0], configs[config][split]) for split, paths in parts.items()}
                for config, parts in files.items()
            },
            strata=measure_strata(self.build, self.engine),
            diversity={config: measure_diversity(sampled) for config, sampled in texts.items()},
            lengths={config: count_characters(sampled) for config, sampled in texts.items()},
        )


def _case_drop_reason(narrative: "Narrative", cases: "Table") -> "StringValue":
    """Return why the views that the records need drop a case: hindsight's reason where any record is in hindsight."""
    names = [name for name in ("dropped", "question_dropped") if name in cases.columns]
    if not any("text" in record.templates for record in narrative.records.values()):
        names.reverse()
    first: StringValue = cases[names[0]]
    return first if len(names) == 1 else first.coalesce(cases[names[1]])


def _loaded_bytes(path: Path, rows: int) -> int:
    """Return about how many bytes so many rows like the first ones of a file take in memory, as Arrow holds them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        first = file.read_row_group(0)
    return int(first.nbytes / max(first.num_rows, 1) * rows)
