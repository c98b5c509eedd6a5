"""dbt models as sources: a table or view of the product's name in the DuckDB file of the domain's dbt project, or on
its server."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine, TableNotFound
from storymesh.errors import EngineFailed, SourceUnreadable, suggest_name
from storymesh.federation.access import ServerAccess
from storymesh.federation.postgres import PostgresTable
from storymesh.federation.relation import Relation
from storymesh.product.dbt_model_server import ModelServer
from storymesh.product.definition import Product
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.bounds import FileState
from storymesh.product.sources.source import BATCH_ROWS, choose_columns

if TYPE_CHECKING:
    import pyarrow as pa

_RESOURCES = ("model", "seed", "snapshot")


def open_dbt_model(
    product: Product,
    contract: Contract,
    folder: Path,
    database: Path,
    engine: Engine,
    allowed: Collection[Path] | None,
    manifest: Mapping[str, Any] | None,
) -> "pa.RecordBatchReader":
    """Return the rows of the model in the file `database`; relative paths in a view mean `folder`, as in dbt.

    A view reads what is `allowed`; None: everything. `manifest` is dbt's, which says where the model stands now: dbt
    leaves what it made before in the file. Without one the table or view of the product's name is read.

    Raises SourceUnreadable, here or while rows are read.
    """
    message = f"'{product.id}' has no source, so its rows are the dbt model '{product.name}'"
    if not database.exists():
        raise SourceUnreadable(f"{message}, and the domain's dbt project was never built", "build it, or name a source")

    def unreadable(problem: str, hint: str = "") -> SourceUnreadable:
        return SourceUnreadable(f"the dbt model '{product.name}' of '{product.domain}': {problem}", hint)

    def choose(names: Sequence[str]) -> Sequence[str]:
        return choose_columns(names, contract, unreadable)

    schema, name = (None, product.name) if manifest is None else _relation(product, manifest, unreadable)
    try:
        state = FileState.settled(database)
        reader = engine.stream_database_table(database, name, folder, choose, BATCH_ROWS, only=allowed, schema=schema)
    except TableNotFound as error:
        hint = suggest_name(product.name, error.tables)
        raise SourceUnreadable(f"{message}, which dbt did not build", hint) from None
    except EngineFailed as error:
        raise SourceUnreadable(f"{message}: {database} cannot be opened: {error}", "is dbt still running?") from None
    except OSError as error:
        raise SourceUnreadable(f"{message}: {database} cannot be read: {error.strerror}") from None

    def require_same() -> None:
        if not database.exists() or FileState.of(database) != state:
            raise unreadable(f"{database} has changed while it was read", "run again once dbt has ended")

    def batches() -> "Iterator[pa.RecordBatch]":
        try:
            yield from reader
        except EngineFailed as error:
            require_same()
            raise unreadable(str(error)) from None
        require_same()

    return plain_columns(reader.schema, batches(), unreadable)


def open_served_model(
    product: Product,
    contract: Contract,
    place: ModelServer,
    access: ServerAccess,
    manifest: Mapping[str, Any] | None,
) -> "pa.RecordBatchReader":
    """Return the rows of the model on the server at which the domain's dbt made it, as dbt's `manifest` names it.

    Raises SourceUnreadable, ResourceUnavailable, here or while rows are read.
    """

    def unreadable(problem: str, hint: str = "") -> SourceUnreadable:
        return SourceUnreadable(f"the dbt model '{product.name}' of '{product.domain}': {problem}", hint)

    table = product.name if manifest is None else ".".join(_relation(product, manifest, unreadable))
    relation = Relation(place.opened(), table)
    rows = PostgresTable(relation, access).open_rows(lambda names: choose_columns(names, contract, relation.unreadable))
    return plain_columns(rows.schema, rows, relation.unreadable)


def _relation(
    product: Product, manifest: Mapping[str, Any], unreadable: Callable[[str, str], SourceUnreadable]
) -> tuple[str, str]:
    """Return schema and name of the table or view that dbt makes of the product's model."""
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in _RESOURCES]
    for node in nodes:
        if node["name"].lower() == product.name.lower():
            if node["config"].get("materialized") == "ephemeral":
                raise unreadable("it is ephemeral, so dbt makes no table of it", "materialize it as a table or a view")
            return node["schema"], node["alias"]
    disabled = (node for group in (manifest.get("disabled") or {}).values() for node in group)
    if any(node.get("name", "").lower() == product.name.lower() for node in disabled):
        raise unreadable("it is disabled, so dbt makes no table of it", "enable it, or name a source")
    raise unreadable("dbt knows no such model", suggest_name(product.name, [node["name"] for node in nodes]))
