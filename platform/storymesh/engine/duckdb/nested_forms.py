"""The canonical form of values with lists in them, column by column over Arrow: see `digest` for what it is.

What stands in lists is one long column in Arrow, so that a level of nesting costs no more than its values. In SQL each
level is a lambda, inside of which nothing is computed once.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb.sqltypes import DuckDBPyType

    Part: TypeAlias = pa.Array | str

BATCH = 2_048  # rows; the forms of one batch have to stay below the 2 GiB of a column of texts

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_PLAIN = frozenset((*_INTEGERS, *_MOMENTS, "BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR"))
_MIN_ENCODED = 512  # values of a column of which each different one is formed once
_SAMPLE = 256  # texts of a column that are looked at
_REPEATS = 4  # times that each of them occurs on average, at least, in such a column
_MAX_ENCODED = 2**26  # bytes of such a column; the forms have to stay below 2 GiB as well
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e9  # Arrow writes floats from here to there as Python does
_SCALE = 6  # up to which Arrow writes decimals without an exponent


def is_faster_by_column(type_: "DuckDBPyType") -> bool:
    """Return True for a type with a list in it whose values survive the way through Arrow unchanged."""
    return _has_list(type_) and round_trips_arrow(type_)


def round_trips_arrow(type_: "DuckDBPyType") -> bool:
    """Return True for a type whose values survive Arrow and Parquet unchanged."""
    if type_.id in ("list", "struct"):
        return all(map(round_trips_arrow, _inner_types(type_)))
    return type_.id == "decimal" or str(type_) in _PLAIN


def round_trips_parquet(type_: "DuckDBPyType") -> bool:
    """Return True for a type whose values survive Parquet unchanged; an ENUM comes back as its texts."""
    if type_.id in ("list", "struct"):
        return all(map(round_trips_parquet, _inner_types(type_)))
    return type_.id == "enum" or round_trips_arrow(type_)


def row_digests(batch: "pa.RecordBatch", names: Sequence[str], formed: Sequence[str]) -> bytes:
    """Return the SHA-256 of each row of a batch, one after another.

    A row is made of the columns `names`, in this order; those in `formed` are canonical forms already.
    """
    import numpy as np
    import pyarrow as pa

    columns = {name: batch.column(batch.schema.get_field_index(name)) for name in names}
    try:
        rows = _join(["r", *(part for name in names for part in _column_parts(columns[name], name in formed))])
    except pa.ArrowCapacityError:
        if batch.num_rows < 2:
            raise
        half = batch.num_rows // 2
        return b"".join(row_digests(part, names, formed) for part in (batch.slice(0, half), batch.slice(half)))
    ends = np.frombuffer(rows.buffers()[1], np.int32, len(rows) + 1, rows.offset * 4).tolist()
    contents = memoryview(rows.buffers()[2] or b"")
    # The one loop over rows: hashlib takes a fifth of what the engine's own SHA-256 does.
    return b"".join([hashlib.sha256(contents[begin:end]).digest() for begin, end in pairwise(ends)])


def _has_list(type_: "DuckDBPyType") -> bool:
    return type_.id == "list" or (type_.id == "struct" and any(map(_has_list, _inner_types(type_))))


def _inner_types(type_: "DuckDBPyType") -> "list[DuckDBPyType]":
    from duckdb.sqltypes import DuckDBPyType

    return [part for _, part in type_.children if isinstance(part, DuckDBPyType)]


def _column_parts(values: "pa.Array", formed: bool) -> "list[Part]":
    return [values] if formed else _parts(values)


def _parts(values: "pa.Array") -> "list[Part]":
    """Return parts whose concatenation, row by row, is the canonical form of each value."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if pt.is_struct(values.type):
        parts = ["r", *(part for name in _field_names(values.type) for part in _parts(values.field(name)))]
        return [pc.if_else(values.is_valid(), _join(parts), "n")] if values.null_count else parts
    if pt.is_list(values.type):
        lengths = pc.list_value_length(values)
        items = _join(_parts(values.flatten()))
        return [_head("l", lengths), _join_lists(pc.fill_null(lengths, 0), items)]
    if pt.is_boolean(values.type):
        return [_coded_forms(values.cast("int8"), ["f", "t"])]
    if (coded := _dictionary_encoded(values)) is not None:
        return [_coded_forms(coded.indices, _join(_scalar_parts(coded.dictionary)))]
    return _scalar_parts(values)


def _field_names(kind: "pa.StructType") -> list[str]:
    return sorted((field.name for field in kind), key=str.encode)


def _coded_forms(indices: "pa.Array", forms: "pa.Array | list[str]") -> "pa.DictionaryArray":
    """Return the forms of values that are given by their places among the different ones, null for null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    every = pa.concat_arrays([pa.array(forms, pa.string()), pa.array(["n"])])
    return pa.DictionaryArray.from_arrays(pc.fill_null(indices.cast(pa.int32()), len(every) - 1), every)


def _head(letter: str, lengths: "pa.Array") -> "pa.DictionaryArray":
    """Return what stands before the contents of values of these lengths: all there is of a null."""
    coded = lengths.dictionary_encode()
    return _coded_forms(coded.indices, _join([letter, _text(coded.dictionary), ":"]))


def _dictionary_encoded(values: "pa.Array") -> "pa.DictionaryArray | None":
    """Return scalars dictionary-encoded if they repeat so often that it pays to format each value once; else None.

    To find the different ones costs little for numbers; for texts as much as to form them, so some are looked at first.
    """
    import pyarrow.types as pt

    if pt.is_dictionary(values.type):
        return values
    if len(values) < _MIN_ENCODED or values.nbytes > _MAX_ENCODED:
        return None
    if pt.is_string(values.type):
        repeat = len(values[:_SAMPLE].unique()) * _REPEATS <= _SAMPLE
        return values.dictionary_encode() if repeat else None
    coded = values.dictionary_encode()
    return coded if 2 * len(coded.dictionary) <= len(values) else None


def _scalar_parts(values: "pa.Array") -> "list[Part]":
    import pyarrow.compute as pc

    letter, text = _scalar(values)
    return [_head(letter, pc.binary_length(text)), pc.fill_null(text, "") if text.null_count else text]


def _scalar(values: "pa.Array") -> "tuple[str, pa.Array]":
    import pyarrow as pa
    import pyarrow.types as pt

    kind = values.type
    if pt.is_integer(kind):
        return "i", _text(values)
    if pt.is_decimal(kind):
        return "e", _decimal_texts(values)
    if pt.is_floating(kind):
        return "d", _float_texts(values.cast(pa.float64()))
    if pt.is_date(kind):
        return "D", _text(values.cast(pa.int32()))
    if pt.is_timestamp(kind):
        return "T", _text(values.cast(pa.int64()))
    return "s", _text(values)


def _decimal_texts(values: "pa.Array") -> "pa.Array":
    import pyarrow.compute as pc

    if values.type.scale <= 0:
        return _text(values)
    texts = _text(values) if values.type.scale <= _SCALE else _format_distinct(values, "{:f}")
    return pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), ".")


def _float_texts(values: "pa.Array") -> "pa.Array":
    import pyarrow.compute as pc

    texts, size = _text(values), pc.abs(values)
    texts = pc.if_else(pc.match_substring(texts, "."), texts, _join([texts, ".0"]))
    plain = pc.and_(pc.greater_equal(size, _MIN_PLAIN), pc.less(size, _MAX_PLAIN))
    texts = pc.if_else(pc.equal(values, 0.0), "0.0", texts)
    plain = pc.fill_null(pc.or_(plain, pc.equal(values, 0.0)), True)
    return texts if plain.true_count == len(plain) else pc.if_else(plain, texts, _format_distinct(values, "{!r}"))


def _format_distinct(values: "pa.Array", form: str) -> "pa.Array":
    """Format values that only Python formats canonically, once for each distinct value."""
    import pyarrow as pa

    coded = values.dictionary_encode()
    return pa.array([form.format(value) for value in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _text(values: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    return values.cast(pa.string())


def _join(parts: "Sequence[Part]") -> "pa.Array":
    """Concatenate parts row by row; at least one is an array."""
    import pyarrow.compute as pc

    merged: list[Part] = []
    for part in parts:
        if merged and (both := _merge(merged[-1], part)) is not None:
            merged[-1] = both
        else:
            merged.append(part)
    texts = [part.dictionary.take(part.indices) if _is_coded(part) else part for part in merged]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "")


def _merge(first: "Part", second: "Part") -> "Part | None":
    """Return two neighbours as one part where that is less than to join them row by row; else None.

    Of parts with few different texts these are joined, each with each of the other.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(first, str) and isinstance(second, str):
        return first + second
    coded = [part for part in (first, second) if _is_coded(part)]
    sizes = [len(part.dictionary) for part in coded]
    if len(coded) + isinstance(first, str) + isinstance(second, str) < 2 or prod(sizes) * _REPEATS > len(coded[0]):
        return None
    if len(coded) == 1:
        texts = [part.dictionary if _is_coded(part) else part for part in (first, second)]
        return pa.DictionaryArray.from_arrays(coded[0].indices, _join(texts))
    places = np.arange(prod(sizes), dtype=np.int32)
    texts = [
        coded[0].dictionary.take(pa.array(places // sizes[1])),
        coded[1].dictionary.take(pa.array(places % sizes[1])),
    ]
    numbers = coded[0].indices.to_numpy() * sizes[1] + coded[1].indices.to_numpy()
    return pa.DictionaryArray.from_arrays(pa.array(numbers), _join(texts))


def _is_coded(part: "Part") -> "TypeGuard[pa.DictionaryArray]":
    import pyarrow as pa

    return isinstance(part, pa.DictionaryArray)


def _join_lists(lengths: "pa.Array", items: "pa.Array") -> "pa.Array":
    """Concatenate the items of lists that have these lengths: texts of one array lie one after another already."""
    import numpy as np
    import pyarrow as pa

    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths.to_numpy(), out=ends[1:])
    if not len(items):
        return pa.repeat("", len(lengths))
    bounds = np.frombuffer(items.buffers()[1], np.int32, len(items) + 1, items.offset * 4)[ends]
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(bounds), items.buffers()[2])
