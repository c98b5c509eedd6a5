"""The share of the machine, or of the container that this runs in, that a session takes where nobody says it."""

import os
from functools import cache

from pydantic import ByteSize, TypeAdapter

MAX_MEMORY = 4 * 10**9
_SHARE_OF_DUCKDB = 0.8  # of what there is, by itself


@cache
def default_memory() -> int:
    """Return the bytes of memory for a session: half of what there is, and 4 GB at most.

    Python takes more beside it.
    """
    import duckdb

    with duckdb.connect() as session:
        (limit,) = session.sql("SELECT current_setting('memory_limit')").fetchone() or ("0B",)
    return session_memory(str(limit))


def session_memory(limit_of_duckdb: str) -> int:
    """Return the bytes for a session where DuckDB would take so much, such as `12.5 GiB`."""
    there_is = TypeAdapter(ByteSize).validate_python(limit_of_duckdb) / _SHARE_OF_DUCKDB
    return min(MAX_MEMORY, int(there_is / 2))


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
