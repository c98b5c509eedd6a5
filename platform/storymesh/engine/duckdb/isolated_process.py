"""Start `isolated_worker`, the process in which DuckDB runs untrusted SQL, and read what it answers."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.engine.engine import RuleValue, TableNotFound
from storymesh.errors import EngineFailed
from storymesh.process_environment import scrubbed_environment
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    import pyarrow as pa

_START_S = 15.0  # the interpreter and its libraries on a busy machine
# `-P`: what lies in the folder that the process works in is no module of it.
_COMMAND = (sys.executable, "-P", "-m", "storymesh.engine.duckdb.isolated_worker")
_prestarted: "_PrestartedWorker | None" = None


@contextmanager
def prestarted_workers() -> Iterator[None]:
    """Keep one worker started ahead of the next request: its start takes half the time of a small table."""
    global _prestarted
    if _prestarted is not None:
        yield
        return
    with temporary_folder("ahead") as folder:
        _prestarted = worker = _PrestartedWorker(str(folder))
        try:
            yield
        finally:
            _prestarted = None
            worker.end()


class _PrestartedWorker:
    """A worker that is started before the request that it will serve; the first request starts the second's."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._taking = threading.Lock()
        self._next: _WorkerProcess | None = None

    def take(self, home: str) -> "_WorkerProcess":
        """Return the worker that is ready, or a new one, and start the next."""
        with self._taking:
            ready, self._next = self._next, _WorkerProcess(self._home, "ahead")
        if ready is not None and ready.process.poll() is not None:
            ready.end()
            ready = None
        return ready or _WorkerProcess(home)

    def end(self) -> None:
        if self._next is not None:
            self._next.end()


def _start_worker(home: str) -> "_WorkerProcess":
    """Return a worker that waits for its request; `home` is its HOME."""
    return _WorkerProcess(home) if _prestarted is None else _prestarted.take(home)


def run_rule(
    query: str,
    name: str,
    files: Sequence[str],
    scan: str,
    hidden: Collection[str],
    time_limit_s: float,
) -> RuleValue:
    """Return the value of a SQL rule over `files`, which the SQL `scan` reads; see `Engine.run_untrusted_query`."""
    from storymesh.engine.duckdb.isolated_worker import value_of

    request = {
        "task": "rule",
        "query": query,
        "name": name,
        "files": list(files),
        "scan": scan,
        "hidden": list(hidden),
        "time_limit_s": time_limit_s,
    }
    with temporary_folder("rule") as folder:
        worker = _start_worker(str(folder))
        home = {"home": str(folder), "folder": str(folder)}
        try:
            given = json.dumps({**request, **home}).encode() + b"\n"
            written, _ = worker.process.communicate(given, time_limit_s + _START_S)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it took longer than {time_limit_s:g} s") from None
        finally:
            worker.end()
    try:
        answer = json.loads(written)
    except ValueError:
        # Ended by the system for what it took; what it wrote last could quote a value.
        raise EngineFailed(f"it {_exit_description(worker.process.returncode)}") from None
    if "error" in answer:
        if answer.get("timeout"):
            raise TimeoutError(answer["error"])
        raise EngineFailed(answer["error"])
    return RuleValue(value_of(answer["value"]), bool(answer["reads_hidden"]))


def _exit_description(code: int) -> str:
    """Describe how a worker ended without an answer: the system ends one that exceeds its limits."""
    if code < 0:
        return f"was ended with signal {-code}: too much memory or time"
    return f"ended with code {code} and did not say why: too much memory, most likely" if code else "ended unanswered"


def stream_table(
    database: Path,
    name: str,
    schema: str | None,
    folder: Path,
    only: Collection[Path] | None,
    choose_columns: Callable[[Sequence[str]], Sequence[str]],
    size: int,
    memory: int,
    settings: Mapping[str, str],
    query: str | None = None,
) -> "pa.RecordBatchReader":
    """Return the rows of a table or view in a database file, or of a query; see `Engine.stream_database_table`."""
    import pyarrow as pa

    request = {
        "task": "table",
        "database": str(database.resolve()),
        "name": name,
        "schema": schema,
        "query": query,
        "folder": str(folder.resolve()),
        "only": None if only is None else [str(path) for path in only],
        "size": size,
        "memory": None if only is None else memory,
        "settings": dict(settings),
        "home": settings["temp_directory"],
    }
    worker = _start_worker(settings["temp_directory"])

    def batches(reader: "pa.RecordBatchReader") -> "Iterator[pa.RecordBatch]":
        try:
            yield from reader
            if worker.process.wait():
                raise worker.failure()
        except (pa.ArrowException, OSError):
            raise worker.failure() from None
        finally:
            worker.end()

    try:
        answer = worker.ask(request)
        if "tables" in answer:
            raise TableNotFound(name, answer["tables"])
        worker.ask(list(choose_columns(answer["columns"])))
        try:
            reader = pa.ipc.open_stream(worker.process.stdout)
        except (pa.ArrowException, OSError):
            raise worker.failure() from None
    except BaseException:
        worker.end()
        raise
    return pa.RecordBatchReader.from_batches(reader.schema, batches(reader))


class _WorkerProcess:
    """A process that is asked for a table, line by line, before it streams the rows."""

    def __init__(self, home: str, *arguments: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        self.process = subprocess.Popen(
            [*_COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=scrubbed_environment(home),
        )

    def ask(self, value: Any) -> dict[str, Any]:
        """Send a line of JSON and return the next one. Raises EngineFailed with the error that it says."""
        to, back = self.process.stdin, self.process.stdout
        assert to is not None and back is not None
        with suppress(BrokenPipeError):
            to.write(json.dumps(value).encode() + b"\n")
            to.flush()
        line = back.readline()
        if not line:
            raise self.failure()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineFailed(answer["error"])
        return answer

    def failure(self) -> EngineFailed:
        """Return why the process has ended."""
        code = self.process.wait()
        self._errors.seek(0)
        lines = self._errors.read()[-20_000:].decode("utf-8", "replace").strip().splitlines()
        with suppress(ValueError, KeyError, IndexError, TypeError):
            return EngineFailed(json.loads(lines[-1])["error"])
        return EngineFailed(f"the process that read it {_exit_description(code)}")

    def end(self) -> None:
        """End the process, if it has not ended, and close what is open to it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._errors):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
