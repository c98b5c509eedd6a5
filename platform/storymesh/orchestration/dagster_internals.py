"""All uses of private interfaces of Dagster and dagster-dbt, tested with dagster 1.13.27 and dagster-dbt 0.29.27.

Nothing else imports a private module of theirs or touches a private attribute. A test holds both, and that each of
these is still there and still needed.
"""

import importlib.metadata
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.data_version import CODE_VERSION_TAG as CODE_VERSION_TAG
from dagster._core.definitions.data_version import DATA_VERSION_TAG as DATA_VERSION_TAG
from dagster._core.definitions.data_version import INPUT_DATA_VERSION_TAG_PREFIX as INPUT_DATA_VERSION_TAG_PREFIX
from dagster._core.definitions.data_version import extract_data_version_from_entry
from dagster._core.definitions.dependency import NodeHandle
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as UnresolvedAssetJobDefinition,
)
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor as InProcessExecutor
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from sqlalchemy import QueuePool, create_engine

from storymesh.orchestration.browser_guard import BrowserGuard

if TYPE_CHECKING:
    from dagster_dbt import DbtCliResource

TESTED_VERSIONS = {"dagster": "1.13", "dagster-dbt": "0.29"}
RETRIES_ENABLED = RetryMode.ENABLED
DBT_VERSION = "dbt.version"  # the module by which dagster_dbt knows that dbt-core is installed
SQLITE_STORAGES = (
    "event_log.sqlite.sqlite_event_log",
    "runs.sqlite.sqlite_run_storage",
    "schedules.sqlite.sqlite_schedule_storage",
)


def latest_data_version(instance: dg.DagsterInstance, key: dg.AssetKey, *, is_source: bool | None = None) -> str | None:
    """Return the data version of an asset's latest materialisation or observation; None where it has none."""
    record = instance.get_latest_data_version_record(key, is_source=is_source)
    version = extract_data_version_from_entry(record.event_log_entry) if record is not None else None
    return version.value if version is not None else None


def latest_version_run(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> str | None:
    """Return the run that made the newest version of any of the assets; None where none has a version, or a sensor saw
    the newest."""
    records = [record for key in keys if (record := instance.get_latest_data_version_record(key)) is not None]
    newest = max(records, key=lambda record: record.storage_id, default=None)
    return (newest.run_id or None) if newest is not None else None


def latest_check_evaluations(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, dg.AssetCheckEvaluation]:
    """Return the latest evaluation of each of the checks that has one."""
    ended = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    evaluations = {}
    for key in keys:
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=ended)
        event = records[0].event.dagster_event if records and records[0].event else None
        if event is not None:
            evaluations[key] = event.asset_check_evaluation_data
    return evaluations


def asset_keys_of_step(job: dg.JobDefinition, step: str) -> list[dg.AssetKey]:
    """Return the assets that a step of the job makes."""
    keys = job.asset_layer.get_selected_entity_keys_for_node(NodeHandle.from_string(step))
    return [key for key in keys if isinstance(key, dg.AssetKey)]


def assets_built_on(job: dg.JobDefinition, keys: Collection[dg.AssetKey]) -> dict[dg.AssetKey, dg.AssetKey]:
    """Return the assets that the job makes of `keys`, directly or by way of others, each with one of `keys`."""
    graph, chosen = job.asset_layer.asset_graph, job.asset_layer.selected_asset_keys
    found = {key: key for key in keys}
    ahead = list(keys)
    while ahead:
        key = ahead.pop(0)
        for child in sorted((graph.get(key).child_keys & chosen) - found.keys()):
            found[child] = found[key]
            ahead.append(child)
    return {key: cause for key, cause in found.items() if key != cause}


def assets_read_by_step(job: dg.JobDefinition, step: str) -> dict[dg.AssetKey, bool]:
    """Return the assets that a step reads and does not make itself, each with whether the job makes it."""
    graph, chosen = job.asset_layer.asset_graph, job.asset_layer.selected_asset_keys
    keys = set(asset_keys_of_step(job, step))
    parents = {parent for key in keys for parent in graph.get(key).parent_keys} - keys
    return {key: key in chosen for key in parents}


def claim_pool_slot(instance: dg.DagsterInstance, run_id: str, step: str, pool: str) -> bool:
    """Claim a slot of a pool for a step of a run before it begins. It has the slot then, and need not wait for it."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return False
    with InstanceConcurrencyContext(instance, run) as pools:
        return pools.claim(pool, step)


def instance_without_compute_logs(home: Path) -> dg.DagsterInstance:
    """Return the instance of the folder `home`; what steps print stays in this process, not in files of its own."""
    from dagster._core.instance.ref import InstanceRef

    no_logs = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": no_logs}))


def assign_free_pool_slots(instance: dg.DagsterInstance) -> None:
    """Give free slots of pools to steps that wait for them.

    Dagster does so when a slot becomes free, and forgets a step that began to wait at that very moment.
    """
    from dagster._core.storage.event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    for pool in storage.get_concurrency_keys():
        slots = storage.get_concurrency_info(pool)
        if slots.pending_step_count and slots.active_slot_count + slots.assigned_step_count < slots.slot_count:
            storage.assign_pending_steps([pool])


@contextmanager
def sleep_in_pool_waits() -> Iterator[None]:
    """Let steps that wait for a pool sleep until their next attempt.

    Dagster takes the least of zero and the seconds until then, so that a waiting run keeps a processor busy. Its
    in-process execution makes its own context of pools, so that the method has to be replaced while a run lasts.
    """
    original = InstanceConcurrencyContext.interval_to_next_pending_claim_check
    InstanceConcurrencyContext.interval_to_next_pending_claim_check = _seconds_to_next_claim  # type: ignore[method-assign]
    try:
        yield
    finally:
        InstanceConcurrencyContext.interval_to_next_pending_claim_check = original  # type: ignore[method-assign]


def _seconds_to_next_claim(self: InstanceConcurrencyContext) -> float:
    return max(0.0, min(self._pending_timeouts.values(), default=0.0) - time.time())


class _PersistentPool(QueuePool):
    """Connections that stay open when their engine is disposed of, as Dagster does after each use."""

    def dispose(self) -> None:
        """Close nothing."""

    def recreate(self) -> "_PersistentPool":
        return self

    def close(self) -> None:
        """Close the connections that nobody uses."""
        super().dispose()


@contextmanager
def persistent_database_engines() -> Iterator[None]:
    """Make Dagster keep one SQLAlchemy engine, with its connections, for each of its SQLite files.

    It makes an engine and a connection for every event that it stores or looks for. Each engine compiles all its
    statements anew, each connection reads the schema: a third of the time of a run that finds everything unchanged.
    It also reads all its migrations for every file of a run, to learn which is the latest.
    """
    modules: list[Any] = [import_module(f"dagster._core.storage.{name}") for name in SQLITE_STORAGES]
    migrations: Any = import_module("dagster._core.storage.sql")
    original = migrations.ScriptDirectory
    makers = [module.create_engine for module in modules]
    engines: dict[str, Any] = {}

    def kept_engine(url: str, **options: Any) -> Any:
        if url not in engines:
            engines[url] = create_engine(url, **{**options, "poolclass": _PersistentPool})
        return engines[url]

    for module in modules:
        module.create_engine = kept_engine
    migrations.ScriptDirectory = SimpleNamespace(from_config=cache(original.from_config))
    try:
        yield
    finally:
        migrations.ScriptDirectory = original
        for module, maker in zip(modules, makers, strict=True):
            module.create_engine = maker
        for engine in engines.values():
            engine.pool.close()


def import_dagster_dbt() -> Any:
    """Return the package dagster_dbt, imported as where dbt-core is not installed.

    With dbt-core it imports most of dbt, four of the five seconds that it takes and half of its memory, for the names
    of some states. Here dbt runs in processes of its own only.
    """
    if "dagster_dbt" not in sys.modules:
        version = sys.modules.get(DBT_VERSION)
        sys.modules[DBT_VERSION] = None  # type: ignore[assignment]  # not to be found
        try:
            import_module("dagster_dbt")
        finally:
            del sys.modules[DBT_VERSION]
            if version is not None:
                sys.modules[DBT_VERSION] = version
    return sys.modules["dagster_dbt"]


def dbt_resource_class(hide_values: Callable[[str], str]) -> "type[DbtCliResource]":
    """Return the resource that runs this environment's dbt without querying its version. Its errors, which end up in
    the logs of the run, pass through `hide_values`.

    Asking takes two seconds a domain, and the version is known.
    """
    resource: type[DbtCliResource] = import_dagster_dbt().DbtCliResource
    version = import_module("dagster_dbt.compat").version.parse(importlib.metadata.version("dbt-core"))

    class InstalledDbt(resource):  # type: ignore[misc, valid-type]
        """The dbt of this environment, whose version is not asked for."""

        @property
        def _cli_version(self) -> Any:
            return version

        def cli(self, *arguments: Any, **options: Any) -> Any:
            invocation = super().cli(*arguments, **options)
            original = invocation._stream_stdout

            def stream_hidden() -> Iterator[str | dict[str, Any]]:
                for event in original():
                    if isinstance(event, str):
                        yield hide_values(event)
                        continue
                    if event["info"]["level"] in ("warn", "error"):
                        event["info"]["msg"] = hide_values(event["info"]["msg"])
                    yield event

            invocation._stream_stdout = stream_hidden
            return invocation

        def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
            """Return nothing: it would open the domain's database with its plugins in this process, unconfined."""
            return None

    return InstalledDbt


def run_dagster_webserver(arguments: Sequence[str]) -> None:
    """Run `dagster-webserver` with `BrowserGuard` in front of it."""
    cli: Any = import_module("dagster_webserver.cli")
    original = cli.create_app_from_workspace_process_context

    def create_guarded_app(*given: Any, **options: Any) -> Any:
        app = original(*given, **options)
        app.add_middleware(BrowserGuard)
        return app

    cli.create_app_from_workspace_process_context = create_guarded_app
    sys.argv = ["dagster-webserver", *arguments]
    cli.main()


def run_dagster_dev(arguments: Sequence[str]) -> None:
    """Run `dagster dev` with the web server of `run_dagster_webserver` in the place of its own."""
    dev: Any = import_module("dagster._cli.dev")
    original = dev.open_ipc_subprocess

    def open_guarded(parts: Sequence[str], **options: Any) -> Any:
        own, guarded = ["-m", "dagster_webserver"], ["-m", "storymesh.orchestration.guarded_dagster", "webserver"]
        return original([parts[0], *guarded, *parts[3:]] if list(parts[1:3]) == own else parts, **options)

    dev.open_ipc_subprocess = open_guarded
    sys.argv = ["dagster", "dev", *arguments]
    command_line: Any = import_module("dagster._cli")
    command_line.main()
