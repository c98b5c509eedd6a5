"""The SQLite file of a domain's Iceberg catalog, looked at before anything uses it.

A mesh folder of a stranger may bring its store. A view or a trigger in that file would be run by every query on it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from storymesh.errors import StorymeshError
from storymesh.input_file import InputFileRefused, require_input

_TABLES = ("iceberg_tables", "iceberg_namespace_properties")


def require_plain_database(path: Path) -> None:
    """Raise StorymeshError where the file is none of SQLite's, or holds more than the two tables of a catalog.

    A file that does not exist yet, or that another process is making, is fine.
    """
    if not path.exists() and not path.is_symlink():
        return
    hint = "bring it back from a copy of the store, or move it away and run: whole tables are found again"
    try:
        require_input(path, path.parent, links=False)
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=60)) as connection:
            found = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
    except InputFileRefused as refused:
        raise StorymeshError(f"the catalog {refused}", hint) from None
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise StorymeshError(f"the catalog {path} cannot be read: {error}", hint) from None
    foreign = [str(name) for kind, name, table in found if kind not in ("table", "index") or table not in _TABLES]
    if foreign:
        words = f"the catalog {path} holds {foreign[0][:80]!r}, which storymesh did not put there"
        raise StorymeshError(words, hint)


def database_url(path: Path) -> str:
    """Return the address of the file for SQLAlchemy, with every odd character of its path quoted."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(path), query={"timeout": "60"}).render_as_string()
