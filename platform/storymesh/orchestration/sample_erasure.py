"""The erasure of sample rows and records in Dagster's history, where they would outlive the rows that they show."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from storymesh.orchestration.assets.metadata import SAMPLE

ERASED = {"__class__": "TextMetadataEntryData", "text": "erased when old versions expired"}
_COLUMNS = (("event_logs", "id", "event"), ("asset_keys", "id", "last_materialization"))


def erase_samples(home: Path) -> int:
    """Erase the samples in the databases of SQLite below Dagster's `home`; return how many. Counts, checks and versions
    stay."""
    erased = 0
    for path in sorted((home / "history" / "runs").glob("*.db")):
        with closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("PRAGMA secure_delete = ON")
            erased += sum(_erase_column(database, *column) for column in _COLUMNS)
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return erased


def _erase_column(database: sqlite3.Connection, table: str, key: str, column: str) -> int:
    known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if table not in known:
        return 0
    query = f"SELECT {key}, {column} FROM {table} WHERE {column} LIKE ?"
    found = database.execute(query, (f'%"label": "{SAMPLE}"%',)).fetchall()
    changed = []
    for id_, text in found:
        value = json.loads(text)
        samples = [entry for entry in _entries(value) if entry["entry_data"] != ERASED]
        for entry in samples:
            entry["entry_data"] = dict(ERASED)
        if samples:
            changed.append((json.dumps(value), id_))
    with database:
        database.executemany(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", changed)
    return len(changed)


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the samples anywhere in an event."""
    if isinstance(value, dict):
        if value.get("label") == SAMPLE and "entry_data" in value:
            yield value
        for inner in value.values():
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)
