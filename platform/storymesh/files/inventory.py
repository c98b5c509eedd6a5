"""The inventory of a product's files: what is known of each, and the readings of their contents, in one SQLite file.

A file is known by its uri, and what was read by the SHA-256 of the content: a file that has another name gives no new
reading. Readings are kept in columns, many in one Arrow batch; a batch is written whole or not at all, so that a
process which is killed loses what it read since the last one. What is deleted is overwritten (`secure_delete`).
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from storymesh.errors import StorymeshError
from storymesh.files.content import ANEW
from storymesh.files.inventory_merge import attached, merge_from
from storymesh.files.inventory_tables import ALL_PENDING, KNOWN, PENDING, SCHEMA
from storymesh.files.listing import FileEntry
from storymesh.files.packed_batches import chunks, group_small, is_small, pack_batch, rows_of_contents, unpack_batch
from storymesh.files.reading.reading import Refused

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "1"
SHA256 = "sha256"
_BY_LIMITS = ("too large", "too large when opened", "too slow", "reader crashed")
_CHUNK = 5_000
_CACHE_KIB = 65_536


class KnownFile(NamedTuple):
    """A file of the inventory. Without a `sha256` it has no reading; `refused` is why, and `passing` that it is tried
    again."""

    uri: str
    size: int
    modified: int | None
    sha256: str | None
    refused: str | None
    detail: str | None
    passing: bool


class InventoryDamaged(StorymeshError):
    """An inventory that SQLite cannot read."""


class Inventory:
    """The inventory of one product, in the file `path`. Use it as a context manager; threads may share it."""

    def __init__(self, path: Path | None, *, writable: bool = True) -> None:
        """Open an inventory; without a path, an empty one that nothing is left of."""
        self._lock = threading.RLock()
        self._changed = False
        self._pending = PENDING
        self._fresh = False
        if path is not None and writable:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        address = f"{path.resolve().as_uri()}?mode={'rwc' if writable else 'ro'}" if path is not None else ":memory:"
        try:
            self._database = sqlite3.connect(
                address, uri=path is not None, isolation_level=None, timeout=60, check_same_thread=False
            )
            if writable:
                self._database.executescript(
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;"
                    "PRAGMA wal_autocheckpoint=8192;" + SCHEMA
                )
            if path is not None and writable:
                path.chmod(0o600)
            for schema in ("main", "temp"):
                self._database.execute(f"PRAGMA {schema}.cache_size = -{_CACHE_KIB}")
        except sqlite3.Error as error:
            words = f"the inventory {path} cannot be read: {error}"
            raise InventoryDamaged(words, "move it away and run again: the files are read again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def prepare(self, reader: str, limits: Mapping[str, Any]) -> None:
        """Drop the readings of another reader than `reader`, and what was refused under other limits."""
        given = json.dumps(limits, sort_keys=True)
        with self._writing() as database:
            notes = dict(database.execute("SELECT name, value FROM note"))
            if notes.get("reader") != f"{FORMAT} {reader}":
                database.execute("DELETE FROM readings")
                database.execute("DELETE FROM batches")
                database.execute(
                    "UPDATE files SET refused = NULL, detail = NULL, passing = 1 WHERE refused IS NOT NULL"
                )
            elif notes.get("limits") != given:
                marks = ", ".join("?" * len(_BY_LIMITS))
                database.execute(f"DELETE FROM readings WHERE refused IN ({marks})", _BY_LIMITS)
                database.execute(f"UPDATE files SET passing = 1 WHERE refused IN ({marks})", _BY_LIMITS)
            values = (("reader", f"{FORMAT} {reader}"), ("limits", given))
            database.executemany("INSERT OR REPLACE INTO note VALUES (?, ?)", values)

    def merge_from(self, path: Path, wanted: Callable[[str], bool] = lambda _: True) -> int:
        """Take over what the inventory in another file knows of `wanted` files; return how many readings were new."""
        with self._lock, attached(self._database, path), self._writing() as database:
            return merge_from(database, wanted, self._add_batch)

    def keep_files_of(self, path: Path) -> None:
        """Let go of the files that the inventory in another file does not have, and of their readings."""
        with self._lock, attached(self._database, path), self._writing() as database:
            if database.execute("DELETE FROM files WHERE uri NOT IN (SELECT uri FROM other.files)").rowcount:
                self._drop_unused(database)

    def is_of(self, reader: str) -> bool:
        """Return True if the readings are those of this reader."""
        with self._lock:
            row = self._database.execute("SELECT value FROM note WHERE name = 'reader'").fetchone()
        return row is not None and row[0] == f"{FORMAT} {reader}"

    def take_listing(self, entries: Iterable[FileEntry], *, stale: bool = False) -> int:
        """Take a listing, and return how many of its files have to be opened: all of them where the readings are
        `stale`. See `pending`."""
        database = self._database
        with self._lock:
            database.execute("DROP TABLE IF EXISTS temp.listed")
            database.execute(
                "CREATE TEMP TABLE listed (uri TEXT PRIMARY KEY, token TEXT, size INTEGER, modified INTEGER,"
                " path BLOB, fault TEXT) WITHOUT ROWID"
            )
            database.execute("BEGIN")
            database.executemany("INSERT OR IGNORE INTO listed VALUES (?, ?, ?, ?, ?, ?)", entries)
            database.execute("COMMIT")
            (known,) = database.execute(
                "SELECT EXISTS (SELECT 1 FROM files) OR EXISTS (SELECT 1 FROM readings)"
            ).fetchone()
            self._fresh = not known
            self._pending = ALL_PENDING if stale or self._fresh else PENDING
            (count,) = database.execute(f"SELECT count(*) {self._pending}").fetchone()
            return int(count)

    def pending(self) -> Iterator[FileEntry]:
        """Yield the files of the listing that are new, changed, unread, or to be tried again, each once: what is stored
        meanwhile is after the last that was given."""
        last = ""
        columns = "l.uri, l.token, l.size, l.modified, l.path, l.fault"
        query = f"SELECT {columns} {self._pending} AND l.uri > ? ORDER BY l.uri LIMIT ?"
        while True:
            with self._lock:
                found = self._database.execute(query, (last, _CHUNK)).fetchall()
            if not found:
                return
            yield from map(FileEntry._make, found)
            last = found[-1][0]

    def known_content(self, uri: str) -> tuple[str, str] | None:
        """Return the token and the SHA-256 of a file whose content was read; None where it was not."""
        query = (
            "SELECT f.token, f.sha256 FROM files f JOIN readings r ON r.sha256 = f.sha256"
            " WHERE f.uri = ? AND f.token IS NOT NULL"
        )
        with self._lock:
            row: tuple[str, str] | None = self._database.execute(query, (uri,)).fetchone()
        return row

    def is_read(self, sha256: str) -> bool:
        """Return True if a content has been read, or refused for good."""
        with self._lock:
            return self._database.execute("SELECT 1 FROM readings WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def store(
        self,
        files: Sequence[tuple[FileEntry, str | None, Refused | None]],
        readings: "pa.RecordBatch | None",
        refused: Mapping[str, Refused],
    ) -> None:
        """Write what has become of some files, whole or not at all.

        `files` are entries with the SHA-256 of their content, or with why the file itself is refused; `readings` has a
        column `sha256`; `refused` are contents that give none.
        """
        self._changed = True
        with self._writing() as database:
            if readings is not None and readings.num_rows:
                self._add_batch(database, readings)
            rows = ((sha, refusal.reason, refusal.detail) for sha, refusal in refused.items())
            database.executemany("INSERT OR REPLACE INTO readings VALUES (?, NULL, ?, ?)", rows)
            read = ((*entry[:5], sha256) for entry, sha256, refusal in files if refusal is None)
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, FALSE)", read)
            others = [(entry, sha256, refusal) for entry, sha256, refusal in files if refusal is not None]
            kept = [(entry, refusal) for entry, _, refusal in others if _keeps_row(entry, refusal)]
            refusals = (_refused_row(*file) for file in others if not _keeps_row(file[0], file[2]))
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", refusals)
            # What was read of an earlier version stays until this one can be read.
            database.executemany(
                "INSERT INTO files VALUES (?, NULL, ?, ?, ?, NULL, ?, ?, 1) ON CONFLICT (uri) DO UPDATE"
                " SET refused = excluded.refused, detail = excluded.detail, passing = 1",
                [(e.uri, e.size, e.modified, e.path, refusal.reason, refusal.detail) for e, refusal in kept],
            )

    def _add_batch(self, database: sqlite3.Connection, batch: "pa.RecordBatch") -> None:
        cursor = database.execute("INSERT INTO batches (rows, data) VALUES (?, ?)", (batch.num_rows, pack_batch(batch)))
        rows = [(sha, cursor.lastrowid) for sha in batch.column(SHA256).to_pylist()]
        database.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, NULL, NULL)", rows)

    def count_missing(self) -> tuple[int, int]:
        """Return how many files are known, and how many of them are gone with their content: moved ones are not."""
        with self._lock:
            known, absent = self._database.execute(
                "SELECT count(*), coalesce(sum(l.uri IS NULL), 0) FROM files f LEFT JOIN listed l ON l.uri = f.uri"
            ).fetchone()
            if not absent:
                return int(known), 0
            self._database.execute("DROP TABLE IF EXISTS temp.present")
            self._database.execute("CREATE TEMP TABLE present (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
            self._database.execute(
                "INSERT OR IGNORE INTO present SELECT f.sha256 FROM files f JOIN listed l ON l.uri = f.uri"
                " WHERE f.sha256 IS NOT NULL"
            )
            known, missing = self._database.execute(
                "SELECT count(*), coalesce(sum(l.uri IS NULL AND p.sha256 IS NULL), 0) FROM files f"
                " LEFT JOIN listed l ON l.uri = f.uri LEFT JOIN present p ON p.sha256 = f.sha256"
            ).fetchone()
            return int(known), int(missing)

    def finish(self) -> None:
        """Let go of files that the listing does not have, and of readings that no file has; note what is known of the
        others without opening them."""
        with self._writing() as database:
            gone = database.execute("DELETE FROM files WHERE uri NOT IN (SELECT uri FROM listed)").rowcount
            database.execute(
                "UPDATE files SET modified = l.modified, size = l.size FROM listed l WHERE l.uri = files.uri"
                " AND l.fault IS NULL AND l.token = files.token"
                " AND (l.modified IS NOT files.modified OR l.size IS NOT files.size)"
            )
            database.execute(
                "INSERT OR REPLACE INTO files SELECT uri, token, size, modified, path, NULL, fault, '', 0 FROM listed"
                " WHERE fault IS NOT NULL"
            )
            if gone or self._changed:
                self._drop_unused(database)

    def _drop_unused(self, database: sqlite3.Connection) -> None:
        """Rewrite the batches with readings that no file has, and put small ones together."""
        if not self._fresh:
            self._let_go(database)
        query = (
            "SELECT b.id, b.rows, length(b.data), count(r.sha256) FROM batches b LEFT JOIN readings r ON r.batch = b.id"
            " GROUP BY b.id ORDER BY b.id"
        )
        found = database.execute(query).fetchall()
        small = [(id_, rows, size) for id_, rows, size, alive in found if alive == rows and is_small(rows, size)]
        damaged = [id_ for id_, rows, _, alive in found if alive != rows]
        for group in group_small(small):
            damaged += group
        for some in chunks(damaged, 64):
            self._rewrite(database, some)

    def _let_go(self, database: sqlite3.Connection) -> None:
        """Delete the readings that no file has; of an inventory that was empty each has one."""
        database.execute("CREATE TEMP TABLE IF NOT EXISTS used (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
        database.execute("DELETE FROM used")
        database.execute("INSERT OR IGNORE INTO used SELECT sha256 FROM files WHERE sha256 IS NOT NULL")
        database.execute("DELETE FROM readings WHERE sha256 NOT IN (SELECT sha256 FROM used)")

    def _rewrite(self, database: sqlite3.Connection, ids: Sequence[int]) -> None:
        """Write the readings of some batches that are still used as one batch."""
        import pyarrow as pa

        parts = []
        for id_ in ids:
            (data,) = database.execute("SELECT data FROM batches WHERE id = ?", (id_,)).fetchone()
            alive = [sha for (sha,) in database.execute("SELECT sha256 FROM readings WHERE batch = ?", (id_,))]
            if alive:
                parts.append(rows_of_contents(unpack_batch(data), alive))
            database.execute("DELETE FROM batches WHERE id = ?", (id_,))
        if parts:
            merged = pa.concat_tables(parts).combine_chunks().to_batches()
            self._add_batch(database, merged[0])

    def readings(self) -> "Iterator[pa.RecordBatch]":
        """Yield the readings of all contents, a batch at a time; each has a column `sha256`."""
        with self._lock:
            ids = [id_ for (id_,) in self._database.execute("SELECT id FROM batches ORDER BY id")]
        for id_ in ids:
            with self._lock:
                row = self._database.execute("SELECT data FROM batches WHERE id = ?", (id_,)).fetchone()
            if row is not None:
                yield from unpack_batch(row[0]).to_batches()

    def reading(self, sha256: str) -> dict[str, Any] | None:
        """Return the reading of one content; None where there is none."""
        query = "SELECT b.data FROM readings r JOIN batches b ON b.id = r.batch WHERE r.sha256 = ?"
        with self._lock:
            row = self._database.execute(query, (sha256,)).fetchone()
        if row is None:
            return None
        import pyarrow.compute as pc

        table = unpack_batch(row[0])
        found: list[dict[str, Any]] = table.filter(pc.equal(table.column(SHA256), sha256)).to_pylist()
        return found[0] if found else None

    def files(self, refused: bool | None = None) -> Iterator[KnownFile]:
        """Yield the files by their uri: all, or those that are refused, or those that are not."""
        condition = {None: "", True: " WHERE coalesce(f.refused, r.refused) IS NOT NULL"}.get(
            refused, " WHERE r.batch IS NOT NULL"
        )
        cursor = self._database.execute(f"{KNOWN}{condition} ORDER BY f.uri")
        while some := cursor.fetchmany(_CHUNK):
            yield from map(KnownFile._make, some)

    def file(self, uri: str) -> KnownFile | None:
        """Return what is known of one file; None where it is not known."""
        row = self._database.execute(f"{KNOWN} WHERE f.uri = ?", (uri,)).fetchone()
        return KnownFile(*row) if row is not None else None

    def file_columns(self) -> "Iterator[pa.RecordBatch]":
        """Yield uri, size, modified and SHA-256 of the files that have a reading, by uri, a batch at a time."""
        import pyarrow as pa

        schema = pa.schema(
            [("uri", pa.string()), ("size", pa.int64()), ("modified", pa.timestamp("us")), (SHA256, pa.string())]
        )
        cursor = self._database.execute(
            "SELECT f.uri, f.size, f.modified, f.sha256 FROM files f JOIN readings r ON r.sha256 = f.sha256"
            " WHERE r.batch IS NOT NULL ORDER BY f.uri"
        )
        while some := cursor.fetchmany(_CHUNK):
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*some, strict=True), schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def contents(self) -> Iterator[str]:
        """Yield the SHA-256 of every content that has a reading."""
        with self._lock:
            rows = self._database.execute("SELECT sha256 FROM readings WHERE batch IS NOT NULL").fetchall()
        yield from (sha256 for (sha256,) in rows)

    def count_refused(self) -> tuple[int, int, dict[str, int]]:
        """Return how many files there are, how many of those that cannot be read now have kept an earlier reading, and
        for what reasons files cannot be read, the most frequent first."""
        kept = "f.passing AND f.sha256 IS NOT NULL"
        query = (
            f"SELECT coalesce(f.refused, r.refused) AS reason, count(*), sum({kept}) FROM files f"
            " LEFT JOIN readings r ON r.sha256 = f.sha256 GROUP BY reason ORDER BY 2 DESC, 1"
        )
        counts = self._database.execute(query).fetchall()
        reasons = {str(reason): files for reason, files, _ in counts if reason is not None}
        held = sum(held for reason, _, held in counts if reason is not None)
        return sum(files for _, files, _ in counts), held, reasons

    def digest(self) -> str:
        """Return a digest of which files have which content."""
        digest = hashlib.sha256()
        for uri, sha256, refused in self._database.execute("SELECT uri, sha256, refused FROM files ORDER BY uri"):
            digest.update(f"{uri}\0{sha256}\0{refused}\n".encode())
        return digest.hexdigest()

    def count_passing(self) -> int:
        """Return how many files are tried again at the next run."""
        (count,) = self._database.execute("SELECT count(*) FROM files WHERE passing").fetchone()
        return int(count)


def _keeps_row(entry: FileEntry, refusal: Refused) -> bool:
    """Return True for a file that cannot be read now, and may be what it was when it was read."""
    return not refusal.lasting and entry.token != ANEW


def _refused_row(entry: FileEntry, sha256: str | None, refusal: Refused) -> tuple[Any, ...]:
    return (*entry[:5], sha256, refusal.reason, refusal.detail, not refusal.lasting)
