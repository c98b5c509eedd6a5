"""Opens tables of every kind of server: the one place that names them."""

from typing import TYPE_CHECKING, Protocol

from storymesh.engine.engine import Engine
from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.relation import Relation
from storymesh.federation.server import unread_type

if TYPE_CHECKING:
    import pyarrow as pa


class ServerTable(Protocol):
    """A table of a server, or a query over its tables."""

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, of one state of the table, a batch at a time.

        Raises SourceUnreadable for what a person has to mend, ResourceUnavailable for a server that does not answer,
        here or while rows are read. Rows that have come are all of them only where the reader ends without an error.
        """
        ...

    def version(self, changed_at: str | None) -> str | None:
        """Return what the rows are known by without reading them: an equal version has equal rows. None: nothing says.

        `changed_at` is the column that says when a row was changed, if there is one.
        """
        ...


def open_server_table(relation: Relation, access: ServerAccess, engine: Engine | None) -> ServerTable:
    """Return what reads a relation. Nothing is connected to before rows or a version are asked for. Without an engine
    only the version can be.

    Raises SourceUnreadable for a server of a type that nobody here reads.
    """
    match relation.server.kind:
        case "postgresql":
            from storymesh.federation.postgres import PostgresTable

            return PostgresTable(relation, access)
        case "mysql":
            from storymesh.federation.mysql import MysqlTable

            return MysqlTable(relation, access)
        case "sqlite":
            from storymesh.federation.sqlite import SqliteTable

            return SqliteTable(relation, access)
        case "duckdb":
            from storymesh.federation.duckdb_file import DuckDBTable

            return DuckDBTable(relation, access, engine)
        case "iceberg":
            from storymesh.federation.iceberg import IcebergTable

            return IcebergTable(relation, access)
        case "files" if relation.server.fields.get("format") == "delta":
            from storymesh.federation.delta import DeltaLakeTable

            return DeltaLakeTable(relation, access)
        case "files":
            from storymesh.federation.files import FilesTable

            return FilesTable(relation, access)
        case "snowflake" | "bigquery" | "databricks" | "trino":
            from storymesh.federation.warehouses import WarehouseTable

            return WarehouseTable(relation, access)
        case _:
            message, hint = unread_type(relation.server)
            raise relation.unreadable(message, hint)
