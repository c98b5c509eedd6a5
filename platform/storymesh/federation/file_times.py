"""Versions of files from size and modification time, where the time tells two states apart; no content is read."""

import time
from collections.abc import Iterable
from pathlib import Path

SETTLED_S = 2.0
"""A file that changes twice within the resolution of its time may have two contents of one size and one time."""


def version_of_files(files: Iterable[tuple[str, int | None, float]]) -> str | None:
    """Return what files (name, size, seconds since 1970) are known by; None where one may still be written to."""
    listed = sorted(files)
    if any(time.time() - changed < SETTLED_S for _, _, changed in listed):
        return None
    return " ".join(f"{name} {size} {changed!r}" for name, size, changed in listed)


def version_of_database(path: Path, beside: Iterable[str]) -> str | None:
    """Return what a database file is known by, with the logs that stand `beside` it by the ends of their names."""
    paths = [path, *(path.with_name(f"{path.name}{end}") for end in beside)]
    found = [(item.name, item.stat()) for item in paths if item.is_file()]
    return version_of_files((name, stat.st_size, stat.st_mtime_ns / 1e9) for name, stat in found) if found else None
