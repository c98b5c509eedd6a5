"""DuckDB as audits and digests use it: a connection in memory whose clock is UTC, and Parquet files taken literally."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def connect(**settings: str) -> "duckdb.DuckDBPyConnection":
    """A connection in memory that fetches nothing from the network; `settings` add to that."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", **settings})
    connection.execute("LOAD icu")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def scan_of(files: Sequence[str]) -> str:
    """SQL that reads exactly these files. A path may hold what DuckDB takes for a pattern (`[`, `*`) or for a
    partition (`x=1/`): neither is meant."""
    return f"read_parquet([{', '.join(map(literal_path, files))}], hive_partitioning = false)"


def literal_path(path: str) -> str:
    """A path as a text of SQL in which DuckDB finds no pattern."""
    return "'" + re.sub(r"([*?\[])", r"[\1]", path).replace("'", "''") + "'"
