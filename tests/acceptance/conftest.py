"""What a stranger relies on, tried on whole meshes. Each mesh is built once, when a test first asks for it."""

import shutil
from pathlib import Path

import pytest

from tests.support.paths import SHARED
from tests.support.public_data import public_data
from tests.support.whole_mesh import Elsewhere, Preloaded, Ran, copied, run_once, timed


def real(name: str, factory: pytest.TempPathFactory, preloaded: Preloaded) -> Ran:
    """A mesh on public data, in a folder from which the data is as far as it is in the checkout."""
    public_data()

    def copy(folder: Path) -> Path:
        (folder / "shared").symlink_to(SHARED, target_is_directory=True)
        return copied(f"tests/meshes/{name}", folder / "root" / "tests" / "meshes" / name)

    return run_once(factory, name, preloaded, copy)


@pytest.fixture(scope="session")
def suez(tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded) -> Ran:
    return real("suez_2021", tmp_path_factory, preloaded)


@pytest.fixture(scope="session")
def health_supply(tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded) -> Ran:
    return real("health_supply", tmp_path_factory, preloaded)


@pytest.fixture(scope="session")
def plain_files_elsewhere(tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded) -> Elsewhere:
    """The mesh without dbt, run afresh in another folder."""
    folder = tmp_path_factory.mktemp("elsewhere, with spaces")
    start = copied("tests/meshes/plain_files", folder / "start")
    return timed(start, folder / "mesh", preloaded)


@pytest.fixture
def plain_copy(plain_files: Ran, tmp_path: Path) -> Path:
    """The mesh after its first run, moved to another folder."""
    return Path(shutil.copytree(plain_files.mesh, tmp_path / "moved"))
