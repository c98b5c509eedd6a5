"""Tables of a MySQL or MariaDB: one read-only transaction, whose rows come as the server writes each value."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from storymesh.errors import StorymeshError, suggest_name
from storymesh.federation.access import CONNECT_S, ChooseColumns, ServerAccess
from storymesh.federation.relation import ForeignKey, Relation, foreign_keys_of
from storymesh.federation.row_texts import text_batches
from storymesh.federation.sql import Dialect, quote_name, relation_sql, select_sql

if TYPE_CHECKING:
    import pyarrow as pa

_DIALECT: Dialect = "mysql"
_BEGIN_STATEMENTS = (
    "set session transaction isolation level repeatable read",
    "set session time_zone = '+00:00'",
    "start transaction with consistent snapshot, read only",
)
_COLUMNS = """
select column_name from information_schema.columns where table_schema = %s and table_name = %s
order by ordinal_position"""
_TABLES = "select table_name from information_schema.tables where table_schema = %s order by 1 limit 400"
_KEY = """
select column_name from information_schema.key_column_usage where constraint_name = 'PRIMARY' and table_schema = %s
and table_name = %s order by ordinal_position"""
_FOREIGN_KEYS = """
select constraint_name, column_name, referenced_table_schema, referenced_table_name, referenced_column_name
from information_schema.key_column_usage where table_schema = %s and table_name = %s
and referenced_table_name is not null order by constraint_name, ordinal_position"""
_STATE = "select count(*), count({0}), max({0}), sum(to_seconds({0}) + microsecond({0}) / 1000000) from {1}"
_ACCESS_DENIED = (1044, 1045, 1698, 1049)
_TABLE_DENIED = (1142, 1143, 1370)
_UNREACHABLE = (1040, 1053, 1205, 1213, 2002, 2003, 2005, 2006, 2013, 2014, 2055, 0)


class MysqlTable:
    """A table or a query of a MySQL or MariaDB, or as many of its rows as `limit` says."""

    def __init__(self, relation: Relation, access: ServerAccess, limit: int | None = None) -> None:
        self._relation = relation
        self._access = access
        self._limit = limit

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, a batch at a time. Raises SourceUnreadable, ResourceUnavailable."""
        import pyarrow as pa

        with self._translated_errors():
            connection = self._connect()
        try:
            with self._translated_errors():
                source = relation_sql(self._relation, _DIALECT)
                names = list(choose(self._list_columns(connection, source)))
                cursor = connection.cursor()
                cursor.execute(select_sql([quote_name(name, _DIALECT) for name in names], source, self._limit))
        except BaseException:
            self._close_at_once(connection)
            raise
        schema = pa.schema([(name, pa.string()) for name in names])

        def batches() -> "Iterator[pa.RecordBatch]":
            try:
                with self._translated_errors():
                    yield from text_batches(cursor.fetchmany, schema)
            finally:
                self._close_at_once(connection)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def version(self, changed_at: str | None) -> str | None:
        """Return what the table's rows are known by where a column says when each was changed; None: nothing says."""
        if changed_at is None:
            return None
        with self._transaction() as cursor:
            cursor.execute(_STATE.format(quote_name(changed_at, _DIALECT), relation_sql(self._relation, _DIALECT)))
            return " ".join(map(str, cursor.fetchone() or ()))

    def key_columns(self) -> tuple[str, ...]:
        """Return the columns of the table's primary key, in order."""
        return tuple(self._first_column(_KEY, self._relation.server.required("database"), self._relation.table or ""))

    def foreign_keys(self) -> tuple[ForeignKey, ...]:
        """Return the foreign keys of the table."""
        place = (self._relation.server.required("database"), self._relation.table or "")
        return foreign_keys_of(self._catalogue(_FOREIGN_KEYS, *place))

    def list_tables(self) -> list[str]:
        """Return the names of some of the tables and views that there are."""
        return self._first_column(_TABLES, self._relation.server.required("database"))

    def _first_column(self, query: str, *values: str) -> list[str]:
        return [name for (name,) in self._catalogue(query, *values)]

    def _catalogue(self, query: str, *values: str) -> list[Any]:
        with self._transaction() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Yield a cursor in the one transaction in which everything is read."""
        with self._translated_errors():
            connection = self._connect()
        try:
            with self._translated_errors(), connection.cursor() as cursor:
                yield cursor
        finally:
            self._close_at_once(connection)

    def _connect(self) -> Any:
        """Return a connection within the one transaction in which everything is read."""
        try:
            import pymysql
            from pymysql.converters import encoders
            from pymysql.cursors import SSCursor
        except ImportError:
            raise self._relation.missing_package("pymysql", "mysql") from None
        server = self._relation.server
        host, port = server.required("host"), server.field("port") or "3306"
        self._access.require_host(server, host, port)
        connection = pymysql.connect(
            host=host,
            port=int(port) if port.isdigit() else 3306,
            user=server.credential("USER"),
            password=server.credential("PASSWORD") or "",
            database=server.required("database"),
            charset="utf8mb4",
            connect_timeout=CONNECT_S,
            read_timeout=self._access.idle_timeout_s,
            write_timeout=self._access.idle_timeout_s,
            cursorclass=SSCursor,
            conv=encoders,  # and no decoder: every value in the server's own text
            local_infile=False,
        )
        with connection.cursor() as cursor:
            for statement in _BEGIN_STATEMENTS:
                cursor.execute(statement)
        return connection

    def _list_columns(self, connection: Any, source: str) -> list[str]:
        relation = self._relation
        with connection.cursor() as cursor:
            if relation.table is None:
                cursor.execute(f"select * from {source} limit 0")
                return [name for name, *_ in cursor.description]
            database, _, table = relation.table.rpartition(".")
            database = database or relation.server.required("database")
            cursor.execute(_COLUMNS, (database, table))
            if names := [name for (name,) in cursor.fetchall()]:
                return names
            cursor.execute(_TABLES, (database,))
            raise relation.unreadable(
                "there is no such table", suggest_name(table, [name for (name,) in cursor.fetchall()])
            )

    @staticmethod
    def _close_at_once(connection: Any) -> None:
        """Close the connection without reading the rest of the table, which could take long."""
        with suppress(Exception):
            connection._force_close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise what pymysql raises as an error that says what to do."""
        try:
            yield
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "pymysql":
                raise
            raise self._translate(error) from None

    def _translate(self, error: Exception) -> StorymeshError:
        relation, server = self._relation, self._relation.server
        code, words = (*error.args, 0, "")[:2] if len(error.args) > 1 else (0, str(error))
        if code in _ACCESS_DENIED:
            hint = f"name and password are read from {server.variable('USER')} and {server.variable('PASSWORD')}"
            return relation.unreadable(f"it lets nobody in: {words}", hint)
        if code in _TABLE_DENIED:
            return relation.unreadable(str(words), f"GRANT SELECT to the user of {server.variable('USER')}")
        if code in _UNREACHABLE:
            if "timed out" in str(words):
                words = f"it has said nothing for {self._access.idle_timeout_s:g} s, so it was left"
            return relation.unreachable(str(words))
        return relation.unreadable(str(words), "mend the query" if relation.query else "")
