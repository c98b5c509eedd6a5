"""The published products of a domain as Iceberg tables of one catalog: read here, written by `staging`.

In a folder, paths in the catalog and in Iceberg's metadata are relative to the domain's folder, so that a mesh can be
moved, copied or unpacked elsewhere; any Iceberg reader that is started in that folder reads it too. In a bucket they
are whole addresses. Data files never change, so one in a bucket is downloaded once and then read from this machine: no
engine needs the network.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storymesh.atomic_write import staged_file
from storymesh.errors import NotPublished, StorymeshError
from storymesh.input_file import InputFileRefused
from storymesh.product.catalog_database import database_url, require_plain_database
from storymesh.product.snapshot_note import SnapshotNote, find_note, hash_metadata, schema_text, write_note
from storymesh.product.store_location import resolve_location
from storymesh.product.table_files import DAMAGE_HINT, FetchedFiles, data_files
from storymesh.product.table_history import published_at, published_snapshots, snapshot_properties
from storymesh.product.table_recovery import is_metadata, register_lost_table
from storymesh.product.warehouse import Warehouse, s3_properties

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

    from storymesh.contract.definition import Contract
    from storymesh.contract.egress_rules import Form
    from storymesh.federation.receipts import Receipt

MAIN = "main"
TAG_DIGITS = 16
VERSION = "storymesh.version"
RUN_ID = "storymesh.run-id"
CONTRACT_VERSION = "storymesh.contract-version"
CONTRACT_DIGEST = "storymesh.contract-digest"
ROWS = "storymesh.rows"
EXTRACT_OF = "storymesh.extract-of"
FILE_IO = "storymesh.product.iceberg_io.RelativeFileIO"
FETCHED = "fetched"
_NOTED = (
    "version",
    "snapshot_id",
    "contract_version",
    "contract_digest",
    "run_id",
    "rows",
    "published_at",
    "extract_of",
)
_DIGEST = re.compile("[0-9a-f]{64}")


class StoreDamaged(StorymeshError):
    """A file of a published snapshot that is not what was published."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the store is damaged: {path} {reason}", DAMAGE_HINT)


@dataclass(frozen=True)
class Snapshot:
    """One audited, immutable version of a product.

    `files` are Parquet files that together have exactly its rows: absolute paths on this machine, in the order of the
    rows. Those of a bucket are downloaded when their paths are read. At another premise they have what left of them.
    """

    product: str
    version: str
    snapshot_id: int
    contract_version: str
    contract_digest: str
    run_id: str
    rows: int
    published_at: datetime
    files: Sequence[str]
    schema: "pa.Schema" = field(repr=False, compare=False)
    extract_of: str = ""
    """The role that it was fetched for from where the product stays: it has what this needs of it; empty: all of it."""
    receipt: "Receipt | None" = field(default=None, repr=False, compare=False)
    """The receipt by which it left its premise, as far as it did; None: it is whole, at home."""
    keys_sent: "tuple[Receipt, ...]" = field(default=(), repr=False, compare=False)  # of keys that left to fetch it

    @property
    def forms(self) -> "Mapping[str, Form] | None":
        """The columns that left and how; None: all of them are there as they are."""
        if self.receipt is not None:
            return self.receipt.leaving.columns
        return dict.fromkeys(self.schema.names, "raw") if self.extract_of else None

    def contract_held(self, contract: "Contract") -> "Contract":
        """Return the contract of the product as it holds of what is here of its columns."""
        return contract if self.forms is None else contract.as_left(self.forms)


class ProductStore:
    """The published products of one domain."""

    def __init__(self, warehouse: Warehouse, domain: str) -> None:
        self.domain = domain
        self.folder = warehouse.folder.resolve() / domain
        self._warehouse = warehouse

    def list_snapshots(self, product: str) -> list[Snapshot]:
        """Return every published version of the product, by the time at which it last became the current one."""
        table = self.load_table(product)
        return [] if table is None else [self._snapshot(table, found) for found in published_snapshots(table)]

    def latest_snapshot(self, product: str) -> Snapshot | None:
        """Return the version that readers see now, or None when nothing was ever published."""
        name, is_local = self._name(product), self._catalog_url is None and not self.in_bucket
        if is_local and (note := find_note(self.folder, self._database, self.domain, name)) is not None:
            with suppress(ValueError):
                return self._noted_snapshot(name, note)
        table = self.load_table(product)
        current = table.metadata.snapshot_by_name(MAIN) if table is not None else None
        if table is None or current is None:
            return None
        snapshot = self._snapshot(table, current)
        if is_local:
            self._note(table, current, snapshot)
        return snapshot

    def find_snapshot(self, product: str, version: str) -> Snapshot:
        """Return the snapshot of a version (the digest, or its first 8 digits or more). Raises NotPublished."""
        table = self.load_table(product)
        snapshots = published_snapshots(table)
        versions = [(snapshot_properties(snapshot).get(VERSION, ""), snapshot) for snapshot in snapshots]
        found = [snapshot for known, snapshot in versions if known.startswith(version) and len(version) >= 8]
        if table is None or len(found) != 1:
            published = ", ".join(known[:12] for known, _ in versions)
            hint = f"published: {published}" if published else "nothing is published: run the mesh"
            raise NotPublished(f"'{self.domain}.{self._name(product)}' has no version {version}", hint)
        return self._snapshot(table, found[0])

    def load_table(self, product: str) -> "Table | None":
        """Return the product's Iceberg table, or None when it has none yet. Creates none.

        A table that the catalog has lost is found again. Raises StorymeshError where catalog or table are not as
        storymesh writes them.
        """
        from pyiceberg.exceptions import NoSuchTableError

        if self._catalog_url is None and not self._database.exists() and not self._lost_metadata(product):
            return None
        try:
            with self._explained_damage(product):
                table = self.catalog.load_table((self.domain, self._name(product)))
                self._require_own_place(table)
                return table
        except NoSuchTableError:
            files = self._lost_metadata(product)
        if not files:
            return None
        with self._explained_damage(product):
            table = register_lost_table(self.catalog, (self.domain, self._name(product)), self.io, files)
            self._require_own_place(table)
            return table

    def _lost_metadata(self, product: str) -> list[str]:
        """Return the metadata files of a table that the catalog does not know."""
        return [path for path in self.list_files(self.table_location(self._name(product))) if is_metadata(path)]

    @contextmanager
    def _explained_damage(self, product: str) -> Iterator[None]:
        """Raise StorymeshError where a table's metadata is not what PyIceberg reads, whatever it raises then."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            yield
        except (StorymeshError, NoSuchTableError, ConnectionError):
            raise
        except FileNotFoundError as error:
            message = f"the store of '{self.domain}' is damaged: {error}"
            raise StorymeshError(message, self._repair_hint) from None
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            words = f"the table of '{self.domain}.{self._name(product)}' cannot be read: {reason}"
            raise StorymeshError(words, "bring the store back from a copy, or publish the product again") from error

    def _require_own_place(self, table: "Table") -> None:
        """Raise StorymeshError for a table of another place: its files would be listed, and removed when unused."""
        location, own = table.location(), self.table_location(table.name()[-1])
        if location != own and not (self._bucket_url and location.startswith(f"{self.table_location('')}/")):
            words = f"the table {'.'.join(table.name())} is at {location[:200]!r}, and storymesh keeps it at {own}"
            raise StorymeshError(words, "bring the store back from a copy, or publish the product again")

    @cached_property
    def catalog(self) -> "SqlCatalog":
        """The Iceberg catalog of the domain. It is created at its first use."""
        from sqlalchemy.exc import IntegrityError, ProgrammingError

        from storymesh.product.iceberg_io import BUCKET, FOLDER, StoreCatalog

        self.prepare_folder()
        if self._catalog_url is None:
            require_plain_database(self._database)
        properties = {
            "uri": self._catalog_url or database_url(self._database),
            "pool_pre_ping": "true",
            "warehouse": self.table_location(""),
            "py-io-impl": FILE_IO,
            FOLDER: str(self.folder),
            **({BUCKET: self.table_location("")} if self._bucket_url else {}),
            **s3_properties(),
        }
        try:
            return StoreCatalog(self.domain, **properties)
        except (IntegrityError, ProgrammingError):
            return StoreCatalog(self.domain, **properties)  # another process has just created the catalog's own tables

    def prepare_folder(self) -> None:
        """Make the domain's folder in the store, which is private."""
        self._warehouse.prepare_folder()
        self.folder.mkdir(exist_ok=True)

    @contextmanager
    def server_lock(self, product: str) -> Iterator[Callable[[], bool]]:
        """Yield a function that tries to take the product's lock on the PostgreSQL server of the catalog.

        It returns True once it holds the lock, which the server releases when the connection ends. Without a server
        there are no writers on other machines, and it returns True.
        """
        if self._catalog_url is None or self.catalog.engine.dialect.name != "postgresql":
            yield lambda: True
            return
        from sqlalchemy import text

        query = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
        name = f"storymesh publishes {self.domain}.{self._name(product)}"
        # Back in the pool, the connection would keep its lock.
        with self.catalog.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                yield lambda: bool(connection.execute(query, {"name": name}).scalar())
            finally:
                connection.invalidate()

    def table_location(self, product: str) -> str:
        """Return where Iceberg puts the product's files: an address, or a path relative to the domain's folder."""
        parent = f"{self._bucket_url.rstrip('/')}/{self.domain}" if self._bucket_url else "warehouse"
        return f"{parent}/{product}".rstrip("/")

    def local_path(self, path: str) -> Path:
        """Return where a file of Iceberg's metadata is on this machine, or will be when it is downloaded.

        Raises StorymeshError for a path that leads out of the store.
        """
        resolve_location(path, self.folder, self.table_location("") if self._bucket_url else None)
        parts = urlsplit(path)
        return self.folder / FETCHED / parts.netloc / parts.path.lstrip("/") if parts.scheme else self.folder / path

    def fetch_file(self, path: str, size: int | None = None) -> Path:
        """Return the local path of a file of Iceberg's metadata. Downloads it when it is not there.

        Raises StorymeshError when it is missing, or has another size than it was published with.
        """
        local = self.local_path(path)
        if urlsplit(path).scheme and (not local.exists() or size not in (None, local.stat().st_size)):
            try:
                with staged_file(local) as staged:
                    self._copy(path, staged, fetching=True)
            except FileNotFoundError:
                message = f"the store of '{self.domain}' is damaged: there is no {path}"
                raise StorymeshError(message, "bring it back from a copy of the bucket, or publish again") from None
        if size is not None and (not local.is_file() or local.stat().st_size != size):
            raise StoreDamaged(
                local, "is missing" if not local.is_file() else f"has not the {size:,} bytes that it had"
            )
        return local

    def upload_file(self, path: str) -> None:
        """Copy a file that was written to its `local_path` to where Iceberg's metadata has it."""
        if urlsplit(path).scheme:
            self._copy(path, self.local_path(path), fetching=False)

    def list_files(self, location: str) -> Iterator[str]:
        """Yield every file below a table's location, as Iceberg's metadata names it."""
        if not urlsplit(location).scheme:
            for file in (self.folder / location).rglob("*"):
                if file.is_file():
                    yield str(file.relative_to(self.folder))
            return
        from pyarrow.fs import FileSelector, FileType

        filesystem, inside = self._filesystem(location)
        for entry in filesystem.get_file_info(FileSelector(inside, recursive=True, allow_not_found=True)):
            if entry.type == FileType.File:
                yield location + entry.path.removeprefix(inside)

    @cached_property
    def io(self) -> "PyArrowFileIO":
        """PyIceberg's access to the domain's files."""
        from storymesh.product.iceberg_io import RelativeFileIO

        return RelativeFileIO(self.catalog.properties)

    def _copy(self, path: str, local: Path, *, fetching: bool) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        filesystem, inside = self._filesystem(path)
        disk = LocalFileSystem()
        if fetching:
            copy_files(inside, str(local), source_filesystem=filesystem, destination_filesystem=disk)
        else:
            copy_files(str(local), inside, source_filesystem=disk, destination_filesystem=filesystem)

    def _filesystem(self, address: str) -> tuple[Any, str]:
        scheme, netloc, inside = self.io.parse_location(address)
        return self.io.fs_by_scheme(scheme, netloc), inside

    @cached_property
    def _catalog_url(self) -> str | None:
        """The database of the catalog where it is not the domain's own SQLite file."""
        return self._warehouse.catalog_url

    @property
    def in_bucket(self) -> bool:
        """True if this machine has copies of the store's files, not the files themselves."""
        return self._bucket_url is not None

    @cached_property
    def _bucket_url(self) -> str | None:
        return self._warehouse.bucket_url

    @property
    def _database(self) -> Path:
        return self.folder / "catalog.db"

    @property
    def _repair_hint(self) -> str:
        if self._catalog_url is not None:
            return "bring it back from a copy of the store"
        return f"bring it back from a copy, or move {self._database} away and run: whole tables are found again"

    def _name(self, product: str) -> str:
        return product.removeprefix(f"{self.domain}.")

    def _snapshot(self, table: "Table", found: "IcebergSnapshot") -> Snapshot:
        with self._explained_damage(table.name()[-1]):
            return self._read_snapshot(table, found)

    def _read_snapshot(self, table: "Table", found: "IcebergSnapshot") -> Snapshot:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        properties = snapshot_properties(found)
        name = table.name()[-1]
        if not _DIGEST.fullmatch(properties.get(VERSION, "")):
            message = f"the snapshot {found.snapshot_id} of '{self.domain}.{name}' was not published by storymesh"
            raise StorymeshError(message, "publish the product again")
        moment = published_at(table).get(found.snapshot_id, found.timestamp_ms)
        schema = table.schemas()[found.schema_id] if found.schema_id is not None else table.schema()
        return Snapshot(
            product=f"{self.domain}.{name}",
            version=properties[VERSION],
            snapshot_id=found.snapshot_id,
            contract_version=properties.get(CONTRACT_VERSION, ""),
            contract_digest=properties.get(CONTRACT_DIGEST, ""),
            run_id=properties.get(RUN_ID, ""),
            rows=int(properties[ROWS]),
            published_at=datetime.fromtimestamp(moment / 1000, UTC).replace(tzinfo=None),
            files=self._fetched(tuple((file.file_path, file.file_size_in_bytes) for file in data_files(table, found))),
            schema=schema_to_pyarrow(schema, include_field_ids=False),
            extract_of=properties.get(EXTRACT_OF, ""),
        )

    def _noted_snapshot(self, name: str, note: SnapshotNote) -> Snapshot:
        """Return the snapshot that a note is of. Raises ValueError for a schema that Arrow cannot read."""
        fields = note.model_dump(exclude={"location", "metadata", "files", "arrow_schema"})
        files, schema = self._fetched(note.files), note.read_schema()
        return Snapshot(product=f"{self.domain}.{name}", **fields, files=files, schema=schema)

    def _fetched(self, paths: tuple[tuple[str, int], ...]) -> FetchedFiles:
        return FetchedFiles(self.fetch_file, self.folder, paths)

    def _note(self, table: "Table", found: "IcebergSnapshot", snapshot: Snapshot) -> None:
        """Note a snapshot for `latest_snapshot`, where its files can be read."""
        with suppress(OSError, InputFileRefused):
            manifests = [manifest.manifest_path for manifest in found.manifests(table.io)]
            own = [table.metadata_location, found.manifest_list, *manifests]
            fields = {name: getattr(snapshot, name) for name in _NOTED}
            note = SnapshotNote(
                location=table.metadata_location,
                metadata=hash_metadata(self.folder, own),
                **fields,
                files=snapshot.files.paths if isinstance(snapshot.files, FetchedFiles) else (),
                arrow_schema=schema_text(snapshot.schema),
            )
            write_note(self.folder, table.name()[-1], note)
