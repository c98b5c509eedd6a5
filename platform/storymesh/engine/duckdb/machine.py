"""Memory and threads of a session: what the environment says, or a share of the machine or its container."""

import os
import re
from functools import cache
from pathlib import Path

from pydantic import ByteSize, TypeAdapter

from storymesh.errors import WrongUsage

MAX_MEMORY = 4 * 10**9
MAX_THREADS = 4096
MIN_MEMORY = 16 * 10**6  # less does not hold the pages of one small file
_SIZE = re.compile(r"\s*\d+(\.\d+)?\s*[a-z]*\s*", re.ASCII | re.IGNORECASE)
_SHARE_OF_DUCKDB = 0.8  # of what there is, by itself


def wanted_memory(memory: str | None) -> int:
    """Return the bytes for a session that is to have `memory` (default: `STORYMESH_MEMORY`, else `default_memory`).
    Raises WrongUsage for a size that is none."""
    memory = memory or os.environ.get("STORYMESH_MEMORY", "").strip()
    if not memory:
        return default_memory()
    words = f"STORYMESH_MEMORY is '{memory}'"
    try:
        if not _SIZE.fullmatch(memory):
            raise ValueError(memory)
        size = int(TypeAdapter(ByteSize).validate_python(memory))
    except ValueError as error:
        raise WrongUsage(words, "say how much, such as 4GB or 512MiB") from error
    if size < MIN_MEMORY:
        raise WrongUsage(f"{words}, which is too little to read a table", "say 1GB, or what the machine can spare")
    return size


def wanted_threads(threads: int | None) -> int:
    """Return the number of threads of a session (default: `STORYMESH_THREADS`, else all cores that this process may
    use). Raises WrongUsage for a number that is none."""
    written = os.environ.get("STORYMESH_THREADS", "").strip()
    if threads or not written:
        return threads or usable_cores()
    if not (written.isascii() and written.isdigit() and 0 < int(written) <= MAX_THREADS):
        hint = f"say how many, from 1 to {MAX_THREADS}; without it there is one for each core ({usable_cores()})"
        raise WrongUsage(f"STORYMESH_THREADS is '{written}'", hint)
    return int(written)


def require_spill_folder() -> None:
    """Raise WrongUsage where `TMPDIR` names no folder that can be written: Python would take another in silence, on a
    disk that nobody chose."""
    written = os.environ.get("TMPDIR")
    if written and not (Path(written).is_dir() and os.access(written, os.W_OK | os.X_OK)):
        words = f"TMPDIR is '{written}', which is no folder that can be written"
        raise WrongUsage(words, "queries spill there: make the folder, name another one, or unset TMPDIR")


def check_settings() -> None:
    """Raise WrongUsage for what the environment says of sessions and no session can have."""
    if os.environ.get("STORYMESH_MEMORY", "").strip():
        wanted_memory(None)
    wanted_threads(None)
    require_spill_folder()


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
