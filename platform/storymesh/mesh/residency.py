"""What leaves which premise in a mesh: of each narrative the columns that have to, held against the contracts' rules.

Nothing is read for that. What the rules do not allow is a finding at the line that needs it; the gate of the premise
refuses it once more, when rows are to leave.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from storymesh.case.source_condition import source_condition
from storymesh.contract.definition import Contract
from storymesh.contract.leaving import HUB, Form, Residence
from storymesh.errors import Finding, suggest_name
from storymesh.federation.policy import LeavingPolicy, refusal
from storymesh.federation.request import Condition, ExtractRequest, RequestedColumn
from storymesh.mesh.premises import Premise
from storymesh.mesh.settings import Domain, Settings
from storymesh.narrative.column_uses import ColumnUse, column_uses, needed_columns
from storymesh.narrative.definition import Narrative
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.definition import Product

RULE = "leaves"


@dataclass(frozen=True)
class Residency:
    """Where the products of a mesh are, and where its cases are made."""

    settings: Settings
    domains: Mapping[str, Domain]
    contracts: Mapping[str, Contract]

    @cached_property
    def concerns(self) -> bool:
        """False where nothing can leave anything: one premise of which nothing is said, and no rule of a contract."""
        premises = self.settings.premises.values()
        guarded = any(premise.guarded for premise in premises)
        ruled = any(contract.leaves is not None for contract in self.contracts.values())
        return guarded or ruled or (len(premises) > 1 and bool(self.settings.home or self.settings.homes))

    @property
    def home(self) -> str:
        """The premise where cases are made, and where people look at the mesh."""
        return self.settings.home or ""

    def home_of(self, narrative: str) -> str:
        """Return the premise where the cases of a narrative are made."""
        return self.settings.homes.get(narrative, self.home)

    def keeps_records(self, narrative: str) -> bool:
        """Return True if what a narrative tells is not shown where people look at the mesh: its cases are made at
        another premise, of which nothing leaves but by a rule."""
        there = self.home_of(narrative)
        return self.concerns and there != self.home and self.settings.premises[there].guarded

    def premise_of(self, product: str) -> str:
        """Return the premise of a product: that of its domain."""
        domain = self.domains.get(product.partition(".")[0])
        return domain.premise if domain is not None else self.home

    def guard(self, product: str) -> Premise:
        """Return what `mesh.yaml` says of the premise of a product."""
        return self.settings.premises.get(self.premise_of(product), Premise())

    def placed(self, contracts: Mapping[str, Contract]) -> dict[str, Contract]:
        """Return contracts, by product, with where their products are; as they stand where nothing can leave."""
        return {
            id_: replace(contract, residence=self._residence(contract)) if self.concerns else contract
            for id_, contract in contracts.items()
        }

    def _residence(self, contract: Contract) -> Residence:
        policy = self.policy(contract)
        return Residence(policy.premise, self.home, policy.guarded, self.settings.homes)

    def policy(self, contract: Contract) -> LeavingPolicy:
        """Return the policy of a product."""
        return LeavingPolicy.of(contract, self.premise_of(contract.id), guarded=self.guard(contract.id).guarded)

    def is_elsewhere(self, product: str, narrative: str) -> bool:
        """Return True if a product is at another premise than the cases of a narrative."""
        return self.concerns and self.premise_of(product) != self.home_of(narrative)

    def contract_at_home(self, contract: Contract, narrative: Narrative) -> Contract:
        """Return a contract as a narrative sees it where its cases are made: what leaves hashed is a text."""
        if self.concerns:
            contract = replace(contract, residence=self._residence(contract).of_narrative(narrative.id))
        if not self.is_elsewhere(contract.id, narrative.id):
            return contract
        policy, hashed = self.policy(contract), dict[str, Form]()
        for name in contract.properties:
            form = policy.form_of(name, self.home_of(narrative.id), narrative.purpose)
            hashed[name] = "hashed" if form == "hashed" else "raw"
        return contract.as_left(hashed) if "hashed" in hashed.values() else contract

    def guarded_roles(self, typed: TypedNarrative) -> dict[str, str]:
        """Return the premise of each role of which nothing leaves but by a rule of its contract."""
        if not self.concerns:
            return {}
        policies = {name: self.policy(self.contracts[role.contract.id]) for name, role in typed.cast.roles.items()}
        return {name: policy.premise for name, policy in policies.items() if policy.guarded}

    def requests(self, typed: TypedNarrative) -> dict[str, ExtractRequest]:
        """Return what has to leave another premise for the cases of a narrative, by role: whether it may, the gate of
        the premise says."""
        found: dict[str, ExtractRequest] = {}
        if not self.concerns:
            return found
        by_value = {(use.role, use.column) for use in column_uses(typed) if use.needs_value}
        home = self.home_of(typed.narrative.id)
        for role in typed.cast.roles.values():
            if not self.is_elsewhere(role.contract.id, typed.narrative.id):
                continue
            policy = self.policy(self.contracts[role.contract.id])
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
    """Return what of `where` the premise of the anchor can hold, so that rows which are no cases stay there."""
    selection = typed.selection
    found = source_condition(selection.tree, typed.cast.anchor) if selection is not None else None
    return (found.condition,) if found is not None else ()


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


def _finding_of(use: ColumnUse, policy: LeavingPolicy, to: str, purpose: str | None) -> Iterator[Finding]:
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


def premises_hidden_from(residency: Residency, typed: TypedNarrative, model: str) -> list[str]:
    """Return the premises that a narrative tells of and whose values a model may not see, sorted."""
    products = {role.contract.id for role in typed.cast.roles.values()}
    found = {residency.premise_of(product) for product in products if not residency.guard(product).may_see(model)}
    return sorted(found) if residency.concerns else []


def premise_findings(residency: Residency, products: Mapping[str, Product]) -> Iterator[Finding]:
    """Yield a finding for each rule that names a place which is none, and for each product that is built on one of
    another premise which stays there."""
    known = (*residency.settings.premises, HUB)
    for contract in residency.contracts.values():
        for place, location in contract.leaves.places() if contract.leaves is not None else ():
            if place not in known:
                message = f"'{contract.id}' lets values leave to '{place}', which is no premise of mesh.yaml"
                yield Finding(location, "unknown-premise", message, suggest_name(place, known))
    if not residency.concerns:
        return
    for product in products.values():
        for port in product.inputs:
            read = residency.contracts.get(port.contract_id)
            if read is None or residency.premise_of(product.id) == residency.premise_of(read.id):
                continue
            policy = residency.policy(read)
            if policy.guarded:
                ruled = read.leaves.location if read.leaves is not None else read.location
                message = f"'{product.id}' of {residency.premise_of(product.id)} is built on all of '{read.id}'"
                message += f", of which only what a rule names leaves {policy.premise} ({ruled})"
                hint = f"build it at {policy.premise}; a narrative can have what may leave"
                yield Finding(port.location, RULE, message, hint)
