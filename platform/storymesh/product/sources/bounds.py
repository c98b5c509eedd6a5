"""The opening of raw files, decompressed and as UTF-8, and the bounds of their size: a compressed or sparse file of a
stranger would fill memory and disk.

Up to `FREE_BYTES` every file is fine. Beyond that, what it opens to may be `RATIO` times what it takes on disk: real
data compresses five- to fiftyfold, and a file made to grow a thousandfold.
"""

import codecs
import gzip
import io
import lzma
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from zipfile import BadZipFile, ZipFile, ZipInfo

FREE_BYTES = 2**30
RATIO = 200
MAX_LINE = 64 * 2**20
MAX_COLUMNS = 20_000
_STEP = 2**20


COMPRESSED = (".gz", ".zst", ".zip")
_MAX_MEMBERS = 10_000
_LISTED = 5
_FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError, BadZipFile, RuntimeError, NotImplementedError, ValueError)
CHANGED = ("the file has changed while it was read", "run again when it is written; write another file and rename it")
"""Message and hint about a file of which two states were met."""
_CLOCK_TICK_NS = 20_000_000


class ContentRefused(Exception):
    """A file whose content is not read; the text completes "the file …", the hint says what to do."""

    hint = ""


class ContentTooLarge(ContentRefused):
    """A file that opens to more than it may."""

    hint = "split it, or take out what is not data"


class DamagedContent(ContentRefused):
    """A compressed file that cannot be opened."""

    def __init__(self, fault: object) -> None:
        super().__init__(f"is damaged: {' '.join(str(fault).split())[:200]}")


class AmbiguousMember(ContentRefused):
    """An archive of which it is not clear which of its files is meant."""

    def __init__(self, words: str, hint: str) -> None:
        super().__init__(words)
        self.hint = hint


class WrongEncoding(ContentRefused):
    """A text that is not in the encoding that it is said to be in."""

    hint = "say its encoding, or save it as UTF-8"


def most_bytes(path: Path) -> int:
    """Return how many bytes the content of a file may have, by what the file takes on disk."""
    stat = path.stat()
    taken = min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)
    return max(FREE_BYTES, RATIO * taken)


def require_bounded(path: Path) -> None:
    """Raise ContentTooLarge for a file that is larger than it may be by what it takes on disk: it has holes."""
    if path.stat().st_size > most_bytes(path):
        raise ContentTooLarge(_fault_of_limit(most_bytes(path)))


def open_content(file: IO[bytes], path: Path, encoding: str | None, member: str | None) -> io.BufferedReader:
    """Return the content of an opened file: decompressed as the end of `path` says, a text of `encoding` as UTF-8.

    `member` is the file meant in an archive of several. Raises ContentRefused, as reading does.
    """
    content = _Bounded(_decompressed(file, path.suffix.lower(), member), most_bytes(path))
    raw: io.RawIOBase = content if encoding is None else _Transcoded(content, encoding)
    return io.BufferedReader(raw, _STEP)


def _decompressed(file: IO[bytes], suffix: str, member: str | None) -> IO[bytes]:
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if suffix == ".zst":
        import pyarrow as pa

        return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))
    if suffix == ".zip":
        found = archive_member(file, member)
        try:
            return ZipFile(file).open(found)
        except _FAULTS as error:
            raise DamagedContent(error) from None
    return file


def archive_member(file: IO[bytes], member: str | None) -> ZipInfo:
    """Return the one file in an archive, or the one that `member` names. Raises ContentRefused.

    Nothing is unpacked to the disk, so its path there does not matter.
    """
    try:
        with ZipFile(file) as archive:
            members = archive.infolist()
    except _FAULTS as error:
        raise DamagedContent(error) from None
    if len(members) > _MAX_MEMBERS:
        raise ContentTooLarge(f"has more than {_MAX_MEMBERS:,} files inside")
    files = [found for found in members if not found.is_dir() and not _is_of_a_system(found.filename)]
    chosen = [found for found in files if member is None or found.filename == member]
    names = ", ".join(found.filename for found in files[:_LISTED]) + (", …" if len(files) > _LISTED else "")
    if len(chosen) != 1:
        words = f"has no file '{member}' inside" if member and not chosen else f"has {len(files):,} files inside"
        raise AmbiguousMember(words, f"say which one: member: NAME ({names})" if files else "put one file into it")
    if chosen[0].flag_bits & 1:
        raise AmbiguousMember("has a password", "unpack it, or pack it without one")
    return chosen[0]


def _is_of_a_system(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db")


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file. Raises ContentTooLarge for one that is longer than `MAX_LINE`."""
    while line := file.readline(MAX_LINE):
        require_line(len(line) if not line.endswith(b"\n") else 0)
        yield line


def require_line(size: int) -> None:
    """Raise ContentTooLarge for so many bytes without a line end."""
    if size >= MAX_LINE:
        raise ContentTooLarge(f"has a line of more than {MAX_LINE // 2**20} MiB")


class _Bounded(io.RawIOBase):
    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            piece = self._file.read(len(buffer))
        except _FAULTS as error:
            raise DamagedContent(error) from None
        self._left -= len(piece)
        if self._left < 0:
            raise ContentTooLarge(_fault_of_limit(self._limit))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Transcoded(io.RawIOBase):
    """A text in some encoding as UTF-8."""

    def __init__(self, file: io.RawIOBase, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._lines = 1
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            piece = self._file.read(_STEP) or b""
            self._ended = not piece
            try:
                text = self._decoder.decode(piece, final=self._ended)
                self._ready = text.encode("utf-8")
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                line = self._lines + piece[:start].count(b"\n")
                raise WrongEncoding(f"is not {self._encoding} on line {line:,}") from None
            self._lines += text.count("\n")
        given, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)

    def close(self) -> None:
        self._file.close()
        super().close()


def _fault_of_limit(limit: int) -> str:
    return f"opens to more than {limit / 2**30:,.1f} GiB, {RATIO} times what it takes on disk"


@dataclass(frozen=True)
class FileState:
    """Which file it is, and when it was last written to.

    A reader opens a file more than once, and reads for long. Rows of two states, or half of the last row, would be
    published as if the file had ever held them.
    """

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: int | Path) -> "FileState":
        """Return the state of a path, or of the file of a descriptor. Raises OSError."""
        stat = os.fstat(file) if isinstance(file, int) else file.stat()
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)

    @classmethod
    def settled(cls, file: int | Path) -> "FileState":
        """Return the state of a file from which a later change differs: file systems tell time in ticks."""
        state = cls.of(file)
        if abs(time.time_ns() - state.modified_ns) < _CLOCK_TICK_NS:
            time.sleep(_CLOCK_TICK_NS / 1e9)
        return cls.of(file)
