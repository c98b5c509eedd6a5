"""Old versions of products end for good: nothing of the store says any more what only they held, and what was cut from
them says so in words."""

import re
import shutil
from pathlib import Path

import pytest

from storymesh.errors import PublishConflict
from storymesh.lifecycle.expire import expire_snapshots, plan_expiry
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import find_release
from tests.support.planted import files_with
from tests.support.release_meshes import publish_all, release_all, storymesh

TRUCKS = "domains/fleet/sources/trucks.csv"
PLANTED = "Aaron Aaronson"  # the first of all drivers, which Iceberg notes of a file unless it is told not to
TRUCK = "T00"


def forgotten(moved: Mesh) -> Mesh:
    """The mesh when a truck with a driver of its own was told, then forgotten, and removed at its source."""
    source = moved.root / TRUCKS
    lines = source.read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("driver")
    at = next(number for number, line in enumerate(lines) if line.startswith(f"{TRUCK},"))
    cells = lines[at].split(",")
    planted = ",".join([*cells[:place], PLANTED, *cells[place + 1 :]])
    source.write_text("\n".join([*lines[:at], planted, *lines[at + 1 :]]) + "\n", encoding="utf-8")
    mesh = load_mesh(moved.root)
    publish_all(mesh, "fleet.trucks")
    release_all(mesh)
    assert {path.suffix for path in files_with(mesh.store, PLANTED)} == {".parquet"}, "not in Iceberg's manifests"
    code, out, err = storymesh(
        mesh.root, "forget", "--product", "fleet.trucks", "--key", TRUCK, "--yes", "--remove-old"
    )
    assert code == 0, err
    assert "old versions of fleet.trucks keep the row until they expire: storymesh expire fleet.trucks" in out
    source.write_text("\n".join([*lines[:at], *lines[at + 1 :]]) + "\n", encoding="utf-8")
    publish_all(mesh, "fleet.trucks")
    return mesh


def test_no_file_of_the_store_holds_what_was_forgotten(moved: Mesh, tmp_path: Path) -> None:
    mesh = forgotten(moved)
    store = ProductStore(mesh.warehouse, "fleet")
    before = store.list_snapshots("fleet.trucks")
    assert len(before) == 4
    code, out, err = storymesh(mesh.root, "expire", "fleet.trucks")
    assert (code, "nothing was changed" in err) == (0, True)
    assert "fleet.trucks: 2 versions of 4" in out, "the one that is seen stays, and that of the successor"
    assert re.search(r"stays: roadside 1\.0\.0-r\d\n", out)
    assert len(store.list_snapshots("fleet.trucks")) == 4

    assert storymesh(mesh.root, "expire", "fleet.trucks", "--yes")[0] == 0
    assert [snapshot.version for snapshot in store.list_snapshots("fleet.trucks")] == [
        item.version for item in before[2:]
    ]
    assert list(files_with(mesh.store, PLANTED)), "the successor was cut from a version that holds the row"

    code, out, err = storymesh(mesh.root, "expire", "fleet.trucks", "--pinned", "--yes")
    assert code == 0, err
    (named,) = re.findall(r"can no longer be rebuilt, traced or exported: (.*)", out)
    assert named == f"roadside {find_release(mesh.releases, 'roadside').version}"
    assert list(files_with(mesh.store, PLANTED)) == []
    assert [snapshot.version for snapshot in store.list_snapshots("fleet.trucks")] == [before[-1].version]
    # What was cut from it says so, and stays readable.
    for command in (["rebuild", "roadside"], ["trace", "roadside", "report/B002"]):
        code, _, err = storymesh(mesh.root, *command)
        assert (code, f"has no version {before[2].version}" in err) == (1, True), err
    code, _, err = storymesh(mesh.root, "export", "roadside", "--to", "ocel", "--into", str(tmp_path / "log.json"))
    assert (code, "so its snapshot has expired" in err) == (1, True)
    assert storymesh(mesh.root, "releases", "--verify")[0] == 0
    # What readers see is whole, and goes on.
    again = release_all(mesh)
    assert again.drops["case"].keys() & {"truck: none"}
    assert list(files_with(mesh.store, PLANTED)) == []


def test_a_version_that_is_current_again_is_not_removed(moved: Mesh) -> None:
    source = moved.root / TRUCKS
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("reefer", "box"), encoding="utf-8")
    publish_all(load_mesh(moved.root), "fleet.trucks")
    source.write_text(text, encoding="utf-8")
    shutil.rmtree(moved.releases)
    found = plan_expiry(["fleet.trucks"], moved.warehouse, moved.releases)
    assert len(found[0].snapshots) == 2
    publish_all(load_mesh(moved.root), "fleet.trucks")
    with pytest.raises(PublishConflict, match="has gone back to a version that was to expire"):
        expire_snapshots(found, moved.warehouse, moved.releases)
    store = ProductStore(moved.warehouse, "fleet")
    latest = store.latest_snapshot("fleet.trucks")
    assert latest is not None
    assert latest.version in {snapshot.version for snapshot in found[0].snapshots}
    assert all(Path(file).exists() for snapshot in store.list_snapshots("fleet.trucks") for file in snapshot.files)


def test_a_product_that_nobody_published_has_nothing_to_expire(roadside: Mesh, tmp_path: Path) -> None:
    assert plan_expiry(["fleet.trucks"], Warehouse(tmp_path), tmp_path) == []
