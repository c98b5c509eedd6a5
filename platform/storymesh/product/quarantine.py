"""Rows that break the contract: the values that fit no type, and the file that keeps the rows with their reasons."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from storymesh.atomic_write import staged_file
from storymesh.contract.audit import RowAudit
from storymesh.contract.checks import CheckResult
from storymesh.contract.definition import Contract, restricted_properties
from storymesh.contract.value_forms import ValueForms
from storymesh.printable import shortened

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MAX_TEXTS = 200_000
FILE, LINE = "storymesh:file", "storymesh:line"
_EXAMPLES = 3
_MAX_EXAMPLE_LENGTH = 60


class RowFinder(Protocol):
    """Something that knows where the rows of a source stand."""

    def find(self, rows: "np.ndarray[Any, Any]") -> "tuple[pa.Array, pa.Array]":
        """Return file and line of `rows`, numbers from 0 that ascend; null where that is not known."""
        ...


@dataclass(frozen=True)
class UnreadableRows:
    """Rows that are refused before any value of them is known, such as those of files that cannot be read: where each
    stands, and why it is refused."""

    files: Sequence[str] = ()
    reasons: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.files)

    def counts(self) -> list[tuple[str, int]]:
        """Return the reasons with how many rows each has."""
        return list(Counter(self.reasons).items())

    def table(self, schema: "pa.Schema") -> "pa.Table":
        """Return the rows with the columns of a quarantine."""
        import pyarrow as pa

        known = {
            FILE: pa.array(self.files, pa.string()),
            "reasons": pa.array([[reason] for reason in self.reasons], pa.list_(pa.string())),
        }
        columns = [
            known[field.name].cast(field.type) if field.name in known else pa.nulls(len(self), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


NONE_UNREADABLE = UnreadableRows()


@dataclass
class UncastableValues:
    """The values that did not fit the type of their property: their rows, and the texts of the first of them."""

    _rows: "dict[str, list[np.ndarray[Any, Any]]]" = field(default_factory=dict)
    _texts: "dict[str, list[pa.Array]]" = field(default_factory=dict)

    def examples(self, name: str) -> list[str]:
        """Return some different texts that did not fit a property, the first of them."""
        found: dict[str, None] = {}
        for part in self._texts.get(name, ()):
            for text in part.slice(0, MAX_TEXTS // 100).to_pylist():
                found.setdefault(shortened(text, _MAX_EXAMPLE_LENGTH))
                if len(found) == _EXAMPLES:
                    return list(found)
        return list(found)

    def add(self, name: str, texts: "pa.ChunkedArray", start: int) -> None:
        """Add the texts of a property that are not null. They belong to rows from number `start` on."""
        import numpy as np

        self._rows.setdefault(name, []).append(np.flatnonzero(texts.is_valid().to_numpy()) + start)
        kept = self._texts.setdefault(name, [])
        room = MAX_TEXTS - sum(map(len, kept))
        kept.append(texts.drop_null().combine_chunks().slice(0, max(room, 0)))

    def rows(self) -> "dict[str, np.ndarray[Any, Any]]":
        """Return the numbers of the rows by property, ascending."""
        import numpy as np

        return {name: np.concatenate(parts) for name, parts in self._rows.items()}

    def texts(self) -> "dict[str, tuple[np.ndarray[Any, Any], pa.Array]]":
        """Return by property the numbers of rows and the texts there, at most `MAX_TEXTS` of each property."""
        import pyarrow as pa

        texts = {name: pa.concat_arrays(parts) for name, parts in self._texts.items()}
        return {name: (rows[: len(texts[name])], texts[name]) for name, rows in self.rows().items()}


def with_examples(audit: RowAudit, contract: Contract, forms: ValueForms, uncastable: UncastableValues) -> RowAudit:
    """Return an audit whose results about types say what was met, and how values are written.

    Restricted values are not shown.
    """
    hidden = restricted_properties(contract)

    def explained(result: CheckResult) -> CheckResult:
        (name,) = result.properties
        met = [] if name in hidden else uncastable.examples(name)
        item = contract.properties[name]
        form = forms.of(*item.column_names).describe(item.type)
        return replace(
            result,
            words=f"{result.words}, {form}" if form else result.words,
            observed=f"met {', '.join(map(repr, met))}" if met else result.observed,
        )

    results = [explained(result) if result.name == "type" and not result.passed else result for result in audit.results]
    return replace(audit, results=tuple(results))


def failed_rows(audit: RowAudit) -> "np.ndarray[Any, Any]":
    """Return the numbers of the rows that break the contract, ascending."""
    import numpy as np

    return np.unique(np.concatenate([np.empty(0, np.int64), *audit.failures.values()]))


def write_quarantine(
    path: Path,
    schema: "pa.Schema",
    files: Mapping[str, int],
    audit: RowAudit,
    failed: "np.ndarray[Any, Any]",
    uncastable: UncastableValues,
    places: "Mapping[str, pa.Array]",
    refused: UnreadableRows,
) -> None:
    """Write the `failed` rows of Parquet `files` (path -> number of rows) with their `reasons`, and the `places` where
    they stand.

    `refused` rows follow them, of which nothing else is known. `schema` is that of the product's rows. A column in
    which a value did not fit its type is a text column, with that value as it came.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = uncastable.texts()
    start = written = 0
    with ExitStack() as stack:
        staged = stack.enter_context(staged_file(path, mode=0o600))
        writer: pq.ParquetWriter | None = None
        for file, count in files.items():
            rows = failed[(failed >= start) & (failed < start + count)]
            table = pq.ParquetFile(file).read().take(pa.array(rows - start))
            for name, (text_rows, values) in texts.items():
                index = table.schema.get_field_index(name)
                column = _with_original_texts(table.column(index), rows, text_rows, values)
                table = table.set_column(index, name, column)
            table = table.append_column("reasons", _reasons(audit.failures, rows))
            for name, values in places.items():
                table = table.append_column(name, values.slice(written, len(rows)))
            written += len(rows)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(staged, table.schema, compression="zstd"))
            writer.write_table(table)
            start += count
        if len(refused):
            rows = refused.table(writer.schema if writer is not None else _quarantine_schema(schema))
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(staged, rows.schema, compression="zstd"))
            writer.write_table(rows)
    assert np.all(failed < start)


def _quarantine_schema(schema: "pa.Schema") -> "pa.Schema":
    """Return the columns of a quarantine of rows of `schema` of which it is known where they stand."""
    import pyarrow as pa

    added = [pa.field("reasons", pa.list_(pa.string())), pa.field(FILE, pa.string()), pa.field(LINE, pa.int64())]
    return pa.schema([*schema, *added])


def other_rows(path: str, failed: "np.ndarray[Any, Any]") -> "Iterator[pa.Table]":
    """Yield the rows of a Parquet file without those whose number is in `failed`."""
    import numpy as np
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(path).read()
    kept = np.ones(rows.num_rows, bool)
    kept[failed] = False
    yield rows.filter(kept)


def find_places(
    places: RowFinder | None,
    numbers: "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]",
    failed: "np.ndarray[Any, Any]",
) -> "dict[str, pa.Array]":
    """Return file and line of the rows `failed`, of which `numbers` are those as they came; empty for rows of dbt."""
    import numpy as np
    import pyarrow as pa

    if places is None:
        return {}
    came = numbers(failed)
    order = np.argsort(came, kind="stable")
    back = pa.array(np.argsort(order, kind="stable"))
    return dict(zip((FILE, LINE), (column.take(back) for column in places.find(came[order])), strict=True))


def _with_original_texts(
    column: "pa.ChunkedArray", rows: "np.ndarray[Any, Any]", text_rows: "np.ndarray[Any, Any]", texts: "pa.Array"
) -> "pa.Array":
    """Return the column of the rows `rows` as text, with the texts that were in `text_rows` before the cast."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as at

    values: list[str | None]
    if at.is_nested(column.type):
        values = [None if value is None else str(value) for value in column.to_pylist()]
    else:
        values = column.cast(pa.string()).to_pylist()
    for index, row, text in zip(np.searchsorted(rows, text_rows), text_rows, texts, strict=True):
        if index < len(rows) and rows[index] == row:
            values[index] = text.as_py()
    return pa.array(values, pa.string())


def _reasons(failures: Mapping[str, "np.ndarray[Any, Any]"], rows: "np.ndarray[Any, Any]") -> "pa.Array":
    """Return for each of `rows` the list of its reasons, in the order of `failures`."""
    import numpy as np
    import pyarrow as pa

    indexes, reasons = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for reason, failed in enumerate(failures.values()):
        found = np.intersect1d(rows, failed, assume_unique=True, return_indices=True)[1]
        indexes.append(found)
        reasons.append(np.full(len(found), reason))
    all_indexes, all_reasons = np.concatenate(indexes), np.concatenate(reasons)
    order = np.lexsort((all_reasons, all_indexes))
    offsets = np.searchsorted(all_indexes[order], np.arange(len(rows) + 1))
    texts = pa.array(list(failures), pa.string()).take(pa.array(all_reasons[order]))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts)
