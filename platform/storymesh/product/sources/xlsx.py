"""Excel workbooks as sources: the rows of the first sheet, whose first row names the columns."""

import itertools
from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    from zipfile import BadZipFile

    import pyarrow as pa
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        workbook = load_workbook(source.path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, ValueError, OSError) as error:
        raise source.unreadable(f"not an Excel workbook: {error}", "save it as .xlsx") from None
    lines = workbook.worksheets[0].iter_rows(values_only=True)
    header = ["" if cell is None else str(cell) for cell in next(lines, ())]
    if not any(header):
        workbook.close()
        raise source.unreadable("the first sheet is empty", "its first row names the columns")
    columns = source.choose_columns(header)
    schema = pa.schema([(name, pa.string()) for name in columns])
    indexes = [header.index(name) for name in columns]

    def batches() -> Iterator[pa.RecordBatch]:
        filled = (line for line in lines if any(cell is not None for cell in line))
        while chunk := list(itertools.islice(filled, BATCH_ROWS)):
            texts = [[_text_of(line[index]) if index < len(line) else None for line in chunk] for index in indexes]
            yield pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in texts], schema=schema)
        workbook.close()

    return pa.RecordBatchReader.from_batches(schema, batches())


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
