"""Which table, query or files of which server the source of a product means, and what is wrong with that."""

from collections.abc import Iterator
from typing import Any

from storymesh.contract.definition import Contract
from storymesh.errors import Finding, SourceUnreadable, suggest_name
from storymesh.federation.relation import Relation
from storymesh.federation.server import DATABASES, servers_of, unread_type, unset_findings
from storymesh.product.definition import Product


def server_relation(product: Product, contract: Contract) -> Relation:
    """Return what a product reads of which server of its contract. Raises SourceUnreadable for one that is not there.

    A table that is not named is the one that the contract's schema object is called where it comes from.
    """
    layout, servers = product.layout, servers_of(contract)
    assert layout.server is not None
    if layout.server not in servers:
        message, hint = _unknown_server(product, contract)
        raise SourceUnreadable(f"{product.source_location}: {message}", hint)
    server = servers[layout.server]
    table = layout.table
    if table is None and layout.query is None and (server.kind in DATABASES or server.kind == "iceberg"):
        table = _physical_name(contract) or contract.name
    return Relation(server, table, layout.query)


def server_table_findings(product: Product, contract: Contract) -> Iterator[Finding]:
    """Yield what is wrong with the server that a product's source names, without connecting to it."""
    try:
        relation = server_relation(product, contract)
    except SourceUnreadable:
        message, hint = _unknown_server(product, contract)
        yield Finding(product.source_location, "unknown-server", message, hint)
        return
    server = relation.server
    if server.kind is None:
        message, hint = unread_type(server)
        yield Finding(server.location or product.source_location, "server-type", message, hint)
    elif relation.query is not None and server.kind not in DATABASES:
        message = f"a query is run by a database, and the server '{server.name}' is {server.type}"
        yield Finding(product.source_location, "server-type", message, "name its files, or a dbt model over them")
    yield from unset_findings(contract, server)


def _unknown_server(product: Product, contract: Contract) -> tuple[str, str]:
    servers = servers_of(contract)
    message = f"source names the server '{product.layout.server}', which {contract.document.path} does not have"
    hint = suggest_name(product.layout.server or "", servers)
    return message, hint if servers else "add it: servers: [{server: …, type: postgresql, host: …}]"


def _physical_name(contract: Contract) -> str | None:
    """Return what the schema object of a contract is called where it comes from."""
    return _schema_object(contract).get("physicalName") or None


def _schema_object(contract: Contract) -> dict[str, Any]:
    objects: list[dict[str, Any]] = contract.document.value["schema"]
    return next((item for item in objects if item["name"] == contract.name), objects[0])
