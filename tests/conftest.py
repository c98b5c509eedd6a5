"""What every test gets: no network, no instance of the person who runs it, and a small harbour to work on. And which
files go to the same process, and in which order, when several processes share the tests."""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

HERE = Path(__file__).parent
HARBOUR = HERE / "orchestration" / "harbour"
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")

# For `whole_mesh`, `doc_pages` and `needs`: pytest's import mode lets nobody import them.
for folder in ("acceptance", "docs", "."):
    sys.path.insert(0, str(HERE / folder))

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
    ("dataset/test_retell.py",),
    ("acceptance/test_suez_2021.py",),
    ("acceptance/test_health_supply.py",),
    ("orchestration/test_automation.py",),
    ("orchestration/test_soak.py",),
    ("orchestration/test_jobs.py",),
    ("orchestration/test_models.py",),
    ("orchestration/test_failure.py",),
    (
        "dataset/test_forget.py",
        "dataset/test_rebuild.py",
        "dataset/test_diff.py",
        "dataset/test_verify.py",
        "dataset/test_push.py",
        "dataset/test_pull.py",
        "dataset/test_load.py",
        "dataset/test_ocel.py",
        "dataset/test_named.py",
        "dataset/test_expire.py",
        "dataset/test_report_leads.py",
    ),
    ("dataset/test_trace.py",),
    ("cli/test_commands.py",),
    ("orchestration/test_run.py",),
    ("product/test_publish.py",),
    ("dataset/test_release.py",),
    ("case/test_links.py",),
)
"""Files that share a mesh, which is built once in a process. These take longest and are begun first, in this order, so
that all processes end at about the same time."""

PROMISE = "STORYMESH_NO_SKIP"  # `needs` asks for it, also in the processes that share the tests
FOREIGN = ("dagster_home", "force_color", "no_color", "columns", "http_proxy", "https_proxy", "all_proxy")

absent = [file for files in TOGETHER for file in files if not (HERE / file).is_file()]
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


@dataclass(frozen=True)
class Said:
    """One command that ended: its exit code, and what stands on both channels, whoever wrote it there."""

    code: int
    out: str
    err: str


@pytest.fixture
def storymesh(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`storymesh(folder, *words)`: the command in that folder, as in CI, in this process, so that nothing is imported
    again."""

    def say(folder: Path, *words: str) -> Said:
        from storymesh.cli import main

        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("CI", "1")
            patch.setattr(sys, "argv", ["storymesh", *words])
            with pytest.raises(SystemExit) as end:
                main()
        return Said(int(end.value.code or 0), *capfd.readouterr())

    return say


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of the project's root as a fresh clone has it, with every file that the how-tos have their readers
    write."""
    from doc_pages import HOW_TOS, ROOT, files_of
    from whole_mesh import copied

    root = copied("", tmp_path_factory.mktemp("reference") / "mesh")
    for page in HOW_TOS:
        for path, text in files_of(ROOT / "docs/how-to" / page).items():
            file = root / path
            assert not file.exists(), f"{page} writes {path}, which the mesh has already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def reference_mesh(documented: Path) -> Any:
    """The same after one `storymesh run`, which takes about a minute."""
    from whole_mesh import storymesh

    ran = storymesh("run", mesh=documented)
    assert ran.code == 0, ran.said
    return ran


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    """A mesh of plain files: boats (CSV) and their repairs (Parquet, built on the boats), told by one narrative."""
    root = tmp_path / "harbour"
    make_harbour(root)
    return root


@pytest.fixture
def edit(harbour: Path) -> Callable[[str, str, str], None]:
    """Replace a text in a file of the harbour; it has to be there."""

    def replace(path: str, old: str, new: str) -> None:
        text = (harbour / path).read_text(encoding="utf-8")
        assert old in text, f"'{old}' is not in {path}"
        (harbour / path).write_text(text.replace(old, new), encoding="utf-8")

    return replace


def make_harbour(root: Path, boats: int = 6, repairs: int = 60) -> None:
    """Write the harbour and its sources to `root`: `repairs` repairs of the first months of 2024, all of them done."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.copytree(HARBOUR, root)
    lines = [f"boat-{n},{'tug' if n % 2 else 'ferry'},{10 + n},Skipper {n}" for n in range(boats)]
    write_boats(root, lines)
    begins = datetime(2024, 1, 1, 8)
    reported = [begins + timedelta(days=2.3 * n) for n in range(repairs)]
    table = pa.table(
        {
            "repair": [f"R{n:03}" for n in range(repairs)],
            "boat": [f"boat-{n % boats}" for n in range(repairs)],
            "reported_at": pa.array(reported, pa.timestamp("us")),
            "done_at": pa.array([moment + timedelta(hours=20) for moment in reported], pa.timestamp("us")),
            "remedy": ["weld" if n % 3 else "swap" for n in range(repairs)],
            "saved_days": pa.array([n % 4 for n in range(repairs)], pa.int64()),
        }
    )
    folder = root / "domains/yard/sources"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "repairs.parquet")


def write_boats(root: Path, lines: list[str]) -> None:
    folder = root / "domains/fleet/sources"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "boats.csv").write_text("\n".join(["boat,kind,length,skipper", *lines]) + "\n", encoding="utf-8")
