"""The rules of a contract, applied: what may leave the premise of its product, and what a request for it would take."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from storymesh.contract.definition import Contract
from storymesh.contract.leaving import STRENGTH, Form, LeavingRule
from storymesh.federation.request import ExtractRequest, columns_of


@dataclass(frozen=True)
class LeavingPolicy:
    """The rules under which values of a product leave its `premise`.

    `guarded`: what no rule of the contract names stays. Of a contract with rules it always is.
    """

    contract: Contract
    premise: str
    guarded: bool

    @classmethod
    def of(cls, contract: Contract, premise: str, *, guarded: bool) -> "LeavingPolicy":
        """Return the policy of a product at a premise of which nothing undeclared may leave (`guarded`), or else."""
        return cls(contract, premise, guarded or contract.leaves is not None)

    def rule_for(self, column: str, to: str, purpose: str | None) -> LeavingRule | None:
        """Return the rule by which a column leaves in its strongest form; None where none lets it."""
        return self.contract.leaves.best(column, to, purpose) if self.contract.leaves is not None else None

    def form_of(self, column: str, to: str, purpose: str | None) -> Form | None:
        """Return the strongest form in which a column may come to a place for a purpose; None: it stays."""
        if to == self.premise or not self.guarded:
            return "raw"
        rule = self.rule_for(column, to, purpose)
        return rule.form if rule is not None else None

    def allows(self, column: str, form: Form, to: str, purpose: str | None) -> bool:
        """Return True if a column may leave in this form, or a stronger one."""
        best = self.form_of(column, to, purpose)
        return best is not None and STRENGTH[best] >= STRENGTH[form]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the rules, whatever else the contract says."""
        rules = self.contract.leaves.rules if self.contract.leaves is not None else ()
        written = [
            [
                sorted(rule.columns),
                rule.form,
                sorted(rule.to),
                sorted(rule.purposes),
                rule.least.model_dump() if rule.least is not None else None,
            ]
            for rule in rules
        ]
        text = json.dumps([self.contract.id, self.premise, self.guarded, written], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def violations(
    request: ExtractRequest, policy: LeavingPolicy, sent: Mapping[str, LeavingPolicy] = MappingProxyType({})
) -> Iterator[str]:
    """Yield, in words, what of a request the policy does not allow. `sent` has the policies of the products whose keys
    are sent in, by id: those keys leave their own premise."""
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
    yield from _group_violations(request, policy)
    yield from _sent_violations(request, sent)


def _uses(request: ExtractRequest) -> Iterator[tuple[str, Form, str]]:
    """Yield each column that a request touches, the form that this takes, and how it is used, in words."""
    for column in request.columns:
        yield column.name, column.form, f"is asked for {column.form}"
    for condition in request.filters:
        for name in columns_of(condition):
            yield name, "raw", "is filtered by"
    if request.window is not None:
        yield request.window.column, "raw", "bounds a window of time"
    if request.keys is not None:
        for name, sent in zip(request.keys.columns, request.keys.sent, strict=True):
            yield name, sent.form, "is joined by"
    if request.groups is not None:
        for column in request.groups.by:
            yield column.name, column.form, "is grouped by"
        if request.groups.period is not None:
            yield request.groups.period, "figures", "is grouped by"
        for figure in request.groups.figures:
            if figure.column is not None:
                # The least and the greatest of some values are values of single rows.
                form: Form = "raw" if figure.function in ("min", "max") else "figures"
                yield figure.column, form, f"is summed up ({figure.function})"


def refusal(policy: LeavingPolicy, column: str, to: str, purpose: str | None) -> tuple[str, str]:
    """Say why a column may not go somewhere, with the place of the rule, or of what has none; and what to do."""
    contract, rules = policy.contract, policy.contract.leaves
    best = policy.rule_for(column, to, purpose)
    about = rules.about(column) if rules is not None else ()
    if best is not None:
        words = f"it leaves {policy.premise} {best.words} only ({best.location})"
        return words, "read it otherwise, or have its owner change the rule"
    if about:
        shown = "; ".join(f"{rule.words} ({rule.location})" for rule in about[:3])
        return f"it leaves {policy.premise} {shown}, not to {to} for {purpose}", "read something else, or ask its owner"
    place = rules.location if rules is not None else contract.properties[column].location
    words = f"no rule of '{contract.id}' lets it leave {policy.premise} ({place})"
    hint = f"leave it out, or have its owner add: {{columns: [{column}], as: raw, to: [{to}], for: [{purpose}]}}"
    return words, hint


def _group_violations(request: ExtractRequest, policy: LeavingPolicy) -> Iterator[str]:
    """Yield where figures are of smaller groups, or of other periods, than a rule of their columns allows."""
    groups, to, purpose = request.groups, request.to_premise, request.purpose
    if groups is None or to == policy.premise or not policy.guarded:
        return
    if policy.contract.leaves is None or not policy.contract.leaves.reaches(to, purpose):
        yield f"no rule of '{policy.contract.id}' lets anything leave to {to} for {purpose}"
    for figure in groups.figures:
        rule = policy.rule_for(figure.column, to, purpose) if figure.column is not None else None
        if rule is None or rule.least is None:
            continue
        least, name = rule.least, figure.column
        if groups.of != least.of or groups.subjects < least.subjects:
            yield f"'{name}' leaves of at least {least.subjects} {least.of} only ({rule.location})"
        if least.grain is not None and groups.grain != least.grain:
            yield f"'{name}' leaves by the {least.grain} only ({rule.location})"
        if request.filters or (request.keys is not None and not {*request.keys.columns} <= {*groups.names}):
            yield f"'{name}' leaves of whole groups only, and a part of one would tell the rest ({rule.location})"
        if request.window is not None and not (groups.grain and request.window.covers_whole(groups.grain)):
            yield f"'{name}' leaves of whole periods only, and the window cuts one ({rule.location})"


def _sent_violations(request: ExtractRequest, policies: Mapping[str, LeavingPolicy]) -> Iterator[str]:
    """Yield which keys may not be sent to the premise of the product."""
    if request.keys is None:
        return
    for sent in request.keys.sent:
        policy = policies.get(sent.product)
        if policy is None:
            yield f"keys of '{sent.product}' are sent, and nobody knows what may leave it"
        elif sent.column not in policy.contract.properties:
            yield f"'{sent.product}' has no property '{sent.column}'"
        elif not policy.allows(sent.column, sent.form, request.from_premise, request.purpose):
            described, _ = refusal(policy, sent.column, request.from_premise, request.purpose)
            yield f"'{sent.product}.{sent.column}' is sent to {request.from_premise} as a key: {described}"
