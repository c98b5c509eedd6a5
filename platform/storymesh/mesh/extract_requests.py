"""Requests for the values that have to leave another premise for the cases of a narrative."""

from typing import Literal

from storymesh.case.source_condition import source_condition
from storymesh.federation.request import Condition, ExtractRequest, RequestedColumn
from storymesh.mesh.residency import Residency
from storymesh.narrative.column_uses import column_uses, needed_columns
from storymesh.narrative.typed import TypedNarrative


def extract_requests(residency: Residency, typed: TypedNarrative) -> dict[str, ExtractRequest]:
    """Return what has to leave another premise for the cases of a narrative, by role: whether it may, the gate of
    the premise says."""
    found: dict[str, ExtractRequest] = {}
    if not residency.concerns:
        return found
    by_value = {(use.role, use.column) for use in column_uses(typed) if use.needs_value}
    home = residency.home_of(typed.narrative.id)
    for role in typed.cast.roles.values():
        if not residency.is_elsewhere(role.contract.id, typed.narrative.id):
            continue
        policy = residency.policy(residency.contracts[role.contract.id])
        forms: dict[str, Literal["raw", "hashed"]] = {}
        for column in sorted(needed_columns(typed, role)):
            best = policy.form_of(column, home, typed.narrative.purpose)
            forms[column] = "hashed" if best == "hashed" and (role.name, column) not in by_value else "raw"
        found[role.name] = ExtractRequest(
            narrative=typed.narrative.id,
            role=role.name,
            product=role.contract.id,
            contract=role.contract.digest,
            from_premise=policy.premise,
            to_premise=home,
            purpose=typed.narrative.purpose,
            columns=tuple(RequestedColumn(name=name, form=form) for name, form in forms.items()),
            filters=_filters(typed) if role.link is None else (),
        )
    return found


def _filters(typed: TypedNarrative) -> tuple[Condition, ...]:
    """Return the part of `where` that the anchor's premise can apply, so that rows which are no cases stay there."""
    selection = typed.selection
    found = source_condition(selection.tree, typed.cast.anchor) if selection is not None else None
    return (found.condition,) if found is not None else ()
