"""A narrative added to a mesh: drafted from its contracts, with its splits where the rows of the anchor can be read."""

from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

from storymesh.contract.cast import plan_cast
from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError
from storymesh.files.definition import is_files_source
from storymesh.mesh.mesh import Mesh
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.scaffold.narrative import NarrativeDraft, draft_narrative, narrative_files
from storymesh.scaffold.new_files import NewFiles

if TYPE_CHECKING:
    import ibis.expr.types as ir

TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.15
LICENSE = "other"


def add_narrative(mesh: Mesh, anchor: str, id_: str | None, license_: str | None) -> tuple[NarrativeDraft, NewFiles]:
    """Write a narrative with one case for each row of the product `anchor`; return what was guessed, and the files.

    Raises WrongUsage, and then nothing is written.
    """
    draft = draft_narrative(mesh, anchor, id_)
    contract = draft.anchor.contract
    owner = mesh.domains[contract.domain].owner
    files = narrative_files(draft, owner, license_ or LICENSE, _guess_split(mesh, contract))
    files.write(mesh.root)
    return draft, files


def _guess_split(mesh: Mesh, contract: Contract) -> dict[str, str] | None:
    """Return the days on which validation and test begin, so that most rows are before; None where nobody knows."""
    with suppress(StorymeshError), mesh.open_engine() as engine:
        moments = _moments(engine, mesh, contract)
        if moments is None:
            return None
        seconds = moments["moment"].cast("timestamp").epoch_seconds()
        shares = [TRAIN_SHARE, TRAIN_SHARE + VALIDATION_SHARE]
        (row,) = engine.fetch_rows(
            moments.aggregate(validation=seconds.quantile(shares[0]), test=seconds.quantile(shares[1]))
        )
        if row["validation"] is not None:
            first = date(1970, 1, 1)
            days = {name: first + timedelta(days=value // 86_400) for name, value in row.items()}
            return {name: day.isoformat() for name, day in days.items()} if days["validation"] < days["test"] else None
    return None


def _moments(engine: Engine, mesh: Mesh, contract: Contract) -> "ir.Table | None":
    """Return the moments of a product's rows as a column `moment`: as it is published, or else as its file has them."""
    assert contract.event_time is not None
    product = mesh.product(contract.id)
    residence = contract.residence
    if residence is not None and residence.guarded and residence.is_elsewhere:
        return None  # of a premise that keeps its values nothing is guessed from rows
    latest = ProductStore(mesh.warehouse, product.domain).latest_snapshot(product.name)
    if latest is not None:
        rows = engine.read_parquet(latest.files, latest.schema)
        return rows.select(moment=rows[contract.event_time])
    if product.source is None or is_files_source(product.source):
        return None
    folder = mesh.domain_folder(product.domain)
    reader = open_product_rows(product, contract, folder, folder, engine)
    columns = dict(zip(contract.properties, reader.schema.names, strict=True))
    plan = plan_cast(contract, reader.schema, columns, product.layout.forms)
    rows = plan.select(engine.materialize(reader, reader.schema))
    return rows.select(moment=rows[contract.event_time])
