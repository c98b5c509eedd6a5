"""DuckDB in this process as an engine: bounded in memory, without access to the network."""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import ByteSize, TypeAdapter

from storymesh.engine.duckdb.digest import relation_digest
from storymesh.engine.engine import Files
from storymesh.errors import EngineFailed, OutOfMemory, StorymeshError, WrongUsage

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

ROW_GROUP = 20_480


class DuckDBEngine:
    """An in-memory DuckDB session that implements the `Engine` port.

    `memory` is a size such as `4GB` (default: `STORYMESH_MEMORY`), `threads` a count (default: `STORYMESH_THREADS`,
    else all cores). Raises `WrongUsage` for a size that is none.
    """

    def __init__(self, *, memory: str | None = None, threads: int | None = None) -> None:
        import ibis
        import sqlglot.tokens

        if "sqlglotc" in getattr(sqlglot.tokens, "__file__", ""):
            words = "the compiled sqlglot is installed, which breaks array access on the engines"
            raise StorymeshError(words, "install from requirements/lock.txt, which leaves it out")
        memory = memory or os.environ.get("STORYMESH_MEMORY", "4GB")
        try:
            self.memory = int(TypeAdapter(ByteSize).validate_python(memory))
        except ValueError as error:
            raise WrongUsage(f"STORYMESH_MEMORY is '{memory}'", "say how much, such as 4GB or 512MiB") from error
        self._spill = tempfile.TemporaryDirectory(prefix="storymesh-spill-")
        self.connection = ibis.duckdb.connect(
            ":memory:",
            temp_directory=self._spill.name,
            memory_limit=f"{max(self.memory // 1024, 1)}KiB",
            threads=threads or int(os.environ.get("STORYMESH_THREADS", str(os.cpu_count() or 1))),
            preserve_insertion_order=False,
        )
        self.connection.raw_sql("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        self.connection.raw_sql("SET TimeZone = 'UTC'")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.disconnect()
        self._spill.cleanup()

    def read_parquet(self, files: Files, schema: "pa.Schema | None" = None) -> "ir.Table":
        import ibis
        import ibis.expr.schema as sch

        paths = [files] if isinstance(files, str | Path) else list(files)
        if not paths:
            if schema is None:
                raise ValueError("no files and no schema")
            return ibis.memtable(schema.empty_table())
        with self._translated():
            table = self.connection.read_parquet([literal_path(str(path)) for path in paths], hive_partitioning=False)
        if schema is None:
            return table
        expected = sch.Schema.from_pyarrow(schema)
        return table.select(**{name: table[name].cast(kind) for name, kind in expected.items()})

    def write_parquet(self, table: "ir.Table", path: Path) -> int:
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with self._translated(f" while it wrote {path.name}"):
                self.connection.to_parquet(
                    table, staged, row_group_size=ROW_GROUP, compression="zstd", compression_level=1
                )
            rows = pq.read_metadata(staged).num_rows
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        return int(rows)

    def write_parquet_parts(self, parts: Sequence["ir.Table"], path: Path) -> int:
        if len(parts) == 1:
            return self.write_parquet(parts[0], path)
        staged = [path.with_name(f".{path.name}.part-{number}.{os.getpid()}") for number in range(len(parts))]
        try:
            for part, file in zip(parts, staged, strict=True):
                self.write_parquet(part, file)
            return self.write_parquet(self.read_parquet(staged), path)
        finally:
            for file in staged:
                file.unlink(missing_ok=True)

    def materialize(
        self, rows: "ir.Table | pa.Table | Iterable[pa.RecordBatch]", schema: "pa.Schema | None" = None
    ) -> "ir.Table":
        import ibis
        import ibis.expr.types as ir
        import pyarrow as pa
        from ibis.util import gen_name

        name = gen_name("temporary")
        with self._translated():
            if isinstance(rows, ir.Table):
                created: ir.Table = self.connection.create_table(name, rows, temp=True)
                return created
            if isinstance(rows, pa.Table):
                schema, rows = rows.schema, rows.to_batches()
            if schema is None:
                raise ValueError("batches need a schema")
            self.connection.create_table(name, schema=ibis.Schema.from_pyarrow(schema), temp=True)
            # Registered one at a time: whatever a batch's own producer raises passes through unchanged.
            given, session = gen_name("batch"), self.connection.con
            for batch in rows:
                session.register(given, pa.Table.from_batches([batch]))
                session.execute(f'INSERT INTO "{name}" FROM "{given}"')
                session.unregister(given)
        table: ir.Table = self.connection.table(name)
        return table

    def drop(self, table: "ir.Table") -> None:
        # ibis 12 passes sqlglot 30.24 an argument that it no longer reads, so its own `drop_table` fails.
        self.connection.raw_sql(f'DROP TABLE IF EXISTS "{table.op().name}"')

    def fetch_table(self, table: "ir.Table") -> "pa.Table":
        with self._translated():
            return self.connection.to_pyarrow(table)

    def fetch_rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        return list(self.fetch_table(table).to_pylist())

    def fetch_value(self, value: "ir.Scalar") -> Any:
        with self._translated():
            return self.connection.to_pyarrow(value).as_py()

    def stream_batches(self, table: "ir.Table", size: int = 2_000) -> Iterator["pa.RecordBatch"]:
        with self._translated():
            yield from self.connection.to_pyarrow_batches(table, chunk_size=size)

    def content_digest(self, table: "ir.Table") -> str:
        with self._translated():
            return relation_digest(self.connection.con.sql(self.compile_sql(table)))

    def profile_plan(self, table: "ir.Table") -> Mapping[str, Any]:
        with self._translated():
            (row,) = self.connection.raw_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {self.compile_sql(table)}").fetchall()
        root: Mapping[str, Any] = json.loads(row[1])
        return root

    def compile_sql(self, table: "ir.Table") -> str:
        import ibis

        return str(ibis.to_sql(table, dialect="duckdb"))

    @contextmanager
    def _translated(self, during: str = "") -> Iterator[None]:
        """Raise DuckDB's errors as the port's."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            words = f"the engine ran out of memory{during}; it may use {self.memory / 1e9:.1f} GB"
            raise OutOfMemory(words, "give STORYMESH_MEMORY more, or STORYMESH_THREADS fewer") from error
        except duckdb.Error as error:
            raise EngineFailed(f"the engine failed{during}: {' '.join(str(error).split())[:300]}") from error


def literal_path(path: str) -> str:
    """Return `path` as a DuckDB glob that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)
