"""Tables of Snowflake, BigQuery, Databricks and Trino, through ibis and the driver that a user has installed.

None of these servers can be run on a machine of a developer: what is tested is the SQL that they are sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.relation import Relation
from storymesh.federation.sql import Dialect, checked_query

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_BATCH_ROWS = 50_000
_DRIVERS: Mapping[str, str] = {
    "snowflake": "ibis-framework[snowflake]",
    "bigquery": "ibis-framework[bigquery]",
    "databricks": "ibis-framework[databricks]",
    "trino": "ibis-framework[trino]",
}
_LIBRARIES = (
    "ibis",
    "sqlglot",
    "pyarrow",
    "requests",
    "urllib3",
    "snowflake",
    "google",
    "databricks",
    "thrift",
    "trino",
)
"""Whose errors are about the server: of ibis, of the drivers, and of what they speak to it with."""
_UNREACHABLE = ("timeout", "connectionerror", "serviceunavailable", "operationalerror", "requesterror", "maxretryerror")


class WarehouseTable:
    """A table or a query of a server that ibis has a backend for."""

    def __init__(self, relation: Relation, access: ServerAccess) -> None:
        self._relation = relation
        self._access = access

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, a batch at a time. Raises SourceUnreadable, ResourceUnavailable."""
        import pyarrow as pa

        with self._translated_errors():
            backend = self._connect()
            table = self._table(backend)
            chosen = select_columns(table, choose(table.columns))
            reader = backend.to_pyarrow_batches(chosen, chunk_size=_BATCH_ROWS)

        def batches() -> "Iterator[pa.RecordBatch]":
            try:
                with self._translated_errors():
                    yield from reader
            finally:
                backend.disconnect()

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def version(self, changed_at: str | None) -> str | None:
        """Return what the table's rows are known by where a column says when each was changed; None: nothing says."""
        if changed_at is None:
            return None
        with self._translated_errors():
            backend = self._connect()
            try:
                state = backend.to_pyarrow(changes(self._table(backend), changed_at)).to_pylist()
            finally:
                backend.disconnect()
        return " ".join(str(value) for value in state[0].values())

    def _connect(self) -> Any:
        import ibis

        kind = self._relation.server.kind or ""
        settings = connection_settings(self._relation, self._access)
        try:
            return getattr(ibis, kind).connect(**settings)
        except ImportError:
            what = f"pip install '{_DRIVERS[kind]}'"
            raise self._relation.unreadable("it is read with a driver that is not installed", what) from None

    def _table(self, backend: Any) -> "ir.Table":
        if self._relation.query is not None:
            kind = cast("Dialect", self._relation.server.kind)
            return backend.sql(checked_query(self._relation, kind), dialect=kind)
        *place, name = (self._relation.table or "").split(".")
        return backend.table(name, database=tuple(place) if len(place) > 1 else place[0] if place else None)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _LIBRARIES:
                raise
            words = str(error).splitlines()[0] if str(error) else type(error).__name__
            if isinstance(error, OSError) or any(name in type(error).__name__.lower() for name in _UNREACHABLE):
                raise self._relation.unreachable(words) from None
            raise self._relation.unreadable(words) from None


def select_columns(table: "ir.Table", names: Sequence[str]) -> "ir.Table":
    """Return the chosen columns of a table, and nothing else of it."""
    return table.select(*names)


def changes(table: "ir.Table", changed_at: str) -> "ir.Table":
    """Return the one row that tells whether the rows of a table have changed: how many there are, and their times."""
    column = table[changed_at]
    return table.aggregate(
        rows=table.count(), known=column.count(), last=column.max(), all=column.epoch_seconds().sum()
    )


def connection_settings(relation: Relation, access: ServerAccess) -> dict[str, Any]:
    """Return what ibis connects with. Raises SourceUnreadable for a field that is missing."""
    server = relation.server
    host, port = server.field("host"), server.field("port")
    if host is not None:
        access.require_host(server, host, port)
    user, password = server.credential("USER"), server.credential("PASSWORD")
    match server.kind:
        case "snowflake":
            settings: dict[str, Any] = {
                "account": server.required("account"),
                "database": f"{server.required('database')}/{server.required('schema')}",
                "warehouse": server.field("warehouse"),
                "user": user,
                "password": password,
                "authenticator": server.credential("AUTHENTICATOR"),
                "create_object_udfs": False,
                "login_timeout": 30,
                "network_timeout": int(access.idle_timeout_s),
            }
        case "bigquery":  # with the credentials of this machine: GOOGLE_APPLICATION_CREDENTIALS
            settings = {"project_id": server.required("project"), "dataset_id": server.required("dataset")}
        case "databricks":
            settings = {
                "server_hostname": server.required("host"),
                "http_path": server.credential("HTTP_PATH"),
                "access_token": server.credential("TOKEN"),
                "catalog": server.required("catalog"),
                "schema": server.required("schema"),
            }
        case _:
            settings = {
                "host": server.required("host"),
                "port": int(port) if port and port.isdigit() else 8080,
                "user": user or "storymesh",
                "auth": password,
                "database": server.required("catalog"),
                "schema": server.required("schema"),
                "request_timeout": access.idle_timeout_s,
            }
    return {name: value for name, value in settings.items() if value is not None}
