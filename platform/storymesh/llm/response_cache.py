"""A cache of models' answers: what was paid for is not requested again, and it can be exported as a table.

The live store is one SQLite file; an answer is on disk before anybody sees it, so that `kill -9` loses none. Its key
is a digest of all that shapes the answer (model, address, parameters, schema, messages) and of nothing else.
"""

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from storymesh.atomic_write import staged_file
from storymesh.errors import NarratorFailed
from storymesh.llm.canonical_json import canonical_json

Messages = tuple[tuple[str, str], ...]
Kind = Literal["story", "judge"]

VERSION = 1
BATCH = 2_000

TABLES = """
CREATE TABLE IF NOT EXISTS answer (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, base_url TEXT, parameters TEXT NOT NULL, schema TEXT,
    messages TEXT NOT NULL, text TEXT NOT NULL, finish TEXT, served TEXT,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, usd TEXT,
    at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attempt (
    record TEXT NOT NULL, attempt INTEGER NOT NULL, kind TEXT NOT NULL, run INTEGER NOT NULL, key TEXT NOT NULL,
    verdict TEXT NOT NULL, score REAL, reason TEXT,
    PRIMARY KEY (record, attempt, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (run INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS attempt_run ON attempt (run);
"""


@dataclass(frozen=True)
class ChatRequest:
    """All that shapes an answer. `parameters` and `schema` are canonical JSON. `schema` is null for plain text, and
    `base_url`, the address that was called, for the provider's own."""

    model: str
    base_url: str | None
    parameters: str
    schema: str | None
    messages: Messages

    @cached_property
    def messages_json(self) -> str:
        """The messages as canonical JSON."""
        return canonical_json(self.messages)

    @cached_property
    def key(self) -> str:
        """SHA-256 over the canonical JSON of every field, in hex."""
        shaping = [VERSION, self.model, self.base_url, self.parameters, self.schema, self.messages_json]
        return hashlib.sha256(canonical_json(shaping).encode()).hexdigest()


@dataclass(frozen=True)
class ChatResponse:
    """An answer of a model. `finish` is the server's own word for why it ended, `served` the model that it says
    answered; `estimated`: the server told no token counts. `usd` is null where no price was given."""

    text: str
    finish: str | None
    served: str | None
    input_tokens: int
    output_tokens: int
    estimated: bool
    usd: Decimal | None
    at: datetime


@dataclass(frozen=True)
class Attempt:
    """A use of an answer for a text (`record`). `verdict`: `accepted`, `refused`, `mended` or `judged`; `score`: 0 to
    1."""

    record: str
    attempt: int
    kind: Kind
    key: str
    verdict: str
    score: float | None
    reason: str | None


class ResponseCache:
    """The cache in the file at `path`, created if it is missing. Safe for several threads and several processes.

    Raises NarratorFailed when the file is not such a store or was written by a newer storymesh.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = 0
        self._lock = threading.RLock()
        self._attempts: list[tuple[Any, ...]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        # The prompts hold what the mesh's readers may see: nobody else on the machine may.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise NarratorFailed(
                f"the store of answers {path} cannot be read: {error}",
                "move it away and run again: what a release exported can be loaded back, the rest is asked again",
            ) from error
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise NarratorFailed(
                f"the store of answers {self.path} is of version {version}, this storymesh reads {VERSION}",
                "use the storymesh that wrote it, or a newer one",
            )
        # A commit in WAL mode reaches the operating system before it returns, which outlives the process; the fsync
        # that would outlive a power cut is left to the checkpoint.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint waits for the disk, and the calls with it: one for each 64 MB (default: 4), and one at the end.
        self._connection.execute("PRAGMA wal_autocheckpoint = 16384")
        self._connection.executescript(TABLES)
        self._connection.execute(f"PRAGMA user_version = {VERSION}")
        self.run = self._connection.execute("SELECT coalesce(max(run), 0) FROM run").fetchone()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._locked():
            self.flush()
            self._connection.close()

    def __len__(self) -> int:
        with self._locked():
            return int(self._connection.execute("SELECT count(*) FROM answer").fetchone()[0])

    def get(self, key: str) -> ChatResponse | None:
        """Return the answer stored under `key`, or None."""
        with self._locked():
            row = self._connection.execute(FIND, (key,)).fetchone()
        return None if row is None else _answer(row)

    def put(self, request: ChatRequest, answer: ChatResponse) -> ChatResponse:
        """Keep `answer`; on return it outlives the process. Returns what the store holds: of two answers to one
        request the first stays."""
        key = request.key
        with self._locked():
            inserted = self._connection.execute(INSERT, answer_row(request, answer)).rowcount
        if inserted:
            return answer
        stored = self.get(key)
        return answer if stored is None else stored

    def begin_run(self) -> int:
        """Begin a run: recorded attempts belong to it, and `to_parquet` writes those of the last one."""
        with self._locked():
            self.flush()
            began = self._connection.execute("INSERT INTO run (at) VALUES (?)", (datetime.now(UTC).isoformat(),))
            assert began.lastrowid is not None
            self.run = began.lastrowid
            return self.run

    def record_attempts(self, attempts: Iterable[Attempt]) -> None:
        """Record how answers were used. Unlike answers this can be recomputed, so it is written in batches."""
        with self._locked():
            self._attempts += [
                (a.record, a.attempt, a.kind, self.run, a.key, a.verdict, a.score, a.reason) for a in attempts
            ]
            if len(self._attempts) >= BATCH:
                self.flush()

    def flush(self) -> None:
        """Write the attempts that wait for a full batch."""
        with self._locked():
            if self._attempts:
                with self._transaction():
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._attempts
                    )
                self._attempts = []

    def prune(self, configs: Iterable[str], exports: Iterable[Path]) -> int:
        """Erase the answers of these configs but those in `exports`, tables that `to_parquet` wrote, and all that no
        attempt used. Return the number of answers erased."""
        kept = {key for path in exports for key in _keys_in(path)}
        with self._locked():
            self.flush()
            with self._transaction():
                self._connection.execute("CREATE TEMP TABLE kept (key TEXT PRIMARY KEY)")
                self._connection.executemany("INSERT INTO kept VALUES (?)", ((key,) for key in kept))
                self._connection.executemany(
                    "DELETE FROM attempt WHERE substr(record, 1, ?) = ? AND key NOT IN (SELECT key FROM kept)",
                    ((len(config) + 1, f"{config}/") for config in configs),
                )
                used = "SELECT key FROM kept UNION SELECT key FROM attempt"
                erased = self._connection.execute(f"DELETE FROM answer WHERE key NOT IN ({used})").rowcount
                self._connection.execute("DROP TABLE kept")
            self._connection.execute("VACUUM")  # a deleted row stays readable in the file until its page is reused
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def to_parquet(self, path: Path, *, run: int | None = None) -> int:
        """Write the attempts of `run` (default: the last that began) with their answers, by record and attempt.

        Columns: record, attempt, kind (`story` or `judge`), key, model, base_url, parameters (JSON), schema (JSON),
        messages (list of role, content), answer, finish, served_model, input_tokens, output_tokens, estimated, usd,
        answered_at (UTC), verdict (`accepted`, `refused`, `mended`, `judged`), score, reason. Returns how many.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.flush()
        schema = _arrow()
        rows = 0
        with staged_file(path) as staged, pq.ParquetWriter(staged, schema, compression="zstd") as writer:
            for batch in self._batches(self.run if run is None else run):
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                rows += len(batch)
        return rows

    def _batches(self, run: int) -> Iterator[list[dict[str, Any]]]:
        after: tuple[str, int, str] = ("", 0, "")
        while True:
            # Page by page, so that a writer is never kept waiting and memory does not grow with the table.
            with self._locked():
                rows = self._connection.execute(EXPORT, (run, *after, BATCH)).fetchall()
            if not rows:
                return
            yield [_exported(row) for row in rows]
            after = (rows[-1][0], rows[-1][1], rows[-1][2])

    def load_parquet(self, path: Path) -> int:
        """Load the answers of a table that `to_parquet` wrote. Return how many were new.

        Raises NarratorFailed when the file is no such table or a row is not what its key says.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        new = 0
        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                for batch in file.iter_batches(BATCH):
                    rows = [_imported(row, path) for row in batch.to_pylist()]
                    with self._locked(), self._transaction():
                        before = self._connection.total_changes
                        self._connection.executemany(INSERT, rows)
                        new += self._connection.total_changes - before
        except (OSError, KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
            raise NarratorFailed(
                f"{path} is not a table of answers: {type(error).__name__}: {error}",
                "take the file that a release of this narrative wrote",
            ) from error
        return new

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise NarratorFailed(
                    f"the store of answers {self.path} does not work: {error}",
                    "look at the space and the rights of its disk, and run again: what it holds is kept",
                ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


FIND = "SELECT text, finish, served, input_tokens, output_tokens, estimated, usd, at FROM answer WHERE key = ?"

INSERT = "INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

EXPORT = """
SELECT record, attempt, kind, attempt.key, model, base_url, parameters, schema, messages, text, finish, served,
       input_tokens, output_tokens, estimated, usd, at, verdict, score, reason
FROM attempt JOIN answer USING (key)
WHERE run = ? AND (record, attempt, kind) > (?, ?, ?) ORDER BY record, attempt, kind LIMIT ?
"""


def _keys_in(path: Path) -> Iterator[str]:
    """Yield the keys of the answers in a table; none if it has no column of keys."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        if "key" in file.schema_arrow.names and file.schema_arrow.field("key").type == pa.string():
            for batch in file.iter_batches(BATCH, columns=["key"]):
                yield from filter(None, batch["key"].to_pylist())


def answer_row(request: ChatRequest, answer: ChatResponse, messages: str | None = None) -> tuple[Any, ...]:
    """Return the row of an answer; `messages` is what is kept in the place of those of the request."""
    asked = (request.model, request.base_url, request.parameters, request.schema, messages or request.messages_json)
    counts = (answer.input_tokens, answer.output_tokens, int(answer.estimated))
    usd = None if answer.usd is None else str(answer.usd)
    return (request.key, *asked, answer.text, answer.finish, answer.served, *counts, usd, answer.at.isoformat())


def _answer(row: tuple[Any, ...]) -> ChatResponse:
    text, finish, served, input_tokens, output_tokens, estimated, usd, at = row
    return ChatResponse(
        text,
        finish,
        served,
        input_tokens,
        output_tokens,
        bool(estimated),
        None if usd is None else Decimal(usd),
        datetime.fromisoformat(at),
    )


COLUMNS = (
    *("record", "attempt", "kind", "key", "model", "base_url", "parameters", "schema", "messages"),
    *("answer", "finish", "served_model", "input_tokens", "output_tokens", "estimated", "usd", "answered_at"),
    *("verdict", "score", "reason"),
)


def _arrow() -> Any:
    import pyarrow as pa

    text, count = pa.string(), pa.int64()
    message = pa.struct([("role", text), ("content", text)])
    types = (
        *(text, pa.int32(), text, text, text, text, text, text, pa.list_(message)),
        *(text, text, text, count, count, pa.bool_(), pa.decimal128(24, 12), pa.timestamp("us", "UTC")),
        *(text, pa.float64(), text),
    )
    return pa.schema(list(zip(COLUMNS, types, strict=True)), {"storymesh_answers": str(VERSION)})


def _exported(row: tuple[Any, ...]) -> dict[str, Any]:
    *request, messages = row[:9]
    answer, verdict = _answer(row[9:17]), row[17:]
    response = (answer.text, answer.finish, answer.served, answer.input_tokens, answer.output_tokens, answer.estimated)
    conversation = [{"role": role, "content": content} for role, content in json.loads(messages)]
    return dict(zip(COLUMNS, (*request, conversation, *response, answer.usd, answer.at, *verdict), strict=True))


def _imported(row: Mapping[str, Any], path: Path) -> tuple[Any, ...]:
    request = ChatRequest(
        row["model"],
        row["base_url"],
        row["parameters"],
        row["schema"],
        tuple((message["role"], message["content"]) for message in row["messages"]),
    )
    if request.key != row["key"]:
        raise NarratorFailed(
            f"{path}: the answer of attempt {row['attempt']} at {row['record']} is not the answer to its question",
            "the file was changed after it was written: take the release's own",
        )
    usd = row["usd"]
    answer = ChatResponse(
        row["answer"],
        row["finish"],
        row["served_model"],
        row["input_tokens"],
        row["output_tokens"],
        row["estimated"],
        None if usd is None else usd.normalize(),
        row["answered_at"].astimezone(UTC),
    )
    return answer_row(request, answer)
