"""Digests of rows in parts, made while the rows pass by: nobody reads them again for that."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.engine.duckdb.digest import BatchDigest

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 65_536  # rows: the more, the more often a value repeats, which is formed once
BATCH_BYTES = 2**24  # of Arrow, about; the forms of one batch lie in memory


@dataclass(frozen=True)
class DuckDBPartDigests:
    """The port's `PartDigests` in a session of DuckDB, whose errors `translated` raises as the port's."""

    digest: BatchDigest
    translated: Callable[[], AbstractContextManager[None]]

    def add(self, part: str, rows: "pa.Table") -> None:
        with self.translated():
            size = max(1, min(BATCH, BATCH_BYTES * len(rows) // max(rows.nbytes, 1)))
            for batch in rows.to_batches(size):
                self.digest.add(batch, part)

    def content_digest(self, parts: Collection[str]) -> str:
        with self.translated():
            return self.digest.value(parts)
