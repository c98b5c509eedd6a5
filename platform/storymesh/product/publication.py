"""The outcome of publishing a product: what readers see now, and what was refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storymesh.contract.checks import CheckResult
from storymesh.errors import AuditRefused
from storymesh.product.store import Snapshot

PublishPhase = Literal["stage", "audit", "publish"]
PublishProgress = Callable[[PublishPhase, int], None]
"""It is given the phase and the number of rows that the phase has reached."""


@dataclass(frozen=True)
class Publication:
    """The outcome of publishing one product.

    `snapshot` is what readers see now (None: still nothing). `quarantined` counts rows by reason, of which a row may
    have several; the rows are in the Parquet file `quarantine_path`.
    """

    product: str
    snapshot: Snapshot | None
    unchanged: bool
    rows_in: int
    rows_out: int
    quarantined: Mapping[str, int]
    quarantine_path: Path | None
    checks: tuple[CheckResult, ...]

    def reasons(self) -> tuple[str, ...]:
        """Return each reason with its rows; for values that fit no type, some (never for a log) and what is wanted."""
        types = [item for item in self.checks if item.name == "type" and item.failed_rows and item.observed]
        met = {f"type: {item.properties[0]}": f": {item.observed}, wanted: {item.words}" for item in types}
        return tuple(f"{reason} ({count:,}){met.get(reason, '')}" for reason, count in self.quarantined.items())

    def warnings(self) -> tuple[str, ...]:
        """Return each rule that only warns and does not hold, with what was met."""
        failed = [item for item in self.checks if item.severity == "warning" and not item.passed]
        return tuple(f"{item.words}: {_met_words(item)}".removesuffix(": ") for item in failed)


def _met_words(result: CheckResult) -> str:
    if result.failed_rows is not None:
        return f"not so in {result.failed_rows:,} rows"
    return f"met {result.observed}" if result.observed is not None else ""


class PublicationRefused(AuditRefused):
    """Rows that were not published. `publication` says what the audit found."""

    def __init__(self, message: str, hint: str, publication: Publication) -> None:
        super().__init__(message, hint)
        self.publication = publication
