"""What the manifest says of the records of each config, measured on its files as they were written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.dataset.split import SPLITS
from storymesh.engine.engine import Engine
from storymesh.release.evidence_counts import EvidenceCounts, count_evidence
from storymesh.release.layout import record_files
from storymesh.release.manifest import RecitationSummary, RewritingSummary, TrickSummary
from storymesh.release.observer import ObserveStep
from storymesh.release.recitation import answers_of, measure_recitation
from storymesh.release.tricks import measure_tricks

if TYPE_CHECKING:
    from storymesh.dataset.build import Build
    from storymesh.engine.engine import Engine


class ConfigSummaries:
    """The summaries of the configs of a release whose records lie in the folder `staged`, by config. `samples` are the
    files of a sample of each: config -> split -> files."""

    def __init__(
        self,
        build: "Build",
        engine: Engine,
        staged: Path,
        samples: Mapping[str, Mapping[str, Sequence[Path]]],
        observe: ObserveStep,
    ) -> None:
        self._build, self._engine, self._observe = build, engine, observe
        self._files = {config: record_files(staged, config) for config in build.narrative.records}
        self._samples = samples

    def _paths(self, config: str) -> list[Path]:
        return [path for paths in self._files[config].values() for path in paths]

    def evidence(self) -> dict[str, EvidenceCounts]:
        """Return how the values from files were taken that each config reads, of those that read such."""
        found: dict[str, EvidenceCounts] = {}
        if not any(contract.evidence is not None for contract in self._build.contracts.values()):
            return found
        for config in self._files:
            if files := self._paths(config):
                with self._observe("evidence", config):
                    found[config] = count_evidence(self._build, self._engine, config, files)
        return {config: counts for config, counts in found.items() if counts}

    def recitation(self) -> dict[str, RecitationSummary]:
        """Return what the answers for training recite, of each config that has such."""
        trained = {config: splits.get(SPLITS[0], ()) for config, splits in self._samples.items()}
        records = self._build.typed.records
        measured = {config: files for config, files in trained.items() if files and answers_of(records[config])}
        if not measured:
            return {}
        with self._observe("recited values"):
            return measure_recitation(self._build, self._engine, measured)

    def tricks(self) -> dict[str, TrickSummary]:
        """Return what tricks reach on the preferences of each config that has such."""
        found = {}
        for config, files in self._samples.items():
            format_ = self._build.narrative.format_of(config)
            if (summary := measure_tricks(self._engine, format_, files)) is not None:
                found[config] = summary
        return found

    def rewriting(self) -> dict[str, RewritingSummary]:
        """Return what a model did with the texts of each config that one rewrites."""
        return {
            config: summarize_rewriting(self._engine, record.narrator.model, self._files[config])
            for config, record in self._build.narrative.records.items()
            if record.narrator is not None
        }


def summarize_rewriting(engine: "Engine", model: str, files: Mapping[str, Sequence[Path]]) -> RewritingSummary:
    """Return how many texts of the records in `files` (split -> files) the model rewrote, and in how many attempts."""
    texts, rewritten, attempts = 0, 0, {}
    paths = [path for shards in files.values() for path in shards]
    if paths:
        notes = engine.read_parquet(paths).select(note=lambda table: table["retellings"].unnest())
        notes = notes.select(done=notes["note"]["model"].notnull(), attempts=notes["note"]["attempts"])
        counts = notes.group_by("done", "attempts").aggregate(rows=notes.count()).order_by("attempts")
        for row in engine.fetch_rows(counts):
            texts += row["rows"]
            if row["done"]:
                rewritten += row["rows"]
                attempts[str(row["attempts"])] = row["rows"]
    return RewritingSummary(model=model, texts=texts, retold=rewritten, attempts=attempts)
