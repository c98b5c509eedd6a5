"""The Dagster instance of a mesh: the history of runs from the UI and `storymesh run`, in SQLite."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import write_atomically
from storymesh.file_lock import hold_lock, is_lock_held
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.sqlite_history import open_history

if TYPE_CHECKING:
    import dagster as dg

HOME = "DAGSTER_HOME"
RUNNING = "running"
ABANDONED = "The process of this run ended before the run did."
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
run_monitoring: # ends a run that hangs; its tag dagster/max_runtime (seconds) says otherwise, 0 is for ever
  enabled: true
  max_runtime_seconds: 43200
  cancel_timeout_seconds: 60
"""


def dagster_home(mesh: Mesh) -> Path:
    """Return DAGSTER_HOME, or else the folder of the mesh's own instance."""
    configured = os.environ.get(HOME)
    return Path(configured) if configured else mesh.store / "dagster"


def prepare_dagster_home(mesh: Mesh) -> Path:
    """Make the instance's folder and its dagster.yaml; a file that is there stays as it is. Returns the folder."""
    mesh.prepare_store()
    home = dagster_home(mesh)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)  # rows, samples and messages are remembered there
    configuration = home / "dagster.yaml"
    if not configuration.exists():
        write_atomically(configuration, CONFIGURATION)
    return home


@contextmanager
def open_instance(mesh: Mesh) -> "Iterator[dg.DagsterInstance]":
    """Yield the instance of the mesh for a run in this process."""
    from storymesh.orchestration.dagster_internals import instance_without_compute_logs

    home = prepare_dagster_home(mesh)
    with open_history(home), instance_without_compute_logs(home) as instance:
        yield instance


@contextmanager
def hold_run_lock(home: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while this process executes it; `home` is the instance's folder.

    The system releases the lock when the process ends, however it ends: a lock file that nobody holds is the sign of
    an abandoned run.
    """
    path = home / RUNNING / f"{run_id}.lock"
    staged = path.with_suffix(f".{os.getpid()}.taking")
    with hold_lock(staged, timeout_s=0):
        staged.replace(path)  # from its first moment there it is held
        yield
        path.unlink(missing_ok=True)  # after an error it stays, for whoever closes what was abandoned


def is_running(home: Path) -> bool:
    """Return True if a run is active, or abandoned and not closed yet."""
    return any((home / RUNNING).glob("*.lock"))


def close_abandoned_runs(instance: "dg.DagsterInstance") -> list[str]:
    """Mark runs as failed whose process has ended before them, and free their pools; return their ids.

    Until then such a run counts as going on, and whoever waits for it waits for ever.
    """
    from storymesh.orchestration.dagster_internals import assign_free_pool_slots

    closed = []
    for path in sorted((Path(instance.root_directory) / RUNNING).glob("*.lock")):
        try:
            if is_lock_held(path):
                continue
        except FileNotFoundError:  # it ended meanwhile
            continue
        run = instance.get_run_by_id(path.stem)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, ABANDONED)
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
        path.unlink(missing_ok=True)
    assign_free_pool_slots(instance)
    return closed
