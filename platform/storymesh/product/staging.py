"""Writing to a product's Iceberg table: stage files on a branch, then move `main` to what was audited, in one commit.

Each product has one writer at a time: it holds a lock file, and, with a catalog in PostgreSQL, also a lock of that
server, for writers on several machines. Both are released when the writer's process dies. Its successor removes what a
dead or refused run left behind, so a publication can be killed at any point.
"""

import filecmp
import itertools
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from storymesh.atomic_write import sync_meanwhile
from storymesh.errors import EngineFailed, PublishConflict
from storymesh.file_lock import hold_lock
from storymesh.product.iceberg_internals import apply_updates, schema_without_ids
from storymesh.product.store import MAIN, TAG_DIGITS, VERSION, ProductStore
from storymesh.product.table_files import data_files
from storymesh.product.table_history import TAG_PREFIX

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
    """Parquet files of a publication. `paths` are absolute, in the order of the rows."""

    files: tuple["DataFile", ...]
    paths: tuple[str, ...]
    rows: int

    @property
    def counts(self) -> dict[str, int]:
        """Path -> number of rows."""
        return {path: file.record_count for path, file in zip(self.paths, self.files, strict=True)}

    def __add__(self, other: "WrittenFiles") -> "WrittenFiles":
        return WrittenFiles(self.files + other.files, self.paths + other.paths, self.rows + other.rows)


NO_FILES = WrittenFiles((), (), 0)


@contextmanager
def open_staging(store: ProductStore, product: str, schema: "pa.Schema", wait_s: float) -> Iterator["Staging"]:
    """Open the table of `product` as its only writer. Raises PublishConflict when another is for `wait_s` seconds."""
    store.prepare_folder()
    path = store.folder / "locks" / f"{product}.lock"
    known = path.exists()
    ends = time.monotonic() + wait_s
    with ExitStack() as stack:
        take_server_lock = stack.enter_context(store.server_lock(product))
        try:
            stack.enter_context(hold_lock(path, wait_s))
            while not take_server_lock():
                if time.monotonic() >= ends:
                    raise TimeoutError
                time.sleep(0.05)
        except TimeoutError:
            message = f"another run is publishing '{product}', waited {wait_s:g} s"
            raise PublishConflict(message, "let it finish and run again") from None
        # A machine that has never written here does not know what others left behind.
        unfinished = bool(path.read_bytes()) or not known
        staging = Staging(store, product, schema)
        staging.remove_unpublished(orphans=unfinished)
        path.write_bytes(b"writing\n")
        yield staging
        # A run that gets here has left nothing but branches behind. After a kill the mark stays.
        path.write_bytes(b"")


class Staging:
    """A product's table as its only writer uses it."""

    def __init__(self, store: ProductStore, product: str, schema: "pa.Schema") -> None:
        self._store = store
        self._product = product
        self._arrow = schema
        self._table = self._open_table()
        current = self._table.metadata.snapshot_by_name(MAIN)
        self._base = current.snapshot_id if current is not None else None
        self._listed: dict[int, tuple[DataFile, ...]] = {}
        self._schema = self._evolve_schema()

    def write_files(self, tables: Iterable["pa.Table"], written: "Callable[[str, pa.Table], None]") -> WrittenFiles:
        """Write each table of rows that is not empty to a Parquet file of its own. No reader knows of it yet.

        `written` is given the path of each file with its rows.
        """
        from pyiceberg.io.pyarrow import schema_to_pyarrow
        from pyiceberg.table.locations import load_location_provider

        metadata, write_id = self._table.metadata, uuid.uuid4()
        locations = load_location_provider(metadata.location, metadata.properties)
        arrow = schema_to_pyarrow(self._schema)
        files: list[DataFile] = []
        paths: list[str] = []
        with sync_meanwhile() as sync:
            for table in tables:
                if table.num_rows:
                    location = locations.new_data_location(f"{len(files):05d}-{write_id}.parquet")
                    local = self._store.local_path(location)
                    files.append(self._write_file(location, local, table.cast(arrow)))
                    paths.append(str(local))
                    sync(local)
                    self._store.upload_file(location)
                    written(paths[-1], table)
                del table  # the next one is made without this one beside it
        return WrittenFiles(tuple(files), tuple(paths), sum(file.record_count for file in files))

    def _write_file(self, location: str, local: Path, rows: "pa.Table") -> "DataFile":
        """Write one data file with PyIceberg's writer, and return what Iceberg's metadata says of it.

        Its `append` would turn a null list into an empty one and rename columns such as `my col` in the file, which is
        read as it is.
        """
        from pyiceberg.io.fileformat import FileFormatFactory
        from pyiceberg.io.pyarrow import PyArrowFileIO
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        metadata = self._table.metadata
        output = PyArrowFileIO().new_output(str(local))
        writer = FileFormatFactory.get(FileFormat.PARQUET).create_writer(output, self._schema, metadata.properties)
        with writer:
            writer.write(rows)
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=location,
            file_format=FileFormat.PARQUET,
            partition=Record(),
            file_size_in_bytes=len(output),
            sort_order_id=None,
            spec_id=metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            # The bounds of a column would stay in manifests, also in those of the next snapshot, when their rows have
            # gone. Parquet has its own by row group, so readers still skip what they do not need.
            **{**writer.result().to_serialized_dict(), "lower_bounds": None, "upper_bounds": None},
        )

    def published_files(self) -> dict[str, Path]:
        """Return the files of the snapshot that `main` names: path in Iceberg's metadata -> where it is, or will be."""
        return {file.file_path: self._store.local_path(file.file_path) for file in self._data_files(self._base)}

    def select_published(self, paths: Collection[str]) -> WrittenFiles:
        """Return those files of the snapshot that `main` names whose paths, in Iceberg's metadata, are among `paths`.

        Raises StorymeshError for a file that is missing or has another size.
        """
        files = tuple(file for file in self._data_files(self._base) if file.file_path in paths)
        local = tuple(str(self._store.fetch_file(file.file_path, file.file_size_in_bytes)) for file in files)
        return WrittenFiles(files, local, sum(file.record_count for file in files))

    def commit_to_branch(
        self, branch: str, written: WrittenFiles, summary: Mapping[str, str], kept: WrittenFiles = NO_FILES
    ) -> int:
        """Commit a snapshot of exactly these files to `branch` and return its id. `main` does not move.

        `kept` are files that the snapshot has in common with the one that `main` names.
        """
        from pyiceberg.table.refs import SnapshotRefType
        from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate, SetSnapshotRefUpdate

        before = self._table.metadata.current_schema_id
        transaction = self._table.transaction()
        if self._schema.schema_id != before:
            added = AddSchemaUpdate(schema=self._schema)
            apply_updates(transaction, (added, SetCurrentSchemaUpdate(schema_id=self._schema.schema_id)))
        # `branch=None`: PyIceberg refuses a first snapshot on any branch but main, and starts others without a parent.
        producer = transaction.update_snapshot(snapshot_properties=dict(summary), branch=None).overwrite()
        staying = {file.file_path for file in kept.files}
        for old in self._data_files(self._base):
            if old.file_path not in staying:
                producer.delete_data_file(old)
        for new in written.files:
            producer.append_data_file(new)
        producer.commit()
        snapshot_id: int = producer.snapshot_id
        ref = SetSnapshotRefUpdate(ref_name=branch, type=SnapshotRefType.BRANCH, snapshot_id=snapshot_id)
        # Readers who take the table's current schema must not find one that was never published.
        apply_updates(transaction, (ref, SetCurrentSchemaUpdate(schema_id=before)))
        transaction.commit_transaction()
        self._table.refresh()
        return snapshot_id

    def promote(self, snapshot_id: int, version: str) -> None:
        """Move `main` to the snapshot, tag it with `version`, and remove the branches.

        Raises PublishConflict when `main` is not where this writer found it: somebody without the lock wrote to it.
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
        self.remove_unpublished(orphans=False)

    @property
    def published_version(self) -> str | None:
        """The version that `main` named when this writer began. None: nothing, or nothing that storymesh wrote."""
        return self._version_of(self._base)

    @property
    def published_snapshot(self) -> int | None:
        """The id of the snapshot that `main` named when this writer began."""
        return self._base

    def find_published(self, version: str) -> int | None:
        """Return the id of an earlier snapshot with this content, or None."""
        ref = self._table.metadata.refs.get(tag_of(version))
        return ref.snapshot_id if ref is not None and self._version_of(ref.snapshot_id) == version else None

    def _version_of(self, snapshot_id: int | None) -> str | None:
        snapshot = self._table.metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is None or snapshot.summary is None:
            return None
        version: str | None = snapshot.summary.additional_properties.get(VERSION)
        return version

    def remove_unpublished(self, *, orphans: bool) -> None:
        """Remove branches with their snapshots and files; with `orphans`, also files of killed runs in no snapshot."""
        from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate

        metadata = self._table.metadata
        branches = [name for name in metadata.refs if name.startswith((AUDIT_PREFIX, CLEAN_PREFIX))]
        # Every snapshot that was once `main` has a tag and stays: readers may have any earlier one.
        named = {ref.snapshot_id for name, ref in metadata.refs.items() if name not in branches}
        abandoned = [snapshot.snapshot_id for snapshot in metadata.snapshots if snapshot.snapshot_id not in named]
        if branches or abandoned:
            updates: list[TableUpdate] = [RemoveSnapshotRefUpdate(ref_name=name) for name in branches]
            updates += [RemoveSnapshotsUpdate(snapshot_ids=abandoned)] if abandoned else []
            self._commit(updates)
        # A branch whose snapshot stays leaves nothing behind; copies of what others have removed are of a bucket.
        if orphans or abandoned or (branches and self._store.in_bucket):
            self._remove_orphans()

    def remove_snapshots(self, snapshot_ids: Collection[int]) -> None:
        """Remove published snapshots with their tags and files, for good.

        Raises PublishConflict when `main` is one of them: an earlier content was published again meanwhile.
        """
        from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate

        metadata = self._table.metadata
        if self._base in snapshot_ids:
            message = f"'{self._store.domain}.{self._product}' has gone back to a version that was to expire"
            raise PublishConflict(message, "look again at what may go: storymesh expire")
        existing = [snapshot.snapshot_id for snapshot in metadata.snapshots if snapshot.snapshot_id in snapshot_ids]
        if existing:
            tags = [name for name, ref in metadata.refs.items() if ref.snapshot_id in existing]
            updates: list[TableUpdate] = [RemoveSnapshotRefUpdate(ref_name=name) for name in tags]
            self._commit([*updates, RemoveSnapshotsUpdate(snapshot_ids=existing)])
        self._remove_orphans()

    def _remove_orphans(self) -> None:
        table = self._table
        known: set[str] = set()
        for snapshot in table.metadata.snapshots:
            known.add(snapshot.manifest_list)
            known.update(manifest.manifest_path for manifest in snapshot.manifests(table.io))
            known.update(file.file_path for file in self._data_files(snapshot.snapshot_id))
        for path in list(self._store.list_files(table.location())):
            if path.endswith((".parquet", ".avro")) and path not in known:
                table.io.delete(path)
        local = {self._store.local_path(path) for path in known}
        for file in self._store.local_path(table.location()).rglob("*.parquet"):
            if file not in local:  # fetched by this machine, and removed by another since
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
            message = (
                f"'{self._store.domain}.{self._product}' was published by somebody else while it was audited: {error}"
            )
            raise PublishConflict(message, "run again: it starts from what is published now") from None
        self._table.refresh()
        current = self._table.metadata.snapshot_by_name(MAIN)
        self._base = current.snapshot_id if current is not None else None

    def _data_files(self, snapshot_id: int | None) -> "tuple[DataFile, ...]":
        """Return the files of a snapshot, whose manifests are read once."""
        snapshot = self._table.metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is None:
            return ()
        if snapshot.snapshot_id not in self._listed:
            self._listed[snapshot.snapshot_id] = tuple(data_files(self._table, snapshot))
        return self._listed[snapshot.snapshot_id]

    def is_whole(self, snapshot_id: int, written: WrittenFiles, recompute: "Callable[[Sequence[str]], str]") -> bool:
        """Return True if the files of a snapshot are what was published, which is what `written` holds again.

        Equal bytes are the usual case; otherwise `recompute` says which version files on this machine hold. Files of a
        bucket that were never fetched to this machine are taken to be whole.
        """
        files = [(self._store.local_path(file.file_path), file) for file in self._data_files(snapshot_id)]
        if urlsplit(self._table.location()).scheme and not all(path.is_file() for path, _ in files):
            return True
        if any(not path.is_file() or path.stat().st_size != file.file_size_in_bytes for path, file in files):
            return False
        paths = [str(path) for path, _ in files]
        if len(paths) == len(written.paths):
            pairs = zip(paths, written.paths, strict=True)
            if all(old == new or filecmp.cmp(old, new, shallow=False) for old, new in pairs):
                return True
        try:
            return recompute(paths) == self._version_of(snapshot_id)
        except EngineFailed:
            return False

    def _open_table(self) -> "Table":
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

        catalog = self._store.catalog
        name = (self._store.domain, self._product)
        if (table := self._store.load_table(self._product)) is not None:
            return table
        with suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace(self._store.domain)
        try:
            return catalog.create_table(
                name, self._arrow, location=self._store.table_location(self._product), properties=TABLE_PROPERTIES
            )
        except TableAlreadyExistsError:
            return catalog.load_table(name)

    def _evolve_schema(self) -> "Schema":
        """Return the contract's schema with Iceberg's ids of columns.

        A column of the same name and type as before keeps its id; any other gets one that was never used.
        """
        from pyiceberg.io.pyarrow import schema_to_pyarrow
        from pyiceberg.schema import Schema, assign_fresh_schema_ids

        current = self._table.schema()
        known = schema_to_pyarrow(current, include_field_ids=False)
        ids = itertools.count(self._table.metadata.last_column_id + 1)
        fresh = assign_fresh_schema_ids(schema_without_ids(self._arrow), lambda: next(ids))
        wanted = schema_to_pyarrow(fresh, include_field_ids=False)  # Arrow has several types for one of Iceberg's
        if known.equals(wanted):
            return current
        fields = [
            current.find_field(column.name)
            if column.name in known.names and known.field(column.name).type == wanted.field(column.name).type
            else column
            for column in fresh.fields
        ]
        for schema in self._table.schemas().values():
            if schema.fields == tuple(fields):
                return schema
        return Schema(*fields, schema_id=max(self._table.schemas()) + 1)


def tag_of(version: str) -> str:
    """Return the name of the tag of a published version."""
    return f"{TAG_PREFIX}{version[:TAG_DIGITS]}"
