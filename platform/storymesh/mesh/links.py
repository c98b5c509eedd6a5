"""The links between definitions: every name in one file of something in another exists, and products form no circle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storymesh.contract.definition import Contract, Relationship
from storymesh.contract.read import ContractFile
from storymesh.document import Document
from storymesh.errors import Finding, suggest_name
from storymesh.language.static_values import comparable
from storymesh.mesh.ports import port_findings
from storymesh.mesh.residency import Residency, premise_findings
from storymesh.mesh.settings import Domain, Settings
from storymesh.narrative.definition import Narrative
from storymesh.product.definition import Product


@dataclass(frozen=True)
class LinkCheck:
    """The definitions of a mesh, to be checked for links that lead nowhere."""

    settings: Settings
    domains: Mapping[str, Domain]
    domain_documents: Mapping[str, Document]
    contracts: Mapping[str, Contract]
    contract_files: Mapping[str, ContractFile]
    products: Mapping[str, Product]
    narratives: Mapping[str, Narrative]

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each link that leads nowhere, and for each circle of products."""
        for name, domain in self.domains.items():
            if domain.premise not in self.settings.premises:
                message = f"the premise '{domain.premise}' is not among mesh.yaml's premises"
                hint = suggest_name(domain.premise, self.settings.premises)
                yield self.domain_documents[name].finding(["premise"], "unknown-name", message, hint)
        for product in self.products.values():
            yield from self._product_findings(product)
        yield from premise_findings(Residency(self.settings, self.domains, self.contracts), self.products)
        for contract in self.contracts.values():
            yield from self._contract_findings(contract)
        for narrative in self.narratives.values():
            yield from self._narrative_findings(narrative)
        yield from self._circles()

    def _product_findings(self, product: Product) -> Iterator[Finding]:
        document = product.document
        if product.domain not in self.domains:
            message = f"the domain '{product.domain}' has no domain.yaml"
            yield document.finding(["id"], "unknown-name", message, suggest_name(product.domain, self.domains))
        if product.id not in self.contracts:
            message = f"the product '{product.id}' has no contract"
            hint = f"write contracts/{product.id.replace('.', '/')}.odcs.yaml"
            yield document.finding(["id"], "missing-contract", message, hint)
        yield from port_findings(product, self.products, self.contracts, self.contract_files)

    def _contract_findings(self, contract: Contract) -> Iterator[Finding]:
        if contract.id not in self.products:
            message = f"nobody publishes '{contract.id}'"
            hint = f"write domains/{contract.domain}/products/{contract.name}.odps.yaml"
            yield contract.document.finding(["id"], "missing-product", message, hint)
        for relationship in contract.relationships:
            target = relationship.to_contract
            parent = self.contracts.get(target)
            if parent is None:
                message = f"the relationship leads to '{target}', which has no contract, so nothing is linked by it"
                hint = suggest_name(target, self.contracts)
                yield Finding(relationship.location, "unknown-name", message, hint, "warning")
                continue
            for column in relationship.to_columns:
                if parent.property_at(column) is None:
                    message = f"'{target}' has no property '{column}'"
                    hint = suggest_name(column, parent.properties)
                    yield Finding(relationship.location, "unknown-name", message, hint)
            yield from _type_findings(contract, relationship, parent)

    def _narrative_findings(self, narrative: Narrative) -> Iterator[Finding]:
        for role, member in narrative.cast.items():
            product, step = member.product, ["cast", role]
            if product not in self.products:
                message = f"nobody publishes the product '{product}'"
                hint = suggest_name(product, self.products)
                yield narrative.document.finding(step, "unknown-name", message, hint)
            elif (contract := self.contracts.get(product)) is not None and contract.major != member.major:
                message = f"'{product}' is at version {contract.version}, the cast wants major version {member.major}"
                hint = "follow the contract's change"
                if member.major < contract.major:
                    hint += f", or have the owner keep the old version as '{member.kept_as}'"
                yield narrative.document.finding(step, "wrong-version", message, hint)

    def _circles(self) -> Iterator[Finding]:
        done: set[str] = set()

        def visit(product: str, path: tuple[str, ...]) -> Iterator[Finding]:
            if product in path:
                circle = " -> ".join((*path[path.index(product) :], product))
                message = f"products are built on each other in a circle: {circle}"
                yield Finding(self.products[product].inputs[0].location, "circle", message)
                done.update(path)
            elif product in self.products and product not in done:
                for port in self.products[product].inputs:
                    yield from visit(port.contract_id, (*path, product))
                done.add(product)

        for product in self.products:
            yield from visit(product, ())


def _type_findings(contract: Contract, relationship: Relationship, parent: Contract) -> Iterator[Finding]:
    """Yield a warning for each pair of columns of a relationship whose values never equal each other."""
    for name, column in zip(relationship.columns, relationship.to_columns, strict=False):
        own, other = contract.properties.get(name), parent.property_at(column)
        if own is not None and other is not None and not comparable(own.type, other.type, "=="):
            message = (
                f"'{name}' is {own.type} and '{parent.id}.{other.name}' is {other.type}: they never equal each other"
            )
            yield Finding(relationship.location, "relationship", message, "give both the same logicalType", "warning")
