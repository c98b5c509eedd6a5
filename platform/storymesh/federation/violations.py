"""Violations, in words: what a request would take from a premise that the rules of a contract do not allow."""

from collections.abc import Iterator

from storymesh.contract.leaving import Form
from storymesh.federation.policy import LeavingPolicy, refusal
from storymesh.federation.request import ExtractRequest, columns_of


def violations(request: ExtractRequest, policy: LeavingPolicy) -> Iterator[str]:
    """Yield, in words, what of a request the policy does not allow."""
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
    """Yield each column that a request touches, the form that this takes, and how it is used, in words."""
    for column in request.columns:
        yield column.name, column.form, f"is asked for {column.form}"
    for condition in request.filters:
        for name in columns_of(condition):
            yield name, "raw", "is filtered by"
    for name in request.counted:
        yield name, "figures", "is counted"


def _count_violations(request: ExtractRequest, policy: LeavingPolicy) -> Iterator[str]:
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
