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
    Null,
    Struct,
    Text,
    Timestamp,
    Type,
)

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(contract: Contract) -> "pa.Schema":
    """The schema of a product's rows in the order of its contract. Every field may be null: staged rows are audited,
    not trusted, and a key that is null has to be told apart from one that could not be stored."""
    import pyarrow as pa

    return pa.schema([pa.field(name, arrow_type(item.type)) for name, item in contract.properties.items()])


def arrow_type(kind: Type) -> "pa.DataType":
    """Timestamps are naive UTC microseconds; a number is a double unless the contract says how many digits it has."""
    import pyarrow as pa

    match kind:
        case Text():
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
            return pa.struct([pa.field(name, arrow_type(kind)) for name, kind in _inside(fields)])
        case Null():
            return pa.null()
        case _:
            assert_never(kind)


def _inside(fields: Mapping[str, Field | Hidden]) -> Iterator[tuple[str, Type]]:
    """The fields of a struct in a contract, where nothing is hidden: that comes with a view of time."""
    return ((name, below.type) for name, below in fields.items() if isinstance(below, Field))


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
