"""What every test gets: no network, and no setting of the person who runs it. And which files go to the same process,
and in which order, when several processes share the tests."""

import os
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.support.paths import TESTS

pytest_plugins = [
    "tests.support.bench",
    "tests.support.command",
    "tests.support.harbour",
    "tests.support.reference_mesh",
    "tests.support.roadside",
]

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")

TOGETHER: tuple[tuple[str, ...], ...] = (
    ("acceptance/test_reference_mesh.py", "docs/test_pages.py"),
    (
        "acceptance/test_plain_files.py",
        "acceptance/test_contract_break.py",
        "acceptance/test_broken_files.py",
        "acceptance/test_kill.py",
    ),
    ("acceptance/test_built_on.py",),
    ("browser/test_ui.py",),
    ("production/test_store.py", "production/test_lineage.py"),
    ("rewriting/test_rewritten_records.py",),
    ("acceptance/test_suez_2021.py",),
    ("acceptance/test_health_supply.py",),
    ("orchestration/test_automation.py",),
    ("orchestration/test_soak.py",),
    ("orchestration/test_jobs.py",),
    ("orchestration/test_dbt_assets.py",),
    ("orchestration/test_failures.py",),
    (
        "lifecycle/test_erase.py",
        "lifecycle/test_rebuild.py",
        "lifecycle/test_diff.py",
        "lifecycle/test_verify.py",
        "lifecycle/test_push.py",
        "lifecycle/test_pull.py",
        "mesh/test_load.py",
        "lifecycle/test_ocel.py",
        "mesh/test_lookup.py",
        "lifecycle/test_expire.py",
        "release/test_report_traces.py",
    ),
    ("provenance/test_trace.py",),
    ("cli/test_commands.py",),
    ("orchestration/test_run.py",),
    ("product/test_publish.py",),
    ("release/test_write.py",),
    ("case/test_links.py",),
)
"""Files that share a mesh, which is built once in a process. These take longest and are begun first, in this order, so
that all processes end at about the same time."""

PROMISE = "STORYMESH_NO_SKIP"  # `needs` asks for it, also in the processes that share the tests
FOREIGN = ("dagster_home", "force_color", "no_color", "columns", "http_proxy", "https_proxy", "all_proxy")

absent = [file for files in TOGETHER for file in files if not (TESTS / file).is_file()]
assert not absent, f"TOGETHER in tests/conftest.py names files that are not there: {absent}"

# How fast a machine draws examples is no finding.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure() -> None:
    """What a person has set for storymesh, Dagster, terminals and networks is not for the tests."""
    ours = [name for name in os.environ if name.startswith("STORYMESH_") and name != PROMISE]
    for name in [*ours, *(name for name in os.environ if name.lower() in FOREIGN)]:
        del os.environ[name]


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


class LongestFirst(LoadScopeScheduling):
    """Whole files to each process, those of `TOGETHER` to the same."""

    first = {file: files[0] for files in TOGETHER for file in files}

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return self.first.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst:
    config.option.loadscopereorder = False  # what has the most tests is not what takes longest
    return LongestFirst(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = list(LongestFirst.first)
    items.sort(key=lambda item: order.index(file) if (file := file_of(item.nodeid)) in order else len(order))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach this machine only."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOOPBACK):
            raise OSError(f"a test wanted to reach {address[0]}: tests have no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
