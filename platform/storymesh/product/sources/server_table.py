"""The rows of tables of servers, as sources of products."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.federation.access import ServerAccess
from storymesh.federation.changes import ChangingTable
from storymesh.federation.files import FilesTable
from storymesh.federation.open import open_server_table
from storymesh.federation.relation import Relation
from storymesh.product.definition import Product
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.options import SourceOptions
from storymesh.product.sources.row_cache import RowCache
from storymesh.product.sources.server_relation import server_relation
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
    kept: RowCache | None,
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
