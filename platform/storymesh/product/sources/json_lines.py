"""JSON Lines files as sources. Every value comes as the text that it is in JSON, a string without its quotes: a number
in a text column is no reason to refuse a file, and no number passes through a double."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.bounds import ContentRefused, require_line
from storymesh.product.sources.source import BATCH_ROWS, SourceFile, SourceFormat

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import pyarrow as pa

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
_BLOCK_BYTES = 4 * 2**20
_FAULTS = {
    "object": ("is no JSON object", "each line is one object: {…}"),
    "twice": ("has a name twice", "an object has each name once"),
    "case": (
        "has a name of the contract in another case than other lines",
        "spell each name as the other lines do",
    ),
    "control": ("has the control character U+0001 in front of a number, which is not read", "take it out"),
}


def _open_rows(source: SourceFile, engine: Engine) -> "pa.RecordBatchReader":
    import pyarrow as pa

    names = _names(source, engine)
    if names is None:  # no line, so no row
        schema = pa.schema([(item.name, pa.string()) for item in source.properties])
        return pa.RecordBatchReader.from_batches(schema, iter(()))
    try:
        columns = source.choose_columns(names)
    except SourceUnreadable:
        for _ in _read(source, engine, []):
            pass  # a line that is no JSON says more than the column that is not there
        raise
    schema = pa.schema([(name, pa.string()) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, _read(source, engine, columns))


def _read(source: SourceFile, engine: Engine, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    """Yield `columns` of the file as texts. Raises SourceUnreadable at a line that is no JSON object."""
    import pyarrow as pa

    select = _select(columns, _first_names(source))
    for batch in engine.map_batches(_lines(source), _line_schema(), select, BATCH_ROWS):
        *texts, numbers, faults, lines = batch.columns
        if faults.null_count < len(faults):
            row = faults.is_valid().index(True).as_py()
            raise source.unreadable(*_line_error(numbers[row].as_py(), faults[row].as_py(), lines[row].as_py()))
        yield pa.RecordBatch.from_arrays(texts, names=list(columns))


def _names(source: SourceFile, engine: Engine) -> list[str] | None:
    """Return the names in the objects of the file's lines, or of its first ones where these have all that are wanted.

    None for a file without lines.
    """
    found: set[str] = set()
    empty = True
    for batch in _lines(source):
        empty = False
        for names in engine.map_batches([batch], batch.schema, _select_names):
            found |= set(names.column(0).to_pylist())
        if source.contract is not None and found >= source.contract.properties.keys():
            break
    return None if empty else sorted(found)


def _first_names(source: SourceFile) -> list[str]:
    """Return the names in the first line, in its order; none where it is no JSON object."""
    try:
        first = json.loads(next(_lines(source))["line"][0].as_py())
    except (StopIteration, ValueError, RecursionError):
        return []
    return list(first) if isinstance(first, dict) else []


def _select_names(lines: "ir.Table") -> "ir.Table":
    from storymesh.engine.json_text import json_keys

    return lines.select(name=json_keys(_object(lines.line)).unnest()).distinct()


def _select(columns: Sequence[str], usual: Sequence[str]) -> "Callable[[ir.Table], ir.Table]":
    """Return the selection of `columns` from lines, and of the number and the text of a line that has a fault.

    `usual` are the names of the first line: those of a line that has the same are not compared with each other.
    """
    if _has_other_case(usual, columns):
        usual = ()

    def select(lines: "ir.Table") -> "ir.Table":
        import ibis

        from storymesh.engine.dialect import distinct_items, map_items, materialization_barrier
        from storymesh.engine.json_text import (
            is_lenient_json,
            is_markable,
            json_keys,
            json_members,
            mark_numbers,
            unmark_number,
        )

        lines = materialization_barrier(lines.mutate(object=_object(lines.line)))
        keys = json_keys(lines.object)
        is_usual = keys == ibis.literal(list(usual), "array<string>")
        repeated = distinct_items(keys).length() < keys.length()
        lower = map_items(keys, lambda key: key.lower())
        other_case = [lower.contains(name.lower()) & ~keys.contains(name) for name in columns]
        # A condition is computed for each line; a branch for those that come to it.
        of_names = ibis.ifelse(
            is_usual, ibis.null("string"), ibis.cases((repeated, "twice"), (ibis.or_(*other_case), "case"))
        )
        control = ibis.ifelse(is_markable(lines.line), ibis.null("string"), "control")
        fault = ibis.cases(
            (~is_lenient_json(lines.line), "json"),
            (lines.object.isnull(), "object"),
            else_=ibis.coalesce(of_names, control),
        )
        values = json_members(mark_numbers(lines.object), columns)
        lines = materialization_barrier(lines.mutate(fault=fault, values=values))
        texts = {f"text:{index}": unmark_number(lines.values[index]) for index in range(len(columns))}
        faulty = ibis.ifelse(lines.fault.notnull(), lines.line, ibis.null("string"))
        return lines.select(**texts, number=lines.number, fault=lines.fault, line=faulty)

    return select


def _has_other_case(names: Sequence[str], columns: Sequence[str]) -> bool:
    lower = {name.lower() for name in names}
    return any(column not in names and column.lower() in lower for column in columns)


def _object(line: "ir.StringValue") -> "ir.StringValue":
    """Return a line that is a JSON object; null for any other."""
    import ibis

    from storymesh.engine.json_text import json_kind

    return ibis.ifelse(json_kind(line) == "OBJECT", line, ibis.null("string"))


def _line_error(number: int, fault: str, line: str) -> tuple[str, str]:
    """Return message and hint about the line `number`; its text is not quoted."""
    if fault in _FAULTS:
        words, hint = _FAULTS[fault]
        return f"line {number:,} {words}", hint
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return f"line {number:,} is not JSON: {error.msg} (character {error.colno:,})", "each line is one object: {…}"
    except (RecursionError, ValueError):
        pass
    if _HALF_CHARACTER.search(line):
        return f"line {number:,} has an escape that is half a character", "write the character itself"
    return f"line {number:,} is not JSON", "each line is one object: {…}"


def _line_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("number", pa.int64()), ("line", pa.string())])


def _lines(source: SourceFile) -> "Iterator[pa.RecordBatch]":
    """Yield the lines of the file that are not empty, with their numbers, counted from 1."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    first = 1
    for block in _blocks(source):
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as error:
            line = block.count(b"\n", 0, error.start)
            byte = error.start - block.rfind(b"\n", 0, error.start)
            found = f"line {first + line:,} is not UTF-8 (byte {byte} is 0x{block[error.start]:02x})"
            raise source.unreadable(found, "save the file as UTF-8") from None
        # The bytes are taken as they are: a text of megabytes takes long to become an array.
        places = pa.py_buffer(np.array([0, len(block)], np.int32))
        text = pa.Array.from_buffers(pa.string(), 1, [None, places, pa.py_buffer(block)])
        lines = pc.split_pattern(text, "\n").values
        numbers = pa.array(np.arange(first, first + len(lines)))
        first += len(lines)
        filled = pc.not_equal(pc.utf8_trim_whitespace(lines), "")
        batch = pa.RecordBatch.from_arrays([numbers, lines], schema=_line_schema()).filter(filled)
        if batch.num_rows:
            yield batch


def _blocks(source: SourceFile) -> Iterator[bytes]:
    """Yield the bytes of the file in blocks of whole lines without the last line end, each line end as `\\n`."""
    with source.open() as file:
        try:
            rest = file.read(_BLOCK_BYTES).removeprefix(BOM_UTF8)
            while piece := file.read(_BLOCK_BYTES):
                rest += piece
                end = max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, len(rest) - 1))
                if end >= 0:
                    yield _with_plain_line_ends(rest[: end + 1]).removesuffix(b"\n")
                    rest = rest[end + 1 :]
                require_line(len(rest))
            yield _with_plain_line_ends(rest)
        except ContentRefused as error:
            raise source.refused(error) from None


def _with_plain_line_ends(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block


def _record_lines(source: SourceFile) -> "Iterator[np.ndarray[Any, Any]]":
    """Yield the numbers of the lines that are not empty."""
    for batch in _lines(source):
        yield batch.column(0).to_numpy()


JSON_LINES = SourceFormat(_open_rows, _record_lines)
