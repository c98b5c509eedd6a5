"""The version of a product's content: the digest of its rows, the same on every machine and in every order.

The contract's prose has no part in it: whoever rewords a description publishes nothing new.
"""

from collections.abc import Sequence

from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema, quoted
from storymesh.engine.duckdb.connection import open_duckdb as connect
from storymesh.engine.duckdb.connection import parquet_scan as scan_of
from storymesh.engine.duckdb.digest import relation_digest


def version_of(files: Sequence[str], contract: Contract) -> str:
    """The digest of the rows in Parquet `files`, in the columns and types of the contract."""
    if not files:
        return relation_digest(arrow_schema(contract).empty_table())
    columns = ", ".join(quoted(name) for name in contract.properties)
    with connect() as connection:
        return relation_digest(connection.sql(f"SELECT {columns} FROM {scan_of(files)}"))
