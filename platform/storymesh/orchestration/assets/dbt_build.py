"""The `dbt build` of a domain, which a run of the whole mesh starts before the step that needs it.

Such a run executes its steps one after another, while dbt works in a process of its own: that begins as soon as all
that the models read has been made, and the steps before its own go on beside it. What it says is kept until that step,
for which it is the same build: its results, its failure, its interruption.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterEventType

from storymesh.engine.engine import Engine
from storymesh.errors import TransformFailed
from storymesh.mesh.dbt_manifest import dbt_manifest
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.keys import product_key
from storymesh.orchestration.assets.states import input_snapshots
from storymesh.orchestration.dagster_internals import (
    asset_keys_of_step,
    assets_read_by_step,
    claim_pool_slot,
    dbt_resource_class,
)
from storymesh.product.dbt_messages import hide_values_of_rows
from storymesh.product.dbt_project import DbtProject, allowed_paths, prepare_dbt
from storymesh.product.dbt_state import DbtBuildState
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    from dagster_dbt import DbtCliInvocation

_LOG = logging.getLogger(__name__)
DATABASE_WAIT_S = 120.0
SMALL_BYTES = 32 * 2**20
_STOP_S = 10.0
_ahead: "_EarlyBuilds | None" = None


def dbt_step(domain: str) -> str:
    """Return the name of the step that builds a domain's models."""
    return f"models_{domain}"


def dbt_pool(domain: str) -> str:
    """Return the pool of all steps that write or read the database of a domain's models."""
    return f"{domain}_duckdb"


@dataclass(frozen=True)
class DbtBuild:
    """A `dbt build` of a domain that is prepared. `inputs` are the snapshots that its models read, by product."""

    project: DbtProject
    state: DbtBuildState
    inputs: Mapping[str, Snapshot]

    def begin(
        self, context: dg.AssetExecutionContext | None = None, *, full_refresh: bool = False
    ) -> "DbtCliInvocation":
        """Start dbt, for what is selected in `context`: all models, without one."""
        self.state.forget()
        executable, *options = self.project.command()
        dbt = dbt_resource_class(hide_values_of_rows)(
            project_dir=str(self.project.project_dir),
            profiles_dir=str(self.project.profiles_dir),
            dbt_executable=executable,
            # dbt's own command line follows that of the process that leaves the environment behind.
            global_config_flags=[
                *options,
                "--no-use-colors",
                "--no-version-check",
                "--no-send-anonymous-usage-stats",
            ],
        )
        (self.project.target_path / "run_results.json").unlink(missing_ok=True)
        command = ["build", *(["--full-refresh"] if full_refresh else [])]
        return dbt.cli(command, context=context, target_path=self.project.target_path, raise_on_error=False)


def prepare_build(
    mesh: Mesh,
    domain: str,
    manifest: Mapping[str, Any],
    engine: Engine,
    required: Collection[str],
    selected: Collection[str] = (),
) -> DbtBuild:
    """Return the build of a domain's models, of which some may be `selected`; `manifest` is dbt's.

    Raises NotPublished when a product that is `required` has not been published.
    """
    inputs = input_snapshots(mesh, domain, required)
    folder, access = mesh.domain_folder(domain), mesh.dbt_access(domain)
    project = prepare_dbt(domain, folder, mesh.store, inputs, engine, access)
    return DbtBuild(project, DbtBuildState(project, access, manifest, selected), inputs)


def wait_for_database(engine: Engine, database: Path, wait_s: float = DATABASE_WAIT_S) -> None:
    """Wait until no other process holds the database: a killed run may leave a dbt behind that is still writing.

    Raises TransformFailed when it is still held after `wait_s` seconds.
    """
    deadline = time.monotonic() + wait_s
    while database.exists() and (holder := engine.describe_database_lock(database)):
        if time.monotonic() > deadline:
            message = f"another process holds {database}: {holder}"
            raise TransformFailed(message, "end it, or wait for it, and run again")
        time.sleep(0.5)


@contextmanager
def early_dbt_builds(mesh: Mesh, job: dg.JobDefinition, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Start each build of a run of the job, which makes the whole mesh in this process, as early as possible.

    A build that no step has taken when it ends, since somebody stopped the run, is ended too.
    """
    global _ahead
    _ahead = ahead = _EarlyBuilds(mesh, job, instance, run_id)
    instance.add_event_listener(run_id, ahead.on_log_entry)
    try:
        yield
    finally:
        _ahead = None
        ahead.close()


def take_early_build(domain: str) -> "tuple[DbtBuild, DbtCliInvocation] | None":
    """Return the domain's build that was started early, for the step that needs it; None if there is none."""
    return None if _ahead is None else _ahead.begun.pop(domain, None)


class _EarlyBuilds:
    """The builds of one run that were started early and that no step has taken yet (`begun`)."""

    def __init__(self, mesh: Mesh, job: dg.JobDefinition, instance: dg.DagsterInstance, run_id: str) -> None:
        self._mesh = mesh
        self._instance = instance
        self._run_id = run_id
        domains = [domain for domain in mesh.domains if asset_keys_of_step(job, dbt_step(domain))]
        self._read = {domain: assets_read_by_step(job, dbt_step(domain)) for domain in domains}
        self._awaited = {domain: {key for key, made in read.items() if made} for domain, read in self._read.items()}
        self.begun: dict[str, tuple[DbtBuild, DbtCliInvocation]] = {}

    def on_log_entry(self, entry: dg.EventLogEntry) -> None:
        """Start the builds that an event of the run makes possible."""
        event = entry.dagster_event
        if event is None:
            return
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            for awaited in self._awaited.values():
                awaited.discard(event.asset_key)
        if event.event_type is DagsterEventType.STEP_START and event.step_key is not None:
            self._awaited.pop(event.step_key.removeprefix(dbt_step("")), None)  # it builds for itself from here on
        if event.event_type in (DagsterEventType.RUN_START, DagsterEventType.STEP_SUCCESS):
            ready = [domain for domain, awaited in self._awaited.items() if not awaited]
            while ready and not self._is_busy():
                del self._awaited[ready[0]]
                domain = ready.pop(0)
                try:
                    self._begin(domain)
                except Exception:  # whatever it is, the step meets it again, and explains it
                    _LOG.debug("dbt of '%s' could not begin ahead of its step", domain, exc_info=True)

    def _is_busy(self) -> bool:
        """Return True while a build is running: there is memory and a core for only one beside the run."""
        return any(invocation.process.poll() is None for _, invocation in self.begun.values())

    def _begin(self, domain: str) -> None:
        """Start a domain's build, if there is something to build and nobody else uses its database."""
        if not claim_pool_slot(self._instance, self._run_id, dbt_step(domain), dbt_pool(domain)):
            return
        mesh, manifest = self._mesh, dbt_manifest(self._mesh, domain)
        required = {product for product in mesh.products if product_key(product) in self._read[domain]}
        with mesh.open_engine() as engine:
            build = prepare_build(mesh, domain, manifest, engine, required)
            database = build.project.database
            held = database.exists() and engine.describe_database_lock(database)
            if build.state.is_current() or held or not _reads_little(mesh, domain):
                return
        invocation = build.begin()
        process: Any = invocation.process
        process.stdout = _BufferedLines(process.stdout)
        self.begun[domain] = build, invocation

    def close(self) -> None:
        """End the builds that no step has taken before the run ended."""
        for _, invocation in self.begun.values():
            invocation.process.terminate()  # which is handed on to dbt
        for _, invocation in self.begun.values():
            with suppress(subprocess.TimeoutExpired):
                invocation.process.wait(_STOP_S)
            invocation.process.kill()
            invocation.process.wait()
        self._instance.event_log_storage.free_concurrency_slots_for_run(self._run_id)


def _reads_little(mesh: Mesh, domain: str) -> bool:
    """Return True if a domain's models read so little that dbt fits in memory beside any other step."""
    if (allowed := allowed_paths(domain, mesh.store)) is None:
        return False
    files = (file for path in allowed for file in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.stat().st_size for file in files if file.is_file()) <= SMALL_BYTES


class _BufferedLines:
    """The buffered output of a process, which never has to wait for its reader."""

    def __init__(self, output: IO[bytes]) -> None:
        self.closed = False
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(target=self._read, args=(output,), daemon=True).start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                self._lines.put(line)
        self._lines.put(None)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines.get, None)

    def __enter__(self) -> "_BufferedLines":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
