"""Temporary folders that do not outlive their process for long: the next process removes those of a killed one.

A process holds a lock on a file in its folder for as long as it lives, and the system releases it however that ends. So
nobody has to guess by a process id, which may be somebody else's by now, whether a folder is still in use.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storymesh.file_lock import hold_lock, is_lock_held

PREFIX = "storymesh-"
LOCK = ".lock"
UNLOCKED_S = 3600.0  # after this time a folder without a lock is nobody's: locking it takes no second


@contextmanager
def temporary_folder(kind: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a new private folder `storymesh-<kind>-…` below `parent` (default: the system's place for such folders).

    It goes at the end; those of `kind` whose processes have gone are removed at the beginning.
    """
    within = parent or Path(tempfile.gettempdir())
    prefix = f"{PREFIX}{kind}-"
    remove_abandoned_folders(within, prefix)
    # It gets its name when its lock is held: a folder of this name without one is abandoned.
    made = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=within))
    folder = within / f"{prefix}{secrets.token_hex(8)}"
    try:
        with hold_lock(made / LOCK, timeout_s=0):
            made.rename(folder)
            yield folder
            _empty(folder)
    finally:
        for left in (made, folder):
            shutil.rmtree(left, ignore_errors=True)


def remove_abandoned_folders(within: Path, prefix: str) -> None:
    """Remove the folders of this user in `within` that begin with `prefix` and are used by no living process."""
    for folder in [*within.glob(f"{prefix}*"), *within.glob(f".{prefix}*")]:
        with suppress(OSError):
            found = folder.lstat()
            if folder.is_symlink() or not folder.is_dir() or found.st_uid != os.geteuid():
                continue
            if _is_abandoned(folder, time.time() - found.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    """Remove everything in the folder but its lock, so that a folder whose removal is interrupted still counts as
    abandoned."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)


def _is_abandoned(folder: Path, age_s: float) -> bool:
    if folder.name.startswith("."):  # being made, or left while it was
        return age_s > UNLOCKED_S
    try:
        return not is_lock_held(folder / LOCK)
    except FileNotFoundError:  # without a lock it is empty, or of an older version
        return age_s > UNLOCKED_S or not any(folder.iterdir())
