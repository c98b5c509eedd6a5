"""Writes that do not wait for the disk: a killed process loses nothing of what it has written, and what a power cut
takes no test can show."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch


@contextmanager
def no_wait_for_the_disk() -> Iterator[None]:
    """Within it, neither this process nor the SQLite databases that it opens through SQLAlchemy wait for the disk,
    unless whoever opened one says how."""
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    event.listen(Pool, "connect", _leave_to_the_system)
    try:
        with patch.object(os, "fsync", lambda descriptor: None):
            yield
    finally:
        event.remove(Pool, "connect", _leave_to_the_system)


@contextmanager
def databases_as_in_life() -> Iterator[None]:
    """Within it, SQLite databases wait for the disk again."""
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    event.remove(Pool, "connect", _leave_to_the_system)
    try:
        yield
    finally:
        event.listen(Pool, "connect", _leave_to_the_system)


def _leave_to_the_system(connection: object, _: object) -> None:
    import sqlite3

    if isinstance(connection, sqlite3.Connection):
        # A file that is no database, or is locked, is for whoever opened it to find out.
        (waits,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA busy_timeout = {waits}")
