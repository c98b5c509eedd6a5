"""Where published products stand: one Iceberg catalog in SQLite for each domain, read here, written by `staging`.

Paths in the catalog and in Iceberg's metadata are relative to the domain's folder in the store, so that a mesh that is
moved, copied or unpacked elsewhere still reads; a plain Iceberg reader that is started in that folder reads it too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.errors import NotPublished, StorymeshError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
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
FILE_IO = "storymesh.product.fileio.RelativeFileIO"


@dataclass(frozen=True)
class Snapshot:
    """One audited, immutable version of a product. `files` are Parquet files (absolute paths, in the order in which
    they were written) that together hold exactly its rows."""

    product: str
    version: str
    snapshot_id: int
    contract_version: str
    contract_digest: str
    run_id: str
    rows: int
    published_at: datetime
    files: tuple[str, ...]
    schema: "pa.Schema" = field(repr=False, compare=False)


class ProductStore:
    """The published products of one domain under `root` (`.storymesh` of the mesh, where nothing else is said)."""

    def __init__(self, root: Path, domain: str) -> None:
        self.domain = domain
        self.folder = Path(root).resolve() / domain

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

        if not self._database.exists():
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

        self.folder.mkdir(parents=True, exist_ok=True)
        return SqlCatalog(
            self.domain,
            **{
                "uri": f"sqlite:///{self._database}?timeout=60",
                "warehouse": "warehouse",
                "py-io-impl": FILE_IO,
                "storymesh.folder": str(self.folder),
            },
        )

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
            files=tuple(str(self.folder / path) for path in data_paths(table, found)),
            schema=schema_to_pyarrow(schema, include_field_ids=False),
        )


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
