"""The places of a source's rows: the file and the line, for people who look for one that was refused.

Files are read once more for it, and only as far as the last row that is asked for: rows that go on need no place.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.errors import SourceUnreadable
from storymesh.product.sources.bounds import ContentRefused
from storymesh.product.sources.source import SourceFile

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class RowPlaces:
    """The files of a source in the order of its rows, each with what yields the lines of its rows, below `folder`."""

    files: "Sequence[tuple[SourceFile, Callable[[SourceFile], Iterator[np.ndarray[Any, Any]]]]]"
    folder: Path

    def find(self, rows: "np.ndarray[Any, Any]") -> "tuple[pa.Array, pa.Array]":
        """Return file and line of `rows`, numbers from 0 that ascend; null where a file cannot be read any more."""
        import numpy as np
        import pyarrow as pa

        places, lines = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        found = start = 0
        for number, (source, record_lines) in enumerate(self.files):
            # What changed since is not worth an error: the row itself is kept.
            with suppress(SourceUnreadable, ContentRefused):
                for piece in record_lines(source):
                    if found == len(rows):
                        break
                    end = int(np.searchsorted(rows, start + len(piece)))
                    places[found:end] = number
                    lines[found:end] = piece[rows[found:end] - start]
                    found, start = end, start + len(piece)
        names = pa.array([source.path.relative_to(self.folder).as_posix() for source, _ in self.files], pa.string())
        known = np.arange(len(rows)) < found
        return names.take(pa.array(places, mask=~known)), pa.array(lines, mask=~known)
