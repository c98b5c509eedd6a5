"""A process of its own for untrusted SQL: a rule of a contract, or the models that dbt left in a file.

DuckDB's limits hold most of what it does and not all (`repeat('a', 2000000000)` takes eight gigabytes, and no interrupt
ends it), and its settings are of the whole process. So such work is done here: with no environment, no files but those
that it is given, bounds of the system on memory and processor time, and a parent that ends it.

The request is a line of JSON on standard input. What comes out is said at `answer_rule` and `stream_table`.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from storymesh.engine.duckdb.connection import confine, open_duckdb
from storymesh.engine.duckdb.error_words import without_values
from storymesh.engine.duckdb.rule_query import parse_rule
from storymesh.engine.sql_text import quote_name, quote_text
from storymesh.errors import EngineFailed

RULE_MEMORY = 2 * 2**30
MAX_RESULT = 10_000  # characters of a text that a rule gives
_OVERHEAD = 2 * 2**30  # addresses of the interpreter, its libraries and the stacks of two threads
_OVERHEAD_OF_TABLE = 6 * 2**30  # and those of as many threads as there are cores
_NOT_OF_ARROW = ("UHUGEINT", "BIGNUM", "VARINT", "INTERVAL", "TIME WITH TIME ZONE", "BIT", "UNION", "UUID")
_NO_EXTENSIONS = {"autoload_known_extensions": "false"}


def main() -> None:
    """Do what the request on standard input says. With the argument `ahead` it may take a while until it comes."""
    if "ahead" in sys.argv:
        import pyarrow  # noqa: F401 - as tables need it
    if not (line := sys.stdin.readline()):
        return
    request = json.loads(line)
    os.environ["HOME"] = request["home"]
    if request["folder"]:
        os.chdir(request["folder"])
    with suppress(BrokenPipeError):
        match request["task"]:
            case "rule":
                _send(sys.stdout.buffer, answer_rule(request))
            case "table":
                stream_table(request, sys.stdout.buffer)


def answer_rule(request: dict[str, Any]) -> dict[str, Any]:
    """Return the one `value` of a SQL rule and whether it `reads_hidden` columns, or an `error`."""
    _limit_resources(RULE_MEMORY + _OVERHEAD, request["time_limit_s"], writes=False)
    name, reads_hidden = request["name"], True
    try:
        with (
            _open_rule_session(name, request["scan"], request["files"]) as session,
            _interrupted_after(session, request["time_limit_s"]),
        ):
            rule = parse_rule(session, request["query"], name, request["hidden"])
            reads_hidden = rule.reads_hidden
            rows = session.execute(rule.text).fetchmany(2)
    except duckdb.InterruptException:
        return {"error": f"it took longer than {request['time_limit_s']:g} s", "timeout": True}
    except (EngineFailed, duckdb.Error, MemoryError, RecursionError) as error:
        return {"error": _error_message(error, reads_hidden=reads_hidden and not isinstance(error, EngineFailed))}
    if len(rows) != 1 or len(rows[0]) != 1:
        return {"error": "a rule gives one row with one value"}
    return {"value": _as_json(rows[0][0]), "reads_hidden": reads_hidden}


@contextmanager
def _interrupted_after(session: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the session after some seconds, repeatedly: an interrupt has no effect before a statement has begun.

    The parent ends what does not.
    """
    done = threading.Event()

    def interrupt() -> None:
        wait = seconds
        while not done.wait(wait):
            session.interrupt()
            wait = 0.2

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _open_rule_session(name: str, scan: str, files: Sequence[str]) -> duckdb.DuckDBPyConnection:
    settings = {"memory_limit": f"{RULE_MEMORY // 2**20}MiB", "max_temp_directory_size": "0KiB", "threads": "2"}
    session = open_duckdb({**_NO_EXTENSIONS, **settings})
    session.execute(f"CREATE VIEW {quote_name(name)} AS FROM {scan}")
    confine(session, [Path(file) for file in files])
    return session


def _error_message(error: BaseException, *, reads_hidden: bool) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return f"it needs more than {RULE_MEMORY // 2**30} GB of memory"
    if reads_hidden and not isinstance(
        error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException
    ):
        return f"{text.partition(':')[0]} (its words could quote a restricted value)"
    return text


def _as_json(value: Any) -> dict[str, Any]:
    match value:
        case None | bool() | int() | float():
            return {"plain": value}
        case str():
            if len(value) > MAX_RESULT:
                return {"other": f"a text of {len(value):,} characters"}
            return {"plain": value}
        case Decimal():
            return {"decimal": str(value)}
        case datetime():
            return {"other": "a moment with a time zone"} if value.tzinfo else {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case _:
            return {"other": f"a value of the kind {type(value).__name__}"}


def value_of(answer: dict[str, Any]) -> Any:
    """Return the value that `answer_rule` wrote down. Raises EngineFailed for one that cannot be compared."""
    (kind, written), *_ = answer.items()
    match kind:
        case "plain":
            return written
        case "decimal":
            return Decimal(written)
        case "datetime":
            return datetime.fromisoformat(written)
        case "date":
            return date.fromisoformat(written)
        case _:
            raise EngineFailed(f"a rule gives one short value, not {written}")


def stream_table(request: dict[str, Any], output: BinaryIO) -> None:
    """Write the names of a table's `columns` (or the `tables` that there are, or an `error`) as a line of JSON, read
    a line with those that are wanted, and write their rows as an Arrow stream.

    An error while rows are read is the last line of standard error.
    """
    import pyarrow as pa

    settings = request["settings"]
    if request["memory"] is not None:
        _limit_resources(request["memory"] + _OVERHEAD_OF_TABLE, None, writes=True)
    try:
        session = open_duckdb({**_NO_EXTENSIONS, **settings}, request["database"], read_only=True)
        if request["only"] is not None:
            confine(session, [Path(path) for path in request["only"]])
        source = _as_source(session, request["query"]) or _find_table(session, request["name"], request["schema"])
        if source is None:
            rows = session.execute("SELECT table_name FROM information_schema.tables").fetchall()
            _send(output, {"tables": [table for (table,) in rows]})
            return
        types = {column: kind for column, kind, *_ in session.execute(f"DESCRIBE FROM {source}").fetchall()}
        _send(output, {"columns": list(types)})
        names = json.loads(sys.stdin.readline() or "[]")
        chosen = ", ".join(_selected(name, types[name]) for name in names)
        if not chosen:
            return
        reader = session.execute(f"SELECT {chosen} FROM {source}").to_arrow_reader(request["size"])
    except (duckdb.Error, OSError, MemoryError) as error:
        _send(output, {"error": _model_error_message(error)})
        return
    try:
        _send(output, {"rows": True})
        with pa.ipc.new_stream(output, reader.schema) as stream:
            for batch in reader:
                stream.write_batch(batch)
    except (duckdb.Error, pa.ArrowException, MemoryError) as error:
        _send(sys.stderr.buffer, {"error": _model_error_message(error)})
        sys.exit(1)
    output.flush()


def _as_source(session: duckdb.DuckDBPyConnection, query: str | None) -> str | None:
    """Return a query in the form that can follow FROM. Raises duckdb.Error unless it is exactly one SELECT."""
    if query is None:
        return None
    statements = session.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise duckdb.ParserException("the query is not one SELECT")
    return f"({statements[0].query.strip().rstrip(';')}\n)"


def _selected(name: str, kind: str) -> str:
    """Return a column as SQL selects it: as text where Arrow has no type that holds its values."""
    column = quote_name(name)
    return f"CAST({column} AS VARCHAR) AS {column}" if kind.startswith(_NOT_OF_ARROW) else column


def _find_table(session: duckdb.DuckDBPyConnection, name: str, schema: str | None) -> str | None:
    """Return a table as SQL names it; without a schema one in `main` comes before one of the same name elsewhere."""
    query = f"SELECT table_schema FROM information_schema.tables WHERE table_name = {quote_text(name)}"
    schemas = sorted((found for (found,) in session.execute(query).fetchall()), key=lambda found: found != "main")
    if schema is not None:
        schemas = [found for found in schemas if found.lower() == schema.lower()]
    return f"{quote_name(schemas[0])}.{quote_name(name)}" if schemas else None


def _model_error_message(error: BaseException) -> str:
    return without_values(str(error)).splitlines()[0] if str(error) else type(error).__name__


def _send(output: BinaryIO, value: dict[str, Any]) -> None:
    output.write(json.dumps(value).encode() + b"\n")
    output.flush()


def _limit_resources(memory: int, seconds: float | None, *, writes: bool) -> None:
    """Have the system end this process beyond these limits. On Windows, which has none, DuckDB's own limits apply."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CORE: 0}
    if seconds is not None:
        limits[resource.RLIMIT_CPU] = int(seconds) * (os.cpu_count() or 1) + 10
    if not writes:
        limits[resource.RLIMIT_FSIZE] = 0
    for kind, limit in limits.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    main()
