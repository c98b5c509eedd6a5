"""The changes of a table of a server since it was read: rows by the time of their change, or months by the fingerprint
of their rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from storymesh.federation.access import ChooseColumns

if TYPE_CHECKING:
    import pyarrow as pa

MONTH = 7
"""The characters of a moment that say its month, as a server writes it: `2024-06`."""


@dataclass(frozen=True)
class Fingerprint:
    """The mark of rows in any order: how many there are, and the sum of 60 bits of the MD5 of each, of its values as
    the server writes them (`row_text`)."""

    rows: int
    digest: str

    @property
    def text(self) -> str:
        return f"{self.rows} {self.digest}"


@runtime_checkable
class ChangingTable(Protocol):
    """A table of a server that tells which of its rows changed. `moved` counts the bytes of rows that have come."""

    moved: int

    def open_changed_since(
        self, choose: ChooseColumns, key: tuple[int, ...], changed: int, last: str | None
    ) -> "tuple[pa.RecordBatchReader, Fingerprint, str]":
        """Return the rows that have changed since shortly before `last` (None: all rows); the fingerprint of key and
        time of change of all rows; and the last change, as this wants it the next time: of one state of the table.

        `key` and `changed` are places among the chosen columns. Raises as `open_rows` does.
        """
        ...

    def open_changed_months(
        self, choose: ChooseColumns, moment: int, known: Mapping[str, str]
    ) -> "tuple[pa.RecordBatchReader, dict[str, str]]":
        """Return the rows of those months whose fingerprint is not what is `known`, and the fingerprints of all months
        by their text: of one state of the table. `moment` is the place of the column that they are months of."""
        ...

    def months(self, choose: ChooseColumns, moment: int) -> dict[str, str]:
        """Return the fingerprints of all months, and no row."""
        ...
