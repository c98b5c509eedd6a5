"""What a product holds, for people to look at: some rows, its types and how often a value is missing; and the rows that
were quarantined, each with what was met and what was wanted. Restricted values are masked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.checks import Check, FitsType, checks_of
from storymesh.contract.definition import RESTRICTED, Contract, restricted_properties
from storymesh.contract.value_forms import ValueForms
from storymesh.engine.engine import Engine
from storymesh.errors import NotPublished
from storymesh.product.quarantine import FILE, LINE
from storymesh.product.store import ProductStore, Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir

REASONS = "reasons"

_NO_RULE = "a rule that the contract no longer has"
_UNREAD = "a file that can be read: storymesh files says more of it"


@dataclass(frozen=True)
class ColumnSummary:
    """A property of a product: its type in words, and the share of rows without a value (0 where there is no row)."""

    name: str
    type: str
    classification: str
    null_share: float


@dataclass(frozen=True)
class ProductSample:
    """A published version of a product, with its columns and its first rows."""

    snapshot: Snapshot
    columns: tuple[ColumnSummary, ...]
    sample: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class BrokenRule:
    """One reason why a row was quarantined: the values that it has, by property, and what the contract wants."""

    reason: str
    met: Mapping[str, Any]
    wanted: str


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was quarantined: its key, every rule of the contract that it breaks, and where it stands: a file below
    the domain's folder and a line or row of it (None: in no file, or nobody knows)."""

    key: Mapping[str, Any]
    broken: tuple[BrokenRule, ...]
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class QuarantineSample:
    """The rows of one quarantine file: when it was written (UTC), how many rows it has, and the first of them."""

    path: Path
    written_at: datetime
    rows: int
    sample: tuple[QuarantinedRow, ...]


def sample_product(
    engine: Engine, store: ProductStore, contract: Contract, version: str | None, limit: int
) -> ProductSample:
    """Return the current version of a product, or the one named, with its first `limit` rows. Raises NotPublished."""
    snapshot = store.find_snapshot(contract.name, version) if version else store.latest_snapshot(contract.name)
    if snapshot is None:
        raise NotPublished(f"'{contract.id}' was never published", "storymesh run publishes it")
    table = engine.read_parquet(snapshot.files, snapshot.schema)
    counts = {f"n{index}": table[name].isnull().sum() for index, name in enumerate(table.columns)}
    (nulls,) = engine.fetch_rows(table.aggregate(**counts))
    columns = [
        _summary(contract, name, (nulls[f"n{index}"] or 0) / max(snapshot.rows, 1))
        for index, name in enumerate(table.columns)
    ]
    return ProductSample(snapshot, tuple(columns), tuple(_masked_rows(engine, table.limit(limit), contract)))


def _summary(contract: Contract, name: str, null_share: float) -> ColumnSummary:
    item = contract.properties.get(name)
    if item is None:  # of a version whose contract was another
        return ColumnSummary(name, "no longer promised", "restricted", null_share)
    return ColumnSummary(name, str(item.type), item.classification, null_share)


def _masked_rows(engine: Engine, table: "ir.Table", contract: Contract) -> list[dict[str, Any]]:
    shown = set(contract.properties) - restricted_properties(contract)
    return [_mask_row(row, shown) for row in engine.fetch_rows(table)]


def _mask_row(row: Mapping[str, Any], shown: set[str]) -> dict[str, Any]:
    return {name: value if value is None or name in shown else RESTRICTED for name, value in row.items()}


def sample_quarantine(
    engine: Engine, store: ProductStore, contract: Contract, forms: ValueForms, limit: int
) -> QuarantineSample | None:
    """Return the rows that were quarantined last, or None where there are none. `forms` are those of the source."""
    files = sorted(
        (store.folder / "quarantine" / contract.name).glob("*.parquet"), key=lambda path: path.stat().st_mtime
    )
    if not files:
        return None
    table = engine.read_parquet(files[-1])
    wanted = {
        check.reason: (check.properties, _wanted(check, contract, forms))
        for check in checks_of(contract)
        if check.properties
    }
    shown = {*contract.properties, REASONS, FILE, LINE} - restricted_properties(contract)
    rows = [_mask_row(row, shown) for row in engine.fetch_rows(table.limit(limit))]
    written = datetime.fromtimestamp(files[-1].stat().st_mtime, UTC)
    count = int(engine.fetch_value(table.count()))
    return QuarantineSample(files[-1], written, count, tuple(_quarantined(row, contract, wanted) for row in rows))


def _wanted(check: Check, contract: Contract, forms: ValueForms) -> str:
    item = contract.properties[check.properties[0]]
    form = forms.of(*item.column_names).describe(item.type) if isinstance(check.test, FitsType) else ""
    return f"{check.words}, {form}" if form else check.words


def _quarantined(
    row: Mapping[str, Any], contract: Contract, wanted: Mapping[str, tuple[Sequence[str], str]]
) -> QuarantinedRow:
    broken = []
    for reason in row[REASONS] or ():
        properties, words = wanted.get(reason, ((), _UNREAD if reason.startswith("file: ") else _NO_RULE))
        broken.append(BrokenRule(reason, {name: row.get(name) for name in properties}, words))
    key = {name: row.get(name) for name in contract.key}
    return QuarantinedRow(key, tuple(broken), row.get(FILE), row.get(LINE))
