"""Untrusted files: read only where they are regular files inside the folder that they belong to.

A template, a contract, a source or a release may come from a stranger. A link out of its folder would copy other files
into records, a named pipe or a device would never end, and a file may be larger than the memory.
"""

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from storymesh.errors import StorymeshError

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# A folder that may be entered and not listed is enough to open a file in it.
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class InputFileRefused(StorymeshError):
    """A file that is refused: `reason` completes "the file …"; `outside` is the folder that it leads out of."""

    def __init__(self, path: Path, reason: str, hint: str = "", *, outside: Path | None = None) -> None:
        self.path, self.reason, self.outside = path, reason, outside
        super().__init__(f"{path}: the file {reason}", hint)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file of the mesh's own, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_input(path: Path, root: Path, *, links: bool = True) -> BufferedReader:
    """Return `path` opened for reading. It has to be a regular file below `root`, and stay there when links are
    followed; without `links` no part of it below `root` may be one.

    Raises InputFileRefused.
    """
    target = _target_inside(path, root, links=links)
    try:
        descriptor = _open_below(target, root.resolve())
    except OSError as error:
        raise InputFileRefused(path, _failure(error)) from None
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        raise InputFileRefused(path, f"is {_kind_name(kind)}, not a regular file", "put the file itself there")
    return os.fdopen(descriptor, "rb")


def read_input(path: Path, root: Path, limit: int, *, links: bool = True) -> bytes:
    """Return the content of `path`, which has at most `limit` bytes; see `open_input`."""
    with open_input(path, root, links=links) as file:
        # Never more than the limit is read, whatever the file's size says or becomes.
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InputFileRefused(path, f"is larger than {_size_words(limit)}", "make it smaller, or split it")
    return content


def require_input(path: Path, root: Path, *, links: bool = True) -> None:
    """Raise InputFileRefused where `open_input` would, for a file that a library opens by its path."""
    open_input(path, root, links=links).close()


def require_inside(path: Path, root: Path) -> None:
    """Raise InputFileRefused where a file or folder does not exist, or leads out of `root`."""
    _target_inside(path, root, links=True)


def _open_below(target: Path, root: Path) -> int:
    """Return a descriptor of `target`, below `root`. Neither may turn into a link meanwhile."""
    # A pipe without a writer would be waited for; the kind of what was opened is asked of the opened file itself.
    if target == root or os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
        return os.open(target, _OPEN_FLAGS)
    *folders, name = target.relative_to(root).parts
    within = os.open(root, _FOLDER_FLAGS)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=within)
            os.close(within)
            within = below
        return os.open(name, _OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=within)
    finally:
        os.close(within)


def _target_inside(path: Path, root: Path, *, links: bool) -> Path:
    """Return where `path` leads below `root`. Raises InputFileRefused."""
    try:
        if not links and (link := _first_link(path, root)):
            words = "is a link" if link == path else f"stands behind the link {link.name}"
            raise InputFileRefused(path, words, "put the file itself there")
        target = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputFileRefused(path, _failure(error)) from None
    if not target.is_relative_to(root.resolve()):
        hint = "only files inside that folder are read; copy it there"
        raise InputFileRefused(path, f"leads out of {root}", hint, outside=root)
    return target


def _first_link(path: Path, root: Path) -> Path | None:
    """Return the first part of `path` below `root` that is a link."""
    below = path.relative_to(root) if path.is_relative_to(root) else Path(os.path.relpath(path, root))
    for count in range(1, len(below.parts) + 1):
        part = root.joinpath(*below.parts[:count])
        if part.is_symlink():
            return part
    return None


def _failure(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return "does not exist"
    if isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno == errno.ELOOP):
        return "is a link that leads back to itself"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    return f"cannot be read: {error}"


def _kind_name(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _size_words(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size:,} bytes"
