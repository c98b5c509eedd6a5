"""Spark as an engine: cases, splits, precedents and records on a cluster.

What a person's own machine does, such as reading a domain's database, has no meaning here and says so. Files are in a
folder that the cluster sees under the same path. Rows come in no order.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from storymesh.engine import dialect
from storymesh.engine.engine import Files, PlanOperator
from storymesh.engine.nesting import deep_nesting
from storymesh.engine.parquet_writer import write_parquet_file
from storymesh.engine.spark.failures import query_failure, unshared_folder
from storymesh.engine.spark.session import SparkAddress, end_session, is_cluster, make_active, open_session
from storymesh.errors import WrongUsage
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from pyspark.sql import DataFrame


# Rows of a file that stay together: what one task of the next stage computes, half a second of a config.
ROW_GROUP = 5_120
# Of files that are read once, by this machine, and go then.
SPOOL = {"compression": "snappy", "parquet.enable.dictionary": "false"}


class SparkEngine:
    """A session of Spark that implements the `Engine` port as far as the stages of a build need it.

    It bounds no memory: Spark spills, and its settings say what it may use.
    """

    memory = sys.maxsize

    def __init__(self, address: SparkAddress, *, only: Iterable[Path] | None = None) -> None:
        if only is not None:
            _refuse("be confined to the files of a stranger")
        from storymesh.engine.spark.compiler import SparkCompiler

        self._compiler = SparkCompiler()
        self._address = address
        self._session = open_session(address)
        self._of_machines = is_cluster(self._session)
        self._views: set[str] = set()
        self._secret: str | None = None
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # of a cluster that is gone
            if self._address.remote is None:
                for view in self._views:
                    self._session.catalog.dropTempView(view)
            end_session(self._address, self._session)
        self._ending.close()

    def read_parquet(self, files: Files, schema: "pa.Schema | None" = None) -> "ir.Table":
        import ibis.expr.schema as sch
        import pyarrow.parquet as pq

        paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
        if not paths:
            if schema is None:
                raise ValueError("no files and no schema")
            return self.materialize(schema.empty_table())
        with self._translated():
            found = pq.read_schema(paths[0])
            frame = self._session.read.parquet(*(_literal_address(self._visible(path)) for path in paths))
            table = self._as_view(frame, sch.Schema.from_pyarrow(found))
        if schema is None:
            return table
        expected = sch.Schema.from_pyarrow(schema)
        return table.select(**{name: table[name].cast(kind) for name, kind in expected.items()})

    def write_parquet(
        self,
        table: "ir.Table",
        path: Path,
        *,
        order: "Sequence[str | ir.Value]" = (),
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        return self._write([table], path, metadata)

    def write_parquet_parts(self, parts: Sequence["ir.Table"], path: Path) -> int:
        return self._write(parts, path, None)

    def _write(self, parts: Sequence["ir.Table"], path: Path, metadata: Mapping[str, str] | None) -> int:
        """Write expressions to one file: each worker writes its own, which are put together here, a group at a time."""
        schema = parts[0].schema().to_pyarrow()
        batches = (
            batch.cast(schema)
            for part in parts
            for batch in self._spooled(part, path.parent, ROW_GROUP, f" while it wrote {path.name}")
        )
        return write_parquet_file(batches, schema, path, metadata, ROW_GROUP)

    def materialize(
        self, rows: "ir.Table | pa.Table | Iterable[pa.RecordBatch]", schema: "pa.Schema | None" = None
    ) -> "ir.Table":
        import ibis.expr.schema as sch
        import ibis.expr.types as ir
        import pyarrow as pa

        with self._translated():
            if isinstance(rows, ir.Table):
                return self._as_view(self._checkpoint(self._frame(rows)), rows.schema())
            if not isinstance(rows, pa.Table):
                if schema is None:
                    raise ValueError("batches require a schema")
                rows = pa.Table.from_batches(rows, schema)
            return self._as_view(self._session.createDataFrame(rows), sch.Schema.from_pyarrow(rows.schema))

    def compute_once(self, table: "ir.Table") -> "ir.Table":
        return self.materialize(table)  # what a query reads twice, Spark computes twice

    def drop(self, table: "ir.Table") -> None:
        view = table.get_name()
        self._session.catalog.dropTempView(view)
        self._views.discard(view)

    def fetch_table(self, table: "ir.Table") -> "pa.Table":
        with self._translated():
            return self._frame(table).toArrow().cast(table.schema().to_pyarrow())

    def fetch_rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        return list(self.fetch_table(table).to_pylist())

    def fetch_value(self, value: "ir.Scalar") -> Any:
        return self.fetch_table(value.as_table())[0][0].as_py()

    def stream_batches(self, table: "ir.Table", size: int = 2_000) -> Iterator["pa.RecordBatch"]:
        with temporary_folder("spark") as folder:
            yield from self._spooled(table, folder, size, "")

    def content_digest(self, table: "ir.Table") -> str:
        _refuse("compute a content digest")

    def part_digests(self, schema: "pa.Schema") -> None:
        _refuse("compute a content digest")

    def compile_sql(self, table: "ir.Table") -> str:
        node, _ = dialect.separate_secret(table.op())
        with deep_nesting():
            return self._compiler.sql(node.to_expr())

    def quote_name(self, name: str) -> str:
        return f"`{name.replace('`', '``')}`"

    def parquet_scan_sql(self, *_arguments: Any) -> str:
        _refuse("be the database of a dbt project")

    def describe_database_lock(self, database: Path) -> str | None:
        _refuse("open a database file")

    def stream_database_table(self, *_arguments: Any, **_named: Any) -> "pa.RecordBatchReader":
        _refuse("open a database file")

    def map_batches(self, *_arguments: Any, **_named: Any) -> Iterator["pa.RecordBatch"]:
        _refuse("compute over a stream of this machine")

    def run_untrusted_query(self, *_arguments: Any, **_named: Any) -> Any:
        _refuse("confine a SQL rule that somebody else wrote")

    def profile_plan(self, table: "ir.Table") -> PlanOperator:
        _refuse("return an executed plan; Spark's own user interface shows it")

    def _frame(self, expression: "ir.Table") -> "DataFrame":
        """Return an expression as Spark plans it. Tables in memory and the secret become views before."""
        import ibis.expr.operations as ops

        node, secret = dialect.separate_secret(expression.op())
        if secret is not None and secret != self._secret:
            self._show_secret(secret)
        for table in node.find(ops.InMemoryTable):
            if table.name not in self._views:
                rows = table.data.to_pyarrow(table.schema)
                self._session.createDataFrame(rows).createOrReplaceTempView(table.name)
                self._views.add(table.name)
        return self._session.sql(self._compiler.sql(node.to_expr()))

    def _show_secret(self, secret: str) -> None:
        """Have the secret as a row of a view: a text in the query would be in Spark's plans and logs."""
        import pyarrow as pa

        from storymesh.engine.spark.compiler import SECRET_VIEW

        self._session.createDataFrame(pa.table({"text": [secret]})).createOrReplaceTempView(SECRET_VIEW)
        self._views.add(SECRET_VIEW)
        self._secret = secret

    def _checkpoint(self, frame: "DataFrame") -> "DataFrame":
        """Compute a frame, whose rows stay with the workers: of a cluster with two each, so that one may be lost."""
        from pyspark import StorageLevel

        make_active(self._address, self._session)
        return frame.localCheckpoint(storageLevel=StorageLevel(True, True, False, True, 2 if self._of_machines else 1))

    def _as_view(self, frame: "DataFrame", schema: Any) -> "ir.Table":
        import ibis

        name = f"storymesh_{token_hex(6)}"
        frame.createOrReplaceTempView(name)
        self._views.add(name)
        return ibis.table(schema, name=name)

    def _visible(self, path: Path) -> Path:
        """Return a path of a file that Spark does not take for a hidden one, which it would leave out."""
        if not path.name.startswith((".", "_")):
            return path
        folder = path.with_name(f".spark.{token_hex(6)}")
        folder.mkdir()
        self._ending.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "file.parquet").hardlink_to(path)
        return folder / "file.parquet"

    def _spooled(self, table: "ir.Table", folder: Path, size: int, during: str) -> "Iterator[pa.RecordBatch]":
        """Yield rows that the workers write into a folder below `folder`, which goes at the end.

        Spark takes what its driver does not find there for tasks without rows, so the workers count what they write.
        """
        import pyarrow.parquet as pq
        from pyspark.sql import Observation
        from pyspark.sql.functions import count, lit

        spool = folder / f".spark.{token_hex(6)}"
        try:
            with self._translated(during):
                counted = Observation()
                frame = self._frame(table).observe(counted, count(lit(1)).alias("rows"))
                frame.write.options(**SPOOL).parquet(f"file:{spool.resolve()}")
                written = counted.get["rows"]
            paths = visible_parts(spool)
            if (seen := sum(pq.read_metadata(path).num_rows for path in paths)) != written:
                raise unshared_folder(folder, seen, written)
            schema = table.schema().to_pyarrow()
            for path in paths:
                with pq.ParquetFile(path, pre_buffer=False) as file:
                    for batch in file.iter_batches(size):
                        yield batch.cast(schema)
        finally:
            shutil.rmtree(spool, ignore_errors=True)

    @contextmanager
    def _translated(self, during: str = "") -> Iterator[None]:
        """Raise the errors of Spark, of Java and of the way to them as the port's."""
        import pyarrow as pa
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            with deep_nesting():
                yield
        except (PySparkException, Py4JError, pa.ArrowException, OSError) as error:
            raise query_failure(error, during, self._secret) from error


def visible_parts(folder: Path) -> list[Path]:
    """Return the files of a folder that workers wrote, as far as this machine sees them."""
    return sorted(folder.glob("part-*"))


def _refuse(what: str) -> NoReturn:
    raise WrongUsage(f"the engine 'spark' cannot {what}", "the engine of this machine does that")


def _literal_address(path: Path) -> str:
    """Return the address of a file that Spark takes literally: it is no glob."""
    text = str(path.resolve())
    return "file:" + "".join(f"\\{letter}" if letter in "\\*?[]{}" else letter for letter in text)
