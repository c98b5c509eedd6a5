"""A product's rows as they come: from a file that the product names, or from the domain's dbt model, a batch at a time.

Values are handed on as the file has them; the cast to the contract's types happens value by value when they are staged,
so that one bad field quarantines one row instead of refusing the file.
"""

import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.contract.types import quoted
from storymesh.engine.duckdb.connection import open_duckdb as connect
from storymesh.engine.duckdb.connection import quote_path as literal_path
from storymesh.errors import SourceUnreadable, suggest_name
from storymesh.product.definition import Product, source_kind, source_problem
from storymesh.product.sources.csv_quotes import UnbalancedQuote, WatchedFile

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 50_000
BLOCK_BYTES = 16 * 2**20


def open_rows(product: Product, contract: Contract, folder: Path, database: Path) -> "pa.RecordBatchReader":
    """The rows of `product`: its `source` file (a path relative to the domain's `folder`), or else the table or view
    of its name in the domain's DuckDB file `database`. Raises SourceUnreadable, here or while rows are read."""
    if product.source is None:
        return _open_model(product, contract, folder, database)
    if problem := source_problem(product, folder):
        raise _unreadable(product, *problem)
    path = folder / product.source
    match source_kind(path):
        case ".csv" | ".csv.gz":
            return _open_csv(path, product, contract)
        case ".parquet":
            return _open_parquet(path, product, contract)
        case ".jsonl" | ".jsonl.gz" | ".ndjson":
            return _open_json_lines(path, product, contract)
        case ".xlsx":
            return _open_excel(path, product, contract)
        case other:
            raise AssertionError(other)


def _unreadable(product: Product, words: str, hint: str = "") -> SourceUnreadable:
    return SourceUnreadable(f"{product.source_location}: source '{product.source}': {words}", hint)


def _columns(product: Product, contract: Contract, names: list[str]) -> list[str]:
    """The columns of the source that the contract promises. Raises SourceUnreadable when one is missing."""
    twice = sorted({name for name in names if names.count(name) > 1})
    chosen = []
    for name in contract.properties:
        alike = [one for one in names if one == name] or [one for one in names if one.lower() == name.lower()]
        if not alike:
            close = get_close_matches(name, names, n=1)
            hint = f"there is '{close[0]}'" if close else suggest_name(name, names)
            words = f"there is no column '{name}', which {contract.document.path} promises"
            raise _unreadable(product, words, hint)
        if len(alike) > 1 or alike[0] in twice:
            raise _unreadable(product, f"the column '{alike[0]}' stands twice", "rename one of the two")
        chosen.append(alike[0])
    return chosen


def _open_csv(path: Path, product: Product, contract: Contract) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.csv as pc

    header, delimiter = _header(path, product, contract)
    columns = _columns(product, contract, header)
    schema = pa.schema([(name, pa.string()) for name in columns])
    # Columns that are read are named by their place, since a header may name others twice.
    places = [f"{index}" for index in range(len(header))]
    wanted = [places[header.index(name)] for name in columns]

    def rows() -> Iterator[pa.RecordBatch]:
        with _opened(path) as file:
            try:
                reader = pc.open_csv(
                    WatchedFile(file, delimiter),
                    pc.ReadOptions(block_size=BLOCK_BYTES, column_names=places),
                    pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                    pc.ConvertOptions(
                        column_types={place: pa.string() for place in wanted},
                        include_columns=wanted,
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
                first = True
                for batch in reader:
                    rest = batch.slice(1) if first else batch
                    first = False
                    yield pa.RecordBatch.from_arrays(rest.columns, schema=schema)
            except UnbalancedQuote as error:
                raise _unreadable(product, error.message, error.hint) from None
            except (pa.ArrowInvalid, gzip.BadGzipFile, EOFError) as error:
                raise _bad_csv(path, product, delimiter, len(header), str(error)) from None

    return pa.RecordBatchReader.from_batches(schema, rows())


def _opened(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _header(path: Path, product: Product, contract: Contract) -> tuple[list[str], str]:
    """The names in the first line, and the delimiter: the one that makes most of the contract's names appear."""
    with _opened(path) as file:
        try:
            text = file.read(1024 * 1024).decode("utf-8-sig", "replace")
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            raise _unreadable(product, f"the file is damaged: {error}") from None
    if "\ufffd" in text.partition("\n")[0] and (wrong := _not_utf8(path, product)):
        raise wrong
    if not text.strip():
        raise _unreadable(product, "the file is empty", "a CSV begins with a line of column names")
    found: list[tuple[int, list[str], str]] = []
    for delimiter in ",;\t|":
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        lower = {name.lower() for name in names}
        found.append((sum(name.lower() in lower for name in contract.properties), names, delimiter))
    _, names, delimiter = max(found, key=lambda one: one[0])
    return names, delimiter


def _bad_csv(path: Path, product: Product, delimiter: str, columns: int, words: str) -> SourceUnreadable:
    """What Arrow could not read, with the line that it does not tell."""
    if ("UTF8" in words or "UTF-8" in words) and (found := _not_utf8(path, product)):
        return found
    with _opened(path) as file:
        try:
            watched = WatchedFile(file, delimiter)
            while watched.read(BLOCK_BYTES):
                pass
        except UnbalancedQuote as error:
            return _unreadable(product, error.message, error.hint)
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            return _unreadable(product, f"the file is damaged: {error}")
    with _opened(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), delimiter=delimiter)
        begin = 1
        try:
            for fields in reader:
                if fields and len(fields) != columns:
                    met = f"line {begin} has {len(fields)} fields, {columns} are wanted"
                    return _unreadable(product, met, "check the quotes on that line")
                begin = reader.line_num + 1
        except csv.Error as error:
            words = str(error)
    return _unreadable(product, f"not a CSV: {words.removeprefix('CSV parse error: ')}")


def _not_utf8(path: Path, product: Product) -> SourceUnreadable | None:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                met = f"line {number} is not UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x})"
                return _unreadable(product, met, "save the file as UTF-8")
    return None


def _open_parquet(path: Path, product: Product, contract: Contract) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = _columns(product, contract, file.schema_arrow.names)
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(product, f"the Parquet file is damaged: {error}", "write it again") from None

    def rows() -> Iterator[pa.RecordBatch]:
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield batch.select(columns)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(product, f"the Parquet file is damaged: {error}", "write it again") from None

    return pa.RecordBatchReader.from_batches(schema, rows())


def _open_json_lines(path: Path, product: Product, contract: Contract) -> "pa.RecordBatchReader":
    """Every value as the text that it is in JSON (a text without its quotes): a number in a text column is no reason
    to refuse a file."""
    import pyarrow as pa

    names = list(contract.properties)
    schema = pa.schema([(name, pa.string()) for name in names])
    if not path.stat().st_size:
        return pa.RecordBatchReader.from_batches(schema, iter(()))
    select = ", ".join(f"{quoted(name)} ->> '$' AS {quoted(name)}" for name in names)
    columns = ", ".join(f"{_literal(name)}: 'JSON'" for name in names)
    where = f"[{literal_path(str(path))}]"
    kind = "gzip" if path.suffix == ".gz" else "uncompressed"
    options = f"format = 'newline_delimited', compression = '{kind}', columns = {{{columns}}}"
    return _stream(connect(), f"SELECT {select} FROM read_json({where}, {options})", product, schema)


def _open_excel(path: Path, product: Product, contract: Contract) -> "pa.RecordBatchReader":
    """The first sheet; its first row names the columns."""
    from zipfile import BadZipFile

    import pyarrow as pa
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, ValueError, OSError) as error:
        raise _unreadable(product, f"not an Excel workbook: {error}", "save it as .xlsx") from None
    lines = book.worksheets[0].iter_rows(values_only=True)
    header = ["" if cell is None else str(cell) for cell in next(lines, ())]
    if not any(header):
        book.close()
        raise _unreadable(product, "the first sheet is empty", "its first row names the columns")
    columns = _columns(product, contract, header)
    schema = pa.schema([(name, pa.string()) for name in columns])
    places = [header.index(name) for name in columns]

    def rows() -> Iterator[pa.RecordBatch]:
        filled = (line for line in lines if any(cell is not None for cell in line))
        while chunk := list(itertools.islice(filled, BATCH_ROWS)):
            arrays = [[_cell(line[place]) if place < len(line) else None for line in chunk] for place in places]
            yield pa.RecordBatch.from_arrays([pa.array(one, pa.string()) for one in arrays], schema=schema)
        book.close()

    return pa.RecordBatchReader.from_batches(schema, rows())


def _cell(value: Any) -> str | None:
    match value:
        case None | "":
            return None
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value)


def _open_model(product: Product, contract: Contract, folder: Path, database: Path) -> "pa.RecordBatchReader":
    import duckdb

    words = f"'{product.id}' has no source, so its rows are the dbt model '{product.name}'"
    if not database.exists():
        raise SourceUnreadable(f"{words}, and the domain's dbt project was never built", "build it, or name a source")
    try:
        connection = duckdb.connect(str(database), read_only=True)
    except duckdb.Error as error:
        raise SourceUnreadable(f"{words}: {database} cannot be opened: {error}", "is dbt still running?") from None
    connection.execute("LOAD icu")
    connection.execute("SET TimeZone = 'UTC'")
    # A model may be a view over a file: its relative paths mean the domain's folder, as they did for dbt.
    connection.execute(f"SET file_search_path = {_literal(str(folder.resolve()))}")
    tables = connection.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
    schemas = sorted((schema for schema, name in tables if name == product.name), key=lambda schema: schema != "main")
    if not schemas:
        connection.close()
        raise SourceUnreadable(
            f"{words}, which dbt did not build", suggest_name(product.name, [name for _, name in tables])
        )
    table = f"{quoted(schemas[0])}.{quoted(product.name)}"
    names = [name for name, *_ in connection.execute(f"DESCRIBE {table}").fetchall()]
    try:
        columns = _columns(product, contract, names)
    except SourceUnreadable as error:
        connection.close()
        told = error.message.partition("': ")[2]
        raise SourceUnreadable(f"the dbt model '{product.name}' of '{product.domain}': {told}", error.hint) from None
    return _stream(connection, f"SELECT {', '.join(map(quoted, columns))} FROM {table}", product, None)


def _stream(
    connection: "duckdb.DuckDBPyConnection", query: str, product: Product, schema: "pa.Schema | None"
) -> "pa.RecordBatchReader":
    """The result of a query, batch by batch; the connection closes with the last one."""
    import duckdb
    import pyarrow as pa

    try:
        reader = connection.execute(query).to_arrow_reader(BATCH_ROWS)
    except duckdb.Error as error:
        connection.close()
        raise _unreadable(product, str(error).splitlines()[0]) from None

    def rows() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _unreadable(product, str(error).splitlines()[0]) from None
        finally:
            connection.close()

    return pa.RecordBatchReader.from_batches(schema or reader.schema, rows())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
