"""The state of one session: its tables and Parquet files as ibis has them, its secret text, and its threads."""

import re
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from storymesh.engine import dialect
from storymesh.engine.duckdb.connection import parquet_scan
from storymesh.engine.parquet_writer import ROW_GROUP
from storymesh.engine.sql_text import quote_name, quote_text

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.schema as sch
    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

_SCAN = "read_parquet"  # in the names that stand for Parquet files
ExpressionType = TypeVar("ExpressionType", "ir.Table", "ir.Scalar")
SHOWN = f"getvariable('{dialect.SECRET_VARIABLE}')"
# Of Parquet or of Arrow: about what one thread reads anyway.
SMALL_BYTES = 4 * 2**20
SMALL_ROWS = 2 * ROW_GROUP


class SessionTables:
    """Makes tables of what a session holds."""

    def __init__(self, connection: "Backend") -> None:
        self._connection = connection
        self._scans: dict[str, str] = {}  # name that stands for Parquet files -> the SQL that reads them
        self._schemas: dict[tuple[object, ...], sch.Schema] = {}  # of files as they were when they were read

    def of_files(self, paths: Sequence[str | Path]) -> "ir.Table":
        """Return the rows of Parquet files. Each call gives a table of its own, so that they can be joined."""
        from ibis.util import gen_name

        name, scan = gen_name(_SCAN), parquet_scan(paths)
        self._scans[name] = scan
        if (known := _identities(paths)) is None:
            return self._table(name, self._schema(f"FROM {scan}"))
        if known not in self._schemas:
            self._schemas[known] = self._schema(f"FROM {scan}")
        return self._table(name, self._schemas[known])

    def named(self, name: str) -> "ir.Table":
        """Return a table or view of the session. It is what ibis does, which parses the types anew each time."""
        return self._table(name, self._schema(quote_name(name)))

    def written_out(self, sql: str) -> str:
        """Return SQL that reads files by their paths, where it has names that nobody else knows."""
        return re.sub(rf'"(ibis_{_SCAN}_\w+)"', lambda view: self._scans.get(view[1], view[0]), sql)

    def _table(self, name: str, schema: "sch.Schema") -> "ir.Table":
        import ibis.expr.operations as ops

        return ops.DatabaseTable(name, schema=schema, source=self._connection).to_expr()

    def _schema(self, relation: str) -> "sch.Schema":
        import ibis.expr.schema as sch

        columns = self._connection.con.execute(f"DESCRIBE {relation}").fetchall()
        return sch.Schema({column: type_named(kind) for column, kind, *_ in columns})


def _identities(paths: Sequence[str | Path]) -> tuple[object, ...] | None:
    """Return what tells these files from all others, also from those that had their names before; None for files of
    another place."""
    try:
        found = [Path(path).stat() for path in paths]
    except OSError:
        return None
    return tuple((str(path), one.st_ino, one.st_size, one.st_mtime_ns) for path, one in zip(paths, found, strict=True))


class SessionSecret:
    """The secret that the queries of one session use."""

    def __init__(self, session: "duckdb.DuckDBPyConnection") -> None:
        self._session = session
        self._secret: str | None = None

    def separated(self, expression: ExpressionType) -> ExpressionType:
        """Return an expression that reads its secret text from the session, which has it from now on."""
        node, secret = dialect.separate_secret(expression.op())
        if secret is None:
            return expression
        if secret != self._secret:
            self._session.execute(f"SET VARIABLE {dialect.SECRET_VARIABLE} = ?", [secret])
            self._secret = secret
        return node.to_expr()

    def redacted(self, value: Any) -> Any:
        """Return a part of a plan or an error, in which the engine may write variables out, without the secret."""
        match value:
            case dict():
                return {name: self.redacted(part) for name, part in value.items()}
            case list():
                return [self.redacted(part) for part in value]
            case str() if self._secret is not None:
                return value.replace(quote_text(self._secret), SHOWN).replace(self._secret, SHOWN)
            case _:
                return value


class SessionThreads:
    """Lets a session that was opened with one thread use `count` of them from the first large rows on.

    With two threads a query over some thousand rows takes half as much processor time again, and no less time.
    """

    def __init__(self, session: "duckdb.DuckDBPyConnection", count: str) -> None:
        self._session = session
        self._count = count
        self._size = 0  # of the rows that the session holds itself

    def expect_files(self, paths: Collection[str | Path]) -> None:
        """Prepare for files of Parquet that are read together. Files of another place count as large."""
        if self._count != "1" and not _are_small(paths):
            self._use_all()

    def expect_rows(self, size: int) -> None:
        """Prepare for this many more bytes of rows than the session already holds."""
        self._size += size
        if self._count != "1" and self._size >= SMALL_BYTES:
            self._use_all()

    def _use_all(self) -> None:
        self._session.execute(f"SET threads = {int(self._count)}")
        self._count = "1"


def _are_small(paths: Collection[str | Path]) -> bool:
    """Return True for few bytes and few rows: values that repeat let a file of many rows be small."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if sum(Path(path).stat().st_size for path in paths) >= SMALL_BYTES:
            return False
        rows: int = sum(pq.read_metadata(path).num_rows for path in paths)
    except (OSError, pa.ArrowInvalid):  # the engine says what is wrong with it
        return False
    return rows <= SMALL_ROWS


@cache
def type_named(kind: str) -> Any:
    """Return one of DuckDB's types, by its name, as ibis has it."""
    from ibis.backends.sql.datatypes import DuckDBType

    return DuckDBType.from_string(kind)


def type_of(kind: "pa.DataType") -> Any:
    """Return an Arrow type as ibis has it, or ibis's unknown type, of which a value can be cast and nothing else."""
    import ibis.expr.datatypes as dt

    try:
        return dt.DataType.from_pyarrow(kind)
    except (KeyError, ValueError, NotImplementedError):
        return dt.unknown
