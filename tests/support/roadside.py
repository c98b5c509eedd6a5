"""The mesh of plain files, published and released twice in this process, for all tests that only read it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.built_once import built_once

if TYPE_CHECKING:
    from storymesh.mesh.mesh import Mesh


KEY = "a key for tests"


@pytest.fixture(scope="session")
def published_mesh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh with its products published and nothing released. It is only read; whoever changes something copies
    it."""
    return built_once(tmp_path_factory, "published", publish_products)


@pytest.fixture(scope="session")
def roadside(published_mesh: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Mesh]":
    """The mesh with its releases 1.0.0-r1 and 1.0.0-r2. It is only read; `moved` is a copy to change."""
    from storymesh.mesh.mesh import load_mesh

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
        yield load_mesh(built_once(tmp_path_factory, "roadside", lambda root: release_twice(published_mesh, root)))


def publish_products(root: Path) -> None:
    """Copy the mesh to `root` and publish its products."""
    from storymesh.mesh.mesh import load_mesh
    from tests.support.release_meshes import MESH, publish_all

    shutil.copytree(MESH, root, dirs_exist_ok=True)
    publish_all(load_mesh(root))


def release_twice(published: Path, root: Path) -> None:
    """Make release 1.0.0-r1; then, with a truck of another body, a report in other words and a longer embargo,
    1.0.0-r2."""
    from storymesh.mesh.mesh import load_mesh
    from tests.support.release_meshes import publish_all, release_all

    shutil.copytree(published, root, dirs_exist_ok=True)
    narrative = keep_two_configs(root)
    release_all(load_mesh(root))
    trucks = root / "domains/fleet/sources/trucks.csv"
    first, truck, *others = trucks.read_text(encoding="utf-8").splitlines()
    assert "box" in truck
    trucks.write_text("\n".join([first, truck.replace("box", "reefer"), *others]) + "\n", encoding="utf-8")
    report = root / "narratives/roadside/report.md.jinja"
    report.write_text("Seen from here: " + report.read_text(encoding="utf-8"), encoding="utf-8")
    text = narrative.read_text(encoding="utf-8")
    narrative.write_text(text.replace("embargo: 2d", "embargo: 3d"), encoding="utf-8")
    mesh = load_mesh(root)
    publish_all(mesh, "fleet.trucks")
    release_all(mesh)


def keep_two_configs(root: Path) -> Path:
    """Leave of the mesh's configs a report in hindsight and advice from precedents, which match on one level: each of
    the others costs as much, and is made in the same way. Return the narrative's file."""
    narrative = root / "narratives/roadside/narrative.yaml"
    lines = narrative.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("  choice:", "  verdict:"))]
    assert len(kept) == len(lines) - 2
    levels = "match: [[breakdown.fault, truck.body], [breakdown.fault]]"
    text = "".join(kept)
    assert levels in text
    narrative.write_text(text.replace(levels, "match: [[breakdown.fault]]"), encoding="utf-8")
    return narrative


@pytest.fixture
def moved(roadside: "Mesh", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Mesh":
    """A copy of the mesh with its store and releases, to change."""
    from storymesh.mesh.mesh import load_mesh

    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    return load_mesh(Path(shutil.copytree(roadside.root, tmp_path / "mesh")))
