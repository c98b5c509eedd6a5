"""What a stranger relies on, tried on whole meshes. Each mesh is built once, when a test first asks for it; the files
that share one go to the same process (`TOGETHER` in tests/conftest.py)."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import PUBLIC_DATA
from tests.support.whole_mesh import Elsewhere, Preloaded, Ran, copied, public_data, storymesh, timed


def real(name: str, scratch: Path) -> Ran:
    """A mesh on public data, in a folder from which the data is as far as it is in the checkout."""
    public_data()
    (scratch / "shared").symlink_to(PUBLIC_DATA.parent, target_is_directory=True)
    mesh = copied(f"tests/meshes/{name}", scratch / "root" / "tests" / "meshes" / name)
    ran = storymesh("run", mesh=mesh)
    assert ran.code == 0, ran.said
    return ran


@pytest.fixture(scope="session")
def suez(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return real("suez_2021", tmp_path_factory.mktemp("suez"))


@pytest.fixture(scope="session")
def health_supply(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return real("health_supply", tmp_path_factory.mktemp("health_supply"))


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    commands = Preloaded(tmp_path_factory.mktemp("preloaded"))
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def plain_files(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The mesh without dbt after its first run. It is only read; who changes something takes a `plain_copy`."""
    mesh = copied("tests/meshes/plain_files", tmp_path_factory.mktemp("plain") / "mesh")
    return storymesh("run", mesh=mesh)


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
