"""Tables of servers as sources: which one a product means, and its rows."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.errors import Finding, SourceUnreadable, suggest_name
from storymesh.federation.access import ServerAccess
from storymesh.federation.changes import ChangingTable
from storymesh.federation.files import FilesTable
from storymesh.federation.open import open_server_table
from storymesh.federation.relation import Relation
from storymesh.federation.server import DATABASES, servers_of, unread_type, unset_findings
from storymesh.product.definition import Product
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.kept_rows import KeptRows
from storymesh.product.sources.options import SourceOptions
from storymesh.product.sources.source import choose_columns
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa


def open_server_rows(
    product: Product,
    contract: Contract,
    access: ServerAccess,
    engine: Engine,
    open_files: "Callable[[Sequence[Path], SourceOptions], pa.RecordBatchReader]",
    kept: KeptRows | None = None,
) -> "pa.RecordBatchReader":
    """Return the rows of the table, query or files that the source of a product names, a batch at a time.

    `open_files` opens files of texts, once they are on this machine; `kept` are the rows as they were read last.
    Raises SourceUnreadable, ResourceUnavailable, here or while rows are read.
    """
    relation = server_relation(product, contract)
    table = open_server_table(relation, access, engine)
    if isinstance(table, FilesTable) and table.format in ("csv", "jsonl"):
        return _text_rows(table, relation, product.layout, open_files)

    def choose(names: "Sequence[str]") -> "Sequence[str]":
        return choose_columns(names, contract, relation.unreadable)

    if kept is not None and isinstance(table, ChangingTable) and _tells_changes(product, contract):
        rows = kept.open(table, relation, contract, choose, engine)
    else:
        rows = table.open_rows(choose)
    return plain_columns(rows.schema, rows, relation.unreadable)


def _tells_changes(product: Product, contract: Contract) -> bool:
    """Return True if a contract or source says how it shows which rows of a table have changed."""
    if contract.changed_at is not None:
        return bool(contract.key)
    return product.layout.changes == "months" and contract.event_time is not None


def _text_rows(
    table: FilesTable,
    relation: Relation,
    layout: SourceOptions,
    open_files: "Callable[[Sequence[Path], SourceOptions], pa.RecordBatchReader]",
) -> "pa.RecordBatchReader":
    """Return the rows of files of texts, read as any raw file is; those of a bucket are fetched before."""
    import pyarrow as pa

    server = relation.server
    said = {"format": table.format, "encoding": server.field("encoding"), "delimiter": server.field("delimiter")}
    fields = layout.model_dump(by_alias=True, exclude_unset=True)
    given = {name: value for name, value in said.items() if value is not None and name not in fields}
    options = SourceOptions.model_validate({**fields, **given})
    with ExitStack() as stack:
        paths = table.local_copies(stack.enter_context(temporary_folder("files")))
        rows = open_files(paths, options)
        closing = stack.pop_all()

    def batches() -> "Iterator[pa.RecordBatch]":
        with closing:
            yield from rows

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def server_version(product: Product, contract: Contract, access: ServerAccess) -> str | None:
    """Return what the rows of a product are known by at their server without reading them; None: nothing says.

    Raises SourceUnreadable, ResourceUnavailable.
    """
    relation = server_relation(product, contract)
    changed_at = contract.properties[contract.changed_at].column_names[0] if contract.changed_at else None
    table = open_server_table(relation, access, None)
    if changed_at is None and isinstance(table, ChangingTable) and _tells_changes(product, contract):
        place = list(contract.properties).index(contract.event_time or "")
        months = table.months(lambda names: choose_columns(names, contract, relation.unreadable), place)
        version: str | None = " ".join(f"{month} {text}" for month, text in sorted(months.items()))
    else:
        version = table.version(changed_at)
    return None if version is None else f"{relation.server.place} {relation.table} {relation.query} {version}"


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


def server_table_findings(product: Product, contract: Contract) -> "Iterator[Finding]":
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
