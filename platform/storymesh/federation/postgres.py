"""Tables of a PostgreSQL: columns chosen there, in one read-only transaction, streamed as the server writes them.

The rows come as CSV, in the server's own text of each value, so that a contract casts them value by value: what fits no
type quarantines its row. Whole numbers and booleans come as such.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from storymesh.errors import StorymeshError, suggest_name
from storymesh.federation import postgres_changes
from storymesh.federation.access import CONNECT_S, ChooseColumns, ServerAccess
from storymesh.federation.changes import Fingerprint
from storymesh.federation.idle_timeout import IdleTimeout
from storymesh.federation.postgres_copy import TableCopy, cut_connection
from storymesh.federation.postgres_estimate import SelectedColumns, estimate_ways
from storymesh.federation.postgres_rules import PostgresRuleAudit
from storymesh.federation.postgres_selection import MOMENTS, selection_sql
from storymesh.federation.relation import ForeignKey, Relation, foreign_keys_of
from storymesh.federation.selection import RowSelection, SelectiveTable, TransferEstimate
from storymesh.federation.source_rules import SourceAudit, SourceRules
from storymesh.federation.sql import Dialect, quote_name, relation_sql, select_sql

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg2.extensions import connection

_DIALECT: Dialect = "postgres"
_SESSION = """set local time zone 'UTC'; set local datestyle to 'ISO, YMD'; set local extra_float_digits to 3;
set local standard_conforming_strings to on; set local intervalstyle to 'iso_8601';
set local bytea_output to 'hex'; set local search_path to {path}"""
_COLUMNS = """
select attname, atttypid from pg_catalog.pg_attribute where attrelid = %s and attnum > 0 and not attisdropped
order by attnum"""
_TYPES = """
select t.oid, t.typcategory, t.typname from pg_catalog.pg_type t where t.oid = any(%s::oid[])"""
_TABLES = """
select case when n.nspname = any(current_schemas(false)) then c.relname else n.nspname || '.' || c.relname end
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
and n.nspname not like 'pg_toast%%' order by 1 limit 400"""
_KEY = """
select a.attname from pg_catalog.pg_index i
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = to_regclass(%s) and i.indisprimary order by array_position(i.indkey::int[], a.attnum::int)"""
_FOREIGN_KEYS = """
select c.conname, mine.attname, n.nspname, t.relname, other.attname
from pg_catalog.pg_constraint c cross join lateral unnest(c.conkey, c.confkey) with ordinality as k(mine, other, place)
join pg_catalog.pg_class t on t.oid = c.confrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace
join pg_catalog.pg_attribute mine on mine.attrelid = c.conrelid and mine.attnum = k.mine
join pg_catalog.pg_attribute other on other.attrelid = c.confrelid and other.attnum = k.other
where c.conrelid = to_regclass(%s) and c.contype = 'f' order by c.conname, k.place"""
_STATE = """
select count(*), count({0}), max({0})::text, sum(extract(epoch from {0}::timestamptz))::text from {1}"""
_INTEGERS = (20, 21, 23)  # the oids of bigint, smallint, integer
_BOOLEAN = 16
_CLIENT_CHECK_VERSION = 14_00_00  # then it ends what nobody reads any more
_BUSY = ("57P01", "57P02", "57P03", "57P05", "53300", "40001", "40P01")  # of a server that may do it in a moment
_DENIED = "42501"


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Reading:
    """A transaction in which a source is read: its columns with the oids of their types, the names of the chosen ones,
    and how these are written."""

    cursor: Any
    source: str
    oids: Mapping[str, int]
    names: Sequence[str]
    values: Sequence[str]


class PostgresTable(SelectiveTable):
    """A table or a query of a PostgreSQL, or as many of its rows as `limit` says."""

    sends_keys = True

    def __init__(self, relation: Relation, access: ServerAccess, limit: int | None = None) -> None:
        self._relation = relation
        self._access = access
        self._limit = limit

    def open_selected(self, choose: ChooseColumns, selection: RowSelection) -> "pa.RecordBatchReader":
        """Return those of the rows that are selected. Raises SourceUnreadable, ResourceUnavailable."""
        return self._open(choose, lambda read: (selection_sql(selection, read.names, read.oids), None))[0]

    def open_audited(
        self, choose: ChooseColumns, selection: RowSelection, rules: SourceRules
    ) -> "tuple[pa.RecordBatchReader, SourceAudit]":
        """Return those of the rows that are selected and break none of the rules, and what these say of all rows.

        Raises SourceUnreadable, ResourceUnavailable, AuditRefused.
        """

        def held(read: _Reading) -> tuple[list[str], SourceAudit]:
            found = PostgresRuleAudit(read.cursor, read.source, self._relation.query is None, read.oids, rules).hold()
            return [*selection_sql(selection, read.names, read.oids), *found.conditions], found.audit

        return self._open(choose, held)

    def open_changed_since(
        self, choose: ChooseColumns, key: tuple[int, ...], changed: int, last: str | None
    ) -> "tuple[pa.RecordBatchReader, Fingerprint, str]":
        """Return the rows that changed since shortly before `last`, what all are known by, and the last change now.

        Raises SourceUnreadable, ResourceUnavailable."""

        def since(read: _Reading) -> tuple[list[str], tuple[Fingerprint, str]]:
            known = postgres_changes.all_rows(read.cursor, read.source, [read.values[n] for n in (*key, changed)])
            column = quote_name(read.names[changed], _DIALECT)
            latest = postgres_changes.last_change(read.cursor, read.source, column)
            is_moment = read.oids[read.names[changed]] in MOMENTS
            return postgres_changes.changed_since(column, last if is_moment else None), (known, latest)

        rows, (known, latest) = self._open(choose, since)
        return rows, known, latest

    def open_changed_months(
        self, choose: ChooseColumns, moment: int, known: Mapping[str, str]
    ) -> "tuple[pa.RecordBatchReader, dict[str, str]]":
        """Return the rows of the months that are not as they are `known`, and what all months are known by.

        Raises SourceUnreadable, ResourceUnavailable.
        """

        def differing(read: _Reading) -> tuple[list[str], dict[str, str]]:
            found = postgres_changes.months_of(read.cursor, read.source, read.values[moment], read.values)
            changed = [month for month, text in found.items() if known.get(month) != text]
            return postgres_changes.in_months(read.values[moment], changed), found

        return self._open(choose, differing)

    def months(self, choose: ChooseColumns, moment: int) -> dict[str, str]:
        """Return what the rows of each month are known by. Raises SourceUnreadable, ResourceUnavailable."""
        rows, found = self._open(
            choose,
            lambda read: (
                ["false"],
                postgres_changes.months_of(read.cursor, read.source, read.values[moment], read.values),
            ),
        )
        rows.read_all()
        return found

    def _open(
        self, choose: ChooseColumns, ask: "Callable[[_Reading], tuple[list[str], Answer]]"
    ) -> "tuple[pa.RecordBatchReader, Answer]":
        """Return the rows that have all of the conditions which `ask` gives, and what else it answers: of one state."""
        import pyarrow as pa

        with self.translated_errors():
            connection = self._connect()
        try:
            with self.watched(connection), self.translated_errors(), connection.cursor() as cursor:
                source = self._begin(cursor)
                listed = self._list_columns(cursor, source)
                oids = dict(listed)
                names = list(choose([name for name, _ in listed]))
                values = self._values(cursor, names, oids)
                where, answer = ask(_Reading(cursor, source, oids, names, values))
                query = select_sql(_alias_columns(values, names), source, self._limit, where)
        except BaseException:
            connection.close()
            raise
        kinds = {name: _arrow_type(oids[name]) for name in names}
        copy = TableCopy(self, connection, f"copy ({query}) to stdout with (format csv, encoding 'UTF8')")
        schema = pa.schema(list(kinds.items()))
        return pa.RecordBatchReader.from_batches(schema, copy.batches(schema, self._relation)), answer

    def estimate(self, choose: ChooseColumns, ways: Mapping[str, RowSelection]) -> dict[str, TransferEstimate]:
        """Estimate what each way would move, with the server's planner. Raises as `open_rows` does."""
        with self._transaction() as (cursor, source):
            listed = self._list_columns(cursor, source)
            oids = dict(listed)
            names = list(choose([name for name, _ in listed]))
            written = _alias_columns(self._values(cursor, names, oids), names)
            table = source if self._relation.query is None else None
            return estimate_ways(cursor, SelectedColumns(source, names, oids, written, table, self._limit), ways)

    def version(self, changed_at: str | None) -> str | None:
        """Return what the table's rows are known by where a column says when each was changed; None: nothing says."""
        if changed_at is None:
            return None
        with self._transaction() as (cursor, source):
            cursor.execute(_STATE.format(quote_name(changed_at, _DIALECT), source))
            return " ".join(map(str, cursor.fetchone() or ()))

    def key_columns(self) -> tuple[str, ...]:
        """Return the columns of the table's primary key, in order."""
        source = relation_sql(self._relation, _DIALECT, self._relation.server.field("schema"))
        return tuple(self._first_column(_KEY, source))

    def foreign_keys(self) -> tuple[ForeignKey, ...]:
        """Return the foreign keys of the table."""
        source = relation_sql(self._relation, _DIALECT, self._relation.server.field("schema"))
        return foreign_keys_of(self._catalogue(_FOREIGN_KEYS, source))

    def list_tables(self) -> list[str]:
        """Return the names of some of the tables and views that there are."""
        return self._first_column(_TABLES)

    def _first_column(self, query: str, *values: str) -> list[str]:
        """Return the first column of what a query of the catalogue gives."""
        return [name for name, *_ in self._catalogue(query, *values)]

    def _catalogue(self, query: str, *values: str) -> list[Any]:
        """Return what a query of the catalogue gives."""
        with self._transaction() as (cursor, _):
            cursor.execute(query, values)
            return list(cursor.fetchall())

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Any, str]]:
        """Yield a cursor in the one transaction in which everything is read, and what is read."""
        with self.translated_errors():
            connection = self._connect()
        with closing(connection), self.watched(connection), self.translated_errors(), connection.cursor() as cursor:
            yield cursor, self._begin(cursor)

    def _connect(self) -> "connection":
        try:
            import psycopg2
        except ImportError:
            raise self._relation.missing_package("psycopg2", "postgres") from None
        server = self._relation.server
        host, port = server.required("host"), server.field("port") or "5432"
        self._access.require_host(server, host, port)
        user, password = server.credential("USER"), server.credential("PASSWORD")
        if host == os.environ.get("PGHOST"):  # then the variables of libpq are about this very server
            user, password = user or os.environ.get("PGUSER"), password or os.environ.get("PGPASSWORD")
        # An empty password keeps libpq from sending the one of another server, and has it look into its own file.
        return psycopg2.connect(
            host=host,
            port=port,
            dbname=server.required("database"),
            **({"user": user} if user else {}),
            password=password or "",
            **({"sslmode": sslmode} if (sslmode := server.field("sslmode")) else {}),
            connect_timeout=CONNECT_S,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            client_encoding="UTF8",
            application_name="storymesh",
        )

    def _begin(self, cursor: Any) -> str:
        """Begin the one transaction in which everything is read; return what is read."""
        schema = self._relation.server.field("schema")
        source = relation_sql(self._relation, _DIALECT, schema)
        cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        path = quote_name(schema, _DIALECT) if schema else '"$user", public'
        cursor.execute(_SESSION.format(path=path))
        if cursor.connection.server_version >= _CLIENT_CHECK_VERSION:
            cursor.execute("set local client_connection_check_interval to '1s'")
        return source

    def _list_columns(self, cursor: Any, source: str) -> list[tuple[str, int]]:
        """Return the columns with the oids of their types. Of a table, the catalogue tells them: whoever may read some
        of its columns need not be allowed all."""
        if self._relation.query is not None:
            cursor.execute(f"select * from {source} limit 0")
            return [(column.name, column.type_code) for column in cursor.description]
        cursor.execute("select to_regclass(%s)::oid", (source,))
        ((table,),) = cursor.fetchall()
        if table is None:
            raise self._relation.unreadable("there is no such table", self._near_tables())
        cursor.execute(_COLUMNS, (table,))
        return list(cursor.fetchall())

    def _values(self, cursor: Any, names: Sequence[str], oids: Mapping[str, int]) -> list[str]:
        """Return the columns as they are selected: what has parts as JSON, and texts of a fixed length without the
        blanks that fill them."""
        cursor.execute(_TYPES, ([oids[name] for name in names],))
        kinds = {oid: (category, name) for oid, category, name in cursor.fetchall()}
        found: list[str] = []
        for name in names:
            column = quote_name(name, _DIALECT)
            category, kind = kinds.get(oids[name], ("", ""))
            has_parts = category in ("A", "C") or kind == "record"
            found.append(f"to_json({column})" if has_parts else f"{column}::text" if kind == "bpchar" else column)
        return found

    @contextmanager
    def watched(self, connection: "connection") -> Iterator[IdleTimeout]:
        """End the connection when the server has sent nothing for too long, and raise ResourceUnavailable."""
        limit = IdleTimeout(self._access.idle_timeout_s, lambda: cut_connection(connection))
        try:
            yield limit
        except StorymeshError:
            if limit.expired:
                raise self._silent() from None
            raise
        finally:
            limit.close()

    def _silent(self) -> StorymeshError:
        return self._relation.unreachable(f"it has said nothing for {self._access.idle_timeout_s:g} s, so it was left")

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Raise what psycopg2 raises as an error that says what to do."""
        try:
            yield
        except ImportError:
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "psycopg2":
                raise
            raise self._translate(error) from None

    def _translate(self, error: Exception) -> StorymeshError:
        relation, server = self._relation, self._relation.server
        code, words = getattr(error, "pgcode", None), str(error).strip()
        if code == _DENIED:
            return relation.unreadable(words.splitlines()[0], f"GRANT SELECT to the user of {server.variable('USER')}")
        if code is not None and code not in _BUSY and not code.startswith("08"):
            return relation.unreadable(words.splitlines()[0], "mend the query" if relation.query else "")
        if code is None and _is_refusal(words):
            said = re.split(r"FATAL:|failed:", words)[-1].splitlines()[0]
            hint = f"name and password are read from {server.variable('USER')} and {server.variable('PASSWORD')}"
            return relation.unreadable(f"it lets nobody in: {said}", hint)
        if not words or "no message from the libpq" in words:
            words = "the connection was lost"
        return relation.unreachable(words.splitlines()[0])

    def _near_tables(self) -> str:
        """Return a hint with the tables that are there."""
        with suppress(StorymeshError):
            return suggest_name(self._relation.table or "", self.list_tables())
        return ""


def _alias_columns(values: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return values as they are selected under the names of their columns."""
    quoted = [quote_name(name, _DIALECT) for name in names]
    return [value if value == name else f"{value} AS {name}" for value, name in zip(values, quoted, strict=True)]


def _is_refusal(words: str) -> bool:
    """Return True if a reachable server refuses the login, which only its message says."""
    refused = "FATAL:" in words or "no password supplied" in words
    return refused and not any(phrase in words for phrase in ("starting up", "shutting down", "too many"))


def _arrow_type(oid: int) -> "pa.DataType":
    import pyarrow as pa

    return pa.int64() if oid in _INTEGERS else pa.bool_() if oid == _BOOLEAN else pa.string()
