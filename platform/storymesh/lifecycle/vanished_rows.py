"""Rows that a product no longer has, such as those of deleted files, erased from every release together."""

from collections.abc import Sequence
from dataclasses import dataclass

from storymesh.case.link import key_text
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.errors import WrongUsage
from storymesh.lifecycle.erase import Erasure, ErasurePlan
from storymesh.product.store import ProductStore, Snapshot


@dataclass(frozen=True)
class VanishedRows:
    """The rows of a product that an earlier version has and the current one has not. `plans` are of those that a
    release used, `unused` counts the others."""

    product: str
    plans: tuple[ErasurePlan, ...]
    unused: int


def plan_vanished(erasure: Erasure, product: str) -> VanishedRows:
    """Find the vanished rows and every record that used one, without changing anything. Raises WrongUsage."""
    plans = [erasure.plan(product, key) for key in _vanished_keys(erasure, product)]
    used = tuple(plan for plan in plans if plan.affected)
    return VanishedRows(product, used, len(plans) - len(used))


def _vanished_keys(erasure: Erasure, product: str) -> list[str]:
    """Return the keys of rows that earlier versions have and the current one has not."""
    contract, folder = erasure.contracts[product], erasure.warehouse.folder
    if not contract.key:
        raise WrongUsage(f"the contract of '{product}' has no primary key, so none of its rows has a name")
    if contract.in_place is not None:
        words = f"the rows of '{product}' stay on '{contract.in_place}': which of them are gone, it knows"
        raise WrongUsage(words, "name the key of a row that is to be forgotten")
    snapshots = ProductStore(erasure.warehouse, product.partition(".")[0]).list_snapshots(product)
    if not snapshots:
        raise WrongUsage(f"nobody has published '{product}' yet", "storymesh run")
    *earlier, current = snapshots
    with erasure.open_engine(only=(folder, folder.resolve())) as engine:
        gone = _keys_of(engine, contract, earlier) - _keys_of(engine, contract, [current])
    return sorted(gone)


def _keys_of(engine: Engine, contract: Contract, snapshots: Sequence[Snapshot]) -> set[str]:
    keys: set[str] = set()
    for snapshot in snapshots:
        table = engine.read_parquet(snapshot.files, arrow_schema(contract))
        found = table.select(key=key_text([table[column] for column in contract.key])).distinct()
        keys.update(engine.fetch_table(found)["key"].drop_null().to_pylist())
    return keys
