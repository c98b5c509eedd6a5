"""What the pages of a Parquet file say that they open to, asked before any library opens one.

A file's footer is one claim and the header of each page is another, which readers believe when they make room: thirty
kilobytes can open to gigabytes that no footer tells of. The headers alone are read here, in the compact protocol of
Thrift (https://github.com/apache/parquet-format), and no page is opened.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGEST_PAGE = 256 * 2**20  # writers make pages of one megabyte, DuckDB of at most hundred
MOST_PAGES = 1_000_000
MOST_FOOTER_BYTES = 256 * 2**20
_MAGIC = b"PAR1"
_HEADER_BYTES = (512, 2**20)  # read at first, and at most: statistics may stand in a header
_DEEPEST = 8
_DICTIONARY_PAGE, _DICTIONARY_ENCODINGS = 2, (2, 8)
_VALUES_OF_BYTE = 16
_VALUES_BEYOND = 1_000_000
_BATCH_ROWS = 10_000


class PagesRefused(Exception):
    """A Parquet file whose pages no reader should open; the text completes "the file …"."""


@dataclass(frozen=True)
class _Page:
    opened: int
    stored: int
    values: int
    is_dictionary: bool
    uses_dictionary: bool


def require_footer(file: BinaryIO, most: int = MOST_FOOTER_BYTES) -> None:
    """Raise PagesRefused unless a file begins and ends as Parquet does, with a footer that fits into it and `most`."""
    size = file.seek(0, os.SEEK_END)
    if size < 3 * len(_MAGIC):
        raise PagesRefused(f"is no Parquet file, with {size:,} bytes")
    file.seek(-2 * len(_MAGIC), os.SEEK_END)
    end = file.read(2 * len(_MAGIC))
    footer = int.from_bytes(end[:4], "little")
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC or end[4:] != _MAGIC or footer > size - 3 * len(_MAGIC):
        raise PagesRefused("is no Parquet file, or a part of one")
    if footer > most:
        raise PagesRefused(f"has a footer of {footer:,} bytes, and at most {most:,} are read")
    file.seek(0)


def require_bounded_pages(file: BinaryIO, metadata: "pq.FileMetaData", limit: int) -> None:
    """Raise PagesRefused for a file that opens to more than `limit` bytes, by the headers of its pages or once each row
    has its own copy of a text that stands in a dictionary."""
    size = file.seek(0, os.SEEK_END)
    left, opened = MOST_PAGES, 0
    values: dict[int, int] = {}
    copies: dict[int, int] = {}  # column -> the most bytes that the texts of its dictionaries can be written out to
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in range(metadata.num_columns):
            chunk = group.column(column)
            if not group.num_rows and not chunk.num_values:
                continue  # what stands there is read by nobody
            dictionary = 0
            for page in _pages_of(file, chunk, size):
                left -= 1
                opened += page.opened
                if page.opened > LARGEST_PAGE or opened > limit:
                    raise PagesRefused(f"opens to more than it may: a page to {page.opened:,} bytes, so far {opened:,}")
                if left < 0:
                    raise PagesRefused(f"has more than {MOST_PAGES:,} pages")
                if page.is_dictionary:
                    dictionary = page.opened
                    continue
                values[column] = values.get(column, 0) + page.values
                if page.uses_dictionary:
                    copies[column] = copies.get(column, 0) + page.values * dictionary
    most = metadata.num_rows + _VALUES_OF_BYTE * size + _VALUES_BEYOND
    if (found := max(values.values(), default=0)) > most:
        raise PagesRefused(f"says that a column of its {size:,} bytes has {found:,} values, more than it can")
    _require_bounded_texts(file, metadata, [column for column, most in copies.items() if most > limit], limit)


def _require_bounded_texts(file: BinaryIO, metadata: "pq.FileMetaData", columns: Sequence[int], limit: int) -> None:
    """Raise PagesRefused if the texts of these columns open to more than `limit` bytes, without writing them out."""
    import pyarrow.parquet as pq

    texts = [column for column in columns if metadata.schema.column(column).physical_type == "BYTE_ARRAY"]
    paths = [metadata.schema.column(column).path for column in texts]
    if not paths:
        return
    file.seek(0)
    left = limit
    for batch in pq.ParquetFile(file, read_dictionary=paths).iter_batches(_BATCH_ROWS, columns=paths):
        left -= sum(map(written_out_bytes, batch.columns))
        if left < 0:
            raise PagesRefused("opens to more than it may, once each row has its own copy of its texts")


def written_out_bytes(column: "pa.Array") -> int:
    """Return the bytes of a column once each row has its own value, and not a place in a dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_struct(kind):
        return sum(written_out_bytes(column.field(index)) for index in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return written_out_bytes(column.flatten()) + 4 * len(column)
    if not pa.types.is_dictionary(kind) or not is_text(kind.value_type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64()).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0) + 8 * len(column)


def is_text(kind: "pa.DataType") -> bool:
    """Return True for texts and for bytes, which stand in dictionaries."""
    import pyarrow.types as at

    return bool(at.is_string(kind) or at.is_large_string(kind) or at.is_binary(kind) or at.is_large_binary(kind))


def _pages_of(file: BinaryIO, chunk: "pq.ColumnChunkMetaData", size: int) -> Iterator[_Page]:
    """Yield the pages of a column in a row group, by their headers."""
    if chunk.file_path:
        raise PagesRefused("says that its values stand in another file")
    # As readers have it: a dictionary's offset of 0 is none.
    begins = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.dictionary_page_offset else [])]
    place, end = min(begins), min(begins) + chunk.total_compressed_size
    if min(begins) < len(_MAGIC) or not min(begins) <= end <= size - len(_MAGIC):
        raise PagesRefused("says that its values stand where they cannot")
    while place < end:
        page, length = _page_at(file, place)
        place += length + page.stored
        if place > end:
            raise PagesRefused("has a page that reaches into the next")
        yield page


def _page_at(file: BinaryIO, place: int) -> tuple[_Page, int]:
    """Return the page whose header stands at `place`, and the header's length."""
    for length in _HEADER_BYTES:
        file.seek(place)
        try:
            fields, end = _read_struct(file.read(length), 0, 0)
        except IndexError:  # it is longer
            continue
        opened, stored = fields.get(2), fields.get(3)
        if not isinstance(opened, int) or not isinstance(stored, int) or opened < 0 or stored < 0:
            break
        data = fields.get(5) or fields.get(8) or {}
        count = data.get(1, 0) if isinstance(data, dict) else 0
        if not isinstance(count, int) or count < 0:
            break
        encoding = data.get(2 if 5 in fields else 4) if isinstance(data, dict) else None
        return _Page(opened, stored, count, fields.get(1) == _DICTIONARY_PAGE, encoding in _DICTIONARY_ENCODINGS), end
    raise PagesRefused("has a page without a header that can be read")


def _read_struct(data: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return the integers and structs of a struct by their fields' ids, and where it ends. Raises IndexError when the
    data ends before it, PagesRefused when it is none."""
    if depth > _DEEPEST:
        raise PagesRefused("has a page without a header that can be read")
    fields: dict[int, Any] = {}
    last = 0
    while head := data[place]:
        kind, delta = head & 15, head >> 4
        place += 1
        if not delta:
            last, place = _read_integer(data, place)
        last += delta
        fields[last], place = _read_value(data, place, kind, depth)
    return fields, place + 1


def _read_value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2:
            return None, place
        case 3:
            return None, place + 1
        case 4 | 5 | 6:
            return _read_integer(data, place)
        case 7:
            return None, place + 8
        case 8:
            length, place = _read_varint(data, place)
            return None, place + length
        case 12:
            return _read_struct(data, place, depth + 1)
        case _:  # no header has a list, a set or a map
            raise PagesRefused("has a page without a header that can be read")


def _read_integer(data: bytes, place: int) -> tuple[int, int]:
    number, place = _read_varint(data, place)
    return (number >> 1) ^ -(number & 1), place


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise PagesRefused("has a page without a header that can be read")
