"""The engine port: everything that the layers above ask of an engine.

Queries are ibis expressions. An engine reads Parquet files as tables, runs expressions, and writes their rows to
Parquet. Nothing outside `engine/<name>/` imports an engine's own package, writes SQL text, or looks behind this port.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

Files = str | Path | Sequence[str | Path]


class Engine(Protocol):
    """One session of an engine. Use it as a context manager; its temporary tables go when it ends.

    Every method that runs an expression raises `OutOfMemory` when the engine's memory does not suffice, and
    `EngineFailed` for any other failure of the engine, such as a damaged file or a missing column.
    """

    memory: int
    """Bytes that the engine may use."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def read_parquet(self, files: Files, schema: "pa.Schema | None" = None) -> "ir.Table":
        """Return Parquet files as one table: cast to `schema`, or with the types of the files.

        Paths are taken literally: no globs, no Hive partitions. Without files the table is empty; then a schema is
        required.
        """
        ...

    def write_parquet(self, table: "ir.Table", path: Path) -> int:
        """Write an expression to one Parquet file, whole or not at all. Return the number of rows."""
        ...

    def write_parquet_parts(self, parts: Sequence["ir.Table"], path: Path) -> int:
        """Write expressions to one Parquet file one after another, never two in memory at once."""
        ...

    def materialize(
        self, rows: "ir.Table | pa.Table | Iterable[pa.RecordBatch]", schema: "pa.Schema | None" = None
    ) -> "ir.Table":
        """Return `rows` as a temporary table of this engine, computed once. Batches require a schema."""
        ...

    def drop(self, table: "ir.Table") -> None:
        """Drop a table that `materialize` returned."""
        ...

    def fetch_table(self, table: "ir.Table") -> "pa.Table":
        """Return all rows of an expression."""
        ...

    def fetch_rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        """Return all rows of an expression as Python values. For few rows."""
        ...

    def fetch_value(self, value: "ir.Scalar") -> Any:
        """Return the value of a scalar expression as a Python value."""
        ...

    def stream_batches(self, table: "ir.Table", size: int = 2_000) -> Iterator["pa.RecordBatch"]:
        """Yield the rows of an expression, `size` at a time."""
        ...

    def content_digest(self, table: "ir.Table") -> str:
        """Return the content digest of an expression's rows, 64 hexadecimal digits: the same on every engine."""
        ...

    def profile_plan(self, table: "ir.Table") -> Mapping[str, Any]:
        """Run an expression, discard its rows, and return the root operator of the executed plan.

        Each operator has `operator_name`, `operator_cardinality` (rows), `operator_timing` (seconds), `extra_info` and
        `children`.
        """
        ...

    def compile_sql(self, table: "ir.Table") -> str:
        """Return the SQL that the engine runs for an expression."""
        ...


OpenEngine = Callable[[], Engine]
"""How the layers below the command line get an engine of their own: handed in by whoever starts the work."""
