"""The tables and the Parquet files of one session, as ibis has them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.duckdb.connection import parquet_scan
from storymesh.engine.duckdb.ibis_types import type_named
from storymesh.engine.sql_text import quote_name

if TYPE_CHECKING:
    import ibis.expr.schema as sch
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_SCAN = "read_parquet"  # in the names that stand for Parquet files


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
