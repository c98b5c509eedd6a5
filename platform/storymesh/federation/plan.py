"""The plan for fetching a role's rows from a product that stays in place: the way that is cheapest to move.

A role is linked by key, by time, or both, and its cases are known before it. So there are at most five ways: all rows,
those of the time that the links reach, those of the keys that cases have, both, and those that each key has at the time
of its own cases. The anchor, which nothing is known
before, has two: all rows, and those that `where` says are cases. The source says what each would move, without reading
rows; what would have to be sent in for it counts as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from storymesh.federation.link_prices import ALIKE, LinkPrices
from storymesh.federation.receipts import Receipt
from storymesh.federation.selection import RowSelection, TransferEstimate
from storymesh.federation.source_rules import SourceAudit

ALL, TIME, KEYS, BOTH, EACH, WHERE = "all rows", "time", "keys", "keys and time", "keys at their times", "where"


class TransferPlan(BaseModel):
    """The way of the rows of a role: what each would move (`ways`: rows, bytes, sent), and which is `chosen`.

    `keys` went in with it, and `sent` are the receipts of those that left another premise for that. `notes` say, in
    words, what an estimate does not rest on, and what is not selected at the source. `rows`, `bytes` and `quarantined`
    are what came; None where the source does not count them. `source` is what the rules of the contract say of all rows
    there; None where nobody asked.
    """

    model_config = ConfigDict(frozen=True)

    role: str
    product: str
    server: str
    columns: tuple[str, ...]
    ways: Mapping[str, tuple[int, int, int]]
    chosen: str
    keys: int = 0
    sent: tuple[Receipt, ...] = ()
    notes: tuple[str, ...] = ()
    version: str = ""
    rows: int | None = None
    bytes: int | None = None
    quarantined: Mapping[str, int] = {}
    source: SourceAudit | None = None

    def ended(self, **came: Any) -> "TransferPlan":
        """Return the plan with what came of it."""
        return self.model_copy(update=came)


@dataclass(frozen=True)
class FetchStrategies:
    """The ways in which the rows of a role can be selected, by name."""

    selections: Mapping[str, RowSelection]

    @classmethod
    def of(cls, wanted: RowSelection) -> "FetchStrategies":
        """Return every way of which the selected rows have all that are wanted."""
        bounds, keys = RowSelection(bounds=wanted.bounds), RowSelection(keys=wanted.keys)
        found = {ALL: RowSelection()}
        found |= {TIME: bounds} if wanted.bounds else {}
        found |= {KEYS: keys} if wanted.keys else {}
        found |= {BOTH: RowSelection(wanted.bounds, wanted.keys)} if wanted.bounds and wanted.keys else {}
        found |= {EACH: wanted} if wanted.times else {}
        found |= {WHERE: RowSelection(where=wanted.where)} if wanted.where else {}
        return cls(found)

    def choose(self, estimates: Mapping[str, TransferEstimate], prices: LinkPrices = ALIKE) -> str:
        """Return the way that costs least in and out, and so moves the fewest bytes where a byte costs the same both
        ways; of ways that cost the same, the one that moves least, and then the one that selects most."""

        def cost(name: str) -> tuple[float, int]:
            way = estimates[name]
            return way.bytes * prices.rows + way.sent * prices.keys, way.bytes + way.sent

        return min(reversed([name for name in self.selections if name in estimates]), key=cost)
