"""A table of a PostgreSQL as an extract: a CSV that a product can be drafted from, and that runs without the server.

The address and its password are used and never written; what is written names the table alone.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storymesh.errors import SourceUnreadable, WrongUsage, suggest_name
from storymesh.redaction import redact
from storymesh.scaffold.names import plain_name

if TYPE_CHECKING:
    from psycopg2.extensions import connection

_SCHEMES = ("postgresql", "postgres")
_MOST_BYTES = 2 * 2**30
_TABLES = """
select case when n.nspname = any(current_schemas(false)) then c.relname else n.nspname || '.' || c.relname end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
and n.nspname not like 'pg_toast%' order by 1 limit 200"""
_KEY = """
select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = %s::regclass and i.indisprimary order by array_position(i.indkey::int[], a.attnum::int)"""


@dataclass(frozen=True)
class TableExtract:
    """The rows of a table as they were, in a CSV; `key` is the table's own."""

    file: Path
    key: tuple[str, ...]
    notes: tuple[str, ...]


def is_postgres(origin: str) -> bool:
    """Return True for an address of a PostgreSQL."""
    return origin.partition(":")[0].partition("+")[0].lower() in _SCHEMES and "://" in origin


def extract_table(address: str, table: str | None, scratch: Path) -> TableExtract:
    """Copy a table or view into a CSV in the folder `scratch`. Raises WrongUsage, SourceUnreadable.

    What the address does not say, the variables of libpq do: PGHOST, PGUSER, PGPASSWORD, and the like.
    """
    try:
        import psycopg2
    except ImportError:
        hint = "pip install 'storymesh[postgres]', or export it, as with psql: \\copy my_table to 'my.csv' csv header"
        raise WrongUsage("a table of a PostgreSQL is read with psycopg2, which is not installed", hint) from None
    dsn = re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", address, flags=re.IGNORECASE)
    place = urlsplit(dsn).hostname or os.environ.get("PGHOST", "localhost")
    try:
        connection = psycopg2.connect(dsn, connect_timeout=15, application_name="storymesh")
    except psycopg2.Error as error:
        raise SourceUnreadable(f"the PostgreSQL at {place}: {_words_of(error)}", _CONNECT_HINT) from None
    try:
        connection.set_session(readonly=True)
        return _extract(connection, table, place, scratch)
    except psycopg2.Error as error:
        raise SourceUnreadable(f"the PostgreSQL at {place}: {_words_of(error)}") from None
    finally:
        connection.close()


_CONNECT_HINT = "postgresql://HOST:5432/DATABASE; name and password may stand in PGUSER and PGPASSWORD"


def _extract(server: "connection", table: str | None, place: str, scratch: Path) -> TableExtract:
    with server.cursor() as cursor:
        cursor.execute("set time zone 'UTC'; set datestyle to 'ISO, YMD'; set extra_float_digits to 3")
        cursor.execute(_TABLES)
        tables = [name for (name,) in cursor.fetchall()]
        if table is None:
            raise WrongUsage(f"the PostgreSQL at {place}: say which table: --table NAME", suggest_name("", tables))
        # Names are compared as they are written, and quoted where they are used.
        name = _quoted(table)
        cursor.execute("select to_regclass(%s) is not null", (name,))
        if not _first(cursor):
            raise WrongUsage(f"the PostgreSQL at {place} has no table '{table}'", suggest_name(table, tables))
        cursor.execute(_KEY, (name,))
        key = tuple(column for (column,) in cursor.fetchall())
        cursor.execute("select pg_total_relation_size(%s::regclass)", (name,))
        if _first(cursor) > _MOST_BYTES:
            words = f"the table '{table}' takes more than {_MOST_BYTES // 2**30} GiB, which is much for an extract"
            raise WrongUsage(words, "name a view of the rows that you need")
        file = scratch / f"{plain_name(table.rpartition('.')[2], 'table')}.csv"
        with file.open("wb") as out:
            cursor.copy_expert(f"copy (select * from {name}) to stdout with (format csv, header)", out)
    note = f"an extract of the table {table} as it is now; make it anew to follow the table, which stays where it is"
    return TableExtract(file, key, (note,))


def _first(cursor: Any) -> Any:
    (value,) = cursor.fetchone()
    return value


def _quoted(table: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))


def _words_of(error: Exception) -> str:
    return redact(" ".join(str(error).split()))[:300]
