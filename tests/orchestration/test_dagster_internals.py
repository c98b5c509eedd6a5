"""What is used of Dagster beyond its public interface is there, is still needed, and stands in one file."""

import functools
import importlib
import importlib.metadata
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from sqlalchemy import Engine, create_engine, event

from storymesh.orchestration import dagster_internals as internals

PACKAGE = Path(internals.__file__).parents[1]
PRIVATE = re.compile(r"\bdagster\w*\._\w+|\bdagster_dbt\.\w+")


def test_private_modules_are_imported_in_one_file() -> None:
    users = {path for path in PACKAGE.rglob("*.py") if PRIVATE.search(path.read_text(encoding="utf-8"))}
    assert users == {Path(internals.__file__)}


@pytest.mark.parametrize("package", internals.TESTED_VERSIONS)
def test_versions_are_those_in_which_the_internals_were_seen(package: str) -> None:
    assert importlib.metadata.version(package).startswith(f"{internals.TESTED_VERSIONS[package]}.")


def test_version_tags_are_what_dagster_writes() -> None:
    @dg.asset(code_version="7")
    def upstream() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("abc"))

    @dg.asset(deps=[upstream])
    def downstream() -> None: ...

    instance = dg.DagsterInstance.ephemeral()
    dg.materialize([upstream, downstream], instance=instance)
    assert internals.latest_data_version(instance, dg.AssetKey("upstream")) == "abc"
    assert internals.latest_data_version(instance, dg.AssetKey("nothing")) is None
    tags = {name: tags_of(instance, name) for name in ("upstream", "downstream")}
    assert tags["upstream"][internals.CODE_VERSION_TAG] == "7"
    assert tags["upstream"][internals.DATA_VERSION_TAG] == "abc"
    assert tags["downstream"][f"{internals.INPUT_DATA_VERSION_TAG_PREFIX}/upstream"] == "abc"


def test_the_latest_evaluation_of_a_check_is_found() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("full", asset="rows")])
    def rows():  # type: ignore[no-untyped-def]
        result = dg.AssetCheckResult(passed=False, check_name="full", severity=dg.AssetCheckSeverity.WARN)
        return dg.MaterializeResult(check_results=[result])

    full, never = (dg.AssetCheckKey(dg.AssetKey("rows"), name) for name in ("full", "never"))
    instance = dg.DagsterInstance.ephemeral()
    dg.materialize([rows], instance=instance)
    found = internals.latest_check_evaluations(instance, [full, never])
    assert list(found) == [full]
    assert not found[full].passed
    assert found[full].severity is dg.AssetCheckSeverity.WARN


def tags_of(instance: dg.DagsterInstance, name: str) -> Any:
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event is not None and event.asset_materialization is not None
    return event.asset_materialization.tags


def test_a_step_that_waits_for_its_pool_sleeps_only_with_our_method() -> None:
    context = InstanceConcurrencyContext.__new__(InstanceConcurrencyContext)
    context._pending_claims = {"step"}
    context._pending_timeouts = {"step": time.time() + 60}
    assert context.interval_to_next_pending_claim_check() <= 0, "Dagster has mended it: remove sleep_in_pool_waits"
    with internals.sleep_in_pool_waits():
        assert context.interval_to_next_pending_claim_check() > 50
        context._pending_timeouts = {"step": 0.0}
        assert context.interval_to_next_pending_claim_check() == 0
    assert context.interval_to_next_pending_claim_check() <= 0


def test_an_instance_opens_without_files_for_what_steps_print(tmp_path: Path) -> None:
    with internals.instance_without_compute_logs(tmp_path) as instance:
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"
        internals.assign_free_pool_slots(instance)


def test_a_step_has_the_slot_of_its_pool_that_was_claimed_for_it_before(tmp_path: Path) -> None:
    with internals.instance_without_compute_logs(tmp_path) as instance:
        instance.event_log_storage.set_concurrency_slots("desk", 1)
        job = dg.Definitions([dg.AssetSpec("a")], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
        first, second = (instance.create_run_for_job(job).run_id for _ in range(2))
        assert internals.claim_pool_slot(instance, first, "models", "desk")
        assert not internals.claim_pool_slot(instance, second, "models", "desk")
        assert internals.claim_pool_slot(instance, first, "models", "desk"), "as the step itself does"
        instance.event_log_storage.free_concurrency_slots_for_run(first)
        assert internals.claim_pool_slot(instance, second, "models", "desk")
        assert not internals.claim_pool_slot(instance, "of no run", "models", "harbour")


def test_the_assets_that_a_step_makes_and_reads_are_known() -> None:
    @dg.asset(key=["desk", "ships"], deps=["weather"])
    def ships() -> None: ...

    @dg.multi_asset(specs=[dg.AssetSpec("routes", deps=[ships, "tides"]), dg.AssetSpec("stops", deps=["routes"])])
    def plan(): ...  # type: ignore[no-untyped-def]

    job = dg.Definitions([ships, plan], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    assert internals.asset_keys_of_step(job, "desk__ships") == [dg.AssetKey(["desk", "ships"])]
    assert internals.assets_read_by_step(job, "desk__ships") == {dg.AssetKey("weather"): False}
    assert internals.assets_read_by_step(job, "plan") == {
        dg.AssetKey(["desk", "ships"]): True,
        dg.AssetKey("tides"): False,
    }


def test_dbt_itself_is_not_imported_with_dagster_dbt() -> None:
    code = (
        "import sys; from storymesh.orchestration.dagster_internals import import_dagster_dbt; import_dagster_dbt();"
        " print(*(name for name in sys.modules if name.partition('.')[0] == 'dbt'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def installed_dbt(folder: Path, hide_values: Callable[[str], str]) -> Any:
    (folder / "dbt_project.yml").write_text("name: x\nversion: '1'\nprofile: x\n", encoding="utf-8")
    (folder / "profiles.yml").write_text("x: {target: y, outputs: {y: {type: duckdb}}}\n", encoding="utf-8")
    return internals.dbt_resource_class(hide_values)(
        project_dir=str(folder), profiles_dir=str(folder), dbt_executable=str(Path(sys.executable).with_name("dbt"))
    )


def test_dbt_is_not_asked_for_its_version(tmp_path: Path) -> None:
    DbtCliResource = internals.import_dagster_dbt().DbtCliResource  # noqa: N806
    assert isinstance(DbtCliResource._cli_version, functools.cached_property), "it is called otherwise now"
    resource = installed_dbt(tmp_path, str)
    assert str(resource._cli_version) == importlib.metadata.version("dbt-core")
    assert callable(DbtCliResource._initialize_dbt_core_adapter), "it is called otherwise now"
    assert resource._initialize_dbt_core_adapter([]) is None, "dbt's database is opened by dbt's process alone"


def test_errors_of_dbt_are_printed_as_they_are_made_of_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = internals.import_dagster_dbt()
    assert callable(package.DbtCliInvocation._stream_stdout), "it is called otherwise now"
    said = [{"info": {"level": level, "msg": "CZ12"}} for level in ("info", "warn", "error")]
    printed = SimpleNamespace(_stream_stdout=lambda: iter([*said, "CZ12"]))
    monkeypatch.setattr(package.DbtCliResource, "cli", lambda *_, **__: printed)
    heard = list(installed_dbt(tmp_path, lambda words: words.replace("CZ12", "-")).cli(["build"])._stream_stdout())
    assert [event if isinstance(event, str) else event["info"]["msg"] for event in heard] == ["CZ12", "-", "-", "-"]


def test_assets_built_on_another_are_those_of_the_job() -> None:
    @dg.asset
    def raw() -> None: ...

    @dg.asset(deps=[raw])
    def product() -> None: ...

    @dg.asset(deps=[product])
    def cases() -> None: ...

    @dg.asset(deps=[raw])
    def other() -> None: ...

    names = {name: dg.AssetKey(name) for name in ("raw", "product", "cases")}
    definitions = dg.Definitions([raw, product, cases, other], jobs=[dg.define_asset_job("made", list(names))])
    job = definitions.resolve_job_def("made")
    assert internals.assets_built_on(job, [names["raw"]]) == {
        names["product"]: names["raw"],
        names["cases"]: names["raw"],
    }
    assert internals.assets_built_on(job, [names["raw"], names["product"]]) == {names["cases"]: names["product"]}
    assert internals.assets_built_on(job, [names["cases"]]) == {}


def test_events_are_stored_by_one_engine_for_each_file_only_with_our_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    opened: list[object] = []
    read: list[object] = []

    def counted(url: str, **options: Any) -> Any:
        made.append(url)
        return create_engine(url, **options)

    def open_connection(connection: object, _: object) -> None:
        opened.append(connection)

    migrations = importlib.import_module("dagster._core.storage.sql")
    from_config = migrations.ScriptDirectory.from_config
    read_migrations = SimpleNamespace(from_config=lambda config: read.append(config) or from_config(config))
    monkeypatch.setattr(migrations, "ScriptDirectory", read_migrations)
    monkeypatch.setattr(internals, "create_engine", counted)
    storages = [importlib.import_module(f"dagster._core.storage.{name}") for name in internals.SQLITE_STORAGES]

    @dg.asset
    def rows() -> None: ...

    event.listen(Engine, "connect", open_connection)
    with internals.persistent_database_engines():
        instance = internals.instance_without_compute_logs(tmp_path)
        assert dg.materialize([rows], instance=instance).success
        assert instance.get_latest_materialization_event(dg.AssetKey("rows")) is not None
    event.remove(Engine, "connect", open_connection)
    assert len(set(made)) == len(made) >= 4, "files of runs, of schedules, of the run and of all assets"
    assert len(opened) <= 2 * len(made), "one more where a new file is looked at while its tables are made"
    assert len(set(map(id, read))) == len(read) >= 2, "the migrations of each kind of file are read once"
    for storage in storages:
        monkeypatch.setattr(storage, "create_engine", counted)
    made.clear()
    assert instance.get_runs_count() == len(instance.get_runs()) == 1
    assert len(set(made)) < len(made), "Dagster has mended it: remove persistent_database_engines"
