"""Writing to a product's Iceberg table: stage on a branch, then move `main` to what was audited, in one commit.

There is one writer for each product at a time (a lock on a file, let go by the system when a process dies; with a
catalogue in PostgreSQL one of the server's as well, for writers on several machines). What a dead or refused run left
behind is swept by the next one, so a publish can be killed at any point.
"""

import itertools
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.errors import PublishConflict
from storymesh.file_lock import hold_lock
from storymesh.product.iceberg_internals import apply_updates, schema_without_ids
from storymesh.product.store import MAIN, TAG_DIGITS, TAG_PREFIX, VERSION, ProductStore, data_paths

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.update import TableRequirement, TableUpdate

AUDIT_PREFIX = "audit-"
CLEAN_PREFIX = "clean-"
TABLE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.row-group-limit": "131072",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    "history.expire.max-snapshot-age-ms": str(2**62),
}


@dataclass(frozen=True)
class WrittenFiles:
    """Parquet files that no snapshot names yet. `paths` are absolute, in the order of the rows."""

    files: tuple["DataFile", ...]
    paths: tuple[str, ...]
    rows: int


@contextmanager
def writing(store: ProductStore, product: str, schema: "pa.Schema", wait_s: float) -> Iterator["Staging"]:
    """The right to publish `product`, for one process. Raises PublishConflict when another keeps it for `wait_s`."""
    path = store.folder / "locks" / f"{product}.lock"
    known = path.exists()
    ends = time.monotonic() + wait_s
    with ExitStack() as stack:
        is_alone = stack.enter_context(store.alone(product))
        try:
            stack.enter_context(hold_lock(path, wait_s))
            while not is_alone():
                if time.monotonic() >= ends:
                    raise TimeoutError
                time.sleep(0.05)
        except TimeoutError:
            words = f"another run is publishing '{product}', waited {wait_s:g} s"
            raise PublishConflict(words, "let it finish and run again") from None
        # A machine that has never written here cannot say what others left behind.
        unfinished = bool(path.read_bytes()) or not known
        staging = Staging(store, product, schema)
        staging.sweep(orphans=unfinished)
        path.write_bytes(b"writing\n")
        yield staging
        # Only a run that got here knows that it left nothing but branches behind; after a kill the mark stays.
        path.write_bytes(b"")


class Staging:
    """One product's table in the hands of its one writer. `base` is the snapshot that `main` names as it begins."""

    def __init__(self, store: ProductStore, product: str, schema: "pa.Schema") -> None:
        self._store = store
        self._product = product
        self._arrow = schema
        self._table = self._open()
        current = self._table.metadata.snapshot_by_name(MAIN)
        self._base = current.snapshot_id if current is not None else None
        self._schema = self._evolved()

    def write(self, batches: Iterable["pa.Table"]) -> WrittenFiles:
        """Write each table of rows as a Parquet file of the product; no reader knows of it yet."""
        batch_id = uuid.uuid4()
        files = [
            self._write_file(f"{number:05d}-{batch_id}.parquet", batch)
            for number, batch in enumerate(one for one in batches if one.num_rows)
        ]
        paths = tuple(str(self._store.local(one.file_path)) for one in files)
        return WrittenFiles(tuple(files), paths, sum(one.record_count for one in files))

    def _write_file(self, name: str, rows: "pa.Table") -> "DataFile":
        """One data file. PyIceberg's own `append` turns a null list into an empty one and renames columns such as
        `my col` in the file, which is read as it is; so the rows are laid out here, and only its writer is used."""
        from pyiceberg.io.fileformat import FileFormatFactory
        from pyiceberg.io.pyarrow import schema_to_pyarrow
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.table.locations import load_location_provider
        from pyiceberg.typedef import Record

        metadata = self._table.metadata
        home = load_location_provider(metadata.location, metadata.properties)
        path = home.new_data_location(name)
        output = self._table.io.new_output(str(self._store.local(path)))
        writer = FileFormatFactory.get(FileFormat.PARQUET).create_writer(output, self._schema, metadata.properties)
        with writer:
            writer.write(rows.cast(schema_to_pyarrow(self._schema)))
        self._store.send(path)
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=path,
            file_format=FileFormat.PARQUET,
            partition=Record(),
            file_size_in_bytes=len(output),
            sort_order_id=None,
            spec_id=metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            # The least and the greatest value of a column would stand in manifests, also in the next snapshot's, when
            # the rows have gone. Parquet keeps its own, by row group, so that readers still skip what they need not.
            **{**writer.result().to_serialized_dict(), "lower_bounds": None, "upper_bounds": None},
        )

    def stage(self, branch: str, written: WrittenFiles, summary: Mapping[str, str]) -> int:
        """Commit a snapshot of exactly these files to `branch`; gives its id. `main` and what it names do not move."""
        from pyiceberg.table.refs import SnapshotRefType
        from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate, SetSnapshotRefUpdate

        before = self._table.metadata.current_schema_id
        transaction = self._table.transaction()
        if self._schema.schema_id != before:
            added = AddSchemaUpdate(schema=self._schema)
            apply_updates(transaction, (added, SetCurrentSchemaUpdate(schema_id=self._schema.schema_id)))
        # `branch=None`: PyIceberg refuses a first snapshot on any branch but main, and begins others without a parent.
        producer = transaction.update_snapshot(snapshot_properties=dict(summary), branch=None).overwrite()
        for old in self._data_files(self._base):
            producer.delete_data_file(old)
        for new in written.files:
            producer.append_data_file(new)
        producer.commit()
        snapshot_id: int = producer.snapshot_id
        ref = SetSnapshotRefUpdate(ref_name=branch, type=SnapshotRefType.BRANCH, snapshot_id=snapshot_id)
        # Readers who take the table's current schema must not meet a schema that was never published.
        apply_updates(transaction, (ref, SetCurrentSchemaUpdate(schema_id=before)))
        transaction.commit_transaction()
        self._table.refresh()
        return snapshot_id

    def promote(self, snapshot_id: int, version: str) -> None:
        """Move `main` to the snapshot and tag it, in one commit that requires `main` to be where this writer found it.
        The audit branches go.

        Raises PublishConflict when it is not: somebody without the lock has written to the table.
        """
        from pyiceberg.table.refs import SnapshotRefType
        from pyiceberg.table.update import SetCurrentSchemaUpdate, SetSnapshotRefUpdate

        snapshot = self._table.metadata.snapshot_by_id(snapshot_id)
        assert snapshot is not None
        updates: list[TableUpdate] = [
            SetSnapshotRefUpdate(ref_name=MAIN, type=SnapshotRefType.BRANCH, snapshot_id=snapshot_id),
            SetSnapshotRefUpdate(ref_name=tag_of(version), type=SnapshotRefType.TAG, snapshot_id=snapshot_id),
        ]
        if snapshot.schema_id is not None and snapshot.schema_id != self._table.metadata.current_schema_id:
            updates.append(SetCurrentSchemaUpdate(schema_id=snapshot.schema_id))
        self._commit(updates)
        self.sweep(orphans=False)

    @property
    def published(self) -> str | None:
        """The version that `main` named when this writer began; None: nothing, or nothing of storymesh's."""
        return self._version_of(self._base)

    def published_as(self, version: str) -> int | None:
        """The id of an earlier snapshot with this content; None when there is none."""
        ref = self._table.metadata.refs.get(tag_of(version))
        return ref.snapshot_id if ref is not None and self._version_of(ref.snapshot_id) == version else None

    def _version_of(self, snapshot_id: int | None) -> str | None:
        snapshot = self._table.metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is None or snapshot.summary is None:
            return None
        version: str | None = snapshot.summary.additional_properties.get(VERSION)
        return version

    def sweep(self, *, orphans: bool) -> None:
        """Remove audit branches, their snapshots and their files; with `orphans`, also the files that a killed run
        wrote and no snapshot names."""
        from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate

        metadata = self._table.metadata
        branches = [name for name in metadata.refs if name.startswith((AUDIT_PREFIX, CLEAN_PREFIX))]
        held = {ref.snapshot_id for name, ref in metadata.refs.items() if name not in branches}
        # What was once `main` stays: law 1 lets a reader have any earlier snapshot.
        abandoned = [one.snapshot_id for one in metadata.snapshots if one.snapshot_id not in held]
        if branches or abandoned:
            updates: list[TableUpdate] = [RemoveSnapshotRefUpdate(ref_name=name) for name in branches]
            updates += [RemoveSnapshotsUpdate(snapshot_ids=abandoned)] if abandoned else []
            self._commit(updates)
        if orphans or branches or abandoned:
            self._remove_orphans()

    def expire(self, snapshot_ids: Collection[int]) -> None:
        """Remove published snapshots with their tags and files, for good. Raises PublishConflict when `main` names one
        of them: somebody has published meanwhile what was published before."""
        from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate

        metadata = self._table.metadata
        if self._base in snapshot_ids:
            words = f"'{self._store.domain}.{self._product}' has gone back to a version that was to expire"
            raise PublishConflict(words, "look again at what may go: storymesh expire")
        there = [one.snapshot_id for one in metadata.snapshots if one.snapshot_id in snapshot_ids]
        if there:
            tags = [name for name, ref in metadata.refs.items() if ref.snapshot_id in there]
            updates: list[TableUpdate] = [RemoveSnapshotRefUpdate(ref_name=name) for name in tags]
            self._commit([*updates, RemoveSnapshotsUpdate(snapshot_ids=there)])
        self._remove_orphans()

    def _remove_orphans(self) -> None:
        table = self._table
        known: set[str] = set()
        for snapshot in table.metadata.snapshots:
            known.add(snapshot.manifest_list)
            known.update(one.manifest_path for one in snapshot.manifests(table.io))
            known.update(data_paths(table, snapshot))
        for path in list(self._store.listed(table.location())):
            if path.endswith((".parquet", ".avro")) and path not in known:
                table.io.delete(path)
        here = {self._store.local(path) for path in known}
        for file in self._store.local(table.location()).rglob("*.parquet"):
            if file not in here:  # fetched by this machine, and removed by another since
                file.unlink(missing_ok=True)

    def _commit(self, updates: list["TableUpdate"]) -> None:
        from pyiceberg.exceptions import CommitFailedException
        from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID

        requirements: tuple[TableRequirement, ...] = (
            AssertTableUUID(uuid=self._table.metadata.table_uuid),
            AssertRefSnapshotId(ref=MAIN, snapshot_id=self._base),
        )
        try:
            self._store.catalog.commit_table(self._table, requirements, tuple(updates))
        except CommitFailedException as error:
            words = (
                f"'{self._store.domain}.{self._product}' was published by somebody else while it was audited: {error}"
            )
            raise PublishConflict(words, "run again: it starts from what is published now") from None
        self._table.refresh()
        current = self._table.metadata.snapshot_by_name(MAIN)
        self._base = current.snapshot_id if current is not None else None

    def _data_files(self, snapshot_id: int | None) -> Iterator["DataFile"]:
        snapshot = self._table.metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is None:
            return
        for manifest in snapshot.manifests(self._table.io):
            for entry in manifest.fetch_manifest_entry(self._table.io, discard_deleted=True):
                yield entry.data_file

    def _open(self) -> "Table":
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

        catalog = self._store.catalog
        name = (self._store.domain, self._product)
        if (table := self._store.table(self._product)) is not None:
            return table
        with suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace(self._store.domain)
        try:
            return catalog.create_table(
                name, self._arrow, location=self._store.location_of(self._product), properties=TABLE_PROPERTIES
            )
        except TableAlreadyExistsError:
            return catalog.load_table(name)

    def _evolved(self) -> "Schema":
        """The contract's schema with the ids that Iceberg knows columns by: a column of the same name and type keeps
        its id, any other gets one that was never used."""
        from pyiceberg.io.pyarrow import schema_to_pyarrow
        from pyiceberg.schema import Schema, assign_fresh_schema_ids

        current = self._table.schema()
        known = schema_to_pyarrow(current, include_field_ids=False)
        if known.equals(self._arrow):
            return current
        ids = itertools.count(self._table.metadata.last_column_id + 1)
        fresh = assign_fresh_schema_ids(schema_without_ids(self._arrow), lambda: next(ids))
        fields = [
            current.find_field(column.name)
            if column.name in known.names and known.field(column.name).type == self._arrow.field(column.name).type
            else column
            for column in fresh.fields
        ]
        for schema in self._table.schemas().values():
            if schema.fields == tuple(fields):
                return schema
        return Schema(*fields, schema_id=max(self._table.schemas()) + 1)


def tag_of(version: str) -> str:
    return f"{TAG_PREFIX}{version[:TAG_DIGITS]}"
