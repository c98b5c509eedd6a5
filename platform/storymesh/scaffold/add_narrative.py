"""A narrative added to a mesh: drafted from its contracts, with its splits where the rows of the anchor can be read."""

from contextlib import suppress
from datetime import date, timedelta

from storymesh.contract.definition import Contract
from storymesh.errors import StorymeshError
from storymesh.mesh.mesh import Mesh
from storymesh.scaffold.narrative import NarrativeDraft, draft_narrative, narrative_files
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.product_rows import ProductRows

TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.15
LICENSE = "other"


def add_narrative(mesh: Mesh, anchor: str, id_: str | None, license_: str | None) -> tuple[NarrativeDraft, NewFiles]:
    """Write a narrative with one case for each row of the product `anchor`; return what was guessed, and the files.

    Raises WrongUsage, and then nothing is written.
    """
    with ProductRows.of(mesh) as rows:
        draft = draft_narrative(mesh, rows, anchor, id_)
        contract = draft.anchor.contract
        owner = mesh.domains[contract.domain].owner
        files = narrative_files(draft, owner, license_ or LICENSE, _guess_split(rows, contract))
    files.write(mesh.root)
    return draft, files


def _guess_split(rows: ProductRows, contract: Contract) -> dict[str, str] | None:
    """Return the days on which validation and test begin, so that most rows are before; None where nobody knows."""
    table = rows.read(contract)
    if table is None or rows.engine is None or contract.event_time is None:
        return None
    with suppress(StorymeshError):
        moments = table.select(moment=table[contract.event_time])
        seconds = moments["moment"].cast("timestamp").epoch_seconds()
        shares = [TRAIN_SHARE, TRAIN_SHARE + VALIDATION_SHARE]
        (row,) = rows.engine.fetch_rows(
            moments.aggregate(validation=seconds.quantile(shares[0]), test=seconds.quantile(shares[1]))
        )
        if row["validation"] is not None:
            first = date(1970, 1, 1)
            days = {name: first + timedelta(days=value // 86_400) for name, value in row.items()}
            return {name: day.isoformat() for name, day in days.items()} if days["validation"] < days["test"] else None
    return None
