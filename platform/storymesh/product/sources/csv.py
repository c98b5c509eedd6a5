"""CSV files as sources. Every value is a text; what the source does not say of its layout is detected, and errors name
the line of the file."""

import csv
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.bounds import MAX_LINE, ContentRefused, lines_of, require_line
from storymesh.product.sources.csv_quotes import QuoteCheckedFile, QuoteChecker, UnbalancedQuote
from storymesh.product.sources.options import NO_QUOTE
from storymesh.product.sources.source import BATCH_ROWS, UTF_8, SourceFile, SourceFormat

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pc

BLOCK_BYTES = 16 * 2**20
_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1024 * 1024
_SAMPLED_RECORDS = 100
_ENCODING_HINT = "save the file as UTF-8, or say what it is in: encoding: cp1252"


@dataclass(frozen=True)
class _Layout:
    """The form of the lines of a file. `names` are those of its columns, `has_header`: a line of it has them."""

    delimiter: str
    quote: str | None
    escape: str | None
    names: tuple[str, ...]
    has_header: bool

    def checker(self) -> QuoteChecker | None:
        return QuoteChecker(self.delimiter, self.quote, self.escape) if self.quote is not None else None

    def parse_options(self) -> "pc.ParseOptions":
        import pyarrow.csv as pc

        return pc.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.quote or False,
            escape_char=self.escape or False,
            newlines_in_values=True,
        )

    def records(self, lines: Iterator[str] | IO[str]) -> Any:
        """Return the csv reader of lines, which counts them as `line_num`."""
        return csv.reader(lines, **csv_dialect(self.delimiter, self.quote, self.escape))


def csv_dialect(delimiter: str, quote: str | None, escape: str | None) -> dict[str, Any]:
    """Return the arguments with which `csv.reader` reads such a file; `quote` None: it has none."""
    quoting = csv.QUOTE_MINIMAL if quote is not None else csv.QUOTE_NONE
    return {"delimiter": delimiter, "quotechar": quote or '"', "quoting": quoting, "escapechar": escape}


def csv_fault(source: SourceFile) -> SourceUnreadable | None:
    """Return what is wrong with a file, where possible with its first broken line; None: it can be read."""
    try:
        for _ in _read_rows(source):
            pass
    except SourceUnreadable as error:
        return error
    return None


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    return _read_rows(source)


def _read_rows(source: SourceFile) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.csv as pc

    layout = _read_layout(source)
    columns = source.choose_columns(layout.names)
    schema = pa.schema([(name, pa.string()) for name in columns])
    # Columns are named by their index, since a header may have other names twice.
    indexes = [f"{index}" for index in range(len(layout.names))]
    chosen = [indexes[layout.names.index(name)] for name in columns]

    def batches() -> Iterator[pa.RecordBatch]:
        with _open(source) as file:
            try:
                checker = layout.checker()
                reader = pc.open_csv(
                    file if checker is None else QuoteCheckedFile(file, checker),
                    pc.ReadOptions(block_size=BLOCK_BYTES, column_names=indexes),
                    layout.parse_options(),
                    pc.ConvertOptions(
                        column_types={index: pa.string() for index in chosen},
                        include_columns=chosen,
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
                above = layout.has_header
                for batch in reader:
                    rows = batch.slice(1) if above else batch
                    above = False
                    yield pa.RecordBatch.from_arrays(rows.columns, schema=schema)
            except UnbalancedQuote as error:
                raise _unbalanced(source, error) from None
            except ContentRefused as error:
                raise source.refused(error) from None
            except pa.ArrowInvalid as error:
                if _is_empty(error) and not layout.has_header:
                    return
                raise _explain_failure(source, layout, str(error)) from None

    return pa.RecordBatchReader.from_batches(schema, batches())


def _is_empty(error: Exception) -> bool:
    return "Empty CSV" in str(error)


@contextmanager
def _open(source: SourceFile) -> Iterator[IO[bytes]]:
    """Open the content of a file below the lines that are not read."""
    with source.open() as file:
        _skip_lines(file, source.options.skip_rows)
        yield file


def _skip_lines(file: IO[bytes], count: int) -> None:
    """Read so many lines, which end with \\n, \\r\\n or \\r. Raises ContentRefused."""
    assert isinstance(file, io.BufferedReader)
    length = 0
    while count and (piece := file.peek(1)):
        ends = [place for mark in (b"\n", b"\r") if (place := piece.find(mark)) >= 0]
        if not ends:
            length += len(file.read(len(piece)))
            require_line(length)
            continue
        if file.read(min(ends) + 1).endswith(b"\r") and file.peek(1)[:1] == b"\n":
            file.read(1)
        count, length = count - 1, 0


def _read_layout(source: SourceFile) -> _Layout:
    """Return how the lines are made: as said, or else as most of the contract's names appear in the first."""
    options = source.options
    with source.open() as file:
        try:
            _skip_lines(file, options.skip_rows)
            text = file.read(_HEADER_BYTES).decode("utf-8-sig", "replace")
        except ContentRefused as error:
            raise source.refused(error) from None
    if "\ufffd" in text.partition("\n")[0] and options.encoding in UTF_8 and (not_utf8 := _encoding_error(source)):
        raise not_utf8
    if not text.strip() and (options.has_header or options.names is None):
        raise source.unreadable("the file is empty", "a CSV begins with a line of column names")
    if "\0" in text.lstrip("\r\n").partition("\n")[0]:
        words = "the names of its columns hold NUL characters, as in UTF-16"
        raise source.unreadable(words, "save the file as UTF-8, or say what it is in: encoding: utf-16")
    quote = None if options.quote == NO_QUOTE else options.quote or '"'
    found: list[tuple[float, list[str], str]] = []
    for delimiter in [options.delimiter] if options.delimiter else _DELIMITERS:
        dialect = csv_dialect(delimiter, quote, options.escape)
        try:
            records = filter(None, csv.reader(io.StringIO(text, newline=""), **dialect))
            first = next(records, [])
        except (csv.Error, TypeError):
            continue  # of another delimiter, or no header at all
        found.append((_layout_score(source, first, records), first, delimiter))
    if not found:
        raise source.unreadable("the first line is no list of column names", "a CSV begins with one")
    _, first, delimiter = max(found, key=lambda item: item[0])
    return _Layout(delimiter, quote, options.escape, _names(source, first), options.has_header)


def _names(source: SourceFile, first: list[str]) -> tuple[str, ...]:
    """Return the names of the columns: as said, as the `first` line has them, or else their numbers."""
    names, has_header = source.options.names, source.options.has_header
    if names is None:
        return tuple(first) if has_header else tuple(f"column_{number}" for number in range(1, len(first) + 1))
    if first and len(names) != len(first):
        words = f"its first line has {len(first)} field{'s'[: len(first) != 1]}, and names has {len(names)}"
        raise source.unreadable(words, "give each column a name; delimiter says what is between two fields")
    return names


def _layout_score(source: SourceFile, first: list[str], records: Iterator[list[str]]) -> float:
    """Return how well a delimiter suits: how many of the contract's names it makes of the header. Where the header does
    not say it: how many fields, times the share of the first records that have as many."""
    if source.contract is not None and source.options.has_header and source.options.names is None:
        lower = {name.lower() for name in first}
        return sum(any(name.lower() in lower for name in item.column_names) for item in source.properties)
    sizes: list[int] = []
    with suppress(csv.Error):  # of another delimiter
        sizes += map(len, itertools.islice(records, _SAMPLED_RECORDS))
    wanted = len(source.options.names or first)
    fitting = sum(size == wanted for size in sizes[: max(1, len(sizes) - 1)])  # the last may be cut off
    share = fitting / max(1, len(sizes) - 1) if sizes else 1.0
    return (wanted - 1) * share + (len(first) == wanted)


def _unbalanced(source: SourceFile, error: UnbalancedQuote) -> SourceUnreadable:
    skipped = source.options.skip_rows
    below = f", counted below the {skipped:,} lines that are not read" if skipped else ""
    return source.unreadable(f"{error.message}{below}", error.hint)


def _explain_failure(source: SourceFile, layout: _Layout, message: str) -> SourceUnreadable:
    """Return an error with the line at which Arrow's reader failed, which its own `message` does not say."""
    try:
        return _find_failure(source, layout, message)
    except ContentRefused as error:
        return source.refused(error)


def _find_failure(source: SourceFile, layout: _Layout, message: str) -> SourceUnreadable:
    if ("UTF8" in message or "UTF-8" in message) and (error := _encoding_error(source)):
        return error
    if (checker := layout.checker()) is not None:
        with _open(source) as file:
            try:
                checked = QuoteCheckedFile(file, checker)
                while checked.read(BLOCK_BYTES):
                    pass
            except UnbalancedQuote as quote:
                return _unbalanced(source, quote)
    columns = len(layout.names)
    with _open(source) as file:
        reader = layout.records(_text_lines(file))
        begin = 1
        try:
            for fields in reader:
                if fields and len(fields) != columns:
                    line = begin + source.options.skip_rows
                    found = f"line {line} has {len(fields)} field{'s'[: len(fields) != 1]}, {columns} are wanted"
                    return source.unreadable(found, "check the quotes on that line")
                begin = reader.line_num + 1
        except csv.Error as unparsed:
            message = str(unparsed)
    # Behind the second colon Arrow quotes the row.
    return source.unreadable(f"not a CSV: {':'.join(message.removeprefix('CSV parse error: ').split(':')[:1])}")


def _text_lines(file: IO[bytes]) -> Iterator[str]:
    lines = (line.decode("utf-8", "replace") for part in lines_of(file) for line in part.splitlines(keepends=True))
    return (line.removeprefix("\ufeff") if number == 0 else line for number, line in enumerate(lines))


def _encoding_error(source: SourceFile) -> SourceUnreadable | None:
    """Return an error with the first line that is not UTF-8, or None."""
    with source.open() as file:
        for number, line in enumerate(lines_of(file), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"line {number} is not UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x})"
                return source.unreadable(found, _ENCODING_HINT)
    return None


def _record_lines(source: SourceFile) -> "Iterator[np.ndarray[Any, Any]]":
    """Yield the line on which each record begins.

    Only records of several lines are parsed for it: without quotes and escapes, each line that is not empty is one.
    """
    layout = _read_layout(source)
    lines = _parsed_lines(source, layout) if _may_have_long_records(source, layout) else _plain_lines(source)
    skipped = 1 if layout.has_header else 0
    for piece in lines:
        yield piece[skipped:] + source.options.skip_rows
        skipped = max(0, skipped - len(piece))


def _may_have_long_records(source: SourceFile, layout: _Layout) -> bool:
    marks = [mark.encode() for mark in (layout.quote, layout.escape) if mark is not None]
    with _open(source) as file:
        return any(mark in piece for piece in iter(lambda: file.read(MAX_LINE // 4), b"") for mark in marks)


def _plain_lines(source: SourceFile) -> "Iterator[np.ndarray[Any, Any]]":
    import numpy as np

    number = 1
    with _open(source) as file:
        lines = (line for part in lines_of(file) for line in part.splitlines(keepends=True))
        while chunk := list(itertools.islice(lines, BATCH_ROWS)):
            filled = np.array([bool(line.strip(b"\r\n")) for line in chunk])
            yield np.flatnonzero(filled) + number
            number += len(chunk)


def _parsed_lines(source: SourceFile, layout: _Layout) -> "Iterator[np.ndarray[Any, Any]]":
    import numpy as np

    def starts() -> Iterator[int]:
        begin = 1
        with _open(source) as file:
            reader = layout.records(_text_lines(file))
            for fields in reader:
                if fields:
                    yield begin
                begin = reader.line_num + 1

    numbers = starts()
    while chunk := list(itertools.islice(numbers, BATCH_ROWS)):
        yield np.array(chunk)


CSV = SourceFormat(_open_rows, _record_lines)
