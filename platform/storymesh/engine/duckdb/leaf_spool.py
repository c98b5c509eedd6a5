"""The leaves of a digest, sorted outside memory: beyond a limit they are spooled to a file."""

import tempfile
import weakref
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LEAF = 32
"""Bytes of a SHA-256."""

_IN_MEMORY = 1 << 25  # bytes of leaves, before they go to the file
_SORTED = 1 << 19  # leaves sorted at once, as far as their first bytes divide them


@dataclass(frozen=True)
class _Run:
    """Leaves of one part after one another, in the order of their first bytes: those that begin with the byte `b` are
    the ones from `bounds[b]` to `bounds[b + 1]` of the spool."""

    part: int
    bounds: "np.ndarray[Any, Any]"


class LeafSpool:
    """Takes leaves in any order, each of a numbered part, and gives those of some parts sorted.

    They are written ordered by their first byte, of which there are equally many of each kind in SHA-256. So what
    begins with one of them is read from all runs, and sorted alone. The file lies in `folder` (None: the system's place
    for such files), has no name, and goes with the process.
    """

    def __init__(self, folder: Path | None) -> None:
        place = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=place)  # noqa: SIM115  it lives as long as this
        weakref.finalize(self, self._file.close)
        self._runs: list[_Run] = []
        self._count = 0

    def add(self, leaves: bytes, part: int) -> None:
        """Take leaves that stand one after another."""
        import numpy as np

        rows = np.frombuffer(leaves, f"V{LEAF}")
        first = np.frombuffer(leaves, np.uint8)[::LEAF]
        self._file.seek(self._count * LEAF)
        self._file.write(rows[np.argsort(first, kind="stable")].data)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=256))]) + self._count
        self._runs.append(_Run(part, bounds))
        self._count += len(rows)

    def sorted(self, parts: Collection[int] | None = None) -> "Iterator[memoryview]":
        """Yield the leaves of the `parts` (None: of all), sorted, many at once."""
        import numpy as np

        runs = [run for run in self._runs if parts is None or run.part in parts]
        if not runs:
            return
        begins = np.cumsum([0, *np.diff(np.sum([run.bounds for run in runs], axis=0))])
        low = 0
        while low < 256:
            high = max(low + 1, int(np.searchsorted(begins, begins[low] + _SORTED, side="right")) - 1)
            found = [self._read(int(run.bounds[low]), int(run.bounds[high])) for run in runs]
            # NumPy orders these by their bytes. It takes zeros at their ends for padding, which changes no order.
            leaves = np.frombuffer(bytearray().join(found), f"S{LEAF}")
            leaves.sort()
            yield leaves.view(np.uint8).data
            low = high

    def _read(self, begin: int, end: int) -> bytes:
        self._file.seek(begin * LEAF)
        return self._file.read((end - begin) * LEAF)
