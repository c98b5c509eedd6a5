"""Cutting a release: records become an immutable, numbered directory that `datasets.load_dataset` reads as it is.

A release is made in a hidden folder beside its future place, its certificate and digest are taken from the files as
they were written, and one rename makes it visible. So a killed cut leaves nothing that looks like a release, and the
next one sweeps what it left.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import sync_folder, sync_tree
from storymesh.dataset.erasure_list import ERASED as FORGOTTEN
from storymesh.dataset.render import UNFIT
from storymesh.dataset.split import SPLITS
from storymesh.dataset.tables import precedents_by_case
from storymesh.engine.duckdb.engine import ROW_GROUP
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.file_lock import hold_lock
from storymesh.release.card.card import Card, features_of, render_card
from storymesh.release.croissant import CROISSANT, render_croissant
from storymesh.release.curation.curate import rules_of, verdicts, without_words
from storymesh.release.curation.decontaminate import RUNS, Evaluation, keep_evaluation, kept_evaluation, read_evaluation
from storymesh.release.definition_snapshot import DEFINITION, keep
from storymesh.release.digests import digests_of
from storymesh.release.diversity import variety
from storymesh.release.leakage import certify
from storymesh.release.manifest import (
    ANSWERED,
    CASE,
    FOLDER,
    LOCK,
    Release,
    drops_file,
    files_of,
    list_releases,
    read_lock,
    read_release,
    record_files,
)
from storymesh.release.report.report import REPORT, render_report

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

    from storymesh.dataset.build import Build
    from storymesh.narrative.definition import Narrative
    from storymesh.release.report.report import Tracer

STAGED = ".cutting-"
_GUARD = ".lock"


class ReleaseRefused(StorymeshError):
    """What would be released breaks a promise; nothing was released, and earlier releases stay as they are."""


class LeakRefused(ReleaseRefused):
    """The certificate is not all zero: `certificate` has each promise and how often it is broken."""

    def __init__(self, words: str, hint: str, certificate: Mapping[str, int]) -> None:
        super().__init__(words, hint)
        self.certificate = certificate


def cut(build: "Build", *, shard_rows: int | None = None, tracer: "Tracer | None" = None) -> Release:
    """Write the next release of the build's narrative, or return the one of the same version and digest, unchanged.
    A file holds at most `shard_rows` records (None: as the narrative says). With a tracer, `report.html` shows of every
    value of its stories where it comes from.

    Raises ReleaseRefused when no record is left, when a case is neither told nor counted among the drops, or when the
    certificate is not all zero. Two processes that cut the same narrative wait for each other.
    """
    folder = build.releases / build.narrative.id
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / _GUARD):
        for left in folder.glob(f"{STAGED}*"):
            shutil.rmtree(left)
        staged = folder / f"{STAGED}{os.getpid()}"
        try:
            with open_engine() as engine:
                lock, card = _Cutting(build, engine, staged, shard_rows).written()
            same_version = [
                release
                for release in list_releases(build.releases, build.narrative.id)
                if release.version.rpartition("-r")[0] == build.narrative.version
            ]
            for release in same_version:
                if release.digest == lock["digest"]:
                    return replace(release, unchanged=True)
            version = f"{build.narrative.version}-r{1 + _last_number(folder, build.narrative.version)}"
            _finish(staged, build, version, lock, card, tracer)
            staged.rename(folder / version)
            sync_folder(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return read_release(folder / version)


def cut_again(build: "Build", folder: Path, version: str, *, tracer: "Tracer | None" = None) -> Release:
    """Write the build's release as `version` into the new folder `folder`, beside no other and compared with none.

    Raises ReleaseRefused as `cut` does.
    """
    with open_engine() as engine:
        lock, card = _Cutting(build, engine, folder, None).written()
    _finish(folder, build, version, lock, card, tracer)
    return read_release(folder)


def _finish(
    staged: Path, build: "Build", version: str, lock: Mapping[str, Any], card: Card, tracer: "Tracer | None"
) -> None:
    """What describes the release, and last the lock, which lists every other file with its SHA-256."""
    card = replace(card, version=version)
    for config, record in build.narrative.records.items():
        if record.narrator is not None and build.files.answers(config).is_file():
            (staged / ANSWERED).mkdir(exist_ok=True)
            shutil.copyfile(build.files.answers(config), staged / ANSWERED / f"{config}.parquet")
    files = {config: record_files(staged, config) for config in build.narrative.records}
    (staged / "README.md").write_text(render_card(card), encoding="utf-8")
    (staged / CROISSANT).write_text(render_croissant(card, staged, files), encoding="utf-8")
    (staged / REPORT).write_text(render_report(card, build, files, tracer), encoding="utf-8")
    whole = {"narrative": build.narrative.id, "version": version, **lock, "files": files_of(staged)}
    (staged / LOCK).write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync_tree(staged)  # before a rename makes it visible


class _Cutting:
    """One release on its way into the folder `staged`."""

    def __init__(self, build: "Build", engine: Engine, staged: Path, shard_rows: int | None) -> None:
        self.build = build
        self.engine = engine
        self.staged = staged
        self.shard_rows = shard_rows or build.narrative.dataset.shard_rows
        self.split = build.narrative.dataset.split
        cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
        placed = splits.select(placed="case_id", split="split", late="dropped", component="component")
        joined = cases.left_join(placed, cases.case_id == placed.placed)
        # A case that one view drops goes on where another tells it; it is dropped when it has no place in the splits.
        reason = joined.placed.isnull().ifelse(_reason(build.narrative, joined), joined.late)
        columns = ("case_id", "at", "closes", "status", "split", "component")
        self.cases = _kept(engine, joined.select(*columns, reason=reason))
        self.evaluation = self._evaluation()
        (staged / "drops").mkdir(parents=True)

    def written(self) -> "tuple[dict[str, Any], Card]":
        """Writes data and drops; returns the lock without what only the number decides, and the card's content."""
        narrative = self.build.narrative
        drops: dict[str, dict[str, int]] = {CASE: self._drop_cases()}
        configs: dict[str, dict[str, int]] = {}
        conflicts: dict[str, int] = {}
        for config in narrative.records:
            configs[config], drops[config], conflicts[config] = self._write_config(config)
        if not any(rows for splits in configs.values() for rows in splits.values()):
            told = [f"{reason} ({count})" for reasons in drops.values() for reason, count in reasons.items()]
            words = f"no record of '{narrative.id}' is left to release"
            raise ReleaseRefused(words, f"dropped: {', '.join(told)}" if told else "its anchor has no rows")
        retold = {config: self._retold(config) for config, one in narrative.records.items() if one.narrator is not None}
        certificate = self._certify()
        keep(narrative, self.build.contracts, self.staged)
        if self.evaluation is not None:
            keep_evaluation(self.engine, self.evaluation, self.staged / DEFINITION / RUNS)
        found = self.build.personal_data
        digests = digests_of(self.staged, configs, self.engine)
        lock = {
            "digest": digests.whole,
            "narrative_version": narrative.version,
            "fingerprint": self.build.fingerprint,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "storymesh": version_of("storymesh"),
            "cast": {
                role: {
                    "product": member.product,
                    "contract_version": self.build.snapshots[role].contract_version,
                    "contract_digest": self.build.snapshots[role].contract_digest,
                    "product_version": self.build.snapshots[role].version,
                    "snapshot": self.build.snapshots[role].snapshot_id,
                    "rows": self.build.snapshots[role].rows,
                }
                for role, member in narrative.cast.items()
            },
            **({"forgotten": self.build.erased_keys} if self.build.erased_keys else {}),
            **({"evaluation": self.evaluation.said} if self.evaluation is not None else {}),
            **({"personal": {"mode": found.mode, "values": found.values}} if found.mode != "off" else {}),
            "configs": configs,
            "drops": drops,
            "conflicts": conflicts,
            "digests": {"configs": digests.configs, "drops": digests.drops},
            **({"retold": retold} if retold else {}),
            "certificate": certificate,
        }
        return lock, self._card(lock)

    def _retold(self, config: str) -> dict[str, Any]:
        """How many texts of a config a model was asked to retell, how many it did, and at which attempt."""
        narrator = self.build.narrative.records[config].narrator
        assert narrator is not None
        found: dict[str, Any] = {"model": narrator.model, "texts": 0, "retold": 0, "attempts": {}}
        paths = [str(path) for shards in record_files(self.staged, config).values() for path in shards]
        if paths:
            notes = self.engine.connection.read_parquet(paths).select(note=lambda table: table["retellings"].unnest())
            notes = notes.select(done=notes["note"]["model"].notnull(), attempts=notes["note"]["attempts"])
            counts = notes.group_by("done", "attempts").aggregate(rows=notes.count()).order_by("attempts")
            for row in counts.to_pyarrow().to_pylist():
                found["texts"] += row["rows"]
                if row["done"]:
                    found["retold"] += row["rows"]
                    found["attempts"][str(row["attempts"])] = row["rows"]
        return found

    def _evaluation(self) -> Evaluation | None:
        rule, files = self.build.narrative.dataset.decontaminate, self.build.evaluation
        if rule is None:
            return None
        if isinstance(files, Path):
            said = read_lock(files.parents[1]).get("evaluation", {})
            return kept_evaluation(self.engine, files, rule.ngram, said)
        if not files:
            words = f"the evaluation set of '{self.build.narrative.id}' is not at hand, and nothing is held against it"
            raise ReleaseRefused(words, f"bring back {RUNS} from a copy of the release")
        return read_evaluation(self.engine, files, rule.ngram)

    def _drop_cases(self) -> dict[str, int]:
        lost = self.cases.filter(self.cases.split.isnull() & self.cases.reason.isnull())
        self._refuse_lost(lost, "has neither a split nor a reason to drop")
        # Only what says which case it was: the rows of its roles may hold what no release may print.
        columns = ("case_id", "at", "closes", "status")
        # What is to be forgotten is counted, and nothing says any more which case it was.
        said = self.cases.reason != FORGOTTEN
        dropped = self.cases.filter(self.cases.reason.notnull()).select(
            **{name: said.ifelse(self.cases[name], None) for name in columns}, reason="reason"
        )
        return self._write_drops(dropped, CASE)

    def _write_config(self, config: str) -> tuple[dict[str, int], dict[str, int], int]:
        """Writes one config. Returns its rows by split, its drops by reason, and how many records conflict."""
        records = self._records(config)
        judged = verdicts(self.engine, records, rules_of(self.build.narrative, config), self.evaluation)
        drops = self._write_drops_of(config, records, judged)
        stays = records.semi_join(judged.filter(judged.dropped.isnull()), "id")
        found = self._counted(stays, "split")
        names = SPLITS if self.split is not None else SPLITS[:1]
        rows = {split: found.get(split, 0) for split in names}
        for split, count in rows.items():
            if count:
                self._write_split(config, split, stays.filter(stays.split == split).drop("split"), count)
        told = stays.select("case_id").union(
            self.engine.read_parquet(drops_file(self.staged, config)).select("case_id")
        )
        placed = self.cases.filter(self.cases.reason.isnull())
        self._refuse_lost(placed.anti_join(told, "case_id"), f"has no record in '{config}' and no reason to drop")
        if (total := sum(rows.values()) + sum(drops.values())) != (expected := _count(placed)):
            words = f"'{config}' tells or drops {total} records of {expected} cases: a case is there more than once"
            raise ReleaseRefused(words, "this is a defect of storymesh")
        conflicting = records.semi_join(judged.filter(judged.conflict), "id").select("id", "case_id", "split")
        conflicts = _count(conflicting)
        if conflicts:
            self.engine.write_parquet(conflicting.order_by("id"), self.staged / "drops" / f"{config}.conflicts.parquet")
        return rows, drops, conflicts

    def _records(self, config: str) -> "Table":
        """The records of one config, without what only their making wanted."""
        records = self.engine.read_parquet(self.build.files.records(config))
        return records.drop(*({UNFIT} & {*records.columns}))

    def _write_drops_of(self, config: str, records: "Table", judged: "Table") -> dict[str, int]:
        """Cases that made no record, and records that curation took out, these whole: they stay readable."""
        import ibis

        placed = self.cases.filter(self.cases.reason.isnull())
        untold = self.engine.read_parquet(self.build.files.record_drops(config)).select("case_id", "reason")
        untold = untold.semi_join(placed, "case_id").anti_join(records, "case_id")
        gone = judged.filter(judged.dropped.notnull()).select("id", reason="dropped", same_as="same_as")
        curated = without_words(records.inner_join(gone, "id"))
        empty = {name: ibis.null().cast(kind) for name, kind in curated.schema().items() if name not in untold.columns}
        whole = untold.mutate(**empty).select(*curated.columns).union(curated)
        return self._write_drops(whole.relocate("case_id", "reason", "same_as"), config)

    def _write_drops(self, dropped: "Table", name: str) -> dict[str, int]:
        path = drops_file(self.staged, name)
        self.engine.write_parquet(dropped.order_by("case_id"), path)
        return self._counted(self.engine.read_parquet(path), "reason")

    def _counted(self, table: "Table", by: str) -> dict[str, int]:
        """How often each value of `by` stands in the table, the most frequent first."""
        counts = table.group_by(by).aggregate(rows=table.count()).to_pyarrow().to_pylist()
        return {row[by]: row["rows"] for row in sorted(counts, key=lambda row: (-row["rows"], row[by]))}

    def _write_split(self, config: str, split: str, records: "Table", count: int) -> None:
        import ibis

        shards = -(-count // self.shard_rows)
        folder = self.staged / "data" / config
        folder.mkdir(parents=True, exist_ok=True)
        if shards > 1:
            place = ibis.row_number().over(order_by=["at", "id"])
            places = _kept(self.engine, records.select("id", "at").select("id", shard=place // self.shard_rows))
        # The Parquet reader of `datasets` takes its features from here.
        features = {"huggingface": json.dumps({"info": {"features": features_of(records.schema().to_pyarrow())}})}
        for shard in range(shards):
            part = records.semi_join(places.filter(places["shard"] == shard), "id") if shards > 1 else records
            self.engine.connection.to_parquet(
                part.order_by("at", "id"),
                folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet",
                compression="zstd",
                row_group_size=ROW_GROUP,
                kv_metadata=features,
            )

    def _certify(self) -> dict[str, int]:
        narrative = self.build.narrative
        files = {config: record_files(self.staged, config) for config in narrative.records}
        cases = self.cases if narrative.case.closes is not None else self.cases.drop("closes")
        certificate = certify(self.engine, files, self.split, cases, precedents_by_case(self.build, self.engine))
        if broken := [f"{name}: {count}" for name, count in certificate.items() if count]:
            words = f"the certificate of '{narrative.id}' is not clean ({', '.join(broken)})"
            raise LeakRefused(words, "nothing was released; a split leaks into another", certificate)
        return certificate

    def _refuse_lost(self, lost: "Table", words: str) -> None:
        found = lost.select("case_id").order_by("case_id").limit(1).to_pyarrow().to_pylist()
        if found:
            words = f"{_count(lost)} cases are unaccounted for: '{found[0]['case_id']}' {words}"
            raise ReleaseRefused(words, "this is a defect of storymesh")

    def _card(self, lock: Mapping[str, Any]) -> Card:
        files = {config: record_files(self.staged, config) for config in lock["configs"]}
        return Card(
            narrative=self.build.narrative,
            version="",
            contracts=self.build.contracts,
            lock=lock,
            schemas={config: self._records(config).drop("split").schema().to_pyarrow() for config in files},
            samples={
                config: self.engine.read_parquet(next(iter(parts.values()))[0]).limit(1).to_pyarrow().to_pylist()[0]
                for config, parts in files.items()
                if parts
            },
            sizes={
                config: {split: sum(path.stat().st_size for path in paths) for split, paths in parts.items()}
                for config, parts in files.items()
            },
            variety={
                config: variety(self.engine, [path for paths in parts.values() for path in paths])
                for config, parts in files.items()
            },
        )


def _reason(narrative: "Narrative", cases: "Table") -> "StringValue":
    """Why the views that the records need drop a case; that of hindsight where any record is told in hindsight."""
    names = [name for name in ("dropped", "question_dropped") if name in cases.columns]
    if not any("text" in record.templates for record in narrative.records.values()):
        names.reverse()
    first: StringValue = cases[names[0]]
    return first if len(names) == 1 else first.coalesce(cases[names[1]])


def _kept(engine: Engine, table: "Table") -> "Table":
    """`table` computed once, as a temporary table that goes with the engine."""

    kept: Table = engine.materialize(table)
    return kept


def _count(table: "Table") -> int:
    return int(table.count().to_pyarrow().as_py())


def _last_number(folder: Path, version: str) -> int:
    """The highest number in use for the version, whether or not its release is whole."""
    found = (FOLDER.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match["number"]) for match in found if match and match["narrative"] == version), default=0)
