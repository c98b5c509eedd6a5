"""Expiry of old product versions that are no longer needed: snapshots, data files, and builds made from them.

A version is kept while readers see it, and while a release was made from it: only so can that release be rebuilt,
traced and exported. Who has to get rid of a row for good lets go of those too; the releases stay readable as they are.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storymesh.product.extracts import ExtractStore
from storymesh.product.publication_state import old_quarantines
from storymesh.product.publish import LOCK_WAIT_S
from storymesh.product.staging import open_staging
from storymesh.product.store import ProductStore, Snapshot
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import Release, list_releases
from storymesh.release.rewritten_records import prune_answers


@dataclass(frozen=True)
class ExpiryPlan:
    """The versions of one product that would be removed, and those that are kept.

    `kept`: version -> the releases made from it; `current`: the version that readers see. `lost`: releases that can no
    longer be rebuilt, traced or exported. `quarantined` are files of rows that were refused before the last run.
    """

    product: str
    snapshots: tuple[Snapshot, ...]
    kept: Mapping[str, tuple[Release, ...]]
    current: str
    lost: tuple[Release, ...]
    quarantined: tuple[Path, ...] = ()

    @property
    def is_due(self) -> bool:
        """True if anything would go."""
        return bool(self.snapshots or self.quarantined)


def plan_expiry(
    products: Iterable[str], warehouse: Warehouse, releases: Path, *, pinned: bool = False
) -> list[ExpiryPlan]:
    """Return for each product the versions that are neither current nor the source of a release.

    With `pinned`, those that releases were made from go too. Nothing is changed. A product that nobody has published is
    left out.
    """
    made_from: dict[tuple[str, str], list[Release]] = {}
    for release in list_releases(releases):
        members = release.manifest.cast.values()
        for product, version in {(member.product, member.product_version) for member in members}:
            made_from.setdefault((product, version), []).append(release)
    plans = []
    for product in products:
        product_store = ProductStore(warehouse, product.partition(".")[0])
        current = product_store.latest_snapshot(product)
        if current is None:
            continue
        expiring, kept, lost = [], {}, []
        for snapshot in product_store.list_snapshots(product):
            pinning = made_from.get((product, snapshot.version), [])
            if snapshot.version == current.version or (pinning and not pinned):
                kept[snapshot.version] = tuple(pinning)
            else:
                expiring.append(snapshot)
                lost += pinning
        refused = old_quarantines(product_store.folder, product.partition(".")[2])
        plans.append(ExpiryPlan(product, tuple(expiring), kept, current.version, tuple(lost), refused))
    return plans


def expire_snapshots(plans: Sequence[ExpiryPlan], warehouse: Warehouse, releases: Path) -> int:
    """Remove the snapshots, their files, and every build that may have been made from them. Returns how many builds.

    The answers of language models that no release needs go too; what is needed of those builds is made again. Raises
    PublishConflict when a product is being published, or was published since the plan was made.
    """
    removed: set[str] = set()
    for plan in plans:
        for path in plan.quarantined:
            path.unlink(missing_ok=True)
        if plan.snapshots:
            domain, _, name = plan.product.partition(".")
            schema = plan.snapshots[-1].schema
            with open_staging(ProductStore(warehouse, domain), name, schema, LOCK_WAIT_S) as staging:
                staging.remove_snapshots([snapshot.snapshot_id for snapshot in plan.snapshots])
            versions = {snapshot.version for snapshot in plan.snapshots}
            ExtractStore(warehouse.folder).remove(plan.product, versions)
            removed |= versions
    builds = [
        folder for folder in (warehouse.folder / "narratives").glob("*/*/") if removed and _may_pin(folder, removed)
    ]
    for folder in builds:
        shutil.rmtree(folder)
    if removed:
        prune_answers(warehouse.folder, releases, {plan.product for plan in plans if plan.snapshots})
    return len(builds)


def _may_pin(build: Path, versions: set[str]) -> bool:
    """Return True if the build pins one of the versions, or its pin file is unreadable."""
    try:
        pinned: dict[str, str] = json.loads((build / "pin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return not versions.isdisjoint(pinned.values())
