"""The gate of a premise: a request and a policy go in, and the statement to run comes out, or a refusal.

It trusts no check that was made before: whoever asks, with findings or without, is held to the rules of the contract on
what the statement itself reads.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from storymesh.errors import StorymeshError
from storymesh.federation.keyed_hash import hash_in_engine
from storymesh.federation.policy import LeavingPolicy
from storymesh.federation.receipts import LeastFigures, Leaving, Receipt, ReceiptBook
from storymesh.federation.request import ExtractRequest, columns_of
from storymesh.federation.violations import violations

if TYPE_CHECKING:
    import ibis.expr.types as ir


class LeavingRefused(StorymeshError):
    """A request for values that may not leave their premise."""


@dataclass(frozen=True)
class AdmittedRequest:
    """A request that its policy allows: what may run for it."""

    request: ExtractRequest
    policy: LeavingPolicy

    def expression(self, table: "ir.Table", key: bytes) -> "ir.Table":
        """Return what is wanted of a table that an engine has open, with the names of the contract."""
        from storymesh.federation.statement import extract_expression

        return extract_expression(self.request, table, hash_in_engine(key))

    def leaving(self, *, statement: str, extract: str, rows: int, size: int, version: str = "") -> Leaving:
        """Return what leaves, for its receipt: of the text that ran, the SHA-256 and the size of the file that comes,
        and its rows."""
        request = self.request
        read = {name for condition in request.filters for name in columns_of(condition)}
        least = LeastFigures(**request.least.model_dump()) if request.least is not None else None
        return Leaving(
            narrative=request.narrative,
            role=request.role,
            product=request.product,
            version=version,
            from_premise=request.from_premise,
            to_premise=request.to_premise,
            purpose=request.purpose,
            columns=request.forms,
            filtered=tuple(sorted(read)),
            least=least,
            rows=rows,
            bytes=size,
            request=request.digest,
            statement=hashlib.sha256(statement.encode()).hexdigest(),
            policy=self.policy.digest,
            extract=extract,
        )


def admit(request: ExtractRequest, policy: LeavingPolicy) -> AdmittedRequest:
    """Return the request, admitted. Raises LeavingRefused with all that the policy does not allow in it."""
    if found := list(dict.fromkeys(violations(request, policy))):
        words = f"{request.product} does not leave {policy.premise}: {'; '.join(found[:8])}"
        hint = f"who owns the data writes a rule under `leaves` in {policy.contract.location.path}"
        raise LeavingRefused(words, hint)
    return AdmittedRequest(request, policy)


def write_receipt(book: ReceiptBook, leaving: Leaving) -> Receipt:
    """Write the receipt of what is about to leave. Only then may it be where others find it."""
    return book.add(leaving, datetime.now(UTC).isoformat(timespec="milliseconds"))
