"""dbt models in Dagster: read from dbt's manifest, built on published products, and explained when they break."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import TransformFailed
from storymesh.mesh.check import check_files
from storymesh.mesh.dbt_manifest import dbt_manifest
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.orchestration import definitions
from storymesh.orchestration.assets.dbt_build import dbt_pool, wait_for_database
from storymesh.orchestration.assets.dbt_models import results_before
from storymesh.orchestration.assets.states import domain_database
from storymesh.orchestration.instance import open_instance
from storymesh.orchestration.run.events import RunEvent, StepStart, StepSuccess
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run.outcome import RunOutcome
from storymesh.product.dbt_server import preloaded_dbt
from tests.support.built_once import built_once
from tests.support.harbour import run_harbour

DESK = Path(__file__).parent / "desk"
BERTHS = dg.AssetKey(["desk", "models", "berths"])


@pytest.fixture(scope="module", autouse=True)
def dbt_server() -> Iterator[None]:
    """The runs of all tests here fork their dbt from one process."""
    with preloaded_dbt():
        yield


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harbour after a run, with a third domain, whose dbt model is built on another domain's product, and which dbt
    has read once."""
    finished = built_once(tmp_path_factory, "harbour", run_harbour)
    root = Path(shutil.copytree(finished, tmp_path_factory.mktemp("models") / "harbour"))
    shutil.copytree(DESK, root, dirs_exist_ok=True)
    (root / "workspace.yaml").unlink()
    dbt_manifest(load_mesh(root), "desk")
    return root


@pytest.fixture
def with_desk(parsed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parsed, tmp_path / "harbour", symlinks=True))


def run(root: Path, watch: Callable[[RunEvent], object] = id) -> tuple[RunOutcome, list[RunEvent]]:
    events: list[RunEvent] = []

    def listen(event: RunEvent) -> None:
        events.append(event)
        watch(event)

    return execute_run(load_mesh(root), [], listen, root / "run.log"), events


def rows(mesh: Mesh) -> list[tuple[object, ...]]:
    with duckdb.connect(str(domain_database(mesh, "desk")), read_only=True) as connection:
        return connection.execute("SELECT boat, berth FROM berths ORDER BY boat").fetchall()


def test_models_are_assets_and_the_manifest_is_made_once(with_desk: Path) -> None:
    file = str(with_desk / "domains/desk/definitions.py")
    graph = definitions(file).resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get(BERTHS).parent_keys} == {"fleet/boats", "desk/models/notes"}
    assert {key.to_user_string() for key in graph.get(dg.AssetKey(["desk", "berths"])).parent_keys} == {
        "desk/models/berths"
    }
    assert graph.get(BERTHS).kinds == {"dbt", "duckdb"}
    assert graph.get(BERTHS).group_name == "desk"
    assert list(graph.get(BERTHS).owners) == ["desk@example.com"]
    tests = {key.name for key in graph.asset_check_keys if key.asset_key == BERTHS}
    assert any("unique" in name for name in tests), "dbt's tests are checks of their model"

    mesh = load_mesh(with_desk)
    first = dbt_manifest(mesh, "desk")
    definitions(file)
    kept = dbt_manifest(mesh, "desk")
    assert first["metadata"]["generated_at"] == kept["metadata"]["generated_at"], "dbt is not asked again"
    model = with_desk / "domains/desk/models/berths.sql"
    model.write_text(model.read_text(encoding="utf-8").replace("berth::bigint", "berth::integer"), encoding="utf-8")
    again = dbt_manifest(mesh, "desk")
    assert first["metadata"]["generated_at"] != again["metadata"]["generated_at"]


def test_a_test_that_reads_other_models_waits_for_them(with_desk: Path) -> None:
    """`berths` has a test that reads `notes`. Where `notes` is built alone, `berths` is not there."""
    models = with_desk / "domains/desk/models/models.yml"
    test = "{relationships: {arguments: {to: ref('notes'), field: boat}}}"
    text = models.read_text(encoding="utf-8")
    assert "[unique, not_null]" in text
    models.write_text(text.replace("[unique, not_null]", f"[unique, not_null, {test}]"), encoding="utf-8")
    job = definitions(str(with_desk / "domains/desk/definitions.py")).resolve_implicit_global_asset_job_def()
    notes = dg.AssetKey(["desk", "models", "notes"])
    assert job.execute_in_process(asset_selection=[notes]).success


def at_repairs(then: Callable[[], object]) -> Callable[[RunEvent], object]:
    """Return what watches a run, and does something when `yard.repairs` begins: before the step of the models."""
    return lambda event: event == StepStart("yard.repairs") and then()


def await_file(path: Path) -> None:
    deadline = time.monotonic() + 600
    while not path.is_file():
        assert time.monotonic() < deadline, f"nobody has made {path}"
        time.sleep(0.05)


def test_models_read_published_products_and_break_alone(with_desk: Path) -> None:
    mesh, results = load_mesh(with_desk), with_desk / ".storymesh/desk/dbt/target/run_results.json"
    # dbt begins once what it reads is published. A run that is stopped before the step of the models ends it.
    with pytest.raises(KeyboardInterrupt):
        run(with_desk, at_repairs(lambda: signal.raise_signal(signal.SIGINT)))
    with mesh.open_engine() as engine:
        assert engine.describe_database_lock(domain_database(mesh, "desk")) is None
    with open_instance(mesh) as instance:
        assert instance.event_log_storage.get_concurrency_info(dbt_pool("desk")).active_slot_count == 0
    results.unlink(missing_ok=True)

    # It works beside other steps: the run waits here for what it leaves when it has ended.
    outcome, events = run(with_desk, at_repairs(lambda: await_file(results)))
    assert outcome.success, outcome.failures
    assert {product.product: product.rows for product in outcome.products} == {
        "fleet.boats": 6,
        "yard.repairs": 60,
        "desk.berths": 2,
    }
    assert rows(load_mesh(with_desk)) == [("boat-0", 7), ("boat-1", 8)]
    steps = [event.step for event in events if isinstance(event, StepSuccess)]
    assert steps.index("fleet.boats") < steps.index("desk: dbt models") < steps.index("desk.berths")

    # Nothing has changed, so dbt is not asked: its models and tests are told as they were.
    built = results.stat().st_mtime_ns
    outcome, events = run(with_desk)
    assert outcome.success, outcome.failures
    assert results.stat().st_mtime_ns == built
    (models,) = (event for event in events if isinstance(event, StepSuccess) and event.step == "desk: dbt models")
    assert models.unchanged

    # A test of dbt fails: the model's file and dbt's words; the other domains and the narrative go on.
    (with_desk / "domains/desk/sources/notes.csv").write_text("boat,berth\nboat-0,7\nboat-0,8\n", encoding="utf-8")
    outcome, _ = run(with_desk)
    states = {product.product: product.state for product in outcome.products}
    assert states == {"fleet.boats": "unchanged", "yard.repairs": "unchanged", "desk.berths": "left out"}
    (failed,) = outcome.failures.values()
    assert failed.expected
    assert "unique_berths_boat" in failed.message
    assert "domains/desk/models/models.yml" in failed.message
    assert outcome.narratives[0].state == "unchanged"

    # A project that dbt cannot even read, which `check` says again for as long as it stays as it is.
    model = with_desk / "domains/desk/models/berths.sql"
    model.write_text("select 1\n{{ exceptions.raise_compiler_error('nothing') }}\n", encoding="utf-8")
    assert check_files(with_desk) == []
    outcome, _ = run(with_desk)
    (said,) = check_files(with_desk)
    words = "error[dbt]: dbt does not take it: Compilation Error in model berths"
    assert str(said).startswith(f"domains/desk/models/berths.sql:1:1: {words}")
    model.write_text("select 1\n", encoding="utf-8")
    assert check_files(with_desk) == []
    (failed,) = outcome.failures.values()
    assert failed.expected
    assert "nothing" in failed.message
    assert {product.product: product.state for product in outcome.products}["fleet.boats"] == "unchanged"
    assert outcome.narratives[0].state == "unchanged"


def test_results_of_models_and_their_checks_are_told_again() -> None:
    again = []
    checks = [dg.AssetCheckSpec("unique_boat", asset="boats"), dg.AssetCheckSpec("full", asset="notes")]

    @dg.multi_asset(specs=[dg.AssetSpec("boats"), dg.AssetSpec("notes")], check_specs=checks, can_subset=True)
    def build(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        before = results_before(context)
        again.append(before is not None)
        if before is not None:
            yield from before
            return
        yield dg.MaterializeResult(asset_key="boats", metadata={"sql": dg.MetadataValue.md("select 1")})
        yield dg.AssetCheckResult(asset_key="boats", check_name="unique_boat", passed=True, metadata={"rows": 0})
        yield dg.MaterializeResult(asset_key="notes")
        severity = dg.AssetCheckSeverity.WARN
        yield dg.AssetCheckResult(asset_key="notes", check_name="full", passed=False, severity=severity)

    with dg.DagsterInstance.ephemeral() as instance:
        runs = [dg.materialize([build], instance=instance) for _ in range(2)]
    assert again == [False, True]
    told = [
        {
            (check.check_name, check.passed, check.severity, *check.metadata)
            for check in run.get_asset_check_evaluations()
        }
        for run in runs
    ]
    assert told[0] == told[1]
    assert len(told[1]) == 2
    metadata = {event.asset_key.path[0]: event.materialization.metadata for event in materialized(runs[1])}
    assert metadata["boats"]["sql"] == dg.MetadataValue.md("select 1")
    assert metadata["notes"]["unchanged"].value


def materialized(run: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    return run.get_asset_materialization_events()


def test_database_held_by_another_process_is_an_error(tmp_path: Path) -> None:
    database = tmp_path / "desk.duckdb"
    program = f"import duckdb, time; c = duckdb.connect({str(database)!r}); print('held', flush=True); time.sleep(600)"
    held = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with open_engine() as engine, held as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TransformFailed, match="another process holds"):
            wait_for_database(engine, database, wait_s=0.2)
        holder.kill()
        wait_for_database(engine, database, wait_s=600)
