"""What every test gets: no network, no instance of the person who runs it, and a small harbour to work on."""

import shutil
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

HARBOUR = Path(__file__).parent / "orchestration" / "harbour"
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach this machine only."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOOPBACK):
            raise OSError(f"a test wanted to reach {address[0]}: tests have no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture(autouse=True)
def own_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test runs on the Dagster instance of the person who runs it."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


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
