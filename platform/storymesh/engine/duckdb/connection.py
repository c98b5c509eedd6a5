"""Opening DuckDB, in one way for every purpose: the clock is UTC, and no extension is ever fetched from the network."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from storymesh.engine.sql_text import quote_text

if TYPE_CHECKING:
    import duckdb

# Those of this process, so that another thread can end their work.
_SESSIONS: "WeakSet[duckdb.DuckDBPyConnection]" = WeakSet()


def open_duckdb(
    settings: Mapping[str, str], database: str | Path = ":memory:", *, read_only: bool = False
) -> "duckdb.DuckDBPyConnection":
    """Return a connection to a database file, or to memory; `settings` are DuckDB's own."""
    import duckdb

    config: dict[str, Any] = {"autoinstall_known_extensions": "false", **settings}
    connection = duckdb.connect(str(database), read_only=read_only, config=config)
    _SESSIONS.add(connection)
    connection.execute("LOAD icu")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it is drawn into logs too
    return connection


def close_default_session() -> None:
    """Close the session that DuckDB opens on import, with its threads; storymesh does not use it."""
    import duckdb

    duckdb.default_connection().close()


def interrupt_sessions() -> None:
    """Interrupt every session of this process, each of which then raises. Call it from another thread."""
    import duckdb

    for session in list(_SESSIONS):
        with suppress(duckdb.Error):  # of one that is closed
            session.interrupt()


def confine(connection: "duckdb.DuckDBPyConnection", only: Iterable[Path]) -> None:
    """Confine a session for good to the files in `only` and to what lies below its folders."""
    files, folders = list[str](), list[str]()
    for path in only:
        # DuckDB compares texts: a path with `..` or behind a link has to be named as it is opened.
        (folders if path.is_dir() else files).append(str(path))
    # A glob that matches only itself is compared before it is resolved, so it is named as well.
    paths = dict.fromkeys((*files, *map(literal_path, files)))
    connection.execute(f"SET allowed_paths = [{', '.join(map(quote_text, paths))}]")
    connection.execute(f"SET allowed_directories = [{', '.join(map(quote_text, folders))}]")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def parquet_scan(files: Iterable[str | Path]) -> str:
    """Return the SQL table function that reads exactly these Parquet files: no globs, no Hive partitions."""
    return f"read_parquet([{', '.join(quote_path(file) for file in files)}], hive_partitioning = false)"


def literal_path(path: str) -> str:
    """Return `path` as a DuckDB glob that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def quote_path(path: str | Path) -> str:
    """Return `path` as a SQL text that DuckDB takes literally."""
    return quote_text(literal_path(str(path)))
