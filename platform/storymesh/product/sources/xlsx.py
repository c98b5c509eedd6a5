"""Excel workbooks as sources: the rows of a sheet, by default the first that is not hidden, whose first row names the
columns where the source does not say otherwise."""

import itertools
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import ZipFile

from storymesh.contract.cast_text import ERROR_MARK, WITH_ERRORS
from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable, suggest_name
from storymesh.language.types import Decimal, Text, Type
from storymesh.product.sources.bounds import FREE_BYTES
from storymesh.product.sources.options import cell_range
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MAX_ROWS = 1_048_576  # of a sheet of Excel
MAX_COLUMNS = 16_384
_MAX_PARTS = 10_000
_STRICT = b"http://purl.oclc.org/ooxml/"
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # of workbooks before 2007, and of those with a password
_COVERED = f"{ERROR_MARK}inside a merged cell"
_TWO_DAYS = date(1900, 2, 28)  # openpyxl reads as this day also the next, which Excel has and no calendar
_SAVE_AGAIN = "save it again with Excel"
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']([A-Z]{1,3})(\d{1,9}):([A-Z]{1,3})(\d{1,9})["']""")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa

    with ExitStack() as stack:
        file = stack.enter_context(source.open_file())
        with _refused_if_damaged(source):
            _require_bounded(source, file)
            sheet = _open_sheet(source, file)
            header = _header(source, sheet)
        if not any(header):
            hint = "its first row names the columns; sheet and range say where that is"
            raise source.unreadable("the sheet is empty", hint)
        columns = source.choose_columns(header)
        closing = stack.pop_all()
    schema = pa.schema([pa.field(name, pa.string(), metadata=WITH_ERRORS) for name in columns])
    types = [item.type for item in source.properties] or [Text()] * len(columns)
    places = [(header.index(name), kind) for name, kind in zip(columns, types, strict=True)]

    def batches() -> Iterator[pa.RecordBatch]:
        with closing:
            filled = _texts(source, sheet, places)
            while chunk := list(itertools.islice(filled, BATCH_ROWS)):
                texts = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
                yield pa.RecordBatch.from_arrays(texts, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def sheet_rows(source: SourceFile, count: int) -> list[list[object]]:
    """Return the values of the cells of the first rows of a sheet, empty rows among them. Raises SourceUnreadable."""
    with source.open_file() as file, _refused_if_damaged(source):
        _require_bounded(source, file)
        lines = itertools.islice(_open_sheet(source, file).lines, count)
        return [[cell.value for cell in line] for _, line in lines]


@contextmanager
def _refused_if_damaged(source: SourceFile) -> Iterator[None]:
    """Raise SourceUnreadable for whatever a library finds in a file that is not what it expects."""
    try:
        yield
    except SourceUnreadable:
        raise
    except Exception as error:
        raise _damage_error(source, error) from None


@dataclass
class _Sheet:
    """A sheet as it is read: its rows of cells with their numbers, a cell with its value and its type, the column of
    the first cell counted from 0, its XML, and whether it counts days from 1900, with a day that never was."""

    lines: Iterator[tuple[int, Sequence[Any]]]
    left: int
    xml: bytes
    since_1900: bool


def _header(source: SourceFile, sheet: _Sheet) -> list[str]:
    """Return the names of the columns: as said, as the first row has them, or else their numbers."""
    names, has_header = source.options.names, source.options.has_header
    if not has_header and names is not None:
        return list(names)
    number, first = next(sheet.lines, (0, ()))
    if has_header:
        found = ["" if cell.value is None else _unescaped(str(cell.value)) for cell in first]
        while names is not None and len(found) > len(names) and not found[-1]:
            found.pop()
        if names is not None and len(names) != len(found):
            words = f"its first row has {len(found)} names, and names has {len(names)}"
            raise source.unreadable(words, "give each column a name")
        return list(names) if names is not None else found
    sheet.lines = itertools.chain([(number, first)], sheet.lines)
    return [f"column_{index}" for index in range(1, len(first) + 1)]


def _open_sheet(source: SourceFile, file: BinaryIO) -> _Sheet:
    """Return the sheet that the source names, or the first that is not hidden."""
    from openpyxl import load_workbook
    from openpyxl.utils.datetime import WINDOWS_EPOCH

    # What it says of a cell, the cell says too, as an error.
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    sheets = load_workbook(file, read_only=True, data_only=True, keep_links=False).worksheets
    if not sheets:
        if _is_strict(file):
            words = 'this is a "Strict Open XML" workbook'
            raise source.unreadable(words, 'save it as "Excel Workbook (.xlsx)"')
        raise source.unreadable("the workbook has no sheet with cells", "its first sheet has the rows")
    shown = _sheet_index(source, [(sheet.title, sheet.sheet_state == "visible") for sheet in sheets])
    sheet = sheets[shown]
    with ZipFile(file) as archive:
        xml = archive.read(sheet._worksheet_path)
    if (row := row_out_of_order(xml)) is not None:
        raise source.unreadable(f"row {row:,} stands twice, or below a later one", _SAVE_AGAIN)
    # The size that a sheet says it has is a hint, and some writers leave it as it was.
    sheet.reset_dimensions()
    top, left, bottom, right = cell_range(source.options.range or "A1") or (1, 1, None, None)
    top += source.options.skip_rows
    bounds = {"min_row": top, "max_row": bottom, "min_col": left, "max_col": right}
    lines = iter(sheet.iter_rows(**bounds)) if bottom is None or bottom >= top else iter(())
    if has_formulas(xml):
        formulas = load_workbook(file, read_only=True, keep_links=False).worksheets[shown]
        formulas.reset_dimensions()
        lines = map(_with_formulas, lines, formulas.iter_rows(**bounds))
    return _Sheet(zip(itertools.count(top), lines), left - 1, xml, sheet.parent.epoch == WINDOWS_EPOCH)


def _sheet_index(source: SourceFile, sheets: Sequence[tuple[str, bool]]) -> int:
    """Return which of the sheets, each a title and whether it is shown, the source means: by title, by number from 1,
    or else the first that is not hidden."""
    wanted = source.options.sheet
    titles = [title for title, _ in sheets]
    if isinstance(wanted, int):
        if wanted > len(sheets):
            raise source.unreadable(
                f"the workbook has {len(sheets)} sheets, and sheet is {wanted}", suggest_name("", titles)
            )
        return wanted - 1
    if wanted is not None:
        if wanted not in titles:
            raise source.unreadable(f"the workbook has no sheet '{wanted}'", suggest_name(wanted, titles))
        return titles.index(wanted)
    return next((index for index, (_, visible) in enumerate(sheets) if visible), 0)


class _NoValue:
    """A cell with a formula that nobody has computed."""

    value = "a formula without a value"
    data_type = "e"


def _with_formulas(cells: Sequence[Any], formulas: Sequence[Any]) -> Sequence[Any]:
    """Return the cells of a row; `formulas` are the same cells with what is to be computed there."""
    return [
        # A text that a formula left empty says that it is one.
        _NoValue if cell.value is None and cell.data_type == "n" and formula.value is not None else cell
        for cell, formula in zip(cells, formulas, strict=True)
    ]


def _is_strict(file: BinaryIO) -> bool:
    with suppress(KeyError), ZipFile(file) as archive:
        return _STRICT in archive.read("xl/workbook.xml")
    return False


def _require_bounded(source: SourceFile, file: BinaryIO) -> None:
    """Raise SourceUnreadable for a workbook that opens to too much: its parts are read into memory."""
    if file.read(len(_OLE)) == _OLE:
        words = "this is a workbook of before Excel 2007, or one with a password"
        raise source.unreadable(words, 'save it as "Excel Workbook (.xlsx)" without a password')
    try:
        with ZipFile(file) as archive:
            parts = archive.infolist()
    except Exception as error:  # see above
        raise _damage_error(source, error) from None
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > FREE_BYTES:
        words = f"the workbook opens to more than {FREE_BYTES / 2**30:.0f} GiB, or to more than {_MAX_PARTS:,} parts"
        raise source.unreadable(words, "save it as CSV or Parquet")


def _texts(source: SourceFile, sheet: _Sheet, places: Sequence[tuple[int, Type]]) -> Iterator[tuple[str | None, ...]]:
    """Yield the cells of the columns at `places` of each row that is not empty, as texts for a property's type."""
    left = sheet.left
    merged = merged_cells(sheet.xml, {left + index for index, _ in places})
    number = 1
    try:
        for number, line in sheet.lines:
            if number > MAX_ROWS or len(line) > MAX_COLUMNS:
                words = f"row {number:,} is beyond what Excel has: {MAX_ROWS:,} rows and {MAX_COLUMNS:,} columns"
                raise source.unreadable(words, _SAVE_AGAIN)
            if any(cell.value is not None for cell in line):
                yield tuple(
                    _COVERED
                    if merged.cover(number, left + index)
                    else _text_of(line[index], kind, sheet.since_1900)
                    if index < len(line)
                    else None
                    for index, kind in places
                )
    except SourceUnreadable:
        raise
    except Exception as error:  # see above
        raise source.unreadable(
            f"a cell below row {number:,} cannot be read: {_library_message(error)}", _SAVE_AGAIN
        ) from None


def _damage_error(source: SourceFile, error: Exception) -> SourceUnreadable:
    return source.unreadable(f"not an Excel workbook: {_library_message(error)}", "save it as .xlsx")


def _library_message(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _text_of(cell: Any, kind: Type, since_1900: bool) -> str | None:
    value = cell.value
    match value:
        case None | "":
            return None
        case str():
            return ERROR_MARK + value if cell.data_type == "e" else _unescaped(value)
        case bool():
            return str(value).lower()
        case float():
            return _number_text(value, kind)
        case datetime() if since_1900 and value.date() == _TWO_DAYS:
            return f"{ERROR_MARK}1900-02-28, or the 29th of Excel"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return _duration_text(value)
        case _:
            return str(value)


def _duration_text(value: timedelta) -> str:
    """Return a duration as Excel shows it: hours, which may be more than a day's, minutes and seconds."""
    seconds = abs(value).seconds + 86_400 * abs(value).days
    fraction = f".{abs(value).microseconds:06}".rstrip("0").rstrip(".")
    sign = "-" if value < timedelta() else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _number_text(value: float, kind: Type) -> str:
    """Return a number of a cell, which is a double: rounded to the digits of a decimal, as those of Parquet are."""
    from decimal import ROUND_HALF_UP, localcontext
    from decimal import Decimal as Exact

    if isinstance(kind, Decimal) and abs(value) < 10.0**38:
        with localcontext(prec=100):
            return f"{Exact(repr(value)).quantize(Exact(1).scaleb(-kind.scale), ROUND_HALF_UP):f}"
    return str(int(value)) if value.is_integer() else str(value)


def _unescaped(text: str) -> str:
    """Return a text without the escapes of Open XML: `_x000D_` is a carriage return."""
    from openpyxl.utils.escape import unescape

    if "_x" not in text:
        return text
    # Two halves of a character, each written by itself, become one; half a character is none.
    return str(unescape(text)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _record_lines(source: SourceFile) -> "Iterator[np.ndarray[Any, Any]]":
    """Yield the numbers of the rows that are not empty, as Excel counts them."""
    import numpy as np

    with source.open_file() as file:
        sheet = _open_sheet(source, file)
        _header(source, sheet)
        filled = (number for number, line in sheet.lines if any(cell.value is not None for cell in line))
        while chunk := list(itertools.islice(filled, BATCH_ROWS)):
            yield np.array(chunk)


XLSX = SourceFormat(_open_rows, _record_lines)


_ROW = re.compile(rb"""<(?:\w+:)?row\s(?:[^>]*?\s)?r=["'](\d{1,9})["']""")


@dataclass(frozen=True)
class MergedCells:
    """The cells of a sheet that a merged cell covers, without its first: column, counted from 0 -> the first rows and
    the last rows of such stretches, both ascending."""

    _stretches: Mapping[int, tuple[list[int], list[int]]]

    def cover(self, row: int, column: int) -> bool:
        """Return True for a covered cell; rows are counted from 1, columns from 0."""
        if column not in self._stretches:
            return False
        firsts, lasts = self._stretches[column]
        index = bisect_right(firsts, row) - 1
        return index >= 0 and row <= lasts[index]


def has_formulas(sheet: bytes) -> bool:
    """Return True if a cell of a sheet is computed."""
    return bool(_FORMULA.search(sheet))


def row_out_of_order(sheet: bytes) -> int | None:
    """Return the number of the first row that does not stand below the one before it."""
    numbers = list(map(int, _ROW.findall(sheet)))
    return next((row for before, row in pairwise(numbers) if row <= before), None)


def merged_cells(sheet: bytes, columns: set[int]) -> MergedCells:
    """Return which cells of `columns`, counted from 0, a merged cell covers."""
    stretches: dict[int, list[tuple[int, int]]] = {}
    for left, top, right, bottom in _MERGED.findall(sheet):
        first, last = _column_index(left), _column_index(right)
        for column in columns:
            if first <= column <= last:
                begin = int(top) + 1 if column == first else int(top)
                stretches.setdefault(column, []).append((begin, int(bottom)))
    return MergedCells({column: _ascending(pairs) for column, pairs in stretches.items()})


def _ascending(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    pairs = sorted(pairs)
    return [first for first, _ in pairs], list(accumulate((last for _, last in pairs), max))


def _column_index(letters: bytes) -> int:
    from openpyxl.utils import column_index_from_string

    return int(column_index_from_string(letters.decode())) - 1
