"""Starting `child`, the process in which DuckDB runs what somebody else wrote, and reading what it answers."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
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
_COMMAND = (sys.executable, "-P", "-m", "storymesh.engine.duckdb.child")


def run_rule(
    query: str,
    name: str,
    files: Sequence[str],
    scan: str,
    hidden: Collection[str],
    time_limit_s: float,
) -> RuleValue:
    """Return the value of a SQL rule over `files`, which the SQL `scan` reads; see `Engine.run_untrusted_query`."""
    from storymesh.engine.duckdb.child import value_of

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
        try:
            done = subprocess.run(
                _COMMAND,
                input=json.dumps(request) + "\n",
                capture_output=True,
                text=True,
                cwd=folder,
                env=scrubbed_environment(str(folder)),
                timeout=time_limit_s + _START_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it took longer than {time_limit_s:g} s") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        # Ended by the system for what it took; what it wrote last could quote a value.
        raise EngineFailed(f"it {_ending(done.returncode)}") from None
    if "error" in answer:
        if answer.get("timeout"):
            raise TimeoutError(answer["error"])
        raise EngineFailed(answer["error"])
    return RuleValue(value_of(answer["value"]), bool(answer["reads_hidden"]))


def _ending(code: int) -> str:
    """Return how a process ended that did not answer: the system ends one that takes too much."""
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
    }
    child = _Child(settings["temp_directory"])

    def batches(reader: "pa.RecordBatchReader") -> "Iterator[pa.RecordBatch]":
        try:
            yield from reader
            if child.process.wait():
                raise child.failure()
        except (pa.ArrowException, OSError):
            raise child.failure() from None
        finally:
            child.end()

    try:
        answer = child.ask(request)
        if "tables" in answer:
            raise TableNotFound(name, answer["tables"])
        child.ask(list(choose_columns(answer["columns"])))
        try:
            reader = pa.ipc.open_stream(child.process.stdout)
        except (pa.ArrowException, OSError):
            raise child.failure() from None
    except BaseException:
        child.end()
        raise
    return pa.RecordBatchReader.from_batches(reader.schema, batches(reader))


class _Child:
    """A process that is asked for a table, line by line, before it streams the rows."""

    def __init__(self, home: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        self.process = subprocess.Popen(
            _COMMAND,
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
        return EngineFailed(f"the process that read it {_ending(code)}")

    def end(self) -> None:
        """End the process, if it has not ended, and close what is open to it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._errors):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
