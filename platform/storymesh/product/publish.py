"""Write, audit, publish: rows are staged where no reader looks, audited there, and only then become the product.

No row is dropped silently: one that breaks the contract is quarantined with its reasons and stays readable, also when
nothing is published. A run may be killed at any point; the next one removes what it left and does the work.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storymesh.contract.audit import RowAudit, audit_rows, audit_table
from storymesh.contract.audited_files import AuditedFile
from storymesh.contract.cast import plan_cast
from storymesh.contract.checks import CheckResult
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.product.batches import gather_batches
from storymesh.product.content_version import FileDigests, content_version, version_of_partitions
from storymesh.product.definition import Product
from storymesh.product.partition_spool import PartitionedRows, spool_partitions, with_hash
from storymesh.product.partitions import PartitionState, PublishedPartition, digest_if_there, files_by_partition
from storymesh.product.publication import Publication, PublicationRefused, PublishProgress
from storymesh.product.quarantine import (
    NONE_UNREADABLE,
    RowFinder,
    UncastableValues,
    UnreadableRows,
    failed_rows,
    find_places,
    other_rows,
    with_examples,
    write_quarantine,
)
from storymesh.product.sources.source import choose_columns
from storymesh.product.staging import AUDIT_PREFIX, CLEAN_PREFIX, NO_FILES, Staging, WrittenFiles, open_staging
from storymesh.product.store import CONTRACT_DIGEST, CONTRACT_VERSION, EXTRACT_OF, ROWS, RUN_ID, VERSION, ProductStore

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import pyarrow as pa

ROWS_PER_FILE = 500_000
BATCH_ROWS = 122_880
BYTES_PER_FILE = 256 * 2**20
LOCK_WAIT_S = 600.0


def publish(
    product: Product,
    contract: Contract,
    rows: "pa.RecordBatchReader",
    store: ProductStore,
    engine: Engine,
    run_id: str,
    progress: PublishProgress | None = None,
    wait_s: float = LOCK_WAIT_S,
    places: RowFinder | None = None,
    refused: UnreadableRows = NONE_UNREADABLE,
    extract_of: str = "",
) -> Publication:
    """Publish `rows` as the next snapshot of the product, if they keep the contract; `places` says where they stand.

    `refused` are beside them: they count as rows that break the contract. `extract_of` is the role that they were
    fetched for, where the product stays elsewhere.

    Raises PublicationRefused when more rows break it than its quarantine limit allows or a rule about the table fails,
    PublishConflict when another process publishes the product meanwhile, SourceUnreadable when a column of the contract
    is missing, DefinitionErrors when a rule of the contract cannot be run. In each case readers keep what they had.
    """
    columns = _choose_columns(rows.schema, contract, product)
    with open_staging(store, product.name, arrow_schema(contract), wait_s) as staging:
        told, digests = progress or (lambda *_: None), FileDigests(engine, contract)
        publishing = _Publishing(
            product, contract, store, engine, staging, digests, run_id, told, places, refused, extract_of
        )
        return publishing.publish(rows, columns)


def _choose_columns(schema: "pa.Schema", contract: Contract, product: Product) -> dict[str, str]:
    """Return the column of each property."""

    def unreadable(message: str, hint: str) -> SourceUnreadable:
        return SourceUnreadable(f"the rows of '{product.id}': {message}", hint)

    return dict(zip(contract.properties, choose_columns(schema.names, contract, unreadable), strict=True))


@dataclass(frozen=True)
class _WrittenPartition:
    """The digest of the rows of a partition, and the files that hold them."""

    digest: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class _Outcome:
    """A publication, the files that were staged for it, the partitions that were written for it (by key), and the
    numbers of the staged rows that failed any check."""

    publication: Publication
    staged: WrittenFiles
    partitions: Mapping[str, _WrittenPartition]
    unsound: "np.ndarray[Any, Any]"


class _KeptRowRepeated(Exception):
    """A staged row repeats what has to be unique of a row that was to be kept unaudited."""


@dataclass(frozen=True)
class _Publishing:
    """One publication of a product by the only writer of its table."""

    product: Product
    contract: Contract
    store: ProductStore
    engine: Engine
    staging: Staging
    digests: FileDigests
    run_id: str
    progress: PublishProgress
    places: RowFinder | None
    refused: UnreadableRows
    extract_of: str

    def publish(self, rows: "pa.RecordBatchReader", columns: Mapping[str, str]) -> Publication:
        """Stage, audit and publish `rows`, whose `columns` are the properties of the contract."""
        plan = plan_cast(self.contract, rows.schema, dict(columns), self.product.layout.forms)
        parted = self.contract.partition_columns

        def select(source: "ir.Table") -> "ir.Table":
            return with_hash(plan.select(source)) if parted else plan.select(source)

        batches = self._count(self.engine.map_batches(rows, rows.schema, select, min(ROWS_PER_FILE, BATCH_ROWS)))
        if parted:
            return self._publish_changed(batches, plan.fallible)
        tables = gather_batches(batches, ROWS_PER_FILE, BYTES_PER_FILE)
        return self._publish_tables(tables, plan.fallible).publication

    def _count(self, batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        """Yield the batches, and tell how many rows there were."""
        rows = 0
        for batch in batches:
            yield batch
            rows += batch.num_rows
            self.progress("stage", rows)

    def _publish_changed(self, batches: Iterator["pa.RecordBatch"], fallible: Sequence[str]) -> Publication:
        """Publish rows that are kept in partitions: those that have not changed are neither written nor audited."""
        state = PartitionState(self.store.folder, self.product.name, self.contract, self.staging.published_snapshot)
        with spool_partitions(batches, self.contract.partition_columns) as spool:
            kept = state.unchanged(spool.fingerprints(), self.staging.published_files())
            try:
                outcome = self._publish_partitions(spool, kept, fallible)
            except _KeptRowRepeated:  # both rows are quarantined, wherever they are
                kept = {}
                outcome = self._publish_partitions(spool, kept, fallible)
            if (snapshot := outcome.publication.snapshot) is not None:
                state.record(snapshot.snapshot_id, kept | self._sound_partitions(spool, outcome))
        return outcome.publication

    def _publish_partitions(
        self, spool: PartitionedRows, kept: Mapping[str, PublishedPartition], fallible: Sequence[str]
    ) -> "_Outcome":
        """Publish the rows of the spool: partitions that are `kept` keep their files, the others are written again.

        Raises _KeptRowRepeated.
        """
        changed = [partition for partition in spool.partitions if partition.key not in kept]
        files = self.staging.select_published({path for partition in kept.values() for path in partition.files})
        digests = [partition.digest for partition in kept.values()]
        tables = spool.tables(changed, ROWS_PER_FILE, BYTES_PER_FILE)
        return self._publish_tables(tables, fallible, files, digests, lambda rows: spool.numbers(changed, rows))

    def _sound_partitions(self, spool: PartitionedRows, outcome: "_Outcome") -> dict[str, PublishedPartition]:
        """Return the partitions that were written and are published, if all of their rows passed every check."""
        import numpy as np

        staged = outcome.staged
        ends = np.cumsum(list(staged.counts.values()))
        unsound = {staged.paths[file] for file in np.searchsorted(ends, outcome.unsound, side="right").tolist()}
        in_metadata = {
            path: file.file_path for path, file in zip(staged.paths, staged.files, strict=True) if path not in unsound
        }
        fingerprints = spool.fingerprints()
        sound: dict[str, PublishedPartition] = {}
        for key, partition in outcome.partitions.items():
            # What was published before is there already, so its files have gone again.
            files = {
                in_metadata[path]: digest
                for path in partition.paths
                if path in in_metadata and (digest := digest_if_there(Path(path))) is not None
            }
            if len(files) == len(partition.paths):
                sound[key] = PublishedPartition(fingerprint=fingerprints[key], digest=partition.digest, files=files)
        return sound

    def _publish_tables(
        self,
        tables: Iterable["pa.Table"],
        fallible: Sequence[str],
        kept: WrittenFiles = NO_FILES,
        kept_digests: Sequence[str] = (),
        numbers: "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]" = lambda rows: rows,
    ) -> "_Outcome":
        """Publish `kept` files of the last snapshot, with the digests of their partitions, and the rows of `tables`,
        which are staged and audited. `numbers` returns the numbers, as they came in, of rows as they are staged.

        Raises _KeptRowRepeated where one of the rows repeats what has to be unique of a row in the `kept` files.
        """
        uncastable = UncastableValues()
        sizes: dict[str, int] = {}

        def written(path: str, rows: "pa.Table") -> None:
            sizes[path] = rows.nbytes
            self.digests.add(path, rows)

        staged = self.staging.write_files(self._cast_tables(tables, fallible, uncastable), written)
        partitions = self._written_partitions(staged)
        version, snapshot_id = self._commit(AUDIT_PREFIX, staged, kept, _digests(kept_digests, partitions))
        on_branch = snapshot_id != self.staging.published_snapshot
        files = [AuditedFile(path, rows, sizes[path]) for path, rows in staged.counts.items()]
        audit = self._audit(files, kept, uncastable)
        failed = failed_rows(audit)
        quarantine: Path | None = None
        good = staged
        if len(failed) or len(self.refused):
            quarantine = self.store.folder / "quarantine" / self.product.name / f"{self.run_id}.parquet"
            schema = arrow_schema(self.contract)
            found = find_places(self.places, numbers, failed)
            write_quarantine(quarantine, schema, staged.counts, audit, failed, uncastable, found, self.refused)
            lost = len(failed) + len(self.refused)
            if lost > self.contract.quarantine_limit * (audit.rows + len(self.refused)):
                raise self._over_limit(audit, lost, quarantine)
        if len(failed):
            good = self._without_rows(staged, failed)
            partitions = self._written_partitions(good)
            version, snapshot_id = self._commit(CLEAN_PREFIX, good, kept, _digests(kept_digests, partitions))
        published = kept + good
        results = (*audit.results, *audit_table(self.engine, self.contract, published.paths))
        self._require_table_checks(results, audit, published.rows, quarantine, on_branch=on_branch)
        self.progress("publish", published.rows)
        unchanged = self.staging.published_version == version
        earlier = self.staging.published_snapshot if unchanged else self.staging.find_published(version)
        if earlier is not None and not self._is_whole(earlier, published):
            earlier = None  # the new snapshot of the same content takes its place
        if unchanged and earlier is not None:
            self.staging.remove_unpublished(orphans=False)
        else:
            # Content that was published before is the same version, so `main` goes back to that very snapshot.
            self.staging.promote(snapshot_id if earlier is None else earlier, version)
        publication = self._publication(audit, published.rows, quarantine, results, unchanged=unchanged)
        return _Outcome(publication, staged, partitions, audit.unsound)

    def _audit(self, files: Sequence[AuditedFile], kept: WrittenFiles, uncastable: UncastableValues) -> RowAudit:
        """Audit the rows of staged files, which are published with the `kept` ones. Raises _KeptRowRepeated."""

        def told(done: int) -> None:
            self.progress("audit", kept.rows + done)

        audit = audit_rows(self.engine, self.contract, files, uncastable.rows(), told, kept.counts)
        if audit.reaches_beside:
            raise _KeptRowRepeated
        return with_examples(audit, self.contract, self.product.layout.forms, uncastable)

    def _cast_tables(
        self, tables: Iterable["pa.Table"], fallible: Sequence[str], uncastable: UncastableValues
    ) -> Iterator["pa.Table"]:
        """Yield tables of cast rows with the contract's types; values that fit no type go to `uncastable`."""
        schema = arrow_schema(self.contract)
        start = 0
        for table in tables:
            for index, name in enumerate(fallible):
                texts = table.column(len(schema) + index)
                if texts.null_count < len(texts):
                    uncastable.add(name, texts, start)
            start += table.num_rows
            yield table.select(range(len(schema))).rename_columns(schema.names).cast(schema)
            del table  # the next one is made without this one beside it

    def _without_rows(self, staged: WrittenFiles, failed: "np.ndarray[Any, Any]") -> WrittenFiles:
        """Return staged files without the rows whose number is in `failed`. Those that have none stay as they are."""
        good = NO_FILES
        start = 0
        for file, path in zip(staged.files, staged.paths, strict=True):
            lost = failed[(failed >= start) & (failed < start + file.record_count)] - start
            part = WrittenFiles((file,), (path,), file.record_count)
            good += self.staging.write_files(other_rows(path, lost), self.digests.add) if len(lost) else part
            start += file.record_count
        return good

    def _written_partitions(self, written: WrittenFiles) -> dict[str, "_WrittenPartition"]:
        """Return the partitions in the files, by key; none for a product without partitions."""
        if not self.contract.partition_columns:
            return {}
        return {
            key: _WrittenPartition(self.digests.content_digest(paths), tuple(paths))
            for key, paths in files_by_partition(written.paths, self.contract.partition_columns).items()
        }

    def _commit(
        self, branch_prefix: str, written: WrittenFiles, kept: WrittenFiles, digests: Sequence[str]
    ) -> tuple[str, int]:
        """Commit the files to a branch of this run. Return the version of their content and the id of the snapshot.

        `digests` are those of all partitions, if there are any. Where nothing was written that readers do not have, the
        snapshot is theirs, and there is no branch.
        """
        files = kept + written
        if self.contract.partition_columns:
            version = version_of_partitions(self.engine, self.contract, digests)
        else:
            version = self.digests.content_digest(files.paths)
        published = self.staging.published_snapshot
        if not written.files and published is not None and version == self.staging.published_version:
            return version, published
        summary = {
            VERSION: version,
            RUN_ID: self.run_id,
            CONTRACT_VERSION: self.contract.version,
            CONTRACT_DIGEST: self.contract.digest,
            ROWS: str(files.rows),
            **({EXTRACT_OF: self.extract_of} if self.extract_of else {}),
        }
        return version, self.staging.commit_to_branch(f"{branch_prefix}{self.run_id}", written, summary, kept)

    def _is_whole(self, snapshot_id: int, again: WrittenFiles) -> bool:
        """Return True if the files of a published snapshot still hold what `again` does."""
        return self.staging.is_whole(
            snapshot_id, again, lambda paths: content_version(self.engine, paths, self.contract)
        )

    def _require_table_checks(
        self,
        results: tuple[CheckResult, ...],
        audit: RowAudit,
        rows_out: int,
        quarantine: Path | None,
        *,
        on_branch: bool,
    ) -> None:
        """Raise PublicationRefused when a rule about the table fails that is more than a warning.

        `on_branch`: the rows are on a branch of this run; otherwise they are those that are published.
        """
        failed = [
            result for result in results if result.kind == "table" and result.severity == "error" and not result.passed
        ]
        if failed:
            publication = self._publication(audit, rows_out, quarantine, results, unchanged=True)
            reasons = "; ".join(f"{result.location}: {result.words} (found {result.observed})" for result in failed)
            branch = f"stay on the branch {AUDIT_PREFIX}{self.run_id} until the next run"
            where = branch if on_branch else "are the published ones"
            hint = f"mend the source or the model, or the rule; the rows {where}"
            raise PublicationRefused(f"'{self.product.id}' is held back: {reasons}", hint, publication)

    def _over_limit(self, audit: RowAudit, failed: int, quarantine: Path) -> PublicationRefused:
        publication = self._publication(audit, 0, quarantine, audit.results, unchanged=True)
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in publication.quarantined.items())
        limit = 100 * self.contract.quarantine_limit
        rows = audit.rows + len(self.refused)
        words = f"{failed:,} of {rows:,} rows break the contract, more than {limit:.4g} %: {reasons}"
        hint = f"nothing is published; storymesh show {self.product.id} --quarantined prints what was refused, and why"
        return PublicationRefused(f"'{self.product.id}': {words}", hint, publication)

    def _publication(
        self,
        audit: RowAudit,
        rows_out: int,
        quarantine: Path | None,
        results: tuple[CheckResult, ...],
        *,
        unchanged: bool,
    ) -> Publication:
        counts = [(reason, len(rows)) for reason, rows in audit.failures.items()]
        counts += self.refused.counts()
        counts.sort(key=lambda item: (-item[1], item[0]))
        return Publication(
            product=self.product.id,
            snapshot=self.store.latest_snapshot(self.product.name),
            unchanged=unchanged,
            rows_in=audit.rows + len(self.refused),
            rows_out=rows_out,
            quarantined=MappingProxyType(dict(counts)),
            quarantine_path=quarantine,
            checks=results,
        )


def _digests(kept: Iterable[str], partitions: Mapping[str, _WrittenPartition]) -> list[str]:
    return [*kept, *(partition.digest for partition in partitions.values())]
