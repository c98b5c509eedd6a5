"""What a narrative needs from other premises, checked against the contracts' rules: a finding at each line that needs
what may not leave."""

from collections.abc import Iterator

from storymesh.contract.egress_rules import Form
from storymesh.errors import Finding
from storymesh.federation.policy import EgressPolicy, refusal
from storymesh.mesh.residency import RULE, Residency, premises_hidden_from
from storymesh.narrative.column_uses import ColumnUse, column_uses
from storymesh.narrative.typed import TypedNarrative


def residency_findings(residency: Residency, typed: TypedNarrative) -> Iterator[Finding]:
    """Yield a finding for each use that a narrative makes of a column that may not leave its premise for that."""
    if not residency.concerns:
        return
    narrative = typed.narrative
    elsewhere = {
        name: residency.policy(residency.contracts[role.contract.id])
        for name, role in typed.cast.roles.items()
        if residency.is_elsewhere(role.contract.id, narrative.id)
    }
    guarded = sorted({policy.premise for policy in elsewhere.values() if policy.guarded})
    if guarded and narrative.purpose is None:
        words = f"'{narrative.id}' does not say what for, and nothing leaves {' and '.join(guarded)} without a purpose"
        hint = "add `purpose:`, one that the rules under `leaves` of its contracts are for"
        yield Finding(narrative.at("id"), "no-purpose", words, hint)
        return
    for use in column_uses(typed):
        policy = elsewhere.get(use.role)
        if policy is not None:
            yield from _finding_of(use, policy, residency.home_of(narrative.id), narrative.purpose)
    yield from _sent_findings(residency, typed)
    yield from _model_findings(residency, typed)


def _finding_of(use: ColumnUse, policy: EgressPolicy, to: str, purpose: str | None) -> Iterator[Finding]:
    wanted: Form = "raw" if use.needs_value else "hashed"
    if policy.allows(use.column, wanted, to, purpose):
        return
    described, hint = refusal(policy, use.column, to, purpose)
    yield Finding(use.location, RULE, f"'{use.role}.{use.column}' {use.words}, and {described}", hint)


def _sent_findings(residency: Residency, typed: TypedNarrative) -> Iterator[Finding]:
    """Yield a finding for each key that would be sent to a source which stays where it is, and may not."""
    narrative = typed.narrative
    for role in typed.cast.roles.values():
        own = residency.contracts[role.contract.id]
        there = residency.premise_of(own.id)
        if own.in_place is None:
            continue
        for join in role.joins:
            other = typed.cast.roles[join.other].contract
            policy = residency.policy(residency.contracts[other.id])
            if policy.premise == there or not policy.guarded:
                continue
            crosses: Form = "hashed" if role.contract.properties[join.column].hashed is not None else "raw"
            if not policy.allows(join.other_column, crosses, there, narrative.purpose):
                described, hint = refusal(policy, join.other_column, there, narrative.purpose)
                words = f"'{join.other}.{join.other_column}' is sent to {there} as a key of '{role.name}', {described}"
                place = narrative.at("case", "links", role.name, "on", join.column)
                yield Finding(place, RULE, words.replace(", it ", ", and it ").replace(", no ", ", and no "), hint)


def _model_findings(residency: Residency, typed: TypedNarrative) -> Iterator[Finding]:
    """Yield a finding for each model that would be sent values of a premise that does not name it."""
    narrative = typed.narrative
    for config, record in narrative.records.items():
        narrator = record.narrator
        if narrator is None or config not in typed.records:
            continue
        models = {("model",): narrator.model} | (
            {("judge", "model"): narrator.judge.model} if narrator.judge is not None else {}
        )
        for steps, model in models.items():
            place = narrative.at("records", config, "narrator", *steps)
            for premise in premises_hidden_from(residency, typed, model):
                words = f"'{config}' sends what it tells to {model}, which may not see values of {premise}"
                hint = f"who runs the mesh names it in mesh.yaml: premises: {{{premise}: {{models: ['{model}']}}}}"
                yield Finding(place, "model-not-allowed", words, hint)
