"""Rows that break the contract: the values that fit no type, and the file that keeps the rows with their reasons."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import staged_file
from storymesh.contract.audit import RowAudit

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MAX_TEXTS = 200_000


@dataclass
class UncastableValues:
    """The values that did not fit the type of their property: their rows, and the texts of the first of them."""

    _rows: "dict[str, list[np.ndarray[Any, Any]]]" = field(default_factory=dict)
    _texts: "dict[str, list[pa.Array]]" = field(default_factory=dict)

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


def failed_rows(audit: RowAudit) -> "np.ndarray[Any, Any]":
    """Return the numbers of the rows that break the contract, ascending."""
    import numpy as np

    return np.unique(np.concatenate([np.empty(0, np.int64), *audit.failures.values()]))


def write_quarantine(
    path: Path,
    files: Mapping[str, int],
    audit: RowAudit,
    failed: "np.ndarray[Any, Any]",
    uncastable: UncastableValues,
) -> None:
    """Write the `failed` rows of Parquet `files` (path -> number of rows) with their `reasons`.

    A column in which a value did not fit its type is a text column, with that value as it came.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = uncastable.texts()
    start = 0
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
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(staged, table.schema, compression="zstd"))
            writer.write_table(table)
            start += count
    assert np.all(failed < start)


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
