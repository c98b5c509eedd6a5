"""What every test gets: no network, and no setting of the person who runs it."""

import gc
import os
import socket
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.unsynced import no_wait_for_the_disk

pytest_plugins = [
    "tests.support.bench",
    "tests.support.command",
    "tests.support.finished_meshes",
    "tests.support.harbour",
    "tests.support.roadside",
    "tests.support.schedule",
]

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")

# `needs` asks for the first, also in the processes that share the tests; the others say how much is drawn.
DEPTHS = ("STORYMESH_READ_BACK", "STORYMESH_DAMAGED", "STORYMESH_KILLS", "STORYMESH_SOAK", "STORYMESH_TRACE_EVERY")
PROMISES = ("STORYMESH_NO_SKIP", *DEPTHS)
FOREIGN = ("dagster_home", "force_color", "no_color", "columns", "http_proxy", "https_proxy", "all_proxy")

# How fast a machine draws examples is no finding.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure() -> None:
    """What a person has set for storymesh, Dagster, terminals and networks is not for the tests."""
    ours = [name for name in os.environ if name.startswith("STORYMESH_") and name not in PROMISES]
    for name in [*ours, *(name for name in os.environ if name.lower() in FOREIGN)]:
        del os.environ[name]
    # Tests start hundreds of processes: each would compile the library again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """Leave what the imports have made out of every later collection of garbage, and collect seldom: expressions are
    made of so many small objects that a tenth of the time would go into looking through them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def unsynced() -> Iterator[None]:
    with no_wait_for_the_disk():
        yield


@pytest.fixture(autouse=True, scope="session")
def commands_are_made_once() -> Iterator[None]:
    """A process of a user makes one command line and calls it once. Here it is called many hundred times, and to make
    its commands takes longer than what most of them do."""
    import typer.main
    import typer.testing

    once = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", once)
        patch.setattr(typer.testing, "_get_command", once)
        yield


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach this machine only."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOOPBACK):
            raise OSError(f"a test wanted to reach {address[0]}: tests have no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
