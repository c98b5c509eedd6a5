"""Files that somebody else may write to while they are read: what is read has to be of one state of a file.

A reader opens a file more than once, and reads for long. Rows of two states, or half of the last row, would be
published as if the file had ever held them.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

CHANGED = ("the file has changed while it was read", "run again when it is written; write another file and rename it")
"""Message and hint about a file of which two states were met."""

_CLOCK_TICK_NS = 20_000_000


@dataclass(frozen=True)
class FileState:
    """Which file it is, and when it was last written to."""

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
