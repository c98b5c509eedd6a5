"""DuckDB in this process as an engine: bounded in memory, without access to the network."""

import json
import os
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from storymesh.atomic_write import staged_file
from storymesh.engine.duckdb.batch_stream import INCOMING, BatchStream, divide_by_row_size
from storymesh.engine.duckdb.connection import confine, open_duckdb, parquet_scan
from storymesh.engine.duckdb.digest import BatchDigest, DuckDBPartDigests, relation_digest
from storymesh.engine.duckdb.isolated_process import run_rule, stream_table
from storymesh.engine.duckdb.machine import require_spill_folder, wanted_memory, wanted_threads
from storymesh.engine.duckdb.nested_forms import round_trips_arrow, round_trips_parquet
from storymesh.engine.duckdb.plan import plan_operator
from storymesh.engine.duckdb.session import SessionSecret, SessionTables, SessionThreads, type_of
from storymesh.engine.engine import Files, PlanOperator, RuleValue
from storymesh.engine.nesting import deep_nesting
from storymesh.engine.parquet_writer import COMPRESSION_LEVEL, ROW_GROUP, write_parquet_file
from storymesh.engine.sql_text import quote_name, quote_text
from storymesh.errors import EngineFailed, OutOfMemory
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir
    import pyarrow as pa

BATCH = 4_096  # rows that come over Arrow at once
_NO_EXTENSIONS = {"autoload_known_extensions": "false"}


class DuckDBEngine:
    """An in-memory DuckDB session that implements the `Engine` port.

    `memory` is a size such as `4GB` and `threads` a count, by default what the environment says; `only` is what a
    confined session may open. Raises `WrongUsage` for a size or a count that is none.
    """

    def __init__(
        self, *, memory: str | None = None, threads: int | None = None, only: Iterable[Path] | None = None
    ) -> None:
        import ibis

        from storymesh.engine.duckdb.compiler import FileCompiler, QuickCompiler

        self.memory = wanted_memory(memory)
        require_spill_folder()
        ending = ExitStack()
        self._spill = ending.enter_context(temporary_folder("spill"))
        self._remove_spill = weakref.finalize(self, ending.close)  # at exit too, of a session that nobody has ended
        self._resources = {
            "temp_directory": str(self._spill),
            "memory_limit": f"{max(self.memory // 1024, 1)}KiB",
            "threads": str(wanted_threads(threads)),
        }
        alone = {} if only is not None else {"threads": "1"}  # a confined session keeps the threads that it begins with
        session = open_duckdb({**_NO_EXTENSIONS, **self._resources, **alone})
        self._threads = SessionThreads(session, self._resources["threads"] if alone else "1")
        self.connection = ibis.duckdb.from_connection(session)
        self.connection.compiler = QuickCompiler()
        self._file_compiler = FileCompiler()
        self._tables = SessionTables(self.connection)
        self._secret = SessionSecret(session)
        if only is not None:
            confine(session, (*only, self._spill))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.disconnect()
        self._remove_spill()

    def read_parquet(self, files: Files, schema: "pa.Schema | None" = None) -> "ir.Table":
        import ibis.expr.schema as sch

        paths = [files] if isinstance(files, str | Path) else list(files)
        if not paths:
            if schema is None:
                raise ValueError("no files and no schema")
            return self.materialize(schema.empty_table())
        with self._translated():
            self._threads.expect_files(paths)
            table = self._tables.of_files(paths)
        if schema is None:
            return table
        expected = sch.Schema.from_pyarrow(schema).items()
        return table.select(**{name: table[name].cast(kind) for name, kind in expected})

    def describe_database_lock(self, database: Path) -> str | None:
        import duckdb

        try:
            duckdb.connect(str(database), config={"enable_external_access": "false"}).close()
        except duckdb.IOException as error:
            return str(error).splitlines()[0] if "lock" in str(error).lower() else None
        return None

    def stream_database_table(
        self,
        database: Path,
        name: str,
        folder: Path,
        choose_columns: Callable[[Sequence[str]], Sequence[str]],
        size: int = 50_000,
        *,
        only: Collection[Path] | None = (),
        schema: str | None = None,
        query: str | None = None,
    ) -> "pa.RecordBatchReader":
        limits = (size, self.memory, self._resources)
        return stream_table(database, name, schema, folder, only, choose_columns, *limits, query)

    def map_batches(
        self,
        batches: Iterable["pa.RecordBatch"],
        schema: "pa.Schema",
        select: "Callable[[ir.Table], ir.Table]",
        size: int = 50_000,
    ) -> "Iterator[pa.RecordBatch]":
        import ibis

        query = self.compile_sql(
            select(ibis.table({field.name: type_of(field.type) for field in schema}, name=INCOMING))
        )
        for rows, given in divide_by_row_size(batches, size):
            session = open_duckdb({**_NO_EXTENSIONS, **self._resources})
            stream = BatchStream(given, schema)
            try:
                if rows < size:  # what is made ahead has a limit of bytes, and those of texts do not count
                    session.execute("SET streaming_buffer_size = '1KiB'")
                stream.register(session)
                yield from self._streamed(session, query, rows)
            except EngineFailed:
                stream.raise_failure()
                raise
            finally:
                session.close()

    def write_parquet(
        self,
        table: "ir.Table",
        path: Path,
        *,
        order: "Sequence[str | ir.Value]" = (),
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        import pyarrow.parquet as pq

        with self._executing(f" while it wrote {path.name}"):
            query = self._query(table.order_by(*order) if order else table, to_file=True)
            if order:
                # Rows that come in order pass through this process anyway, and Arrow's writer is the quicker one.
                relation = self.connection.con.sql(query)
                if all(map(round_trips_parquet, relation.types)):
                    rows = relation.to_arrow_reader(BATCH)
                    return write_parquet_file(rows, rows.schema, path, metadata)
            with staged_file(path) as staged:
                settings = [
                    *("FORMAT parquet", f"ROW_GROUP_SIZE {ROW_GROUP}"),
                    *("COMPRESSION zstd", f"COMPRESSION_LEVEL {COMPRESSION_LEVEL}"),
                    f"PRESERVE_ORDER {bool(order)}",  # without, it takes less memory
                ]
                if metadata:
                    pairs = (f"{quote_text(name)}: {quote_text(value)}" for name, value in metadata.items())
                    settings.append(f"KV_METADATA {{{', '.join(pairs)}}}")
                target = f"{quote_text(str(staged))} ({', '.join(settings)})"
                self.connection.con.execute(f"COPY ({query}) TO {target}")
                rows_written = pq.read_metadata(staged).num_rows
        return int(rows_written)

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
        with self._executing():
            if isinstance(rows, ir.Table):
                self.connection.con.execute(f"CREATE TEMP TABLE {quote_name(name)} AS {self._query(rows)}")
                return self._tables.named(name)
            if isinstance(rows, pa.Table):
                schema, rows = rows.schema, rows.to_batches()
            if schema is None:
                raise ValueError("batches need a schema")
            self.connection.create_table(name, schema=ibis.Schema.from_pyarrow(schema), temp=True)
            # Registered one at a time: whatever a batch's own producer raises passes through unchanged.
            given, session = gen_name("batch"), self.connection.con
            for batch in rows:
                self._threads.expect_rows(batch.nbytes)
                session.register(given, pa.Table.from_batches([batch]))
                session.execute(f'INSERT INTO "{name}" FROM "{given}"')
                session.unregister(given)
        return self._tables.named(name)

    def compute_once(self, table: "ir.Table") -> "ir.Table":
        return table

    def drop(self, table: "ir.Table") -> None:
        # ibis 12 passes sqlglot 30.24 an argument that it no longer reads, so its own `drop_table` fails.
        self.connection.raw_sql(f'DROP TABLE IF EXISTS "{table.op().name}"')

    def fetch_table(self, table: "ir.Table") -> "pa.Table":
        with self._executing():
            return self._fetched(table)

    def fetch_rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        return list(self.fetch_table(table).to_pylist())

    def fetch_value(self, value: "ir.Scalar") -> Any:
        with self._executing():
            return self._fetched(value.as_table())[0][0].as_py()

    def _fetched(self, table: "ir.Table") -> "pa.Table":
        """Return all rows, with the types of the expression. ibis does the same, and imports pandas for it."""
        import pyarrow as pa

        rows = self.connection.con.sql(self._query(table)).to_arrow_table()
        schema = table.schema().to_pyarrow()
        if rows.schema == schema:
            return rows
        columns = [
            pa.nulls(len(rows)) if pa.types.is_null(field.type) else column.cast(field.type)
            for field, column in zip(schema, rows.columns, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    def stream_batches(self, table: "ir.Table", size: int = 2_000) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa
        from ibis.util import gen_name

        # The next query on this connection ends a running one without an error, so the rows are spooled first.
        path = self._spill / gen_name("stream")
        try:
            with self._executing():
                schema = table.schema().to_pyarrow()
                rows = self.connection.con.execute(self._query(table)).to_arrow_reader(size)
                with pa.ipc.new_stream(path, schema) as spool:
                    for batch in rows:
                        spool.write_batch(batch if batch.schema == schema else batch.cast(schema))
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as spooled:
                yield from spooled
        finally:
            path.unlink(missing_ok=True)

    def run_untrusted_query(
        self,
        query: str,
        name: str,
        files: Sequence[str],
        schema: "pa.Schema",
        time_limit_s: float,
        *,
        hidden: Collection[str] = (),
    ) -> RuleValue:
        scan = self.parquet_scan_sql(files, schema)
        return run_rule(query, name, files, scan, hidden, time_limit_s)

    def quote_name(self, name: str) -> str:
        return quote_name(name)

    def content_digest(self, table: "ir.Table") -> str:
        with self._executing():
            return relation_digest(self.connection.con.sql(self._query(table)), self._spill)

    def part_digests(self, schema: "pa.Schema") -> "DuckDBPartDigests | None":
        empty = self.connection.con.from_arrow(schema.empty_table())
        fields = dict(zip(empty.columns, empty.types, strict=True))
        plain = all(map(round_trips_arrow, fields.values()))
        return DuckDBPartDigests(BatchDigest(fields, self._spill), self._translated) if plain else None

    def profile_plan(self, table: "ir.Table") -> PlanOperator:
        with self._executing():
            (row,) = self.connection.raw_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {self.compile_sql(table)}").fetchall()
        return plan_operator(self._secret.redacted(json.loads(row[1])))

    def compile_sql(self, table: "ir.Table") -> str:
        import ibis

        with deep_nesting():
            return self._tables.written_out(str(ibis.to_sql(self._secret.separated(table), dialect="duckdb")))

    def _query(self, table: "ir.Table", *, to_file: bool = False) -> str:
        """Return SQL for this session alone, in one line: that for people takes half as long again."""
        self.connection._register_in_memory_tables(table)
        compiler = self._file_compiler if to_file else self.connection.compiler
        query = compiler.to_sqlglot(self._secret.separated(table))
        return self._tables.written_out(str(query.sql(dialect=self.connection.dialect, copy=False)))

    def parquet_scan_sql(self, files: Sequence[str], schema: "pa.Schema") -> str:
        if files:
            return parquet_scan(files)
        import duckdb

        types = duckdb.from_arrow(schema.empty_table()).types
        columns = (
            f"CAST(NULL AS {kind}) AS {quote_name(name)}" for name, kind in zip(schema.names, types, strict=True)
        )
        return f"(SELECT {', '.join(columns)} WHERE false)"

    def _streamed(self, session: "duckdb.DuckDBPyConnection", query: str, size: int) -> "pa.RecordBatchReader":
        """Return the result of a query batch by batch. The session closes with the last one."""
        import pyarrow as pa

        try:
            with self._translated(plain=True):
                reader = session.execute(query).to_arrow_reader(size)
        except BaseException:
            session.close()
            raise

        def batches() -> "Iterator[pa.RecordBatch]":
            try:
                with self._translated(plain=True):
                    yield from reader
            finally:
                session.close()

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    @contextmanager
    def _executing(self, during: str = "") -> Iterator[None]:
        """Compile for the engine alone, and translate its errors. Nested selections stay nested: the engine merges them
        itself, and doing it in ibis takes a tenth of the time of a small release."""
        import ibis

        ibis.options.sql.fuse_selects = False
        try:
            with self._translated(during):
                yield
        finally:
            ibis.options.sql.fuse_selects = True  # in what people read

    @contextmanager
    def _translated(self, during: str = "", *, plain: bool = False) -> Iterator[None]:
        """Raise DuckDB's errors as the port's; `plain`: with the first line of DuckDB's own words alone."""
        import duckdb
        import pyarrow as pa

        try:
            with deep_nesting():
                yield
        except duckdb.OutOfMemoryException as error:
            raise self._out_of_memory(during) from error
        except duckdb.Error as error:
            message = self._secret.redacted(str(error))
            words = f"the engine failed{during}: {' '.join(message.split())[:300]}"
            raise EngineFailed(message.splitlines()[0] if plain else words) from error
        except (pa.ArrowException, OSError) as error:
            # Of what fails while its rows are on their way, Arrow has the words alone.
            if "Out of Memory Error:" in str(error).partition("\n")[0]:
                raise self._out_of_memory(during) from error
            if not plain:
                raise
            raise EngineFailed(str(error).splitlines()[0]) from error

    def _out_of_memory(self, during: str) -> OutOfMemory:
        most = f"{self.memory / 1e9:.1f} GB" if self.memory >= 10**9 else f"{self.memory / 1e6:.0f} MB"
        words = f"the engine ran out of memory{during}; it may use {most}"
        return OutOfMemory(words, "give STORYMESH_MEMORY more, or STORYMESH_THREADS fewer")
