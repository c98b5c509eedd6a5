"""The user interface of the harbour, for all tests of a file that ask it something: to start one takes long, and while
it serves it asks its locations again and again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.harbour import make_harbour
from tests.support.paths import importable

WAITS_S = 240  # for the interface to start, and for the runs that it has begun to end


@dataclass(frozen=True)
class Served:
    """`storymesh ui` as it serves a mesh."""

    mesh: Path
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str) -> Any:
        """Return what GraphQL's `query` is answered with."""
        import httpx

        return httpx.post(f"{self.address}/graphql", json={"query": query}, timeout=60).json()["data"]

    def runs(self, *statuses: str) -> int:
        """Return how many runs there are, of these statuses or of any."""
        only = f"(filter: {{statuses: [{', '.join(statuses)}]}})" if statuses else ""
        return len(
            self.ask(f"{{ runsOrError{only} {{ ... on Runs {{ results {{ id }} }} }} }}")["runsOrError"]["results"]
        )


@pytest.fixture(scope="module")
def user_interface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The interface while it serves a mesh that has never run. When all tests have asked, it ends as it should."""
    import httpx

    mesh = tmp_path_factory.mktemp("interface") / "harbour"
    make_harbour(mesh)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "storymesh.cli", "ui", "--port", str(port)]
    log = mesh.parent / "ui.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=mesh, env=importable(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        served = Served(mesh, port)
        try:
            ends = time.monotonic() + WAITS_S
            while True:
                try:
                    if httpx.get(f"{served.address}/server_info", timeout=10).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert process.poll() is None and time.monotonic() < ends, log.read_text(encoding="utf-8")
                time.sleep(0.5)
            yield served
            ends = time.monotonic() + WAITS_S
            # A run that is killed while it starts would print a traceback of Python's own.
            while served.runs("QUEUED", "NOT_STARTED", "STARTING", "STARTED") and time.monotonic() < ends:
                time.sleep(0.5)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(90)
    output = log.read_text(encoding="utf-8")
    assert process.returncode == 0, output
    assert served.address in output
    assert "Traceback" not in output
