"""dbt models as sources: a table or view of the product's name in the DuckDB file of the domain's dbt project."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine, TableNotFound
from storymesh.errors import EngineFailed, SourceUnreadable, suggest_name
from storymesh.product.definition import Product
from storymesh.product.sources.source import BATCH_ROWS, choose_columns

if TYPE_CHECKING:
    import pyarrow as pa


def open_dbt_model(
    product: Product,
    contract: Contract,
    folder: Path,
    database: Path,
    engine: Engine,
    allowed: Collection[Path] | None,
) -> "pa.RecordBatchReader":
    """Return the rows of the model in the file `database`; relative paths in a view mean `folder`, as in dbt.

    A view reads what is `allowed`; None: everything.

    Raises SourceUnreadable, here or while rows are read.
    """
    import pyarrow as pa

    message = f"'{product.id}' has no source, so its rows are the dbt model '{product.name}'"
    if not database.exists():
        raise SourceUnreadable(f"{message}, and the domain's dbt project was never built", "build it, or name a source")

    def unreadable(problem: str, hint: str = "") -> SourceUnreadable:
        return SourceUnreadable(f"the dbt model '{product.name}' of '{product.domain}': {problem}", hint)

    def choose(names: Sequence[str]) -> Sequence[str]:
        return choose_columns(names, contract, unreadable)

    try:
        reader = engine.stream_database_table(database, product.name, folder, choose, BATCH_ROWS, only=allowed)
    except TableNotFound as error:
        hint = suggest_name(product.name, error.tables)
        raise SourceUnreadable(f"{message}, which dbt did not build", hint) from None
    except EngineFailed as error:
        raise SourceUnreadable(f"{message}: {database} cannot be opened: {error}", "is dbt still running?") from None

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except EngineFailed as error:
            raise unreadable(str(error)) from None

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
