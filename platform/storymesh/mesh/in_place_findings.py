"""What does not go together with rows that stay where they are: other sources, products built on them, rules of all."""

from collections.abc import Iterator

from storymesh.contract.checks import rule_columns
from storymesh.contract.definition import Contract
from storymesh.errors import Finding
from storymesh.federation.server import servers_of
from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.definition import Product

RULE = "not-pushable"
_SELECTIVE = ("postgresql", "iceberg", "files")


def in_place_findings(mesh: Mesh) -> list[Finding]:
    """Return what is wrong with the products of a mesh that stay where they are, and with what is built on them."""
    found: list[Finding] = []
    for product in mesh.products.values():
        contract = mesh.contracts.get(product.id)
        if contract is not None and contract.in_place is not None:
            found += _source_findings(product, contract, contract.in_place)
            found += _rule_findings(contract)
            found += _server_findings(contract, contract.in_place)
        found += _input_findings(mesh, product)
    return found


def unheld_findings(mesh: Mesh, typed: TypedNarrative) -> Iterator[Finding]:
    """Yield a warning for each rule about rows that the extract of a role is not held to: its columns may not leave."""
    if any(member.product not in mesh.products for member in typed.narrative.cast.values()):
        return  # said where it is cast
    roles = RolesInPlace(mesh, typed)
    for role, product in roles.roles.items():
        for rule, missing in roles.unheld_rules(role):
            names = " and ".join(f"'{name}'" for name in missing)
            words = (
                f"'{rule.name}' of '{product}' reads {names}, which no rule lets '{typed.narrative.id}' have as it is: "
            )
            words += f"the rows that '{role}' fetches are not held to it"
            hint = "have the database hold it, or let these columns leave for that"
            yield Finding(rule.location, RULE, words, hint, "warning")


def _source_findings(product: Product, contract: Contract, server: str) -> Iterator[Finding]:
    named = product.source if product.source is not None else product.layout.server
    if product.source is not None or named != server:
        words = f"the rows of '{product.id}' stay on '{server}', as {contract.document.path} says, and source names "
        words += f"'{named}'"
        yield Finding(product.source_location, "two-sources", words, "leave one of the two away")


def _rule_findings(contract: Contract) -> Iterator[Finding]:
    for rule in (*contract.quality, *(rule for item in contract.properties.values() for rule in item.quality)):
        if not rule_columns(rule, contract):
            words = (
                f"'{rule.name}' is about all rows of '{contract.id}', which stay on '{contract.in_place}': it is not "
            )
            words += "held against the part that a narrative fetches"
            yield Finding(rule.location, RULE, words, "have the database hold it, or copy the product", "warning")


def _server_findings(contract: Contract, name: str) -> Iterator[Finding]:
    server = servers_of(contract).get(name)
    if server is None or server.kind is None:
        return  # said where it is named
    if server.kind not in _SELECTIVE or server.fields.get("format") in ("csv", "json"):
        words = f"the server '{name}' ({server.type}) is asked for every row of '{contract.id}', whatever cases link"
        hint = "PostgreSQL, Parquet, Delta and Iceberg give the rows that are wanted"
        yield Finding(server.location or contract.location, RULE, words, hint, "warning")


def _input_findings(mesh: Mesh, product: Product) -> Iterator[Finding]:
    for port in product.inputs:
        other = mesh.products.get(port.contract_id)
        if other is not None and other.in_place:
            words = f"'{product.id}' is built on '{other.id}', whose rows stay where they are"
            hint = "have narratives link it, or copy it: leave `inPlace` out of its contract"
            yield Finding(port.location, "in-place", words, hint)
