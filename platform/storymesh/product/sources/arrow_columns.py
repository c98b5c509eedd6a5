"""Columns of typed sources (Parquet files, dbt's tables) in the few Arrow types that the cast knows, without a loss.

Arrow has several types for the same values. What none of the types here holds exactly comes as text, so that the cast
reads it as it does a CSV's; a type whose values have no text is refused by its name.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from storymesh.errors import SourceUnreadable

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DIGITS = 38
_Unreadable = Callable[[str, str], SourceUnreadable]


def plain_columns(
    schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]", unreadable: _Unreadable
) -> "pa.RecordBatchReader":
    """Return `batches` of `schema` with plain types. Raises what `unreadable` makes of a message and a hint for a
    column that has none, here or while rows are read."""
    import pyarrow as pa

    plain = pa.schema([pa.field(field.name, _plain_type(field, field.type, unreadable)) for field in schema])

    def converted() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [
                _convert(column, before, after.type, unreadable)
                for column, before, after in zip(batch.columns, schema, plain, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=plain)

    return pa.RecordBatchReader.from_batches(plain, converted())


def _plain_type(field: "pa.Field", kind: "pa.DataType", unreadable: _Unreadable) -> "pa.DataType":
    import pyarrow as pa
    import pyarrow.types as at

    def inside(below: "pa.DataType") -> "pa.DataType":
        return _plain_type(field, below, unreadable)

    if isinstance(kind, pa.UuidType) and kind == field.type:
        return pa.string()
    if isinstance(kind, pa.BaseExtensionType):
        return inside(kind.storage_type)
    if at.is_dictionary(kind) or (at.is_run_end_encoded(kind) and kind == field.type):
        return inside(kind.value_type)
    if at.is_map(kind):
        return pa.list_(pa.struct([("key", inside(kind.key_type)), ("value", inside(kind.item_type))]))
    if at.is_list(kind) or at.is_large_list(kind) or at.is_fixed_size_list(kind):
        return pa.list_(inside(kind.value_type))
    if at.is_struct(kind):
        return pa.struct([(below.name, inside(below.type)) for below in kind])
    if at.is_string_view(kind) or at.is_time(kind):
        return pa.string()
    if at.is_fixed_size_binary(kind) or at.is_large_binary(kind) or at.is_binary_view(kind):
        return pa.binary()
    if at.is_float16(kind):
        return pa.float32()
    if at.is_decimal(kind):
        held = kind.precision <= MAX_DIGITS and 0 <= kind.scale <= kind.precision
        return pa.decimal128(kind.precision, kind.scale) if held else pa.string()
    if at.is_date64(kind):
        return pa.timestamp("us")
    if at.is_timestamp(kind):
        # Nanoseconds stay to be looked at: engines drop them where a timestamp has a zone. All are moments in UTC.
        return pa.timestamp("ns") if kind.unit == "ns" else pa.timestamp("us", kind.tz)
    known = (at.is_null, at.is_boolean, at.is_integer, at.is_floating, at.is_date32, at.is_string, at.is_large_string)
    if any(is_kind(kind) for is_kind in (*known, at.is_binary)):
        return kind
    raise unreadable(f"the column '{field.name}' has the type {field.type}, which is not read", "write it as text")


def _convert(column: "pa.Array", field: "pa.Field", kind: "pa.DataType", unreadable: _Unreadable) -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as at

    if column.type == kind:
        return column
    try:
        if isinstance(column.type, pa.UuidType):
            return _uuid_texts(column.storage)
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        if at.is_run_end_encoded(column.type):
            column = pc.run_end_decode(column)
        if at.is_timestamp(column.type) and at.is_timestamp(kind):
            column = _within_microseconds(column)
        return column.cast(kind)
    except (pa.ArrowException, ValueError) as error:
        words = f"the column '{field.name}' of the type {field.type} cannot be read: {str(error).splitlines()[0]}"
        raise unreadable(words, "write it as text") from None


def _within_microseconds(column: "pa.Array") -> "pa.Array":
    """Return moments of which the first and the last that microseconds hold stand for those beyond. Both are of years
    that no contract has, so they are quarantined as such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    units = {"s": 10**6, "ms": 10**3}
    if column.type.unit not in units:
        return column
    last = (2**63 - 1) // units[column.type.unit]
    numbers = pc.min_element_wise(column.cast(pa.int64()), last, skip_nulls=False)
    return pc.max_element_wise(numbers, -last, skip_nulls=False).cast(column.type)


def _uuid_texts(column: "pa.FixedSizeBinaryArray") -> "pa.Array":
    """Return the 16 bytes of each UUID as it is written (RFC 9562): 36 characters in lower case."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # Every null becomes sixteen bytes, so that each value has its place.
    filled = column.fill_null(bytes(16)).cast(pa.binary())
    data = np.frombuffer(filled.buffers()[2] or b"", np.uint8)
    offsets = np.frombuffer(filled.buffers()[1], np.int32)[filled.offset :][: len(filled) + 1]
    values = data[offsets[0] : offsets[-1]].reshape(-1, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    letters = np.stack([digits[values >> 4], digits[values & 15]], axis=2).reshape(-1, 32)
    written = np.ascontiguousarray(np.insert(letters, [8, 12, 16, 20], ord("-"), axis=1))
    texts = pa.FixedSizeBinaryArray.from_buffers(pa.binary(36), len(column), [None, pa.py_buffer(written)])
    return pc.if_else(column.is_valid(), texts.cast(pa.binary()).cast(pa.string()), pa.scalar(None, pa.string()))
