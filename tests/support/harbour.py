"""A small mesh of plain files to work on: the harbour in `tests/orchestration/harbour`, with sources written for it."""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.built_once import built_once
from tests.support.paths import TESTS

HARBOUR = TESTS / "orchestration/harbour"


@pytest.fixture
def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mesh of plain files: boats (CSV) and their repairs (Parquet, built on the boats), and one narrative.

    Its pseudonym key is the one in its store, whatever key another fixture of the session has set."""
    monkeypatch.delenv("STORYMESH_PSEUDONYM_KEY", raising=False)
    root = tmp_path / "harbour"
    make_harbour(root)
    return root


@pytest.fixture
def released_harbour(harbour: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harbour, to change, after a run of everything: its products are published, late-repairs 1.0.0-r1 is there."""
    finished = built_once(tmp_path_factory, "harbour", run_harbour)
    shutil.rmtree(harbour)
    return Path(shutil.copytree(finished, harbour))


def run_harbour(root: Path) -> None:
    """Write the harbour to `root`, and run everything in it."""
    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.run.execute import execute_run

    make_harbour(root)
    outcome = execute_run(load_mesh(root), [], lambda event: None, root / "run.log")
    assert outcome.success, outcome.failures


@pytest.fixture
def edit(harbour: Path) -> Callable[[str, str, str], None]:
    """Return `edit(path, old, new)`, which replaces a text in a file of the harbour; it has to be there."""

    def replace(path: str, old: str, new: str) -> None:
        text = (harbour / path).read_text(encoding="utf-8")
        assert old in text, f"'{old}' is not in {path}"
        (harbour / path).write_text(text.replace(old, new), encoding="utf-8")

    return replace


def make_harbour(root: Path, boats: int = 6, repairs: int = 60) -> None:
    """Write the harbour and its sources to `root`: `repairs` repairs of the first months of 2024, all of them done."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.copytree(HARBOUR, root, dirs_exist_ok=True)
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
