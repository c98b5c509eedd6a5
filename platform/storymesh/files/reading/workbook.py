"""The cells of a workbook as Excel shows them, sheet by sheet, without hidden sheets."""

import warnings
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from storymesh.files.reading.passages import PassageWriter
from storymesh.files.reading.reading import FileRefused

MAX_CELLS = 1_000_000
MAX_ROWS = 1_048_576  # of a sheet of Excel


def workbook_text(content: bytes) -> tuple[PassageWriter, dict[str, Any], Any]:
    """Return the text, a line for each row, with every cell's name, the cells, and what is said of the workbook."""
    from openpyxl import load_workbook

    # What it says of a cell, the cell says too, as an error.
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    book = load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    writer, cells = PassageWriter(), list[dict[str, Any]]()
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        writer.begin_block()
        writer.add(sheet.title, part=sheet.title)
        # The size that a sheet says it has is a hint, and some writers leave it as it was.
        sheet.reset_dimensions()
        for row in sheet.iter_rows(max_row=MAX_ROWS):
            _write_row(sheet.title, row, writer, cells)
    return writer, {"cells": cells}, book.properties


def _write_row(sheet: str, row: Any, writer: PassageWriter, cells: list[dict[str, Any]]) -> None:
    begun = False
    for cell in row:
        text = _shown(cell)
        if not text.strip():
            continue
        if len(cells) >= MAX_CELLS:
            raise FileRefused("too large when opened", f"it has more than {MAX_CELLS:,} cells")
        writer.separate("\t" if begun else "\n")
        begun = True
        writer.add(text, part=sheet, cell=cell.coordinate)
        cells.append({"sheet": sheet, "cell": cell.coordinate, "row": cell.row, "column": cell.column, "text": text})


def _shown(cell: Any) -> str:
    """Return a value as text: days as YYYY-MM-DD, and a share with its sign where it is shown with one."""
    value = cell.value
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case datetime():
            midnight = value.time() == time()
            return value.date().isoformat() if midnight else value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case int() | float() if "%" in (cell.number_format or ""):
            return f"{_number(round(value * 100, 10))}%"
        case float():
            return _number(value)
        case _:
            return str(value)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)
