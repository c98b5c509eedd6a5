"""Dagster's history in SQLite: written without waiting for the disk at each event, and readable without Dagster.

Dagster opens a connection for each event and closes it again. As the last one of its file it then writes the log of
SQLite back into the database and waits for the disk, twice an event, and a run has hundreds. It makes a database of a
run, and all of them before the first run, a table and an index at a time: that would wait as often again.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from storymesh.atomic_write import sync_file

HISTORY = ("history", "schedules")  # Dagster's folders below its home


def latest_run(home: Path) -> tuple[str, str] | None:
    """Return id and status of the run that began last, without Dagster; None where `home` does not say."""
    runs, events = home / "history" / "runs.db", home / "history" / "runs"
    if not runs.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(runs))}?mode=ro", uri=True, timeout=5)) as connection:
            found = connection.execute("SELECT run_id, status FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    except sqlite3.Error:
        return None
    return (str(found[0]), str(found[1])) if found and (events / f"{found[0]}.db").is_file() else None


@contextmanager
def open_history(home: Path) -> Iterator[None]:
    """Keep the databases of Dagster in `home` open, so that they are written back when this ends.

    A killed process loses nothing of it. A machine that loses its power may lose the last events of a run, and a
    database that Dagster had begun to make; products and releases are not kept here.
    """
    from sqlalchemy import Engine, event

    folders = [(home / name).resolve() for name in HISTORY]
    begun: set[Path] = set()
    kept: set[Path] = set()

    def keep(connection: Any, record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection) or record.info.get(keep):
            return
        ((_, _, name), *_) = connection.execute("PRAGMA database_list").fetchall()
        path = Path(name)
        if not any(path.is_relative_to(folder) for folder in folders):
            return
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            # Dagster makes it just now, and gives the connection back when it is made.
            empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            connection.execute(f"PRAGMA synchronous = {'OFF' if empty else 'FULL'}")
            if empty:
                begun.add(path)
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        record.info[keep] = True
        if path in begun:
            begun.remove(path)
            sync_file(path)
        if path not in kept:
            kept.add(path)
            keeper = still_open.enter_context(closing(sqlite3.connect(path, check_same_thread=False)))
            keeper.execute("SELECT count(*) FROM sqlite_master").fetchall()  # until then it holds nothing

    with ExitStack() as still_open:
        for moment in ("connect", "checkin"):
            event.listen(Engine, moment, keep)
            still_open.callback(event.remove, Engine, moment, keep)
        yield
