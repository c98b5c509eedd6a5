"""The private parts of PyIceberg that storymesh uses, as they are in 0.12. No other module uses any.

`tests/product/test_iceberg_internals.py` fails when one of them moves.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io.pyarrow import PyArrowFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.update import TableUpdate


def apply_updates(transaction: "Transaction", updates: Iterable["TableUpdate"]) -> None:
    """Add updates to a transaction for which it has no method of its own: schemas and references to snapshots."""
    transaction._apply(tuple(updates))


def schema_without_ids(schema: "pa.Schema") -> "Schema":
    """Return an Arrow schema as an Iceberg schema whose columns have no ids yet."""
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids

    return cast("Schema", _pyarrow_to_schema_without_ids(schema))


def rename_file(file: "PyArrowFile", location: str) -> "PyArrowFile":
    """Return the open file with the name that Iceberg writes into its metadata."""
    file._location = location
    return file
