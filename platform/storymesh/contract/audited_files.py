"""The files of an audit, put together as far as memory holds their rows: many small ones are read by one query."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ROWS_AT_ONCE = 500_000
_BYTES_AT_ONCE = 256 * 2**20
_FILES_AT_ONCE = 1_000


@dataclass(frozen=True)
class AuditedFile:
    """A Parquet file with its number of rows, and the bytes that these take in memory (None: unknown)."""

    path: str
    rows: int
    size: int | None = None


@dataclass(frozen=True)
class FileGroup:
    """Files that are read at once. `start` is the number of their first row among the rows of all files."""

    start: int
    rows: int
    paths: tuple[str, ...]


def group_files(files: Iterable[AuditedFile]) -> Iterator[FileGroup]:
    """Yield the files, in their order, in groups that are small in memory; one that is not small is alone."""
    group, size = FileGroup(0, 0, ()), 0
    for file in files:
        added = _BYTES_AT_ONCE if file.size is None else file.size
        full = group.rows + file.rows > _ROWS_AT_ONCE or size + added > _BYTES_AT_ONCE
        if group.paths and (full or len(group.paths) == _FILES_AT_ONCE):
            yield group
            group, size = FileGroup(group.start + group.rows, 0, ()), 0
        group, size = FileGroup(group.start, group.rows + file.rows, (*group.paths, file.path)), size + added
    if group.paths:
        yield group
