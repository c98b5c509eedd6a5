"""Types of DuckDB and of Arrow as ibis has them."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@cache
def type_named(kind: str) -> Any:
    """Return one of DuckDB's types, by its name, as ibis has it."""
    from ibis.backends.sql.datatypes import DuckDBType

    return DuckDBType.from_string(kind)


def type_of(kind: "pa.DataType") -> Any:
    """Return an Arrow type as ibis has it, or ibis's unknown type, of which a value can be cast and nothing else."""
    import ibis.expr.datatypes as dt

    try:
        return dt.DataType.from_pyarrow(kind)
    except (KeyError, ValueError, NotImplementedError):
        return dt.unknown
