"""The canonical form of values with lists in them, column by column over Arrow: see `digest` for what it is.

What stands in lists is one long column in Arrow, so that a level of nesting costs no more than its values. In SQL each
level is a lambda, inside of which nothing is computed once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

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
    """Return arrays and texts whose concatenation, row by row, is the canonical form of each value."""
    import pyarrow.compute as pc

    if (coded := _dictionary_encoded(values)) is not None:
        forms = _join(list(_value_parts(coded.dictionary))).take(coded.indices)
        return [pc.fill_null(forms, "n") if values.null_count else forms]
    parts = list(_value_parts(values))
    if not values.null_count:
        return parts
    form = _join(parts)
    return [pc.if_else(values.is_valid(), form, "n")]


def _dictionary_encoded(values: "pa.Array") -> "pa.DictionaryArray | None":
    """Return scalars dictionary-encoded if they repeat so often that it pays to format each value once; else None.

    To find the different ones costs little for numbers; for texts as much as to form them, so some are looked at first.
    """
    import pyarrow.types as pt

    if pt.is_dictionary(values.type):
        return values
    if len(values) < _MIN_ENCODED or values.nbytes > _MAX_ENCODED or pt.is_nested(values.type):
        return None
    if pt.is_string(values.type):
        repeat = len(values[:_SAMPLE].unique()) * _REPEATS <= _SAMPLE
        return values.dictionary_encode() if repeat else None
    if pt.is_boolean(values.type):
        return None
    coded = values.dictionary_encode()
    return coded if 2 * len(coded.dictionary) <= len(values) else None


def _value_parts(values: "pa.Array") -> "Iterator[Part]":
    """Yield the parts of the form of values that are not null; those of a null are not read."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    kind = values.type
    if pt.is_boolean(kind):
        yield pc.if_else(pc.fill_null(values, False), "t", "f")
    elif pt.is_struct(kind):
        yield "r"
        for name in sorted((field.name for field in kind), key=str.encode):
            yield from _parts(values.field(kind.get_field_index(name)))
    elif pt.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(values), 0)
        yield from ("l", _text(lengths), ":", _join_lists(lengths, _join(_parts(values.flatten()))))
    else:
        letter, text = _scalar(values)
        text = pc.fill_null(text, "")
        yield from (letter, _text(pc.binary_length(text)), ":", text)


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
    """Concatenate arrays and texts row by row; at least one is an array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    if len(merged) == 1:
        return merged[0]
    texts = [pa.scalar(part, pa.string()) if isinstance(part, str) else part for part in merged]
    return pc.binary_join_element_wise(*texts, pa.scalar("", pa.string()))


def _join_lists(lengths: "pa.Array", items: "pa.Array") -> "pa.Array":
    """Concatenate the items of lists that have these lengths."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths.to_numpy(), out=ends[1:])
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), items), "")
