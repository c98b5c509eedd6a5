"""The Dagster instance of a mesh: where the runs of the UI and of `run` are remembered, on SQLite, telemetry off."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import write_atomically
from storymesh.file_lock import hold_lock, is_lock_held
from storymesh.mesh.mesh import Mesh

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
        write_atomically(configuration, CONFIGURATION)
    return home


def open_instance(mesh: Mesh) -> "dg.DagsterInstance":
    """The instance of the mesh for a run in this process: what steps print stays with us, not in files of its own."""
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    quiet = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    home = prepare_home(mesh)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": quiet}))


@contextmanager
def held(home: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while this process executes it; `home` is the instance's folder.

    The system lets go of the lock when the process ends, however it ends: a lock that lies there free tells an
    abandoned run.
    """
    path = home / RUNNING / f"{run_id}.lock"
    taking = path.with_suffix(f".{os.getpid()}.taking")
    with hold_lock(taking, timeout_s=0):
        taking.replace(path)  # from its first moment there it is held
        yield
        path.unlink(missing_ok=True)  # after an error it stays, for whoever closes what was abandoned


def close_abandoned(instance: "dg.DagsterInstance") -> list[str]:
    """Mark runs as failed whose process has ended before them, and free their pools; returns their ids.

    Until then such a run counts as going on, and whoever waits for it waits for ever.
    """
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
    _hand_out(instance)
    return closed


def _hand_out(instance: "dg.DagsterInstance") -> None:
    """Give free slots of pools to steps that wait for them. Dagster does so when a slot becomes free, and forgets a
    step that began to wait at that very moment."""
    from dagster._core.storage.event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    for pool in storage.get_concurrency_keys():
        found = storage.get_concurrency_info(pool)
        if found.pending_step_count and found.active_slot_count + found.assigned_step_count < found.slot_count:
            storage.assign_pending_steps([pool])
