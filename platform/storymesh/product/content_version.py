"""The version of a product's content: the digest of its rows, the same on every machine and in every order.

The contract's prose has no part in it: whoever rewords a description publishes nothing new. That of a product in
partitions is the root of a tree of two levels: it is made from the digests of its partitions, of which those that have
not changed need not be computed again.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_FORM = "storymesh-partitions-1"


class FileDigests:
    """Digests of rows in staged files: made of those that were written here while they passed by, as far as the engine
    can, and else from the files."""

    def __init__(self, engine: Engine, contract: Contract) -> None:
        self._engine = engine
        self._schema = arrow_schema(contract)
        self._written = engine.part_digests(self._schema)
        self._paths: set[str] = set()

    def add(self, path: str, rows: "pa.Table") -> None:
        """Take the rows that were written to a file."""
        if self._written is not None:
            self._written.add(path, rows.cast(self._schema))
            self._paths.add(path)

    def content_digest(self, paths: Sequence[str]) -> str:
        """Return the digest of the rows in these files."""
        if self._written is not None and self._paths.issuperset(paths):
            return self._written.content_digest(paths)
        return self._engine.content_digest(self._engine.read_parquet(paths, self._schema))


def content_version(engine: Engine, files: Sequence[str], contract: Contract) -> str:
    """Return the digest of the rows in Parquet `files`, in the columns and types of the contract."""
    rows = engine.read_parquet(files, arrow_schema(contract))
    if not contract.partition_columns:
        return engine.content_digest(rows)
    found = engine.fetch_rows(rows.select(*contract.partition_columns).distinct())
    partitions = (rows_of_partition(rows, partition) for partition in found)
    return version_of_partitions(engine, contract, map(engine.content_digest, partitions))


def version_of_partitions(engine: Engine, contract: Contract, digests: Iterable[str]) -> str:
    """Return the version of a product with partitions of these digests, each that of the rows of one partition."""
    without_rows = engine.content_digest(engine.read_parquet([], arrow_schema(contract)))
    return hashlib.sha256("\n".join((_FORM, without_rows, *sorted(digests))).encode()).hexdigest()


def rows_of_partition(rows: "ir.Table", partition: dict[str, Any]) -> "ir.Table":
    """Return those rows that have the values of a partition, by column."""
    import ibis

    return rows.filter(
        [
            rows[name].isnull() if value is None else rows[name] == ibis.literal(value, rows[name].type())
            for name, value in partition.items()
        ]
    )
