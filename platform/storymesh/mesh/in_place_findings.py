"""Findings about products in place: conflicting sources, products built on them, and rules that nobody can check."""

from collections.abc import Iterator

from storymesh.contract.checks import FitsType, checks_of
from storymesh.contract.definition import Contract
from storymesh.errors import Finding
from storymesh.federation.server import Server, servers_of
from storymesh.federation.source_rules import pushdown_fault
from storymesh.location import Location
from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.in_place_rules import RoleRules
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.definition import Product

RULE = "not-pushable"
_HELD = "have the database hold it, or copy the product"
_SELECTIVE = ("postgresql", "iceberg", "files")


def in_place_findings(mesh: Mesh) -> list[Finding]:
    """Return what is wrong with the products of a mesh that stay where they are, and with what is built on them."""
    found: list[Finding] = []
    for product in mesh.products.values():
        contract = mesh.contracts.get(product.id)
        if contract is not None and contract.in_place is not None:
            found += _source_findings(product, contract, contract.in_place)
            server = servers_of(contract).get(contract.in_place)
            if server is not None and server.kind is not None:  # else it is said where it is named
                found += [*_rule_findings(contract, server), *_server_findings(contract, server)]
        found += _input_findings(mesh, product)
    return found


def unheld_findings(mesh: Mesh, typed: TypedNarrative) -> Iterator[Finding]:
    """Yield a warning for each rule of a role in place that nobody holds: its columns may not leave, not in figures."""
    if any(member.product not in mesh.products for member in typed.narrative.cast.values()):
        return  # said where it is cast
    for role, product in RolesInPlace(mesh, typed).roles.items():
        rules = RoleRules(mesh, typed, role)
        found: dict[tuple[Location, tuple[str, ...]], list[str]] = {}
        for check, missing in rules.unheld():
            if missing:
                found.setdefault((check.location, tuple(missing)), []).append(f"'{check.name}'")
        for (place, closed), names in found.items():
            columns = " and ".join(f"'{name}'" for name in closed)
            words = f"{' and '.join(dict.fromkeys(names))} of '{product}' reads {columns}, of which no rule lets "
            words += f"'{typed.narrative.id}' know enough: the rows of '{role}' are not held to it"
            hint = "have the database hold it, or let these columns leave for that"
            yield Finding(place, RULE, words, hint, "warning")


def _source_findings(product: Product, contract: Contract, server: str) -> Iterator[Finding]:
    named = product.source if product.source is not None else product.layout.server
    if product.source is not None or named != server:
        words = f"the rows of '{product.id}' stay on '{server}', as {contract.document.path} says, and source names "
        words += f"'{named}'"
        yield Finding(product.source_location, "two-sources", words, "leave one of the two away")


def _rule_findings(contract: Contract, server: Server) -> Iterator[Finding]:
    """Yield a warning for each rule that nobody can hold for all rows where they are."""
    of_properties: dict[str, None] = {}
    for check in checks_of(contract):
        fault = pushdown_fault(check, contract) if server.holds_rules == "there" else "it would read all of its files"
        quality = check.location not in {item.location for item in contract.properties.values()}
        if server.holds_rules == "here" or fault is None or isinstance(check.test, FitsType):
            continue
        if check.kind == "row" and quality and check.name != "primaryKey":
            continue  # its columns are fetched for it
        if check.kind == "row":
            of_properties |= dict.fromkeys(check.properties)
            continue
        words = f"'{check.name}' is about all rows of '{contract.id}', which stay on '{server.name}': it is not held, "
        yield Finding(check.location, RULE, f"{words}since {fault}", _HELD, "warning")
    if of_properties:
        names = ", ".join(f"'{name}'" for name in of_properties)
        words = f"what '{contract.id}' says of {names} is held of the rows and columns that a narrative fetches"
        yield Finding(server.location or contract.location, RULE, words, _HELD, "warning")


def _server_findings(contract: Contract, server: Server) -> Iterator[Finding]:
    if server.kind not in _SELECTIVE or server.fields.get("format") in ("csv", "json"):
        words = (
            f"the server '{server.name}' ({server.type}) is asked for every row of '{contract.id}', whatever cases link"
        )
        hint = "PostgreSQL, Parquet, Delta and Iceberg give the rows that are wanted"
        yield Finding(server.location or contract.location, RULE, words, hint, "warning")


def _input_findings(mesh: Mesh, product: Product) -> Iterator[Finding]:
    for port in product.inputs:
        other = mesh.products.get(port.contract_id)
        if other is not None and other.in_place:
            words = f"'{product.id}' is built on '{other.id}', whose rows stay where they are"
            hint = "have narratives link it, or copy it: leave `inPlace` out of its contract"
            yield Finding(port.location, "in-place", words, hint)
