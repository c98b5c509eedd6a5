"""What a stranger relies on, tried on whole meshes. Each mesh is built once; the long builds begin with the first test
of the folder, two at a time, while the short tests go on."""

import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's import mode does not let tests import what they share

from whole_mesh import PUBLIC_DATA, Elsewhere, Preloaded, Ran, copied, public_data, run_killed, storymesh, timed


def real(name: str, scratch: Path) -> Ran:
    """A mesh on public data, in a folder from which the data is as far as it is in the checkout."""
    (scratch / "shared").symlink_to(PUBLIC_DATA.parent, target_is_directory=True)
    mesh = copied(f"tests/meshes/{name}", scratch / "root" / "tests" / "meshes" / name)
    return storymesh("run", mesh=mesh)


def reference(scratch: Path) -> Ran:
    """The mesh of the project's root."""
    return storymesh("run", mesh=copied("", scratch))


def disturbed_reference(scratch: Path) -> Ran:
    """The same in another folder: killed, then broken in one row of one domain, then run again."""
    mesh = copied("", scratch)
    run_killed(mesh, "✓ shipping.shipment_delays", 0.7)
    with (mesh / "domains/resolutions/sources/resolutions.csv").open("a", encoding="utf-8") as file:
        file.write(",SHP-000003,01/11/2021 02:15 PM,WAIT,,,Nobody,a number is missing\n")
    return storymesh("run", mesh=mesh)


LONG: dict[str, Callable[[Path], object]] = {
    "reference_mesh": reference,
    "disturbed_reference_mesh": disturbed_reference,
    "suez": lambda scratch: real("suez_2021", scratch),
    "health_supply": lambda scratch: real("health_supply", scratch),
}


@pytest.fixture(scope="session", autouse=True)
def long_builds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[object]]]:
    used = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    wanted = [name for name in LONG if name in used]
    if not PUBLIC_DATA.is_dir():
        wanted = [name for name in wanted if name not in ("suez", "health_supply")]
    with ThreadPoolExecutor(2) as pool:
        started = {name: pool.submit(LONG[name], tmp_path_factory.mktemp(name)) for name in wanted}
        yield started
        for one in started.values():
            one.cancel()


@pytest.fixture(scope="session")
def reference_mesh(long_builds: dict[str, Future[Ran]]) -> Ran:
    return long_builds["reference_mesh"].result()


@pytest.fixture(scope="session")
def disturbed_reference_mesh(long_builds: dict[str, Future[Ran]]) -> Ran:
    return long_builds["disturbed_reference_mesh"].result()


@pytest.fixture(scope="session")
def suez(long_builds: dict[str, Future[Ran]]) -> Ran:
    public_data()
    return long_builds["suez"].result()


@pytest.fixture(scope="session")
def health_supply(long_builds: dict[str, Future[Ran]]) -> Ran:
    public_data()
    return long_builds["health_supply"].result()


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
