"""Update the inventory of a product's files: open what is new or changed, read it, and record it.

What is read is written within a quarter of a second, by a thread of its own, so that whoever kills the process loses no
more. Nothing that was read before is read again.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from storymesh.errors import StorymeshError
from storymesh.files.content import FilePlace, OpenedFile
from storymesh.files.definition import FilesFile
from storymesh.files.inventory import Inventory
from storymesh.files.listing import FileEntry
from storymesh.files.reading.content_type import kind_of
from storymesh.files.reading.reading import Attachment, FileReading, Kind, Refused
from storymesh.files.reading_columns import reading_batch, reading_row, reading_schema

if TYPE_CHECKING:
    import pyarrow as pa

WRITE_EVERY_S = 0.2
NO_READER = "no reader"
MAX_ATTACHMENTS = 1_000
_FEW = 1

ReadItem = tuple[str, "bytes | Path", Kind, Mapping[str, Any]]
GatherProgress = Callable[[int, int], None]
"""It is given how many of the files to be opened are done, and how many there are."""


class FileReaders(Protocol):
    """What reads files in bounded processes."""

    def read_many(self, items: Iterable[ReadItem]) -> Iterator[tuple[str, FileReading | Refused]]:
        """Yield what became of each, by its key, in any order."""
        ...


class FilesGone(StorymeshError):
    """More files missing at once than the definition allows: none of them counts as deleted."""


@dataclass
class Gathered:
    """What was done: how many files were listed, opened and read."""

    listed: int = 0
    opened: int = 0
    read: int = 0


@dataclass
class _Waiting:
    """A content that is being read: the files that have it, and then its attachments that are being read."""

    entries: list[FileEntry] = field(default_factory=list)
    reading: FileReading | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    left: int = 0


def gather(
    inventory: Inventory,
    place: FilePlace,
    file: FilesFile,
    readers: FileReaders,
    options: Callable[[Kind], Mapping[str, Any]],
    progress: GatherProgress | None = None,
    unread: Set[Kind] = frozenset(),
) -> Gathered:
    """Bring the inventory up to date with the files of a place. Attachments of the kinds in `unread` have no reader.

    Raises FilesUnreachable where the place cannot be listed, and FilesGone where more files are missing than may be;
    then the inventory keeps what it had.
    """
    counted = Gathered()
    total = inventory.take_listing(_count_entries(place.list_files(), counted))
    with _writing(inventory, reading_schema(file)) as record:
        run = _Gathering(inventory, place, file, options, unread, record, counted)
        for key, result in run.read_all(readers):
            run.take(key, result)
            if progress is not None:
                progress(counted.opened, total)
    _require_present(inventory, file.limits.gone)
    inventory.finish()
    return counted


def _count_entries(entries: Iterable[FileEntry], counted: Gathered) -> Iterator[FileEntry]:
    for entry in entries:
        counted.listed += 1
        yield entry


def _require_present(inventory: Inventory, limit: float) -> None:
    known, missing = inventory.count_missing()
    if missing > limit * known and (missing > _FEW or missing == known):
        words = f"{missing:,} of {known:,} files are gone at once, more than {100 * limit:.4g} %"
        hint = "where they are gone for good, allow it once: limits: {gone: 1}; else look whether the place is whole"
        raise FilesGone(words, hint)


class _Gathering:
    """One pass over the files to be opened. The readers may ask for files from another thread."""

    def __init__(
        self,
        inventory: Inventory,
        place: FilePlace,
        file: FilesFile,
        options: Callable[[Kind], Mapping[str, Any]],
        unread: Set[Kind],
        record: "_Record",
        counted: Gathered,
    ) -> None:
        self._inventory, self._place, self._file, self._options = inventory, place, file, cache(options)
        self._unread, self._record, self._count_entries = unread, record, counted
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._inside: deque[ReadItem] = deque()

    def read_all(self, readers: FileReaders) -> Iterator[tuple[str, FileReading | Refused]]:
        """Yield what became of each file, and then of what is inside of files."""
        opened = self._place.open_files(self._inventory.pending(), self._file.limits.bytes)
        while True:
            yield from readers.read_many(self._items(opened))
            if not self._inside:
                return

    def _items(self, opened: Iterator[tuple[FileEntry, OpenedFile | Refused]]) -> Iterator[ReadItem]:
        while self._inside:
            yield self._inside.popleft()
        for entry, content in opened:
            self._count_entries.opened += 1
            if isinstance(content, Refused):
                self._record.file(entry, None, content)
            elif self._begin(entry, content.sha256):
                kind = self._file.origin.kind
                yield content.sha256, content.content, kind, self._options(kind)
            while self._inside:
                yield self._inside.popleft()

    def _begin(self, entry: FileEntry, sha256: str) -> bool:
        """Return True for a content that nobody has read, and nobody is reading."""
        with self._lock:
            if sha256 in self._waiting:
                self._waiting[sha256].entries.append(entry)
                return False
            if self._record.has(sha256):
                self._record.file(entry, sha256, None)
                return False
            self._waiting[sha256] = _Waiting([entry])
            return True

    def take(self, key: str, result: FileReading | Refused) -> None:
        """Take what became of a file, or of a file inside it (`<sha256>/<number>`)."""
        sha256, _, number = key.partition("/")
        with self._lock:
            waiting = self._waiting[sha256]
            if number:
                found = waiting.attachments[int(number)]
                refused = isinstance(result, Refused)
                found |= {"refused": result.reason} if isinstance(result, Refused) else {"text": result.text}
                self._count_entries.read += not refused
                waiting.left -= 1
            elif isinstance(result, Refused):
                self._finish(sha256, waiting, result)
                return
            else:
                self._count_entries.read += 1
                waiting.reading = result
                if self._file.origin.attachments:
                    self._open_inside(sha256, waiting, result.attachments)
            if waiting.left == 0:
                self._finish(sha256, waiting, None)

    def _open_inside(self, sha256: str, waiting: _Waiting, attachments: Iterable[Attachment]) -> None:
        for number, found in enumerate(attachments):
            kind = kind_of(found.content)
            row: dict[str, Any] = {
                "part": found.part,
                "name": found.name,
                "kind": kind,
                "size": len(found.content),
                "sha256": hashlib.sha256(found.content).hexdigest(),
            }
            waiting.attachments.append(row)
            if kind not in self._file.origin.attachments:
                continue
            if number >= MAX_ATTACHMENTS or len(found.content) > self._file.limits.bytes:
                row["refused"] = "too large"
                continue
            if kind in self._unread:
                row["refused"] = NO_READER
                continue
            waiting.left += 1
            self._inside.append((f"{sha256}/{number}", found.content, kind, self._options(kind)))

    def _finish(self, sha256: str, waiting: _Waiting, refused: Refused | None) -> None:
        if waiting.reading is not None:
            self._record.reading(reading_row(sha256, waiting.reading, waiting.attachments))
        elif refused is not None and refused.lasting:
            self._record.refused(sha256, refused)
        lasting = refused is None or refused.lasting
        for entry in waiting.entries:
            self._record.file(entry, sha256 if lasting else None, None if lasting else refused)
        del self._waiting[sha256]


@dataclass
class _Found:
    """What has been found of some files and their contents."""

    files: list[tuple[FileEntry, str | None, Refused | None]] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)

    def has(self, sha256: str) -> bool:
        return sha256 in self.rows or sha256 in self.refused


class _Record:
    """What has been found and is not written yet, or is being written."""

    def __init__(self, inventory: Inventory, schema: "pa.Schema") -> None:
        self._inventory, self._schema = inventory, schema
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._found, self._written = _Found(), _Found()

    def file(self, entry: FileEntry, sha256: str | None, refused: Refused | None) -> None:
        """Note the content of a file, or why it has none."""
        with self._lock:
            self._found.files.append((entry, sha256, refused))

    def reading(self, row: dict[str, Any]) -> None:
        """Note a reading."""
        with self._lock:
            self._found.rows[row["sha256"]] = row

    def refused(self, sha256: str, refused: Refused) -> None:
        """Note a content that gives no reading, whenever it is read."""
        with self._lock:
            self._found.refused[sha256] = refused

    def has(self, sha256: str) -> bool:
        """Return True if it is known what a content gives."""
        with self._lock:
            if self._found.has(sha256) or self._written.has(sha256):
                return True
        return self._inventory.is_read(sha256)

    def write(self) -> None:
        """Write what is not written yet; what is found meanwhile waits for the next time, and for nobody."""
        with self._writing:
            with self._lock:
                self._written, self._found = self._found, _Found()
            found = self._written
            if found.files or found.rows or found.refused:
                rows = reading_batch(list(found.rows.values()), self._schema) if found.rows else None
                self._inventory.store(found.files, rows, found.refused)


@contextmanager
def _writing(inventory: Inventory, schema: "pa.Schema") -> Iterator[_Record]:
    """Yield a record that a thread writes every `WRITE_EVERY_S`, and the last of it at the end, whatever happens."""
    record = _Record(inventory, schema)
    ended = threading.Event()
    failures: list[Exception] = []

    def write_now_and_then() -> None:
        while not ended.wait(WRITE_EVERY_S):
            try:
                record.write()
            except Exception as error:
                failures.append(error)
                return

    thread = threading.Thread(target=write_now_and_then, name="storymesh-inventory", daemon=True)
    thread.start()
    try:
        yield record
    finally:
        ended.set()
        thread.join()
        record.write()
    if failures:
        raise failures[0]
