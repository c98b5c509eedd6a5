"""Moments that a Parquet file holds as INT96, a number of days and one of nanoseconds.

They are read twice: in microseconds, in which every year up to 9999 fits, and in nanoseconds, which wrap beyond 2262
and hold what is below a microsecond. Both together become texts, which the cast reads as it does those of a CSV.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def type_with_texts(moments: "pa.DataType", nanoseconds: "pa.DataType") -> "pa.DataType":
    """Return the type of a column read in microseconds with a text for each moment that is another type when it is
    read in `nanoseconds`; a map is a list of its pairs."""
    import pyarrow as pa
    import pyarrow.types as at

    if moments == nanoseconds:
        return moments
    if at.is_timestamp(moments):
        return pa.string()
    if at.is_struct(moments):
        pairs = zip(moments, nanoseconds, strict=True)
        return pa.struct([(given.name, type_with_texts(given.type, exact.type)) for given, exact in pairs])
    if at.is_map(moments):
        key, value = (moments.key_type, nanoseconds.key_type), (moments.item_type, nanoseconds.item_type)
        return pa.list_(pa.struct([("key", type_with_texts(*key)), ("value", type_with_texts(*value))]))
    return pa.list_(type_with_texts(moments.value_type, nanoseconds.value_type))


def exact_moments(moments: "pa.Array", nanoseconds: "pa.Array") -> "pa.Array":
    """Return a column of `type_with_texts` from its two readings."""
    import numpy as np
    import pyarrow as pa

    # Parts of an array that begin at its first value: those inside it can be put together again.
    rows = pa.array(np.arange(len(moments)))
    return _with_texts(moments.take(rows), nanoseconds.take(rows))


def _with_texts(moments: "pa.Array", nanoseconds: "pa.Array") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.types as at

    kind = moments.type
    if kind == nanoseconds.type:
        return moments
    if at.is_timestamp(kind):
        return _moment_texts(moments, nanoseconds)
    if at.is_struct(kind):
        names = [field.name for field in kind]
        inside = [_with_texts(moments.field(index), nanoseconds.field(index)) for index in range(len(names))]
        return pa.StructArray.from_arrays(inside, names=names, mask=moments.is_null())
    if at.is_map(kind):
        pairs = [_with_texts(moments.keys, nanoseconds.keys), _with_texts(moments.items, nanoseconds.items)]
        values = pa.StructArray.from_arrays(pairs, names=["key", "value"])
        return pa.ListArray.from_arrays(moments.offsets, values, mask=moments.is_null())
    if not at.is_list(kind):  # of a fixed size, or a large one
        moments, nanoseconds = (column.cast(pa.list_(column.type.value_type)) for column in (moments, nanoseconds))
    values = _with_texts(moments.values, nanoseconds.values)
    return pa.ListArray.from_arrays(moments.offsets, values, mask=moments.is_null())


def _moment_texts(moments: "pa.Array", nanoseconds: "pa.Array") -> "pa.Array":
    """Return moments in microseconds as texts, with the nanoseconds of those that have some."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = moments.cast(pa.string())
    whole, exact = (column.cast(pa.int64()).fill_null(0).to_numpy() for column in (moments, nanoseconds))
    # Beyond what nanoseconds hold, they have wrapped and are of another moment.
    below = np.where(exact // 1000 == whole, exact % 1000, 0)
    if not below.any():
        return texts
    digits = pa.array(np.where(below > 0, np.char.zfill(below.astype(str), 3), ""))
    return pc.binary_join_element_wise(texts, digits.cast(pa.string()), "")
