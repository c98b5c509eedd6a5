"""The store of a product's answers: each is paid once, and goes with the last file that it is about.

No text of a file is kept in it but what an answer quotes. In the place of a prompt stands what it was made of: the
digest of its words, which is in the key, and the SHA-256 of the file's content.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from storymesh.files.inventory_merge import attached
from storymesh.llm.canonical_json import canonical_json
from storymesh.llm.response_cache import (
    INSERT,
    ChatRequest,
    ChatResponse,
    Messages,
    ResponseCache,
    answer_row,
)

_TABLES = """
CREATE TABLE IF NOT EXISTS content (key TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (key, sha256)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS content_sha256 ON content (sha256);
CREATE TABLE IF NOT EXISTS refused (
    uri TEXT NOT NULL, reason TEXT NOT NULL, passing INTEGER NOT NULL, answer TEXT);
CREATE INDEX IF NOT EXISTS refused_uri ON refused (uri);
CREATE TABLE IF NOT EXISTS asked (fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS gave (uri TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class RowRefused(NamedTuple):
    """A row of a file that is not published, or all of them: why, and the key of the answer. `passing`: the file is
    asked about again at the next run."""

    uri: str
    reason: str
    passing: bool
    answer: str | None


class FileAnswers(ResponseCache):
    """A response cache that keeps for each answer the contents that it is about. See `begin_question`."""

    def __init__(self, path: Path) -> None:
        self._about: dict[Messages, str] = {}
        super().__init__(path)
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.executescript(_TABLES)

    def begin_question(self, messages: Messages, sha256: str) -> None:
        """Note which content some messages are about, before they are sent."""
        self._about[messages] = sha256

    def end_question(self, messages: Messages) -> None:
        """Forget what `begin_question` noted."""
        self._about.pop(messages, None)

    def put(self, request: ChatRequest, answer: ChatResponse) -> ChatResponse:
        """Keep an answer, with the content that it is about and without the words of the prompt."""
        sha256 = self._about[request.messages]
        row = answer_row(request, answer, canonical_json([["sha256", sha256]]))
        with self._locked(), self._transaction():
            inserted = self._connection.execute(INSERT, row).rowcount
            self._connection.execute("INSERT OR IGNORE INTO content VALUES (?, ?)", (request.key, sha256))
        return answer if inserted else self.get(request.key) or answer

    def finish_run(
        self,
        fingerprint: str,
        used: Iterable[tuple[str, str]],
        alive: Iterable[str],
        refused: Iterable[RowRefused],
        gave: Iterable[str],
    ) -> None:
        """Note what was asked, which answers were used (key, SHA-256 of the content), what was refused and which files
        `gave` rows; erase the answers about contents that no file has."""
        with self._locked(), self._transaction():
            self._connection.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", used)
            gone = self._erase_others(alive)
            self._connection.execute("DELETE FROM asked")
            self._connection.execute("INSERT INTO asked VALUES (?)", (fingerprint,))
            self._connection.execute("DELETE FROM refused")
            self._connection.executemany("INSERT INTO refused VALUES (?, ?, ?, ?)", refused)
            self._connection.execute("DELETE FROM gave")
            self._connection.executemany("INSERT OR IGNORE INTO gave VALUES (?)", ((uri,) for uri in gave))
        self._empty_log(gone)

    def keep_contents(self, alive: Iterable[str]) -> None:
        """Erase the answers about other contents."""
        with self._locked(), self._transaction():
            gone = self._erase_others(alive)
        self._empty_log(gone)

    def _erase_others(self, alive: Iterable[str]) -> int:
        self._note_alive(alive)
        gone = self._connection.execute("DELETE FROM content WHERE sha256 NOT IN (SELECT sha256 FROM alive)").rowcount
        self._connection.execute("DELETE FROM answer WHERE key NOT IN (SELECT key FROM content)")
        return gone

    def _note_alive(self, alive: Iterable[str]) -> None:
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS alive (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("DELETE FROM alive")
        self._connection.executemany("INSERT OR IGNORE INTO alive VALUES (?)", ((sha256,) for sha256 in alive))

    def _empty_log(self, gone: int) -> None:
        if gone:
            with self._locked():  # what is deleted is overwritten in the file, and stays in the log until it is emptied
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def merge_from(self, path: Path, alive: Iterable[str]) -> None:
        """Take over the answers of another store about contents that there are."""
        with self._locked(), attached(self._connection, path), self._transaction():
            self._note_alive(alive)
            about = "SELECT key, sha256 FROM other.content WHERE sha256 IN (SELECT sha256 FROM alive)"
            self._connection.execute(f"INSERT OR IGNORE INTO main.content {about}")
            self._connection.execute(
                f"INSERT OR IGNORE INTO main.answer SELECT * FROM other.answer WHERE key IN (SELECT key FROM ({about}))"
            )

    def refused(self, uri: str | None = None) -> Iterator[RowRefused]:
        """Yield what the last run refused: of one file, or of all."""
        where, values = (" WHERE uri = ?", (uri,)) if uri is not None else ("", ())
        with self._locked():
            rows = self._connection.execute(f"SELECT * FROM refused{where} ORDER BY uri, reason", values).fetchall()
        for uri_, reason, passing, answer in rows:
            yield RowRefused(uri_, reason, bool(passing), answer)

    def has_asked(self, fingerprint: str) -> bool:
        """Return True if the last run asked the same of every file."""
        with self._locked():
            row = self._connection.execute("SELECT 1 FROM asked WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return row is not None

    def count_passing(self) -> int:
        """Return how many files are asked about again at the next run."""
        with self._locked():
            (count,) = self._connection.execute("SELECT count(DISTINCT uri) FROM refused WHERE passing").fetchone()
        return int(count)

    def files_with_rows(self) -> set[str]:
        """Return the files whose answers gave rows at the last run."""
        with self._locked():
            return {uri for (uri,) in self._connection.execute("SELECT uri FROM gave")}

    def first_refusals(self) -> dict[str, str]:
        """Return for each file of which rows were refused at the last run why the first was."""
        with self._locked():
            # Of the row with the least rowid SQLite gives the other columns too.
            rows = self._connection.execute("SELECT uri, reason, min(rowid) FROM refused GROUP BY uri").fetchall()
        return {uri: reason for uri, reason, _ in rows}

    def answers_about(self, sha256: str) -> list[ChatResponse]:
        """Return the answers about a content, the latest last."""
        with self._locked():
            keys = self._connection.execute("SELECT key FROM content WHERE sha256 = ?", (sha256,)).fetchall()
        found = [answer for (key,) in keys if (answer := self.get(key)) is not None]
        return sorted(found, key=lambda answer: answer.at)
