"""The threads of a session: one for what is small, since others find nothing to do and wait for it at work."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.parquet_writer import ROW_GROUP

if TYPE_CHECKING:
    import duckdb

# Of Parquet or of Arrow: about what one thread reads anyway.
SMALL_BYTES = 4 * 2**20
SMALL_ROWS = 2 * ROW_GROUP


class SessionThreads:
    """Lets a session that was opened with one thread use `count` of them from the first large rows on.

    With two threads a query over some thousand rows takes half as much processor time again, and no less time.
    """

    def __init__(self, session: "duckdb.DuckDBPyConnection", count: str) -> None:
        self._session = session
        self._count = count
        self._size = 0  # of the rows that the session holds itself

    def expect_files(self, paths: Collection[str | Path]) -> None:
        """Prepare for files of Parquet that are read together. Files of another place count as large."""
        if self._count != "1" and not _are_small(paths):
            self._use_all()

    def expect_rows(self, size: int) -> None:
        """Prepare for so many bytes of rows beside those that the session holds already."""
        self._size += size
        if self._count != "1" and self._size >= SMALL_BYTES:
            self._use_all()

    def _use_all(self) -> None:
        self._session.execute(f"SET threads = {int(self._count)}")
        self._count = "1"


def _are_small(paths: Collection[str | Path]) -> bool:
    """Return True for few bytes and few rows: values that repeat let a file of many rows be small."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if sum(Path(path).stat().st_size for path in paths) >= SMALL_BYTES:
            return False
        rows: int = sum(pq.read_metadata(path).num_rows for path in paths)
    except (OSError, pa.ArrowInvalid):  # the engine says what is wrong with it
        return False
    return rows <= SMALL_ROWS
