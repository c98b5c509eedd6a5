"""Old versions of products that nobody needs any more, and the end of them: snapshots, data files, and what narratives
made of them in the store.

A version stays while readers see it, and while a release was cut from it: only so can that release be made again,
traced and exported. Who has to be rid of a row for good lets go of those too; the releases stay readable as they are.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storymesh.product.publish import LOCK_WAIT_S
from storymesh.product.staging import open_staging
from storymesh.product.store import ProductStore, Snapshot
from storymesh.product.warehouse import Warehouse
from storymesh.release.manifest import Release, list_releases, read_lock
from storymesh.release.rewritten_records import prune_answers


@dataclass(frozen=True)
class Expiring:
    """What would go of one product, and what stays: `kept` are versions with the releases that were cut from them;
    `current`: the one that readers see. `lost`: releases that can no longer be made again, traced or exported."""

    product: str
    snapshots: tuple[Snapshot, ...]
    kept: Mapping[str, tuple[Release, ...]]
    current: str
    lost: tuple[Release, ...]


def find_expiring(
    products: Iterable[str], warehouse: Warehouse, releases: Path, *, pinned: bool = False
) -> list[Expiring]:
    """The versions of each product that neither readers see nor, unless `pinned` goes too, a release was cut from.
    Nothing is changed. A product that nobody has published is left out."""
    cut_from: dict[tuple[str, str], list[Release]] = {}
    for release in list_releases(releases):
        members = read_lock(release.path)["cast"].values()
        for product, version in {(member["product"], member["product_version"]) for member in members}:
            cut_from.setdefault((product, version), []).append(release)
    found = []
    for product in products:
        holding = ProductStore(warehouse, product.partition(".")[0])
        current = holding.latest_snapshot(product)
        if current is None:
            continue
        goes, kept, lost = [], {}, []
        for snapshot in holding.list_snapshots(product):
            named = cut_from.get((product, snapshot.version), [])
            if snapshot.version == current.version or (named and not pinned):
                kept[snapshot.version] = tuple(named)
            else:
                goes.append(snapshot)
                lost += named
        found.append(Expiring(product, tuple(goes), kept, current.version, tuple(lost)))
    return found


def expire(found: Sequence[Expiring], warehouse: Warehouse, releases: Path) -> int:
    """Remove the snapshots, their files, and every build of a narrative that may have been made from them, with the
    answers of its narrators that no release stands on; what is wanted of those is made again. Returns how many builds
    went.

    Raises PublishConflict when a product is being published, or was published since they were found.
    """
    gone: set[str] = set()
    for one in found:
        if one.snapshots:
            domain, _, name = one.product.partition(".")
            schema = one.snapshots[-1].schema
            with open_staging(ProductStore(warehouse, domain), name, schema, LOCK_WAIT_S) as staging:
                staging.remove_snapshots([snapshot.snapshot_id for snapshot in one.snapshots])
            gone |= {snapshot.version for snapshot in one.snapshots}
    builds = [folder for folder in (warehouse.folder / "narratives").glob("*/*/") if gone and _may_hold(folder, gone)]
    for folder in builds:
        shutil.rmtree(folder)
    if gone:
        prune_answers(warehouse.folder, releases, {one.product for one in found if one.snapshots})
    return len(builds)


def _may_hold(build: Path, versions: set[str]) -> bool:
    """Whether a build was made from one of these versions; of one that does not say, nobody knows."""
    try:
        pinned: dict[str, str] = json.loads((build / "pin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return not versions.isdisjoint(pinned.values())
