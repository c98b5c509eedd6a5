"""Faults that a process brings upon itself: it dies at one of its writes, finds the disk full, may write only small
files or none. And what a run measures of itself where it meets no fault."""

import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEASURED = "measured.json"
COUNT = "count"
NOBODY = 65534

LEAVING: list[Callable[[], None]] = []
"""What this process does when its run has ended."""

Roots = tuple[str, ...]


def _on_writes(roots: Roots, act: Callable[[int, str, str], None]) -> None:
    """Call `act` with number, name and paths of each operation of this process that changes which files are below
    `roots`: a file opened to write, renamed or removed, a folder made. What libraries write themselves lies between
    two of these."""
    count = 0
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def hear(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            counts = isinstance(given[2], int) and bool(given[2] & writing)
        else:
            counts = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link")
        if counts and str(given[0]).startswith(roots):
            count += 1
            act(count, event, " ".join(map(str, given[:2])))

    sys.addaudithook(hear)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_write(roots: Roots, place: int, folder: Path) -> None:
    """Die just before the write of this number; where it never comes, leave in `folder` how many there were."""
    counted = [0]

    def act(number: int, _event: str, _paths: str) -> None:
        if number == place:
            _die()
        counted[0] = number

    _on_writes(roots, act)
    LEAVING.append(lambda: (folder / COUNT).write_text(str(counted[0]), encoding="utf-8") and None)


def die_around(roots: Roots, event: str, part: str, *, after: bool) -> None:
    """Die just before, or `after`, the first operation of this kind; after it means before the next write."""
    met: list[bool] = []

    def act(_number: int, name: str, paths: str) -> None:
        if met:
            _die()
        if name == event and part in paths:
            if after:
                met.append(True)
            else:
                _die()

    _on_writes(roots, act)


def fill_disk_at_write(roots: Roots, place: int) -> None:
    """From the write of this number on there is no room for another file or folder."""

    def act(number: int, event: str, _paths: str) -> None:
        if number >= place and event in ("open", "os.mkdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _on_writes(roots, act)


def leave_measurements(roots: Roots, folder: Path) -> None:
    """Leave what this run measures in `folder` when it ends: seconds, writes, and the modules that it imported."""
    began = time.monotonic()
    counted = [0]
    _on_writes(roots, lambda number, _event, _paths: counted.__setitem__(0, number))

    def leave() -> None:
        found = {"seconds": time.monotonic() - began, "writes": counted[0], "modules": sorted(sys.modules)}
        (folder / MEASURED).write_text(json.dumps(found), encoding="utf-8")

    LEAVING.append(leave)


def limit_file_size(size: int) -> None:
    """No file may grow beyond `size` bytes: what is written then fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.dont_write_bytecode = True  # Python keeps the half that it may write
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def forbid_writing(root: Path) -> None:
    """The mesh may be read only: by being somebody else, or else by its rights, which the next run gives back."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        return
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.chmod(0o555)


def allow_writing(root: Path) -> None:
    """Give back what `forbid_writing` took by rights."""
    if os.geteuid() != 0:
        for folder, _, _ in os.walk(root):
            Path(folder).chmod(0o755)
