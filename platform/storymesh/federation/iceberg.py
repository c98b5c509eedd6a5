"""Tables of an Iceberg catalogue of somebody else, each read at the snapshot that it has when it is opened."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from storymesh.errors import StorymeshError, suggest_name
from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.object_store import ObjectStore
from storymesh.federation.relation import Relation
from storymesh.federation.selection import RowSelection, SelectiveTable, TransferEstimate, dataset_filter

if TYPE_CHECKING:
    import pyarrow as pa

_UNREACHABLE = ("connectionerror", "timeout", "serviceunavailable", "operationalerror", "servererror")
_REFUSED = ("unauthorized", "forbidden", "authorizationexpired")


class IcebergTable(SelectiveTable):
    """A table of the catalogue at `catalogUrl`: a REST service, or a database that SQLAlchemy reads."""

    def __init__(self, relation: Relation, access: ServerAccess) -> None:
        self._relation = relation
        self._access = access
        self._store = ObjectStore(relation, access)

    def open_selected(self, choose: ChooseColumns, selection: RowSelection) -> "pa.RecordBatchReader":
        """Return those of the rows that are selected. Raises SourceUnreadable, ResourceUnavailable."""
        import pyarrow as pa
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        with self._translated_errors():
            table = self._load()
            names = list(choose([field.name for field in table.schema().fields]))
            snapshot = table.current_snapshot()
            if snapshot is None:
                schema = schema_to_pyarrow(table.schema().select(*names), include_field_ids=False)
                return pa.RecordBatchReader.from_batches(schema, [])
            scan = table.scan(
                _row_filter(table.schema(), names, selection), tuple(names), snapshot_id=snapshot.snapshot_id
            )
            for task in scan.plan_files():
                self._require_allowed(task.file.file_path)
            reader = scan.to_arrow_batch_reader()

        def batches() -> "Iterator[pa.RecordBatch]":
            with self._translated_errors():
                for batch in reader:
                    rows = pa.table(batch.select(names))
                    selected = dataset_filter(rows.schema, names, selection)
                    part = rows if selected is None else rows.filter(selected)
                    self.moved += part.nbytes
                    yield from part.to_batches()

        return pa.RecordBatchReader.from_batches(pa.schema([reader.schema.field(name) for name in names]), batches())

    def estimate(self, choose: ChooseColumns, ways: Mapping[str, RowSelection]) -> dict[str, TransferEstimate]:
        """Estimate what each way would fetch, from the manifests."""
        with self._translated_errors():
            table = self._load()
            schema = table.schema()
            names = list(choose([field.name for field in schema.fields]))
            ids = [schema.find_field(name).field_id for name in names]
            found = {}
            for way, selection in ways.items():
                files = [task.file for task in table.scan(_row_filter(schema, names, selection)).plan_files()]
                size = sum((file.column_sizes or {}).get(id_, 0) for file in files for id_ in ids)
                found[way] = TransferEstimate(sum(file.record_count for file in files), size)
            return found

    def version(self, changed_at: str | None) -> str | None:
        """Return the snapshot that the table has now."""
        with self._translated_errors():
            table = self._load()
            snapshot = table.current_snapshot()
            return f"{table.metadata.table_uuid} {snapshot.snapshot_id if snapshot else ''}"

    def _load(self) -> Any:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NoSuchTableError

        server, relation = self._relation.server, self._relation
        address = server.required("catalogUrl")
        catalog = load_catalog(server.field("catalog") or server.name, **self._properties(address))
        namespace, _, name = (relation.table or "").rpartition(".")
        namespace = namespace or server.field("namespace") or "default"
        try:
            return catalog.load_table(f"{namespace}.{name}")
        except NoSuchTableError:
            names = [".".join(identifier[1:]) for identifier in catalog.list_tables(namespace)]
            raise relation.unreadable("there is no such table", suggest_name(name, names)) from None

    def _properties(self, address: str) -> dict[str, str]:
        from storymesh.federation.iceberg_rest import CLIENT, LIMIT

        server, parts = self._relation.server, urlsplit(address)
        if parts.scheme == "sqlite":
            path = self._access.path(server, unquote(address.partition("///")[2]))
            if not path.is_file():
                raise self._relation.unreadable("there is no such catalogue", "write sqlite:///PATH, from the domain")
            address = f"sqlite:///{path.resolve()}"
        else:
            self._access.require_host(server, parts.hostname or "", parts.port)
        user, password = server.credential("USER"), server.credential("PASSWORD")
        if user and parts.hostname and not parts.username and not parts.scheme.startswith("http"):
            from sqlalchemy.engine import make_url

            address = make_url(address).set(username=user, password=password).render_as_string(hide_password=False)
        is_rest = parts.scheme in ("http", "https")
        warehouse, keys = server.field("warehouse"), self._store.s3_keys
        properties = {
            **({"py-catalog-impl": CLIENT, LIMIT: f"{self._access.idle_timeout_s:g}"} if is_rest else {"type": "sql"}),
            "uri": address,
            "warehouse": warehouse or "",
            "token": server.credential("TOKEN") or "",
            "credential": server.credential("CREDENTIAL") or "",
            "init_catalog_tables": "false",
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.endpoint": self._store.endpoint or "",
            "s3.region": self._store.region or "",
            "s3.access-key-id": keys.get("key_id", ""),
            "s3.secret-access-key": keys.get("secret", ""),
            "s3.session-token": keys.get("token", ""),
            "s3.request-timeout": f"{self._access.idle_timeout_s:g}",
        }
        return {name: value for name, value in properties.items() if value}

    def _require_allowed(self, location: str) -> None:
        """Raise SourceUnreadable for a file of this machine that metadata names and the operator does not allow."""
        if not re.match(r"[a-z0-9]+://", location) or location.startswith("file:"):
            self._access.path(self._relation.server, urlsplit(location).path)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (StorymeshError, MemoryError):
            raise
        except Exception as error:
            kind, words = type(error).__name__.lower(), str(error).splitlines()[0] if str(error) else ""
            if any(name in kind for name in _REFUSED) or "authentication failed" in words:
                server = self._relation.server
                hint = (
                    f"credentials are read from {server.variable('TOKEN')}, or {server.variable('USER')} and PASSWORD"
                )
                raise self._relation.unreadable(f"it lets nobody in: {words}", hint) from None
            if any(name in kind for name in _UNREACHABLE):
                raise self._relation.unreachable(words) from None
            raise self._store.translate(words or type(error).__name__) from None


def _row_filter(schema: Any, names: list[str], selection: RowSelection) -> Any:
    """Return the time of a selection as Iceberg has it, to leave files out; keys are looked for in the rows."""
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, IsNull, LessThanOrEqual, Or
    from pyiceberg.types import TimestampType, TimestamptzType

    found: Any = AlwaysTrue()
    for bounds in selection.bounds:
        name = names[bounds.place]
        kind = schema.find_field(name).field_type
        if not isinstance(kind, TimestampType | TimestamptzType):
            continue
        zone = "+00:00" if isinstance(kind, TimestamptzType) else ""
        for test, moment in ((GreaterThanOrEqual, bounds.start), (LessThanOrEqual, bounds.end)):
            if moment is not None:
                part = test(name, moment.isoformat(timespec="microseconds") + zone)
                found = And(found, Or(part, IsNull(name)) if bounds.or_null else part)
    return found
