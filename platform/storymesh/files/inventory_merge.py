"""Merge the inventory of another shard or machine into one: what the same reader has read is not read again."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.files.packed_batches import rows_of_contents, unpack_batch

if TYPE_CHECKING:
    import pyarrow as pa

_TAKEN = """
CREATE TEMP TABLE taken AS
SELECT r.sha256, r.batch, r.refused, r.detail FROM other.readings r
WHERE r.sha256 NOT IN (SELECT sha256 FROM main.readings)
AND r.sha256 IN (SELECT sha256 FROM other.files WHERE is_wanted(uri))
"""
# Of two versions of a file the one that came later counts; what is older than the listing is opened again.
_FILES = """
INSERT OR REPLACE INTO main.files SELECT o.* FROM other.files o LEFT JOIN main.files f ON f.uri = o.uri
WHERE is_wanted(o.uri) AND NOT o.passing AND (f.uri IS NULL OR f.passing
    OR (f.token IS NOT o.token AND coalesce(o.modified, 0) >= coalesce(f.modified, 0)))
"""


@contextmanager
def attached(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Attach the database at `path`, which no other process is writing, as `other`."""
    with closing(sqlite3.connect(path, timeout=60)) as own:
        # Its writer may have been killed, and have left a write-ahead log.
        own.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("ATTACH ? AS other", (str(path.resolve()),))
    try:
        yield
    finally:
        database.execute("DETACH other")


def merge_from(
    database: sqlite3.Connection,
    wanted: Callable[[str], bool],
    add_batch: "Callable[[sqlite3.Connection, pa.RecordBatch], None]",
) -> int:
    """Copy the `wanted` files of the inventory `other` with their readings, if reader and limits are the same.

    Return how many readings were new.
    """
    notes, others = (dict(database.execute(f"SELECT name, value FROM {schema}.note")) for schema in ("main", "other"))
    if notes != others:
        return 0
    database.create_function("is_wanted", 1, wanted, deterministic=True)
    database.execute("DROP TABLE IF EXISTS temp.taken")
    database.execute(_TAKEN)
    (count,) = database.execute("SELECT count(*) FROM taken").fetchone()
    batches = database.execute("SELECT DISTINCT batch FROM taken WHERE batch IS NOT NULL").fetchall()
    for (batch,) in batches:
        (data,) = database.execute("SELECT data FROM other.batches WHERE id = ?", (batch,)).fetchone()
        alive = [sha for (sha,) in database.execute("SELECT sha256 FROM taken WHERE batch = ?", (batch,))]
        add_batch(database, rows_of_contents(unpack_batch(data), alive).combine_chunks().to_batches()[0])
    database.execute("INSERT INTO main.readings SELECT sha256, NULL, refused, detail FROM taken WHERE batch IS NULL")
    database.execute(_FILES)
    database.execute("DROP TABLE taken")
    return int(count)
