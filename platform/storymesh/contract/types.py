"""A contract's types as Arrow types: the one place from which Iceberg, Parquet and ibis schemas derive."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, assert_never

from storymesh.contract.definition import Contract
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Field,
    Float,
    Hidden,
    Integer,
    Json,
    Null,
    Struct,
    Text,
    Time,
    Timestamp,
    Type,
)

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(contract: Contract) -> "pa.Schema":
    """Return the schema of a product's rows in the order of its contract.

    Every field may be null: staged rows are audited, not trusted, and a null key is quarantined as such.
    """
    import pyarrow as pa

    return pa.schema([pa.field(name, arrow_type(item.type)) for name, item in contract.properties.items()])


def arrow_type(kind: Type) -> "pa.DataType":
    """Return the Arrow type of a contract's type.

    Timestamps are naive UTC microseconds; a number is a double unless the contract says how many digits it has.
    """
    import pyarrow as pa

    match kind:
        case Text() | Time() | Json():
            return pa.string()
        case Integer():
            return pa.int64()
        case Decimal(precision, scale):
            return pa.decimal128(precision, scale)
        case Float():
            return pa.float64()
        case Boolean():
            return pa.bool_()
        case Date():
            return pa.date32()
        case Timestamp():
            return pa.timestamp("us")
        case Array(item):
            return pa.list_(pa.field("element", arrow_type(item.type)))
        case Struct(fields):
            return pa.struct([pa.field(name, arrow_type(kind)) for name, kind in _fields_of(fields)])
        case Null():
            return pa.null()
        case _:
            assert_never(kind)


def _fields_of(fields: Mapping[str, Field | Hidden]) -> Iterator[tuple[str, Type]]:
    """Yield the fields of a struct in a contract. None are hidden there: that comes with a view of time."""
    return ((name, below.type) for name, below in fields.items() if isinstance(below, Field))
