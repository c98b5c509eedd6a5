"""What the rules of a contract say of all rows of a source that is read here: staged aside, audited as any publication
is, and thrown away. Where the source tells a version of its rows, it is done once for each."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.contract.checks import CheckResult
from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.errors import AuditRefused
from storymesh.federation.source_rules import SourceAudit
from storymesh.product.definition import Product
from storymesh.product.publication import Publication, PublicationRefused
from storymesh.product.publish import publish
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa


def audit_source(
    product: Product,
    contract: Contract,
    open_rows: "Callable[[], pa.RecordBatchReader]",
    version: str | None,
    store: ProductStore,
    engine: Engine,
) -> SourceAudit:
    """Return what a contract says of the rows that `open_rows` gives: all of the product, in the contract's columns.

    Raises AuditRefused where they would not be published, and what reading them does.
    """
    known = store.folder / "in_place" / f"{product.name}.json"
    columns = ",".join(contract.properties)
    key = hashlib.sha256(f"{version} {contract.digest} {columns}".encode()).hexdigest()
    if version is not None and (before := _read(known, key)) is not None:
        return before
    with temporary_folder("rules") as folder:
        try:
            scratch = ProductStore(Warehouse(folder, None, None), product.domain)
            publication = publish(product, contract, open_rows(), scratch, engine, "rules")
        except PublicationRefused as refused:
            raise AuditRefused(refused.message, "nothing is fetched; mend the rows there, or the contract") from None
    audit = audit_of(publication)
    known.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(known, f'{{"{key}": {audit.model_dump_json()}}}\n')
    return audit


def audit_of(publication: Publication) -> SourceAudit:
    """Return what an audit of all rows of a product found."""
    return SourceAudit(
        rows=publication.rows_in, broken=dict(publication.quarantined), failed=tuple(_warnings(publication.checks))
    )


def _warnings(results: Sequence[CheckResult]) -> "list[str]":
    return [
        f"{result.words} ({_found(result)})" for result in results if result.severity == "warning" and not result.passed
    ]


def _found(result: CheckResult) -> str:
    return f"{result.failed_rows:,} rows break it" if result.failed_rows else f"found {result.observed}"


def _read(path: Path, key: str) -> SourceAudit | None:
    """Return what was found of the same rows before."""
    from pydantic import TypeAdapter

    try:
        known: Mapping[str, SourceAudit] = TypeAdapter(dict[str, SourceAudit]).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return known.get(key)
