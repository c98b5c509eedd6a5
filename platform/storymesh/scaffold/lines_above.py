"""The lines above a table in a file of a report: its title, who made it and when, an empty line. They have fewer fields
than the line that names the columns."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from storymesh.contract.value_forms import ValueForms
from storymesh.product.sources.csv import csv_dialect
from storymesh.product.sources.open import raw_content, raw_format, raw_sheet_rows
from storymesh.product.sources.options import NO_QUOTE, SourceOptions

SAMPLE_BYTES = 64 * 1024
SAMPLE_ROWS = 100
MAX_LINES = 50
_DELIMITERS = ",;\t|"
_VALUE = re.compile(rf"\s*({ValueForms().number_pattern}|\d{{4}}-\d{{2}}-\d{{2}}.*)\s*")

Row = tuple[int, Sequence[str]]
"""How many lines are above a row, and its cells."""


def count_lines_above(path: Path, options: SourceOptions) -> int:
    """Return how many lines are above the one that names the columns; 0 where no line clearly does.

    Raises SourceUnreadable.
    """
    match raw_format(path, options):
        case "csv":
            head = raw_content(path, options, SAMPLE_BYTES)
            text = head.decode("utf-8-sig", "replace")
            whole = len(head) < SAMPLE_BYTES
            marks = [options.delimiter] if options.delimiter else _DELIMITERS
            return max((_lines_above(_records(text, mark, options, whole=whole)) for mark in marks), default=(0, 0))[1]
        case "xlsx":
            rows = raw_sheet_rows(path, options, SAMPLE_ROWS)
            return _lines_above([(index, ["" if cell is None else str(cell) for cell in row])
                                 for index, row in enumerate(rows)])[1]  # fmt: skip
        case _:
            return 0


def _records(text: str, delimiter: str, options: SourceOptions, *, whole: bool) -> list[Row]:
    quote = None if options.quote == NO_QUOTE else options.quote or '"'
    reader = csv.reader(io.StringIO(text, newline=""), **csv_dialect(delimiter, quote, options.escape))
    records: list[Row] = []
    above = 0
    try:
        for record in reader:
            records.append((above, record))
            above = reader.line_num
            if len(records) == SAMPLE_ROWS:
                return records
    except csv.Error:
        return []  # of another delimiter
    return records if whole else records[:-1]


def _lines_above(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many fields the table has that the rows agree on, in all of them, and the lines above its names."""
    widths = Counter(_width(cells) for _, cells in rows if any(cells))
    if not widths:
        return 0, 0
    width, count = max(widths.items(), key=lambda item: (item[0] > 1) * item[0] * item[1])
    score = (width - 1) * count
    for above, cells in rows[: MAX_LINES + 1]:
        filled = [cell for cell in cells if cell.strip()]
        if len(filled) == width and not any(_VALUE.fullmatch(cell) for cell in filled):
            return score, above
        if len(filled) * 2 >= width and not len(filled) == _width(cells) == 1:
            break
    return score, 0


def _width(cells: Sequence[str]) -> int:
    """Return how many fields a row has without the empty ones at its end."""
    return max((place for place, cell in enumerate(cells, 1) if cell.strip()), default=0)
