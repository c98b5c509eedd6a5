"""Rows that a product no longer has, such as those of files that were deleted: forgotten in every release at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storymesh.case.link import key_text
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.dataset.erasure_list import new_erasure_list, read_erasure_list, write_erasure_list
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import WrongUsage
from storymesh.lifecycle.erase import ErasurePlan, Succession, erase_row, plan_erasure, remove_affected_releases
from storymesh.product.store import ProductStore, Snapshot
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import Release


@dataclass(frozen=True)
class VanishedRows:
    """The rows of a product that an earlier version has and the current one has not. `plans` are of those that a
    release used, `unused` counts the others."""

    product: str
    plans: tuple[ErasurePlan, ...]
    unused: int


@dataclass(frozen=True)
class Vanishing:
    """What it takes to plan the erasure of rows of one product."""

    product: str
    contract: Contract
    warehouse: Warehouse
    releases: Path
    open_engine: OpenEngine
    contracts: Mapping[str, Contract]

    def plan(self) -> VanishedRows:
        """Find the rows that are gone, and every record that used one. Nothing is changed. Raises WrongUsage."""
        plans = [self._plan_row(key) for key in self._keys()]
        used = tuple(plan for plan in plans if plan.affected)
        return VanishedRows(self.product, used, len(plans) - len(used))

    def forget(self, rows: VanishedRows) -> Iterator[Succession]:
        """Put the rows on the erasure list, then write a successor of each release that used one.

        The first successor is without all of them. Raises StorymeshError when a release cannot be made again.
        """
        listed = read_erasure_list(self.warehouse.folder) or new_erasure_list()
        for plan in rows.plans:
            listed = listed.with_key(self.product, plan.key)
        write_erasure_list(self.warehouse.folder, listed)
        for plan in rows.plans:
            yield from erase_row(self._plan_row(plan.key), self.warehouse, self.open_engine, self.contracts)

    def remove_old(self, rows: VanishedRows) -> Iterator[Release]:
        """Remove every release that used one of the rows. To be called when their successors exist."""
        for plan in rows.plans:
            yield from remove_affected_releases(self._plan_row(plan.key), self.warehouse.folder, self.releases)

    def _plan_row(self, key: str) -> ErasurePlan:
        return plan_erasure(
            self.product,
            key,
            self.contract,
            self.warehouse,
            self.releases,
            self.open_engine,
            contracts=self.contracts,
        )

    def _keys(self) -> list[str]:
        """Return the keys of rows that earlier versions have and the current one has not."""
        if not self.contract.key:
            raise WrongUsage(f"the contract of '{self.product}' has no primary key, so none of its rows has a name")
        if self.contract.in_place is not None:
            words = f"the rows of '{self.product}' stay on '{self.contract.in_place}': which of them are gone, it knows"
            raise WrongUsage(words, "name the key of a row that is to be forgotten")
        domain, _, name = self.product.partition(".")
        snapshots = ProductStore(self.warehouse, domain).list_snapshots(name)
        if not snapshots:
            raise WrongUsage(f"nobody has published '{self.product}' yet", "storymesh run")
        *earlier, current = snapshots
        with self.open_engine(only=(self.warehouse.folder, self.warehouse.folder.resolve())) as engine:
            gone = self._keys_of(engine, earlier) - self._keys_of(engine, [current])
        return sorted(gone)

    def _keys_of(self, engine: Engine, snapshots: "list[Snapshot]") -> set[str]:
        keys: set[str] = set()
        for snapshot in snapshots:
            table = engine.read_parquet(snapshot.files, arrow_schema(self.contract))
            found = table.select(key=key_text([table[column] for column in self.contract.key])).distinct()
            keys.update(engine.fetch_table(found)["key"].drop_null().to_pylist())
        return keys
