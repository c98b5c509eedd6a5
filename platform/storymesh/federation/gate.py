"""The gate of a premise: a request and a policy go in, and the statement to run comes out, or a refusal.

It trusts no check that was made before: whoever asks, with findings or without, is held to the rules of the contract on
what the statement itself reads.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from storymesh.errors import StorymeshError
from storymesh.federation.policy import LeavingPolicy
from storymesh.federation.receipts import LeastFigures, Leaving, Receipt, ReceiptBook
from storymesh.federation.request import ExtractRequest, columns_of
from storymesh.federation.violations import violations

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.federation.statement import SourceTable

NO_POLICIES: Mapping[str, LeavingPolicy] = MappingProxyType({})


class LeavingRefused(StorymeshError):
    """A request for values that may not leave their premise."""


@dataclass(frozen=True)
class AdmittedRequest:
    """A request that its policy allows: what may run for it."""

    request: ExtractRequest
    policy: LeavingPolicy
    sent: Mapping[str, LeavingPolicy]

    def sql(self, source: "SourceTable", key: bytes = b"") -> str:
        """Return the statement in the dialect of the source. Of hashed columns it spells out `key`."""
        import ibis

        from storymesh.federation.hashing import hash_in
        from storymesh.federation.statement import extract_expression, keys_table, source_table

        contract = self.policy.contract
        table = source_table(self.request, contract, source)
        keys = keys_table(self.request, contract) if self.request.keys is not None else None
        expression = extract_expression(self.request, contract, table, keys, hash_in(source.dialect, key))
        return str(ibis.to_sql(expression, dialect=source.dialect))

    def expression(self, table: "ir.Table", keys: "ir.Table | None" = None, key: bytes = b"") -> "ir.Table":
        """Return what is wanted of a table that an engine has open, with the names of the contract."""
        from storymesh.federation.hashing import hash_in_engine
        from storymesh.federation.statement import extract_expression

        return extract_expression(self.request, self.policy.contract, table, keys, hash_in_engine(key))

    def leaving(self, *, statement: str, extract: str, rows: int, size: int, version: str = "") -> Leaving:
        """Return what leaves, for its receipt: of the text that ran, the SHA-256 and the size of the file that comes,
        and its rows."""
        request, groups = self.request, self.request.groups
        read = {name for condition in request.filters for name in columns_of(condition)}
        read |= {request.window.column} if request.window is not None else set()
        keys = request.keys
        pairs = [(f"{item.product}.{item.column}", item.form) for item in keys.sent] if keys is not None else []
        least = None
        if groups is not None and groups.subjects and groups.of is not None:
            least = LeastFigures(subjects=groups.subjects, of=groups.of, grain=groups.grain)
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
            keys=keys.count if keys is not None else 0,
            keys_in=dict(pairs),
            request=request.digest,
            statement=hashlib.sha256(statement.encode()).hexdigest(),
            policy=self.policy.digest,
            extract=extract,
        )


def admit(
    request: ExtractRequest, policy: LeavingPolicy, sent: Mapping[str, LeavingPolicy] = NO_POLICIES
) -> AdmittedRequest:
    """Return the request, admitted. Raises LeavingRefused with all that the policy does not allow in it. `sent` has the
    policies of the products whose keys are sent in, by id."""
    if found := list(dict.fromkeys(violations(request, policy, sent))):
        words = f"{request.product} does not leave {policy.premise}: {'; '.join(found[:8])}"
        hint = f"who owns the data writes a rule under `leaves` in {policy.contract.location.path}"
        raise LeavingRefused(words, hint)
    return AdmittedRequest(request, policy, sent)


def write_receipt(book: ReceiptBook, leaving: Leaving) -> Receipt:
    """Write the receipt of what is about to leave. Only then may it be where others find it."""
    return book.add(leaving, datetime.now(UTC).isoformat(timespec="milliseconds"))
