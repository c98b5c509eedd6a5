"""The gate of a premise: it turns a request and a policy into the statement to run, or a refusal.

It trusts no check that was made before: whoever asks, with findings or without, is held to the rules of the contract on
what the statement itself reads.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from storymesh.contract.egress_rules import Form
from storymesh.errors import StorymeshError
from storymesh.federation.keyed_hash import hash_in_engine
from storymesh.federation.policy import EgressPolicy, refusal
from storymesh.federation.receipts import AppliedThreshold, EgressRecord, Receipt, ReceiptBook
from storymesh.federation.request import ExtractRequest, columns_of

if TYPE_CHECKING:
    import ibis.expr.types as ir


class EgressRefused(StorymeshError):
    """A request for values that may not leave their premise."""


@dataclass(frozen=True)
class AdmittedRequest:
    """A request that its policy allows: what may run for it."""

    request: ExtractRequest
    policy: EgressPolicy

    def expression(self, table: "ir.Table", key: bytes) -> "ir.Table":
        """Return what is wanted of a table that an engine has open, with the names of the contract."""
        from storymesh.federation.statement import extract_expression

        return extract_expression(self.request, table, hash_in_engine(key))

    def leaving(self, *, statement: str, extract: str, rows: int, size: int, version: str = "") -> EgressRecord:
        """Return what leaves, for its receipt: of the text that ran, the SHA-256 and the size of the file that comes,
        and its rows."""
        request = self.request
        read = {name for condition in request.filters for name in columns_of(condition)}
        least = AppliedThreshold(**request.least.model_dump()) if request.least is not None else None
        return EgressRecord(
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


def admit(request: ExtractRequest, policy: EgressPolicy) -> AdmittedRequest:
    """Return the request, admitted. Raises EgressRefused with all that the policy does not allow in it."""
    if found := list(dict.fromkeys(violations(request, policy))):
        words = f"{request.product} does not leave {policy.premise}: {'; '.join(found[:8])}"
        hint = f"who owns the data writes a rule under `leaves` in {policy.contract.location.path}"
        raise EgressRefused(words, hint)
    return AdmittedRequest(request, policy)


def write_receipt(book: ReceiptBook, leaving: EgressRecord) -> Receipt:
    """Write the receipt of what is about to leave. Only then may it be where others find it."""
    return book.add(leaving, datetime.now(UTC).isoformat(timespec="milliseconds"))


def violations(request: ExtractRequest, policy: EgressPolicy) -> Iterator[str]:
    """Yield a sentence for each thing in a request that the policy does not allow."""
    if request.product != policy.contract.id or request.from_premise != policy.premise:
        yield f"the request is for '{request.product}' at {request.from_premise}, and this is '{policy.contract.id}'"
        return
    to, purpose = request.to_premise, request.purpose
    if policy.guarded and purpose is None and to != policy.premise:
        yield f"the request names no purpose, and nothing leaves {policy.premise} without"
        return
    unknown = {name for name, _, _ in _uses(request)} - policy.contract.properties.keys()
    if unknown:
        yield f"'{policy.contract.id}' has no property '{min(unknown)}'"
        return
    for name, form, use in _uses(request):
        if not policy.allows(name, form, to, purpose):
            yield f"'{name}' {use}: {refusal(policy, name, to, purpose)[0]}"
    yield from _count_violations(request, policy)


def _uses(request: ExtractRequest) -> Iterator[tuple[str, Form, str]]:
    """Yield each column that a request uses, the form that this needs, and a description of the use."""
    for column in request.columns:
        yield column.name, column.form, f"is asked for {column.form}"
    for condition in request.filters:
        for name in columns_of(condition):
            yield name, "raw", "is filtered by"
    for name in request.counted:
        yield name, "figures", "is counted"


def _count_violations(request: ExtractRequest, policy: EgressPolicy) -> Iterator[str]:
    """Yield where counts are of smaller groups than a rule of their columns allows, or of parts of a group."""
    to, purpose, least = request.to_premise, request.purpose, request.least
    if to == policy.premise or not policy.guarded:
        return
    for name in request.counted:
        rule = policy.rule_for(name, to, purpose)
        if rule is None or rule.least is None:
            continue
        if least is None or least.of != rule.least.of or least.subjects < rule.least.subjects:
            yield f"'{name}' leaves of at least {rule.least.subjects} {rule.least.of} only ({rule.location})"
        if rule.least.grain is not None:
            yield f"'{name}' leaves by the {rule.least.grain} only ({rule.location})"
        if request.filters:
            yield f"'{name}' leaves of whole groups only, and a part of one would tell the rest ({rule.location})"
