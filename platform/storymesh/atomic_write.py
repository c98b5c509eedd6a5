"""Files that are written whole or not at all.

Whatever reads a path sees the file that was there before or the new one, also when the writer is killed half way or the
power is cut: the content is on the disk before the name is.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

_SYNCED_AT_ONCE = 16


@contextmanager
def staged_file(path: Path, *, mode: int | None = None, keep_existing: bool = False) -> Iterator[Path]:
    """Yield a hidden path beside `path` to write to. It is renamed to `path` at the end, or removed after an error.

    Missing parent folders are made. With `mode` the file has these permissions before anything stands in it. With
    `keep_existing` a file that is at `path` by the end stays, so that the first of several writers wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    if mode is not None:
        staged.touch(mode=mode, exist_ok=False)
    try:
        yield staged
        sync_file(staged)
        if keep_existing:
            with suppress(FileExistsError):
                os.link(staged, path)
        else:
            staged.replace(path)
        sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def write_atomically(path: Path, text: str, *, mode: int | None = None, keep_existing: bool = False) -> None:
    """Write `text` as UTF-8 to `path`, as `staged_file` does."""
    with staged_file(path, mode=mode, keep_existing=keep_existing) as staged:
        staged.write_text(text, encoding="utf-8")


def open_private(path: Path, mode: str = "w") -> TextIO:
    """Open a text file that its owner alone may read; missing folders are made so too. A link is not followed."""

    def opener(name: str, flags: int) -> int:
        descriptor = os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with suppress(OSError):  # of somebody else, or on a file system without rights
            os.fchmod(descriptor, 0o600)
        return descriptor

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cast("TextIO", open(path, mode, encoding="utf-8", errors="backslashreplace", opener=opener))


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def sync_meanwhile() -> Iterator[Callable[[Path], None]]:
    """Yield a function that is told of each file that has been written; at the end all of them are on the disk.

    Of a thousand small files a disk takes many at once in a sixth of the time that it takes one after another.
    """
    waiting: list[Future[None]] = []
    with ThreadPoolExecutor(_SYNCED_AT_ONCE, "sync") as pool:
        yield lambda path: waiting.append(pool.submit(sync_file, path))
    for file in waiting:
        file.result()


def sync_tree(folder: Path) -> None:
    """Wait until every file and folder in `folder` is on the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(parent) / name)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Wait until the entries of `folder`, such as a renamed one, are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
