"""A table of a database as the rows of a product to be: it stays where it is, and the product names it.

An address, its user and its password are used and never written: what is written names server, table and variables.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from storymesh.errors import WrongUsage, suggest_name
from storymesh.federation.access import ServerAccess
from storymesh.federation.mysql import MysqlTable
from storymesh.federation.postgres import PostgresTable
from storymesh.federation.relation import ForeignKey, Relation
from storymesh.federation.server import Server
from storymesh.scaffold.names import plain_name

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 1_000_000
_TYPES = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
_PORTS = {"postgresql": "5432", "mysql": "3306"}


@dataclass(frozen=True)
class ServedTable:
    """A table that a product is to be read from: `server` as a contract writes it, and the table there."""

    server: Mapping[str, Any]
    table: str
    key: tuple[str, ...]
    notes: tuple[str, ...]
    relation: Relation
    access: ServerAccess
    foreign_keys: tuple[ForeignKey, ...] = ()

    @property
    def name(self) -> str:
        return plain_name(self.table, "table")

    @property
    def source(self) -> dict[str, str]:
        """What the product says of its rows."""
        return {"server": str(self.server["server"]), "table": self.table}

    def open_rows(self) -> "pa.RecordBatchReader":
        """Return its first rows, as many as a guess needs. Raises SourceUnreadable, ResourceUnavailable."""
        return _open_table(self.relation, self.access, MAX_ROWS).open_rows(list)


def is_database(origin: str) -> bool:
    """Return True for an address of a database whose tables are read."""
    return "://" in origin and _scheme(origin) in _TYPES


def find_table(address: str, table: str | None, folder: Path) -> ServedTable:
    """Return a table or view of the database at an address. Raises WrongUsage, SourceUnreadable, ResourceUnavailable.

    What the address of a PostgreSQL does not say, the variables of libpq do: PGHOST, PGUSER, PGPASSWORD, and the like.
    """
    server, access = _server_of(address, table), ServerAccess(folder)
    if not table:
        # Of a query nothing is asked here; the relation stands for the server.
        known = _open_table(Relation(server, query="select 1"), access).list_tables()
        raise WrongUsage(f"{server.words}: say which table: --table NAME", suggest_name("", known))
    named = table.rpartition(".")[2]
    relation = Relation(server, named)
    opened = _open_table(relation, access)
    key = opened.key_columns()
    user, password = server.variable("USER"), server.variable("PASSWORD")
    notes = [f"a run reads the table from {server.words}, with the name and password in {user} and {password}"]
    written = {"server": server.name, "type": server.type, **server.fields, "port": int(server.field("port") or 0)}
    return ServedTable(written, named, key, tuple(notes), relation, access, opened.foreign_keys())


def _open_table(relation: Relation, access: ServerAccess, limit: int | None = None) -> PostgresTable | MysqlTable:
    if relation.server.type == "mysql":
        return MysqlTable(relation, access, limit)
    return PostgresTable(relation, access, limit)


def _server_of(address: str, table: str | None) -> Server:
    kind, parts = _TYPES[_scheme(address)], urlsplit(address)
    environment = dict(os.environ) if kind == "postgresql" else {}
    fields = {
        "host": parts.hostname or environment.get("PGHOST") or "localhost",
        "port": str(parts.port or environment.get("PGPORT") or _PORTS[kind]),
        "database": unquote(parts.path.strip("/")) or environment.get("PGDATABASE") or "",
    }
    if not fields["database"]:
        raise WrongUsage("the address names no database", f"{kind}://HOST:{_PORTS[kind]}/DATABASE")
    if kind == "postgresql":
        fields["schema"] = (table or "").rpartition(".")[0] or "public"
    elif "." in (table or ""):
        fields["database"] = (table or "").rpartition(".")[0]
    given = {
        "USER": unquote(parts.username or "") or environment.get("PGUSER", ""),
        "PASSWORD": unquote(parts.password or "") or environment.get("PGPASSWORD", ""),
    }
    name = plain_name(fields["database"], "server")
    return Server(name, kind, fields, credentials={name: value for name, value in given.items() if value})


def _scheme(address: str) -> str:
    return re.split(r"[:+]", address, maxsplit=1)[0].lower()
