"""The engine port: everything that the layers above ask of an engine.

Queries are ibis expressions. An engine reads Parquet files as tables, runs expressions, and writes their rows to
Parquet. Nothing outside `engine/<name>/` imports an engine's own package, writes SQL text, or looks behind this port.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from storymesh.errors import EngineFailed, StorymeshError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

Files = str | Path | Sequence[str | Path]


class EngineUnreachable(StorymeshError, EngineFailed):
    """An engine on another machine that cannot be opened, or no longer answers: no file is at fault."""


class ClusterFailed(StorymeshError, EngineFailed):
    """Machines of an engine that did not do their part: lost, full, or without the files of the mesh."""


class TableNotFound(EngineFailed):
    """A database file has no table or view of this name; `tables` are those that it has."""

    def __init__(self, name: str, tables: Sequence[str]) -> None:
        super().__init__(f"there is no table '{name}'")
        self.tables = tables


@dataclass(frozen=True)
class RuleValue:
    """The value of a SQL rule; `reads_hidden`: it may say something of a column that nobody may see."""

    value: Any
    reads_hidden: bool


class PartDigests(Protocol):
    """Digests of rows that pass by in parts."""

    def add(self, part: str, rows: "pa.Table") -> None:
        """Take further rows of a part."""
        ...

    def content_digest(self, parts: Collection[str]) -> str:
        """Return the content digest of all rows of these parts."""
        ...


OperatorKind = Literal["read", "join", "filter", "first", "group", "rank", "pair", "unfold", "share", "reuse", "other"]


@dataclass(frozen=True)
class PlanOperator:
    """One operator of an executed plan, with what it reads from.

    What it does, of a closed list: it reads files, joins, filters, keeps the first of each rank, groups, ranks, makes
    every pair, unfolds lists, makes what others reuse (its first child), or reuses it. `expressions` are the engine's
    words for the conditions of a join or a filter; `files`, those for the files that are read, and `columns` theirs.
    `rows` came where `estimated` were expected (None: the engine does not say); `seconds` is its own time. `added` is
    the child of a join that is joined to the other one.
    """

    kind: OperatorKind
    children: tuple["PlanOperator", ...]
    expressions: tuple[str, ...]
    files: str
    columns: tuple[str, ...]
    estimated: int | None
    rows: int
    seconds: float
    added: "PlanOperator | None"


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

    def describe_database_lock(self, database: Path) -> str | None:
        """Return who holds a database file, in the database's own words; None where nobody keeps it from being written.

        A file that is damaged or no database is not held: whoever reads it will say so.
        """
        ...

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
        """Return the rows of a table or view in a database file, which is opened read-only, or else of a `query`.

        `choose_columns` gets the names of its columns and returns those to read. A view's relative paths mean `folder`.
        A view may read the files of `only` and what is below its folders; None: what it likes. It runs in a process of
        its own, without the environment of this one.

        Without a `schema` a table in `main` comes before one of the same name elsewhere. Raises `TableNotFound`; the
        text of
        any other `EngineFailed`, here or while rows are read, is the database's own.
        """
        ...

    def map_batches(
        self,
        batches: Iterable["pa.RecordBatch"],
        schema: "pa.Schema",
        select: "Callable[[ir.Table], ir.Table]",
        size: int = 50_000,
    ) -> Iterator["pa.RecordBatch"]:
        """Yield the rows of `select` over a stream of batches, in the order of the stream, never all in memory.

        `select` gets the stream as a table; it may filter and compute columns. What `batches` raises passes through
        unchanged.
        """
        ...

    def write_parquet(
        self,
        table: "ir.Table",
        path: Path,
        *,
        order: "Sequence[str | ir.Value]" = (),
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Write an expression to one Parquet file, whole or not at all. Return the number of rows.

        They lie in this `order`, where the engine keeps one. `metadata` is stored with the file's schema.
        """
        ...

    def write_parquet_parts(self, parts: Sequence["ir.Table"], path: Path) -> int:
        """Write expressions to one Parquet file one after another, never two in memory at once."""
        ...

    def materialize(
        self, rows: "ir.Table | pa.Table | Iterable[pa.RecordBatch]", schema: "pa.Schema | None" = None
    ) -> "ir.Table":
        """Return `rows` as a temporary table of this engine, computed once. Batches require a schema."""
        ...

    def compute_once(self, table: "ir.Table") -> "ir.Table":
        """Return rows that several parts of one expression read, so that they are computed once: the very expression
        where the engine sees to that by itself."""
        ...

    def drop(self, table: "ir.Table") -> None:
        """Drop a table that `materialize` returned."""
        ...

    def fetch_table(self, table: "ir.Table") -> "pa.Table":
        """Return all rows of an expression.

        This and the methods below keep the order of a file's rows where the expression only filters and computes.
        """
        ...

    def fetch_rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        """Return all rows of an expression as Python values. For few rows."""
        ...

    def fetch_value(self, value: "ir.Scalar") -> Any:
        """Return the value of a scalar expression as a Python value."""
        ...

    def stream_batches(self, table: "ir.Table", size: int = 2_000) -> Iterator["pa.RecordBatch"]:
        """Yield the rows of an expression, `size` at a time. Other queries may run in between."""
        ...

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
        """Return the one value of a SQL query that somebody else wrote, over Parquet files as the table `name`.

        The query runs in a process of its own that sees this table and nothing else: no files, no network, no
        environment, no settings, bounded in memory, time and the size of its result. Nobody may see the columns
        `hidden`. Raises `TimeoutError`, and `EngineFailed` when the query fails or is not one SELECT that gives one
        row with one value; its words quote no value of a query that reads a hidden column.
        """
        ...

    def quote_name(self, name: str) -> str:
        """Return `name` as an identifier, to be put into the SQL of `run_untrusted_query`."""
        ...

    def parquet_scan_sql(self, files: Sequence[str], schema: "pa.Schema") -> str:
        """Return SQL for dbt that reads exactly these files after FROM; without files an empty table of `schema`."""
        ...

    def content_digest(self, table: "ir.Table") -> str:
        """Return the content digest of an expression's rows, 64 hexadecimal digits: the same on every engine."""
        ...

    def part_digests(self, schema: "pa.Schema") -> PartDigests | None:
        """Return digests of rows of `schema` that are given part by part.

        None where a type changes on the way into files and back, so that only `content_digest` of the files shows it.
        """
        ...

    def profile_plan(self, table: "ir.Table") -> PlanOperator:
        """Run an expression, discard its rows, and return the root operator of the executed plan."""
        ...

    def compile_sql(self, table: "ir.Table") -> str:
        """Return the SQL that the engine runs for an expression, also after the session has ended.

        It reads Parquet files by their paths, so that it runs as it stands in a session of anybody's own; where it has
        a secret text, that session needs the variable `dialect.SECRET_VARIABLE`.
        """
        ...


class OpenEngine(Protocol):
    """A function that opens an engine: whoever starts the work hands it down, and no layer below names an engine."""

    def __call__(self, *, only: Iterable[Path] | None = None) -> Engine:
        """Return a new session. With `only` it is confined, for the files of a stranger.

        Such a session opens the files and what is below the folders of `only`, and nothing else: no network, no
        extensions, and nobody changes its settings. Files are read, in folders it may also write.
        """
        ...
