"""What the pages of a Parquet file say that they open to, asked before any library opens one.

A file's footer is one claim and the header of each page is another, which readers believe when they make room: thirty
kilobytes can open to gigabytes that no footer tells of. The footer and the headers alone are read here, and no page
is opened. Arrow's own reader of a footer's columns ends the process at one that contradicts itself.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from storymesh.product.sources.thrift import BINARY, INT32, INT64, LIST, STRUCT, CompactReader, NotThrift, Shape

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_PAGE_BYTES = 256 * 2**20  # writers make pages of one megabyte, DuckDB of at most hundred
MAX_PAGES = 1_000_000
MAX_FOOTER_BYTES = 256 * 2**20
_MAGIC = b"PAR1"
_HEADER_BYTES = (512, 2**20)  # read at first, and at most: statistics may stand in a header
_DICTIONARY_PAGE, _DICTIONARY_ENCODINGS = 2, (2, 8)
_LENGTH_BYTES = 4  # in front of each text in a dictionary
_VALUES_OF_BYTE = 16
_VALUES_BEYOND = 1_000_000
_BATCH_ROWS = 10_000
# Of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift what is looked at.
_DATA: Shape = {(1, INT32): None, (2, INT32): None, (4, INT32): None}
_PAGE_HEADER: Shape = {(1, INT32): None, (2, INT32): None, (3, INT32): None, (5, STRUCT): _DATA, (8, STRUCT): _DATA}
_COLUMN: Shape = {(5, INT64): None, (7, INT64): None, (9, INT64): None, (11, INT64): None}
_GROUP: Shape = {(1, LIST): {(1, BINARY): None, (3, STRUCT): _COLUMN}, (3, INT64): None}
_FOOTER: Shape = {(4, LIST): _GROUP}


class PagesRefused(Exception):
    """A Parquet file whose pages no reader should open; the text completes "the file …"."""


@dataclass(frozen=True)
class _Page:
    opened: int
    stored: int
    values: int
    is_dictionary: bool
    uses_dictionary: bool


@dataclass(frozen=True)
class _Chunk:
    """Where the values of a column in a row group stand, in bytes from the file's beginning, by its footer."""

    values: int
    stored: int
    data_offset: int
    dictionary_offset: int


def require_footer(file: BinaryIO, most: int = MAX_FOOTER_BYTES) -> None:
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


@dataclass(frozen=True)
class _Dictionary:
    """The dictionary of a column in a row group: its bytes, how many values are places in it, and the most bytes that
    one of its texts has."""

    group: int
    column: int
    opened: int
    values: int
    longest: int

    @property
    def written_out(self) -> int:
        """The most bytes of these values once each of them is a text of its own."""
        return self.values * self.longest


def require_bounded_file(file: BinaryIO, limit: int) -> Mapping[str, int]:
    """Return `require_bounded_pages`, raising PagesRefused also for a file that is no Parquet file, and whatever
    pyarrow raises for one that it cannot read."""
    import pyarrow.parquet as pq

    require_footer(file)
    return require_bounded_pages(file, pq.read_metadata(file), limit)


def require_bounded_pages(file: BinaryIO, metadata: "pq.FileMetaData", limit: int) -> Mapping[str, int]:
    """Raise PagesRefused for a file that opens to more than `limit` bytes, by the headers of its pages or once each row
    has its own copy of a text that stands in a dictionary.

    Return for each column with dictionaries, by its path, the most bytes that one of their values has.
    """
    dictionaries = _bounded_dictionaries(file, metadata, limit)
    suspect = _columns_beyond(dictionaries, limit)
    if suspect:
        dictionaries = _with_longest_texts(file, metadata, dictionaries, suspect)
        _require_bounded_texts(file, metadata, _columns_beyond(dictionaries, limit), limit)
    longest: dict[str, int] = {}
    for found in dictionaries:
        path = metadata.schema.column(found.column).path
        longest[path] = max(longest.get(path, 0), found.longest)
    return longest


def _bounded_dictionaries(file: BinaryIO, metadata: "pq.FileMetaData", limit: int) -> list[_Dictionary]:
    """Return the dictionaries of a file. Raises PagesRefused for one whose pages open to more than `limit` bytes."""
    size = file.seek(0, os.SEEK_END)
    left, opened = MAX_PAGES, 0
    values: dict[int, int] = {}
    dictionaries: list[_Dictionary] = []
    for group, (rows, chunks) in enumerate(_groups_of(file)):
        if len(chunks) != metadata.num_columns:
            raise PagesRefused(f"has a part with {len(chunks):,} columns, and {metadata.num_columns:,} in its schema")
        for column, chunk in enumerate(chunks):
            if not rows and not chunk.values:
                continue  # what stands there is read by nobody
            dictionary = copied = 0
            for page in _pages_of(file, chunk, size):
                left -= 1
                opened += page.opened
                if page.opened > MAX_PAGE_BYTES or opened > limit:
                    raise PagesRefused(f"opens to more than it may: a page to {page.opened:,} bytes, so far {opened:,}")
                if left < 0:
                    raise PagesRefused(f"has more than {MAX_PAGES:,} pages")
                if page.is_dictionary:
                    dictionary = max(dictionary, page.opened)
                    continue
                values[column] = values.get(column, 0) + page.values
                copied += page.values if page.uses_dictionary else 0
            if dictionary:
                dictionaries.append(_Dictionary(group, column, dictionary, copied, longest=dictionary))
    most = metadata.num_rows + _VALUES_OF_BYTE * size + _VALUES_BEYOND
    if (found := max(values.values(), default=0)) > most:
        raise PagesRefused(f"says that a column of its {size:,} bytes has {found:,} values, more than it can")
    return dictionaries


def _columns_beyond(dictionaries: Sequence[_Dictionary], limit: int) -> list[int]:
    """Return the columns, ascending, whose values may take more than `limit` bytes once they are written out."""
    sizes: dict[int, int] = {}
    for found in dictionaries:
        sizes[found.column] = sizes.get(found.column, 0) + found.written_out
    return sorted(column for column, size in sizes.items() if size > limit)


def _text_paths(metadata: "pq.FileMetaData", columns: Sequence[int]) -> dict[int, str]:
    """Return the paths of those columns that hold texts or bytes; of all else, a value takes a few bytes."""
    schema = metadata.schema
    return {column: schema.column(column).path for column in columns if _is_bytes(schema.column(column))}


def _is_bytes(column: "pq.ColumnSchema") -> bool:
    return bool(column.physical_type == "BYTE_ARRAY")


def _with_longest_texts(
    file: BinaryIO, metadata: "pq.FileMetaData", dictionaries: Sequence[_Dictionary], columns: Sequence[int]
) -> list[_Dictionary]:
    """Return the dictionaries with the longest text of those of `columns`, for which one row of each group is read."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    paths = _text_paths(metadata, columns)
    file.seek(0)
    reader = pq.ParquetFile(file, pre_buffer=False, read_dictionary=list(paths.values()))
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for group in sorted({item.group for item in dictionaries if item.column in paths}):
        batch = next(reader.iter_batches(1, row_groups=[group], columns=list(paths.values())), None)
        leaves = [leaf for column in (batch.columns if batch else ()) for leaf in _leaves(column)]
        if len(leaves) != len(paths):
            continue
        for column, leaf in zip(paths, leaves, strict=True):
            lengths = pc.binary_length(leaf.dictionary)
            # A dictionary that is not read with the first row, because that has none of its texts, is not known.
            size = int(pc.sum(lengths).as_py() or 0) + _LENGTH_BYTES * len(lengths)
            found[group, column] = size, int(pc.max(lengths).as_py() or 0)
    return [_with_longest(item, *found.get((item.group, item.column), (0, 0))) for item in dictionaries]


def _with_longest(dictionary: _Dictionary, size: int, longest: int) -> _Dictionary:
    return replace(dictionary, longest=longest) if size == dictionary.opened else dictionary


def _leaves(column: "pa.Array") -> "Iterator[pa.DictionaryArray]":
    """Yield the arrays with dictionaries in a column, in the order of the schema."""
    import pyarrow.types as at

    if at.is_struct(column.type):
        for index in range(column.type.num_fields):
            yield from _leaves(column.field(index))
    elif at.is_map(column.type):
        yield from (*_leaves(column.keys), *_leaves(column.items))
    elif at.is_dictionary(column.type):
        yield column
    elif at.is_nested(column.type):
        yield from _leaves(column.values)


def _require_bounded_texts(file: BinaryIO, metadata: "pq.FileMetaData", columns: Sequence[int], limit: int) -> None:
    """Raise PagesRefused if the texts of these columns open to more than `limit` bytes, without writing them out."""
    import pyarrow.parquet as pq

    paths = list(_text_paths(metadata, columns).values())
    if not paths:
        return
    file.seek(0)
    left = limit
    rows = pq.ParquetFile(file, pre_buffer=False, read_dictionary=paths)
    for batch in rows.iter_batches(_BATCH_ROWS, columns=paths):
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


def _groups_of(file: BinaryIO) -> Iterator[tuple[int, list[_Chunk]]]:
    """Yield for each row group how many rows it says it has, and where the values of its columns stand."""
    size = file.seek(0, os.SEEK_END)
    file.seek(-2 * len(_MAGIC), os.SEEK_END)
    length = int.from_bytes(file.read(4), "little")
    file.seek(size - 2 * len(_MAGIC) - length)
    try:
        footer = CompactReader(file.read(length), MAX_PAGES).read_struct(_FOOTER)
    except (NotThrift, IndexError):
        raise PagesRefused("has a footer that cannot be read") from None
    for group in footer.get(4, ()):
        chunks = []
        for column in group.get(1, ()):
            about = column.get(3, {})
            if 1 in column:
                raise PagesRefused("says that its values stand in another file")
            if not about.keys() >= {5, 7, 9}:
                raise PagesRefused("has a footer that cannot be read")
            chunks.append(_Chunk(about[5], about[7], about[9], about.get(11, 0)))
        yield group.get(3, 0), chunks


def _pages_of(file: BinaryIO, chunk: _Chunk, size: int) -> Iterator[_Page]:
    """Yield the pages of a column in a row group, by their headers."""
    # As readers have it: a dictionary's offset of 0 is none.
    begins = [chunk.data_offset, *([chunk.dictionary_offset] if chunk.dictionary_offset else [])]
    place, end = min(begins), min(begins) + chunk.stored
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
        reader = CompactReader(file.read(length))
        try:
            fields = reader.read_struct(_PAGE_HEADER)
        except NotThrift:
            break
        except IndexError:  # it is longer
            continue
        opened, stored = fields.get(2, -1), fields.get(3, -1)
        data = fields.get(5) or fields.get(8) or {}
        count = data.get(1, 0)
        if opened < 0 or stored < 0 or count < 0:
            break
        encoding = data.get(2 if 5 in fields else 4)
        is_dictionary = fields.get(1) == _DICTIONARY_PAGE
        return _Page(opened, stored, count, is_dictionary, encoding in _DICTIONARY_ENCODINGS), reader.place
    raise PagesRefused("has a page without a header that can be read")
