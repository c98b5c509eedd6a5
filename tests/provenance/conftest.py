"""The mesh whose records are traced, on its first release."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.release.catalog import Release, find_release_of_record
from tests.support.traced_mesh import PSEUDONYM_KEY, release_traceable_mesh


@pytest.fixture(scope="module", autouse=True)
def key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", PSEUDONYM_KEY)
        yield


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """The mesh, which is only read."""
    root = tmp_path_factory.mktemp("trace") / "mesh"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", PSEUDONYM_KEY)
        release_traceable_mesh(root)
    return load_mesh(root)


@pytest.fixture(scope="session")
def release(mesh: Mesh) -> Release:
    return find_release_of_record(mesh.releases, "report/x", "roadside")


@pytest.fixture
def copied(mesh: Mesh, tmp_path: Path) -> Path:
    """A copy of the mesh, to change."""
    return Path(shutil.copytree(mesh.root, tmp_path / "mesh"))
