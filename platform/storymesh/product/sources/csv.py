"""CSV files as sources. Every value is a text; the delimiter is detected, and errors name the line of the file."""

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.bounds import OpensTooFar, lines_of
from storymesh.product.sources.csv_quotes import QuoteCheckedFile, UnbalancedQuote
from storymesh.product.sources.source import SourceFile, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 16 * 2**20
_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1024 * 1024
_SAMPLED_RECORDS = 100


def _open_rows(source: SourceFile, _: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.csv as pc

    header, delimiter = _read_header(source)
    columns = source.choose_columns(header)
    schema = pa.schema([(name, pa.string()) for name in columns])
    # Columns are named by their index, since a header may have other names twice.
    indexes = [f"{index}" for index in range(len(header))]
    chosen = [indexes[header.index(name)] for name in columns]

    def batches() -> Iterator[pa.RecordBatch]:
        with source.open() as file:
            try:
                reader = pc.open_csv(
                    QuoteCheckedFile(file, delimiter),
                    pc.ReadOptions(block_size=BLOCK_BYTES, column_names=indexes),
                    pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                    pc.ConvertOptions(
                        column_types={index: pa.string() for index in chosen},
                        include_columns=chosen,
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
                first = True
                for batch in reader:
                    rows = batch.slice(1) if first else batch
                    first = False
                    yield pa.RecordBatch.from_arrays(rows.columns, schema=schema)
            except UnbalancedQuote as error:
                raise source.unreadable(error.message, error.hint) from None
            except OpensTooFar as error:
                raise source.opens_too_far(error) from None
            except (pa.ArrowInvalid, gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise _explain_failure(source, delimiter, len(header), str(error)) from None

    return pa.RecordBatchReader.from_batches(schema, batches())


CSV = SourceFormat((".csv", ".csv.gz", ".tsv", ".tsv.gz"), _open_rows)


def _read_header(source: SourceFile) -> tuple[list[str], str]:
    """Return the names in the first line, and the delimiter that makes most of the contract's names appear there."""
    with source.open() as file:
        try:
            text = file.read(_HEADER_BYTES).decode("utf-8-sig", "replace")
        except OpensTooFar as error:
            raise source.opens_too_far(error) from None
        except (gzip.BadGzipFile, EOFError, OSError, zlib.error) as error:
            raise source.unreadable(f"the file is damaged: {error}") from None
    if "\ufffd" in text.partition("\n")[0] and (not_utf8 := _encoding_error(source)):
        raise not_utf8
    if not text.strip():
        raise source.unreadable("the file is empty", "a CSV begins with a line of column names")
    if "\0" in text.lstrip("\r\n").partition("\n")[0]:
        raise source.unreadable("the names of its columns hold NUL characters, as in UTF-16", "save the file as UTF-8")
    headers: list[tuple[float, list[str], str]] = []
    for delimiter in _DELIMITERS:
        try:
            records = filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
            names = next(records, [])
        except csv.Error:
            continue  # of another delimiter, or no header at all
        headers.append((_header_score(source, names, records), names, delimiter))
    if not headers:
        raise source.unreadable("the first line is no list of column names", "a CSV begins with one")
    _, names, delimiter = max(headers, key=lambda header: header[0])
    return names, delimiter


def _header_score(source: SourceFile, names: list[str], records: Iterator[list[str]]) -> float:
    """Return how well a delimiter suits: how many of the contract's names it makes of the header. Without a contract,
    how many names, times the share of the first records that have as many fields."""
    if source.contract is not None:
        lower = {name.lower() for name in names}
        return sum(any(name.lower() in lower for name in item.column_names) for item in source.properties)
    sizes: list[int] = []
    with suppress(csv.Error):  # of another delimiter
        sizes += map(len, itertools.islice(records, _SAMPLED_RECORDS))
    fitting = sum(size == len(names) for size in sizes[: max(1, len(sizes) - 1)])  # the last may be cut off
    return (len(names) - 1) * (fitting / max(1, len(sizes) - 1) if sizes else 1.0)


def _explain_failure(source: SourceFile, delimiter: str, columns: int, message: str) -> SourceUnreadable:
    """Return an error with the line at which Arrow's reader failed, which its own `message` does not say."""
    try:
        return _find_failure(source, delimiter, columns, message)
    except OpensTooFar as error:
        return source.opens_too_far(error)


def _find_failure(source: SourceFile, delimiter: str, columns: int, message: str) -> SourceUnreadable:
    if ("UTF8" in message or "UTF-8" in message) and (error := _encoding_error(source)):
        return error
    with source.open() as file:
        try:
            checked = QuoteCheckedFile(file, delimiter)
            while checked.read(BLOCK_BYTES):
                pass
        except UnbalancedQuote as quote:
            return source.unreadable(quote.message, quote.hint)
        except (gzip.BadGzipFile, EOFError, OSError, zlib.error) as damage:
            return source.unreadable(f"the file is damaged: {damage}")
    with source.open() as file:
        lines = (line.decode("utf-8", "replace") for part in lines_of(file) for line in part.splitlines(keepends=True))
        texts = (line.removeprefix("\ufeff") if number == 0 else line for number, line in enumerate(lines))
        reader = csv.reader(texts, delimiter=delimiter)
        begin = 1
        try:
            for fields in reader:
                if fields and len(fields) != columns:
                    found = f"line {begin} has {len(fields)} field{'s'[: len(fields) != 1]}, {columns} are wanted"
                    return source.unreadable(found, "check the quotes on that line")
                begin = reader.line_num + 1
        except csv.Error as unparsed:
            message = str(unparsed)
    # Behind the second colon Arrow quotes the row.
    return source.unreadable(f"not a CSV: {':'.join(message.removeprefix('CSV parse error: ').split(':')[:1])}")


def _encoding_error(source: SourceFile) -> SourceUnreadable | None:
    """Return an error with the first line that is not UTF-8, or None."""
    with source.open() as file:
        for number, line in enumerate(lines_of(file), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"line {number} is not UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x})"
                return source.unreadable(found, "save the file as UTF-8")
    return None
