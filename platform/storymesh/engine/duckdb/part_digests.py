"""Digests of rows in parts, made while the rows pass by: nobody reads them again for that."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.engine.duckdb.digest import DigestOfBatches

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 16_384  # rows; the forms of one batch lie in memory


@dataclass(frozen=True)
class DigestOfParts:
    """The port's `PartDigests` in a session of DuckDB, whose errors `translated` raises as the port's."""

    digest: DigestOfBatches
    translated: Callable[[], AbstractContextManager[None]]

    def add(self, part: str, rows: "pa.Table") -> None:
        with self.translated():
            for batch in rows.to_batches(BATCH):
                self.digest.add(batch, part)

    def content_digest(self, parts: Collection[str]) -> str:
        with self.translated():
            return self.digest.value(parts)
