"""The engine of one laptop: DuckDB in this process, bounded in memory, without access to the network."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import ByteSize, TypeAdapter

from storymesh.errors import OutOfMemory, StorymeshError, WrongUsage

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

ROW_GROUP = 20_480


class Engine:
    """A DuckDB that opens Parquet files as relations and writes expressions to Parquet. Use it as a context manager."""

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

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.disconnect()
        self._spill.cleanup()

    def open(self, files: Sequence[str | Path], schema: "pa.Schema") -> "ir.Table":
        """Parquet files as one relation of `schema`; without files an empty one."""
        import ibis
        import ibis.expr.schema as sch

        wanted = sch.Schema.from_pyarrow(schema)
        if not files:
            return ibis.memtable(schema.empty_table())
        table = self.connection.read_parquet([str(file) for file in files])
        return table.select(**{name: table[name].cast(kind) for name, kind in wanted.items()})

    def read(self, path: Path) -> "ir.Table":
        """One Parquet file that this engine wrote, with the types it has."""
        return self.connection.read_parquet(str(path))

    def write(self, table: "ir.Table", path: Path) -> int:
        """Write an expression to one Parquet file, whole or not at all. Returns the number of rows.

        Raises OutOfMemory.
        """
        import duckdb
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self.connection.to_parquet(table, staged, row_group_size=ROW_GROUP, compression="zstd", compression_level=1)
            rows = pq.read_metadata(staged).num_rows
            staged.replace(path)
        except duckdb.OutOfMemoryException as error:
            words = f"the engine ran out of memory while it wrote {path.name}; it may use {self.memory / 1e9:.1f} GB"
            raise OutOfMemory(words, "give STORYMESH_MEMORY more, or STORYMESH_THREADS fewer") from error
        finally:
            staged.unlink(missing_ok=True)
        return int(rows)

    def write_parts(self, parts: Sequence["ir.Table"], path: Path) -> int:
        """Write expressions to one Parquet file as `write` does, one after the other: never two in memory at once."""
        if len(parts) == 1:
            return self.write(parts[0], path)
        staged = [path.with_name(f".{path.name}.part-{number}.{os.getpid()}") for number in range(len(parts))]
        try:
            for part, file in zip(parts, staged, strict=True):
                self.write(part, file)
            return self.write(self.connection.read_parquet([str(file) for file in staged]), path)
        finally:
            for file in staged:
                file.unlink(missing_ok=True)

    def batches(self, table: "ir.Table", size: int = 2_000) -> Iterator["pa.RecordBatch"]:
        """The rows of an expression, some at a time."""
        yield from self.connection.to_pyarrow_batches(table, chunk_size=size)

    def profile(self, table: "ir.Table") -> Mapping[str, Any]:
        """Run an expression, keep no row of it, and give DuckDB's own account: the root of its operators, each with
        `operator_name`, `operator_cardinality` (rows), `operator_timing` (seconds), `extra_info` and `children`."""
        (told,) = self.connection.raw_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {self.sql(table)}").fetchall()
        root: Mapping[str, Any] = json.loads(told[1])
        return root

    def sql(self, table: "ir.Table") -> str:
        import ibis

        return str(ibis.to_sql(table, dialect="duckdb"))
