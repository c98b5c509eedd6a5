"""What a request would take from a premise that the rules of a contract do not allow, in words."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from storymesh.contract.leaving import Form
from storymesh.federation.policy import LeavingPolicy, refusal
from storymesh.federation.request import ExtractRequest, columns_of


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
