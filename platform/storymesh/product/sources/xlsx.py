"""Excel workbooks as sources: the rows of the first sheet, whose first row names the columns."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.bounds import FREE_BYTES
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 1_048_576  # of a sheet of Excel
MAX_COLUMNS = 16_384
_MAX_PARTS = 10_000


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa
    from openpyxl import load_workbook

    _require_bounded(source)
    try:
        workbook = load_workbook(source.path, read_only=True, data_only=True, keep_links=False)
        lines = workbook.worksheets[0].iter_rows(values_only=True)
        header = ["" if cell is None else str(cell) for cell in next(lines, ())]
    except Exception as error:  # whatever a library finds in a file that is not what it expects
        raise _damaged(source, error) from None
    if not any(header):
        workbook.close()
        raise source.unreadable("the first sheet is empty", "its first row names the columns")
    columns = source.choose_columns(header)
    schema = pa.schema([(name, pa.string()) for name in columns])
    indexes = [header.index(name) for name in columns]

    def batches() -> Iterator[pa.RecordBatch]:
        filled = _rows(source, lines, indexes)
        while chunk := list(itertools.islice(filled, BATCH_ROWS)):
            texts = [[_text_of(cells[position]) for cells in chunk] for position in range(len(indexes))]
            yield pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in texts], schema=schema)
        workbook.close()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _require_bounded(source: SourceFile) -> None:
    """Raise SourceUnreadable for a workbook that opens to too much: its parts are read into memory."""
    try:
        with ZipFile(source.path) as archive:
            parts = archive.infolist()
    except Exception as error:  # see above
        raise _damaged(source, error) from None
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > FREE_BYTES:
        words = f"the workbook opens to more than {FREE_BYTES / 2**30:.0f} GiB, or to more than {_MAX_PARTS:,} parts"
        raise source.unreadable(words, "save it as CSV or Parquet")


def _rows(source: SourceFile, lines: Iterator[Sequence[Any]], indexes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the cells at `indexes` of each row that is not empty."""
    try:
        for number, line in enumerate(lines, 2):
            if number > MAX_ROWS or len(line) > MAX_COLUMNS:
                words = f"row {number:,} is beyond what Excel has: {MAX_ROWS:,} rows and {MAX_COLUMNS:,} columns"
                raise source.unreadable(words, "save it again with Excel")
            if any(cell is not None for cell in line):
                yield tuple(line[index] if index < len(line) else None for index in indexes)
    except SourceUnreadable:
        raise
    except Exception as error:  # see above
        raise _damaged(source, error) from None


def _damaged(source: SourceFile, error: Exception) -> SourceUnreadable:
    return source.unreadable(f"not an Excel workbook: {type(error).__name__}: {str(error)[:200]}", "save it as .xlsx")


def _text_of(cell: object) -> str | None:
    match cell:
        case None | "":
            return None
        case bool():
            return str(cell).lower()
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime() | date():
            return cell.isoformat()
        case _:
            return str(cell)


XLSX = SourceFormat((".xlsx",), _open_rows)
