"""Locks between processes, on files. The system releases a lock when its process ends, however it ends.

The locks are `flock`s of the library `filelock`, which on Unix leaves the file where it is. Its fallback for file
systems without `flock`, a file that exists while the lock is held, would outlive a killed process, so it is off.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_lock(path: Path, timeout_s: float | None = None) -> Iterator[None]:
    """Hold the lock file `path`, which is created with its folder if missing; its content is left alone.

    Raises TimeoutError when another holds it for `timeout_s` seconds (0: one attempt; None: wait without end).
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    wait = -1 if timeout_s is None else max(timeout_s, 0)
    # One object for each hold, bound to no thread: a generator may be closed by another than the one that began it.
    with FileLock(path, timeout=wait, thread_local=False, fallback_to_soft=False):
        yield


def hold_lock_until_exit(path: Path) -> None:
    """Wait for the lock file `path`, which is created if missing, and hold it until this process ends, also across
    `exec`."""
    from filelock import lock_descriptor

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    lock_descriptor(descriptor, blocking=True)


def is_lock_held(path: Path) -> bool:
    """Return True if a living process holds the lock file `path`. Raises FileNotFoundError when there is none."""
    from filelock import lock_descriptor

    with path.open("r+b") as file:
        return not lock_descriptor(file.fileno(), blocking=False)
