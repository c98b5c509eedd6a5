"""The audits of a product over time. They are read from the history of runs (`orchestration/audit_history.py`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from storymesh.contract.definition import Contract
from storymesh.errors import Severity

MAX_AUDITS = 60
"""The audits of one product that are shown, the latest."""


@dataclass(frozen=True)
class AuditedCheck:
    """The result of one check in one audit. `failed_rows` is None where a check counts no rows."""

    passed: bool
    severity: Severity
    failed_rows: int | None


@dataclass(frozen=True)
class Audit:
    """One audit of a product, at a moment in UTC. `checks` are keyed by the places of the checks in the contract.

    `rows` were published and `quarantined` were not; both are None where the audit held everything back.
    """

    run_id: str
    at: datetime
    rows: int | None
    quarantined: int | None
    checks: Mapping[int, AuditedCheck]

    @property
    def verdict(self) -> str:
        """Return in one word how it ended: refused, quarantined, warned or passed."""
        failed = [check for check in self.checks.values() if not check.passed]
        if self.rows is None:
            return "refused"
        if self.quarantined:
            return "quarantined"
        return "warned" if failed else "passed"


AuditHistory = Callable[[Contract], Sequence[Audit]]
"""It returns the latest audits of a contract's product, the earliest first."""
