"""The Dagster instance of a mesh: where the runs of the UI and of `run` are remembered, on SQLite, telemetry off."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.mesh.mesh import Mesh

if TYPE_CHECKING:
    import dagster as dg

HOME = "DAGSTER_HOME"
LOCK_TAG = "storymesh/lock"
CONFIGURATION = """\
# Made by storymesh; your changes are kept. Runs are remembered here, in SQLite, and nothing phones home.
telemetry:
  enabled: false
nux:
  enabled: false # no invitation to a newsletter over the first page
concurrency:
  pools:
    default_limit: 1 # one writer for each product and each domain's DuckDB file
  runs:
    max_concurrent_runs: 2
"""


def home_of(mesh: Mesh) -> Path:
    """DAGSTER_HOME, or else the mesh's own."""
    named = os.environ.get(HOME)
    return Path(named) if named else mesh.store / "dagster"


def prepare_home(mesh: Mesh) -> Path:
    """Make sure that the instance's folder and its dagster.yaml are there; a file that is there stays as it is."""
    home = home_of(mesh)
    home.mkdir(parents=True, exist_ok=True)
    configuration = home / "dagster.yaml"
    if not configuration.exists():
        staged = home / f".dagster.yaml.{os.getpid()}"
        staged.write_text(CONFIGURATION, encoding="utf-8")
        staged.replace(configuration)
    return home


def open_instance(mesh: Mesh) -> "dg.DagsterInstance":
    """The instance of the mesh for a run in this process: what steps print stays with us, not in files of its own."""
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    quiet = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    home = prepare_home(mesh)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": quiet}))


@contextmanager
def held(mesh: Mesh, run_id: str) -> Iterator[dict[str, str]]:
    """Hold the lock of a run of this process while it goes on, and give the tags that say that it has one.

    The system lets go of the lock when the process ends, however it ends: a free lock tells an abandoned run.
    """
    path = _lock_of(mesh, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield {LOCK_TAG: "held"}
        finally:
            path.unlink(missing_ok=True)


def close_abandoned(instance: "dg.DagsterInstance", mesh: Mesh) -> list[str]:
    """Mark runs as failed whose process has ended before them, and free their pools; returns their ids."""
    import dagster as dg

    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    unfinished = [status for status in dg.DagsterRunStatus if status not in ended]
    closed = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags={LOCK_TAG: "held"})):
        if _is_held(_lock_of(mesh, run.run_id)):
            continue
        instance.report_run_failed(run, "The process of this run ended before the run did.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        closed.append(run.run_id)
    return closed


def _lock_of(mesh: Mesh, run_id: str) -> Path:
    return home_of(mesh) / "running" / f"{run_id}.lock"


def _is_held(path: Path) -> bool:
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    path.unlink(missing_ok=True)
    return False
