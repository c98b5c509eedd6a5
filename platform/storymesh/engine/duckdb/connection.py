"""Opening DuckDB, in one way for every purpose: the clock is UTC, and no extension is ever fetched from the network."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


def open_duckdb(
    settings: Mapping[str, str], database: str | Path = ":memory:", *, read_only: bool = False
) -> "duckdb.DuckDBPyConnection":
    """Return a connection to a database file, or to memory; `settings` are DuckDB's own."""
    import duckdb

    config: dict[str, Any] = {"autoinstall_known_extensions": "false", **settings}
    connection = duckdb.connect(str(database), read_only=read_only, config=config)
    connection.execute("LOAD icu")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def parquet_scan(files: Iterable[str | Path]) -> str:
    """Return the SQL table function that reads exactly these Parquet files: no globs, no Hive partitions."""
    return f"read_parquet([{', '.join(quote_path(file) for file in files)}], hive_partitioning = false)"


def literal_path(path: str) -> str:
    """Return `path` as a DuckDB glob that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def quote_path(path: str | Path) -> str:
    """Return `path` as a SQL text that DuckDB takes literally."""
    return quote_text(literal_path(str(path)))


def quote_name(name: str) -> str:
    """Return `name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return `text` as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
