"""One COPY of a PostgreSQL, streamed while it is written."""

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from storymesh.federation.idle_timeout import IdleTimeout
from storymesh.federation.relation import Relation

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg2.extensions import connection

_BLOCK = 8 * 2**20  # a row has to fit in


class _Table(Protocol):
    """Whose rows they are: it counts their bytes, and knows the words for what goes wrong."""

    moved: int

    def watched(self, connection: "connection") -> AbstractContextManager[IdleTimeout]: ...

    def translated_errors(self) -> AbstractContextManager[None]: ...


class TableCopy:
    """One COPY from PostgreSQL, in a thread of its own: libpq blocks while it waits for the server."""

    def __init__(self, table: _Table, connection: "connection", statement: str) -> None:
        self._table = table
        self._connection = connection
        self._statement = statement
        self._failure: BaseException | None = None

    def batches(self, schema: "pa.Schema", relation: Relation) -> "Iterator[pa.RecordBatch]":
        """Yield the rows. Only when all of them have come does it end without an error."""
        read, write = os.pipe()
        _widen(write)
        thread = threading.Thread(target=self._fill, args=(write,), name="copy of a table", daemon=True)
        try:
            with open(read, "rb", buffering=0) as raw:  # noqa: PTH123 - a pipe has no path
                thread.start()
                yield from read_csv(raw, schema, relation, self._raise_failure)
        finally:
            # The thread ends with the pipe, or with the connection.
            if thread.is_alive():
                cut_connection(self._connection)
            if thread.ident is not None:
                thread.join()
            else:
                os.close(write)
            self._connection.close()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fill(self, write: int) -> None:
        with open(write, "wb", buffering=0) as pipe:
            try:
                with (
                    self._table.watched(self._connection) as limit,
                    self._table.translated_errors(),
                    self._connection.cursor() as cursor,
                ):
                    cursor.copy_expert(self._statement, _Written(pipe, limit, self._table), size=1 << 16)
                    self._connection.rollback()
            except BaseException as error:  # whoever reads the pipe to its end raises it
                self._failure = error


class _Written:
    """A pipe for psycopg2 to write to, whose reader may take its time."""

    def __init__(self, pipe: Any, limit: IdleTimeout, table: _Table) -> None:
        self._pipe = pipe
        self._limit = limit
        self._table = table

    def write(self, content: bytes | str) -> int:
        data = content.encode() if isinstance(content, str) else content
        self._table.moved += len(data)
        with self._limit.heard():
            view = memoryview(data)
            while view:
                view = view[self._pipe.write(view) :]
        return len(data)


def cut_connection(connection: "connection") -> None:
    """End the connection for whoever waits for it, in whatever thread."""
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _widen(pipe: int) -> None:
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


def read_csv(
    pipe: io.RawIOBase, schema: "pa.Schema", relation: Relation, raise_failure: Callable[[], None]
) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a CSV without a header: an empty field is null, an empty text stands in quotes.

    `raise_failure` is called when the pipe has ended, and raises what kept its writer from writing all of it.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    source = io.BufferedReader(pipe, _BLOCK)
    if not source.peek(1):
        raise_failure()
        return
    options = {
        "read_options": pc.ReadOptions(column_names=schema.names, block_size=_BLOCK),
        "parse_options": pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        "convert_options": pc.ConvertOptions(
            column_types=schema,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }
    try:
        with pc.open_csv(pa.PythonFile(source, "r"), **options) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield batch
    except pa.ArrowInvalid as error:
        raise_failure()
        words = str(error).splitlines()[0]
        if "straddling" in words or "block" in words:
            words = f"a row takes more than {_BLOCK // 2**20} MiB"
        raise relation.unreadable(words, "leave the column away, or shorten it in a query") from None
    raise_failure()
