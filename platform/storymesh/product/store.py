"""Where published products stand: one Iceberg catalog for each domain, read here, written by `staging`.

In a folder, paths in the catalog and in Iceberg's metadata are relative to the domain's folder in the store, so that a
mesh that is moved, copied or unpacked elsewhere still reads; a plain Iceberg reader that is started in that folder
reads it too. In a bucket they are whole addresses, which any Iceberg reader follows. Data files never change, so one
that lies in a bucket is fetched once and read from this machine: no engine needs the network.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import urlsplit

from storymesh.atomic_write import staged_file
from storymesh.errors import NotPublished, StorymeshError
from storymesh.product.warehouse import Warehouse, s3_properties

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

MAIN = "main"
TAG_PREFIX = "v-"
TAG_DIGITS = 16
VERSION = "storymesh.version"
RUN_ID = "storymesh.run-id"
CONTRACT_VERSION = "storymesh.contract-version"
CONTRACT_DIGEST = "storymesh.contract-digest"
ROWS = "storymesh.rows"
FILE_IO = "storymesh.product.iceberg_io.RelativeFileIO"
FETCHED = "fetched"


@dataclass(frozen=True)
class Snapshot:
    """One audited, immutable version of a product. `files` are Parquet files of this machine (absolute paths, in the
    order in which they were written) that together hold exactly its rows; those of a bucket are fetched when they are
    looked at."""

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


class ProductStore:
    """The published products of one domain."""

    def __init__(self, warehouse: Warehouse, domain: str) -> None:
        self.domain = domain
        self.folder = warehouse.folder.resolve() / domain
        self._warehouse = warehouse

    def snapshots(self, product: str) -> list[Snapshot]:
        """Every published version of the product, by the time when it last became the current one."""
        table = self.table(product)
        if table is None:
            return []
        published: dict[int, int] = {entry.snapshot_id: entry.timestamp_ms for entry in table.metadata.snapshot_log}
        tagged = {ref.snapshot_id for name, ref in table.metadata.refs.items() if name.startswith(TAG_PREFIX)}
        found = [one for one in table.metadata.snapshots if one.snapshot_id in tagged]
        found.sort(key=lambda one: published.get(one.snapshot_id, one.timestamp_ms))
        return [self._snapshot(table, one, published) for one in found]

    def latest(self, product: str) -> Snapshot | None:
        """The version that readers see now; None when nothing was ever published."""
        table = self.table(product)
        current = table.metadata.snapshot_by_name(MAIN) if table is not None else None
        if table is None or current is None:
            return None
        published = {entry.snapshot_id: entry.timestamp_ms for entry in table.metadata.snapshot_log}
        return self._snapshot(table, current, published)

    def find(self, product: str, version: str) -> Snapshot:
        """The snapshot of this version (the digest, or its first 8 digits or more). Raises NotPublished."""
        found = [one for one in self.snapshots(product) if one.version.startswith(version) and len(version) >= 8]
        if len(found) != 1:
            known = [one.version[:12] for one in self.snapshots(product)]
            hint = f"published: {', '.join(known)}" if known else "nothing is published: run the mesh"
            words = f"'{self.domain}.{self._name(product)}' has no version {version}"
            raise NotPublished(words, hint)
        return found[0]

    def table(self, product: str) -> "Table | None":
        """The product's Iceberg table; None when it has none yet. Creates nothing."""
        from pyiceberg.exceptions import NoSuchTableError

        if self._address is None and not self._database.exists():
            return None
        try:
            return self.catalog.load_table((self.domain, self._name(product)))
        except NoSuchTableError:
            return None
        except FileNotFoundError as error:
            words = f"the store of '{self.domain}' is damaged: {error}"
            raise StorymeshError(words, f"remove {self.folder} and publish the domain's products again") from None

    @cached_property
    def catalog(self) -> "SqlCatalog":
        from pyiceberg.catalog.sql import SqlCatalog
        from sqlalchemy.exc import IntegrityError, ProgrammingError

        self.folder.mkdir(parents=True, exist_ok=True)
        properties = {
            "uri": self._address or f"sqlite:///{self._database}?timeout=60",
            "pool_pre_ping": "true",
            "warehouse": self.location_of(""),
            "py-io-impl": FILE_IO,
            "storymesh.folder": str(self.folder),
            **s3_properties(),
        }
        try:
            return SqlCatalog(self.domain, **properties)
        except (IntegrityError, ProgrammingError):
            return SqlCatalog(self.domain, **properties)  # another has made the catalogue's own tables meanwhile

    @contextmanager
    def alone(self, product: str) -> Iterator[Callable[[], bool]]:
        """A question that says whether this writer is the only one of all machines, to be asked until it is: a lock of
        the PostgreSQL server that keeps the catalogue, which lets go of it when the connection ends. Without a server
        the answer is yes: there are no other machines."""
        if self._address is None or self.catalog.engine.dialect.name != "postgresql":
            yield lambda: True
            return
        from sqlalchemy import text

        asking = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
        name = f"storymesh publishes {self.domain}.{self._name(product)}"
        # Pooled, the connection would go back with its lock.
        with self.catalog.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                yield lambda: bool(connection.execute(asking, {"name": name}).scalar())
            finally:
                connection.invalidate()

    def location_of(self, product: str) -> str:
        """Where Iceberg keeps the product's files: an address, or a path that is relative to the domain's folder."""
        home = f"{self._bucket.rstrip('/')}/{self.domain}" if self._bucket else "warehouse"
        return f"{home}/{product}".rstrip("/")

    def local(self, path: str) -> Path:
        """Where the file of this path in Iceberg's metadata lies on this machine, once it was fetched."""
        parts = urlsplit(path)
        return self.folder / FETCHED / parts.netloc / parts.path.lstrip("/") if parts.scheme else self.folder / path

    def fetch(self, path: str) -> Path:
        """The file of this path in Iceberg's metadata on this machine, fetched when it is not there yet."""
        local = self.local(path)
        if urlsplit(path).scheme and not local.exists():
            try:
                with staged_file(local) as staged:
                    self._copy(path, staged, fetching=True)
            except FileNotFoundError:
                words = f"the store of '{self.domain}' is damaged: there is no {path}"
                raise StorymeshError(words, "bring it back from a copy of the bucket, or publish again") from None
        return local

    def send(self, path: str) -> None:
        """Bring a file that was written to `local(path)` to where Iceberg's metadata has it."""
        if urlsplit(path).scheme:
            self._copy(path, self.local(path), fetching=False)

    def listed(self, location: str) -> Iterator[str]:
        """Every file below a table's location, as its metadata names it."""
        if not urlsplit(location).scheme:
            for found in (self.folder / location).rglob("*"):
                if found.is_file():
                    yield str(found.relative_to(self.folder))
            return
        from pyarrow.fs import FileSelector, FileType

        filesystem, inside = self._filesystem(location)
        for entry in filesystem.get_file_info(FileSelector(inside, recursive=True, allow_not_found=True)):
            if entry.type == FileType.File:
                yield location + entry.path.removeprefix(inside)

    @cached_property
    def io(self) -> "PyArrowFileIO":
        from storymesh.product.iceberg_io import RelativeFileIO

        return RelativeFileIO(self.catalog.properties)

    def _copy(self, path: str, local: Path, *, fetching: bool) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        filesystem, inside = self._filesystem(path)
        here = LocalFileSystem()
        if fetching:
            copy_files(inside, str(local), source_filesystem=filesystem, destination_filesystem=here)
        else:
            copy_files(str(local), inside, source_filesystem=here, destination_filesystem=filesystem)

    def _filesystem(self, address: str) -> tuple[Any, str]:
        scheme, netloc, inside = self.io.parse_location(address)
        return self.io.fs_by_scheme(scheme, netloc), inside

    @cached_property
    def _address(self) -> str | None:
        """The catalogue's, where it is not the domain's own SQLite file."""
        return self._warehouse.catalog_url

    @cached_property
    def _bucket(self) -> str | None:
        return self._warehouse.bucket_url

    @property
    def _database(self) -> Path:
        return self.folder / "catalog.db"

    def _name(self, product: str) -> str:
        return product.removeprefix(f"{self.domain}.")

    def _snapshot(self, table: "Table", found: "IcebergSnapshot", published: dict[int, int]) -> Snapshot:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        summary: Any = found.summary
        properties: dict[str, str] = summary.additional_properties if summary is not None else {}
        name = table.name()[-1]
        if VERSION not in properties:
            words = f"the snapshot {found.snapshot_id} of '{self.domain}.{name}' was not published by storymesh"
            raise StorymeshError(words, "publish the product again")
        moment = published.get(found.snapshot_id, found.timestamp_ms)
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
            files=_Files(self, tuple(data_paths(table, found))),
            schema=schema_to_pyarrow(schema, include_field_ids=False),
        )


@dataclass(frozen=True, eq=False)
class _Files(Sequence[str]):
    """The files of a snapshot on this machine, fetched by looking at them."""

    store: ProductStore
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [str(self.store.fetch(path)) for path in self.paths[index]]
        return str(self.store.fetch(self.paths[index]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Files) and (self.store.folder, self.paths) == (other.store.folder, other.paths)

    def __hash__(self) -> int:
        return hash(self.paths)


def data_paths(table: "Table", snapshot: "IcebergSnapshot") -> Iterable[str]:
    """The paths of a snapshot's data files, as Iceberg's metadata has them. Raises when it has delete files: they
    would have to be subtracted, and storymesh never writes one."""
    from pyiceberg.manifest import DataFileContent

    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.content != DataFileContent.DATA:
                words = f"the snapshot {snapshot.snapshot_id} of {'.'.join(table.name())} has delete files"
                raise StorymeshError(words, "somebody else wrote to this table: publish the product again")
            yield entry.data_file.file_path
