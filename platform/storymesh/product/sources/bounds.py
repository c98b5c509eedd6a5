"""How much a raw file may open to: a compressed or sparse file of a stranger would fill memory and disk.

Up to `FREE_BYTES` every file is fine. Beyond that, what it opens to may be `RATIO` times what it takes on disk: real
data compresses five- to fiftyfold, and a file made to grow a thousandfold.
"""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

FREE_BYTES = 2**30
RATIO = 200
MAX_LINE = 64 * 2**20
MAX_COLUMNS = 20_000
_STEP = 2**20


class OpensTooFar(Exception):
    """A file that opens to more than it may; the text completes "the file …"."""


def most_bytes(path: Path) -> int:
    """Return how many bytes the content of a file may have, by what the file takes on disk."""
    stat = path.stat()
    taken = min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)
    return max(FREE_BYTES, RATIO * taken)


def require_bounded(path: Path) -> None:
    """Raise OpensTooFar for a file that is larger than it may be by what it takes on disk: it has holes."""
    if path.stat().st_size > most_bytes(path):
        raise OpensTooFar(_words(most_bytes(path)))


def open_bounded(file: IO[bytes], path: Path) -> IO[bytes]:
    """Return the content of an opened file, decompressed when `path` says so. Reading raises OpensTooFar."""
    content = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if path.suffix.lower() == ".gz" else file
    return cast("IO[bytes]", io.BufferedReader(_Bounded(content, most_bytes(path)), _STEP))


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file. Raises OpensTooFar for one that is longer than `MAX_LINE`."""
    while line := file.readline(MAX_LINE):
        require_line(len(line) if not line.endswith(b"\n") else 0)
        yield line


def require_line(size: int) -> None:
    """Raise OpensTooFar for so many bytes without a line end."""
    if size >= MAX_LINE:
        raise OpensTooFar(f"has a line of more than {MAX_LINE // 2**20} MiB")


class _Bounded(io.RawIOBase):
    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._file.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise OpensTooFar(_words(self._limit))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def _words(limit: int) -> str:
    return f"opens to more than {limit / 2**30:,.1f} GiB, {RATIO} times what it takes on disk"
