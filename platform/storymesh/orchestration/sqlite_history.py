"""What Dagster remembers in SQLite, without a wait for the disk at each event.

Dagster opens a connection for each event and closes it again. As the last one of its file it then writes the log of
SQLite back into the database and waits for the disk, twice an event, and a run has hundreds.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

HISTORY = ("history", "schedules")  # Dagster's folders below its home


@contextmanager
def open_history(home: Path) -> Iterator[None]:
    """Keep the databases of Dagster in `home` open, so that they are written back when this ends.

    A killed process loses nothing of it. A machine that loses its power may lose the last events of a run; products and
    releases are not kept here.
    """
    from sqlalchemy import Engine, event

    folders = [(home / name).resolve() for name in HISTORY]
    kept: set[Path] = set()

    def keep(connection: Any, record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection) or record.info.get(keep):
            return
        ((_, _, name), *_) = connection.execute("PRAGMA database_list").fetchall()
        path = Path(name)
        if not any(path.is_relative_to(folder) for folder in folders):
            return
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            return  # Dagster makes it just now, and gives the connection back when it is made
        connection.execute("PRAGMA synchronous = NORMAL")
        record.info[keep] = True
        if path not in kept:
            kept.add(path)
            keeper = still_open.enter_context(closing(sqlite3.connect(path, check_same_thread=False)))
            keeper.execute("SELECT count(*) FROM sqlite_master").fetchall()  # until then it holds nothing

    with ExitStack() as still_open:
        for moment in ("connect", "checkin"):
            event.listen(Engine, moment, keep)
            still_open.callback(event.remove, Engine, moment, keep)
        yield
