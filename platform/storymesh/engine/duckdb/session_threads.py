"""The threads of a session: one for what is small, since others find nothing to do and wait for it at work."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

SMALL_BYTES = 4 * 2**20  # of Parquet or of Arrow: about one row group, which one thread reads anyway


class SessionThreads:
    """Lets a session that was opened with one thread use `count` of them from the first large rows on.

    With two threads a query over some thousand rows takes half as much processor time again, and no less time.
    """

    def __init__(self, session: "duckdb.DuckDBPyConnection", count: str) -> None:
        self._session = session
        self._count = count
        self._size = 0  # of the rows that the session holds itself

    def expect_files(self, paths: Iterable[str | Path]) -> None:
        """Prepare for files that are read together. Files of another place count as large."""
        try:
            size = sum(Path(path).stat().st_size for path in paths)
        except OSError:
            size = SMALL_BYTES
        self._use_all_from(size)

    def expect_rows(self, size: int) -> None:
        """Prepare for so many bytes of rows beside those that the session holds already."""
        self._size += size
        self._use_all_from(self._size)

    def _use_all_from(self, size: int) -> None:
        if size >= SMALL_BYTES and self._count != "1":
            self._session.execute(f"SET threads = {int(self._count)}")
            self._count = "1"
