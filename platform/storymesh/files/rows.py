"""Rows of readings: the expressions of `take` and `where` compiled to the engine, for all files at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from storymesh.contract.types import arrow_type
from storymesh.engine.engine import Engine
from storymesh.files.extraction.answer_store import RowRefused
from storymesh.files.extraction.extraction import ORDINAL, URI, ExtractedRows, prompt_columns
from storymesh.files.inventory import SHA256, Inventory
from storymesh.files.reading_columns import reading_schema
from storymesh.files.typed import FILE, FILE_FIELDS, TypedFiles
from storymesh.language.types import Struct
from storymesh.llm.budget import Usage

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import pyarrow as pa

_KEPT = "storymesh:kept"
_BATCH_ROWS = 20_000
_FEW_READINGS = 200

AskModel = Callable[[Iterator["pa.RecordBatch"]], ExtractedRows]
"""It is given the readings of files, with their uri, and returns the rows that a model finds in them."""


@dataclass(frozen=True)
class RowsOfFiles:
    """The rows that files give: one of each that `where` lets through, by uri."""

    engine: Engine
    _table: "ir.Table"
    columns: tuple[str, ...]
    refused: tuple[RowRefused, ...] = ()
    """What a model gave and the files do not say."""
    usage: Usage | None = None

    def reader(self) -> "pa.RecordBatchReader":
        """Return the rows, with a column for each property that is taken."""
        import pyarrow as pa

        rows = self._table.select(*self.columns)
        return pa.RecordBatchReader.from_batches(
            rows.schema().to_pyarrow(), self.engine.stream_batches(rows, _BATCH_ROWS)
        )

    @cached_property
    def _uris(self) -> "pa.ChunkedArray":
        return self.engine.fetch_table(self._table.select(URI)).column(0)

    def find(self, rows: "np.ndarray[Any, Any]") -> "tuple[pa.Array, pa.Array]":
        """Return the file of `rows`, numbers from 0, and no line."""
        import pyarrow as pa

        found = self._uris.take(pa.array(rows)).combine_chunks()
        return found, pa.nulls(len(rows), pa.int64())

    def count_files(self) -> int:
        """Return how many files have a row."""
        return int(self.engine.fetch_value(self._table[URI].nunique()))

    def uris(self) -> set[str]:
        """Return the files that have a row."""
        return set(self._uris.to_pylist())


def rows_of_files(
    engine: Engine,
    inventory: Inventory,
    typed: TypedFiles,
    upstream: "ir.Table | None",
    ask: AskModel | None = None,
) -> RowsOfFiles:
    """Return the rows of the files of an inventory that have a reading.

    `upstream` are the rows of the product whose column is read, with the uri of each in `URI`. `ask` asks a model for
    what is not taken; without it the rows have what is taken alone, one of each file.
    """
    import pyarrow as pa

    from storymesh.engine.dialect import materialization_barrier
    from storymesh.language.compile.expressions import ExpressionCompiler

    schema = reading_schema(typed.file)
    checked = [*typed.take.values(), *([typed.where] if typed.where is not None else [])]
    used = frozenset(name for expression in checked for name in expression.names)
    asked = _question_columns(typed) if ask is not None else frozenset()
    used |= asked
    wanted = [name for name in schema.names if name == SHA256 or name in used]
    readings = engine.materialize(
        (batch.select(wanted) for batch in inventory.readings()), pa.schema([schema.field(name) for name in wanted])
    )
    kind = arrow_type(Struct(FILE_FIELDS))
    files = engine.materialize(_files(inventory), pa.schema([(URI, pa.string()), (SHA256, pa.string()), (FILE, kind)]))
    joined = files.join(readings, SHA256)
    if upstream is not None:
        joined = joined.join(upstream, URI)
    joined = materialization_barrier(joined)
    names = {name: joined[name] for name in joined.columns}
    if typed.where is not None:
        joined = joined.filter(ExpressionCompiler(names).test(typed.where.tree))
        names = {name: joined[name] for name in joined.columns}
    taken: dict[str, ir.Value] = {}
    for name, expression in typed.take.items():
        value = ExpressionCompiler(names).value(expression.tree)
        taken[f"storymesh:take:{name}"] = value.cast("string") if value.type().is_null() else value
    made = joined.select(joined[URI], **taken).order_by(URI)
    made = engine.materialize(made.rename({name: f"storymesh:take:{name}" for name in typed.take}))
    extracted = None
    if ask is not None:
        extracted = ask(engine.stream_batches(joined.select(URI, SHA256, *sorted(asked)), _FEW_READINGS))
    engine.drop(readings)
    engine.drop(files)
    return (
        RowsOfFiles(engine, made, tuple(typed.take))
        if extracted is None
        else _with_extracted(made, extracted, typed, engine)
    )


def _question_columns(typed: TypedFiles) -> frozenset[str]:
    """Return the names that a model is asked with; of a mail also when it was sent, for days without a year."""
    assert typed.extraction is not None
    return prompt_columns(typed.extraction) | ({"mail"} if typed.file.origin.kind == "mail" else set())


def _with_extracted(made: "ir.Table", extracted: ExtractedRows, typed: TypedFiles, engine: Engine) -> RowsOfFiles:
    """Return what is taken beside what a model gave: of each file as many rows as it told of."""
    given = engine.materialize(extracted.table)
    names = tuple(name for name in extracted.table.column_names if name not in (URI, ORDINAL))
    joined = made.join(given, URI)
    rows = engine.materialize(joined.order_by(URI, ORDINAL).select(URI, *typed.take, *names))
    engine.drop(given)
    engine.drop(made)
    return RowsOfFiles(engine, rows, (*typed.take, *names), tuple(extracted.refused), extracted.usage)


def _files(inventory: Inventory) -> "Iterator[pa.RecordBatch]":
    """Yield what expressions know of each file as `file`, beside its uri and the SHA-256 of its content."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = arrow_type(Struct(FILE_FIELDS))
    schema = pa.schema([(URI, pa.string()), (SHA256, pa.string()), (FILE, kind)])
    for batch in inventory.file_columns():
        uri, size, modified, sha256 = batch.columns
        name = pc.replace_substring_regex(uri, r"(?s)^.*/", "")
        folder = pc.replace_substring_regex(uri, r"(?s)/?[^/]*$", "")
        columns = {"uri": uri, "name": name, "folder": folder, "size": size, "arrived": modified, "sha256": sha256}
        file = pa.StructArray.from_arrays([columns[field.name] for field in kind], fields=list(kind))
        yield pa.RecordBatch.from_arrays([uri, sha256, file], schema=schema)
