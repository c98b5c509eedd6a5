"""Where the products of a mesh are, where its cases are made, and which rules govern egress from each premise.

Nothing is read for that. What the rules do not allow is a finding at the line that needs it
(`mesh/residency_findings.py`); the gate of the premise refuses it once more, when rows are to leave.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from storymesh.contract.definition import Contract
from storymesh.contract.egress_rules import HUB, Form, Residence
from storymesh.errors import Finding, suggest_name
from storymesh.federation.link_prices import ALIKE, LinkPrices
from storymesh.federation.policy import EgressPolicy
from storymesh.mesh.premises import Premise
from storymesh.mesh.settings import Domain, Settings
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

    def policy(self, contract: Contract) -> EgressPolicy:
        """Return the policy of a product."""
        return EgressPolicy.of(contract, self.premise_of(contract.id), guarded=self.guard(contract.id).guarded)

    def is_elsewhere(self, product: str, narrative: str) -> bool:
        """Return True if a product is at another premise than the cases of a narrative."""
        return self.concerns and self.premise_of(product) != self.home_of(narrative)

    def link_prices(self, product: str, narrative: str) -> LinkPrices:
        """Return what it costs to move rows of a product to where the cases of a narrative are made, and keys back."""
        if not self.is_elsewhere(product, narrative):
            return ALIKE
        there, here = (self.settings.premises[name] for name in (self.premise_of(product), self.home_of(narrative)))
        return LinkPrices(rows=there.link.price, keys=here.link.price)

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
