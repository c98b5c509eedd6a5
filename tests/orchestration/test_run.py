"""A run of the mesh in this process: its results, its events, and its failures."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.assets.sources import raw_file_updates, raw_files_of
from storymesh.orchestration.instance import close_abandoned_runs, dagster_home, hold_run_lock, open_instance
from storymesh.orchestration.load_locations import load_code_locations
from storymesh.orchestration.run.events import RunEvent, StepFailure, StepStart, StepSuccess
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run.outcome import RunOutcome
from storymesh.orchestration.run.selection import read_terms
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.release import assemble
from storymesh.release.catalog import list_releases

BOATS = dg.AssetKey(["fleet", "boats"])


def run(root: Path, *narratives: str, upstream: bool = True) -> tuple[RunOutcome, list[RunEvent]]:
    mesh = load_mesh(root)
    events: list[RunEvent] = []
    terms = read_terms(mesh, narratives, only=not upstream)
    return execute_run(mesh, terms, events.append, root / "run.log"), events


def spoil_boats(root: Path, bad: int, good: int = 5) -> None:
    lines = [f"boat-{n},tug,{10 + n},Skipper {n}" for n in range(good)]
    lines += [f"bad-{n},tug,-1,Skipper" for n in range(bad)]
    (root / "domains/fleet/sources/boats.csv").write_text("\n".join(["boat,kind,length,skipper", *lines]) + "\n")


def test_a_mesh_of_plain_files_becomes_a_release_once(harbour: Path) -> None:
    outcome, events = run(harbour)
    assert outcome.success, outcome.failures
    assert [(product.product, product.state, product.rows) for product in outcome.products] == [
        ("fleet.boats", "new", 6),
        ("yard.repairs", "new", 60),
    ]
    (narrative,) = outcome.narratives
    assert (narrative.state, narrative.version, narrative.cases) == ("new", "1.0.0-r1", 60)
    assert set(narrative.configs) == {"report", "advice"}
    assert narrative.path == "releases/late-repairs/1.0.0-r1"
    finished = [event.step for event in events if isinstance(event, StepSuccess)]
    assert finished[0] == "fleet.boats", "a product comes after what it is built on"
    assert finished[-1] == "late-repairs: release"

    again, events = run(harbour)
    assert again.success
    assert {result.state for result in (*again.products, *again.narratives)} == {"unchanged"}
    assert all(event.unchanged for event in events if isinstance(event, StepSuccess))
    assert len(list_releases(harbour / "releases")) == 1

    with open_instance(load_mesh(harbour)) as instance:
        event = instance.get_latest_materialization_event(BOATS)
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        version = ProductStore(Warehouse(harbour / ".storymesh"), "fleet").list_snapshots("boats")[0].version
        assert event.asset_materialization.tags is not None
        assert event.asset_materialization.tags["dagster/data_version"] == version == metadata["version"].value
        sample = str(metadata["sample"].value)
        assert "boat-0" in sample
        assert "Skipper" not in sample, "restricted values are masked"
        lineage = metadata["dagster/column_lineage"].value.deps_by_column
        assert [dep.asset_key.path[-1] for dep in lineage["boat"]] == ["boats.csv"]
        release = made(instance, "late_repairs/release")
        assert "report train   " in str(release["records_plot"].value)
        assert (harbour / str(release["report"].value)).is_file()
        carried = made(instance, "late_repairs/cases")["dagster/column_lineage"].value.deps_by_column
        assert {dep.asset_key.to_user_string() for deps in carried.values() for dep in deps} == {
            "fleet/boats",
            "yard/repairs",
        }
        assert "certificate" in evaluated(instance, outcome.run_id)
        assert "volume" in evaluated(instance, outcome.run_id)
        assert stale(harbour, instance) == set()
        spoil_boats(harbour, bad=1)
        report_raw_files(harbour, "fleet", instance)
        assert stale(harbour, instance) == {"fleet/boats"}, "and nobody takes the others for out of date"


def stale(root: Path, instance: dg.DagsterInstance) -> set[str]:
    """Return the assets that the user interface calls out of date by a new version of what they are made from."""
    graph = load_code_locations(load_mesh(root)).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    causes = {key: resolver.get_stale_causes(key) for key in graph.materializable_asset_keys}
    return {key.to_user_string() for key, found in causes.items() if any(cause.key.asset_key == key for cause in found)}


def report_raw_files(root: Path, domain: str, instance: dg.DagsterInstance) -> None:
    definitions = load_code_locations(load_mesh(root))
    for update in raw_file_updates(load_mesh(root), domain, raw_files_of(definitions, domain), instance):
        instance.report_runless_asset_event(update)


def made(instance: dg.DagsterInstance, key: str) -> Mapping[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey.from_user_string(key))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata


def test_leak_between_splits_fails_the_certificate_and_releases_nothing(
    harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "count_leaks", lambda *_: {"ids": 0, "questions": 2})
    outcome, _ = run(harbour)
    assert {product.state for product in outcome.products} == {"new"}
    assert outcome.narratives[0].state == "refused"
    assert "questions: 2" in outcome.narratives[0].reason
    assert list_releases(harbour / "releases") == []
    with open_instance(load_mesh(harbour)) as instance:
        assert red_checks(instance, outcome.run_id) == ["certificate"]


def test_narrative_alone_wants_its_products_published(harbour: Path) -> None:
    outcome, _ = run(harbour, "late-repairs", upstream=False)
    assert not outcome.success
    assert "nobody has published yet" in outcome.narratives[0].reason


def test_narrative_alone_uses_products_as_they_are_published(released_harbour: Path) -> None:
    outcome, events = run(released_harbour, "late-repairs")
    assert outcome.success
    assert len([event for event in events if isinstance(event, StepSuccess)]) == 7

    spoil_boats(released_harbour, bad=5, good=5)  # which nobody reads
    outcome, events = run(released_harbour, "late_repairs", upstream=False)
    assert outcome.success
    assert not outcome.products
    assert len([event for event in events if isinstance(event, StepSuccess)]) == 5


def test_bad_row_is_quarantined_and_its_check_fails(released_harbour: Path) -> None:
    harbour = released_harbour
    spoil_boats(harbour, bad=1, good=20)
    outcome, _ = run(harbour)
    assert outcome.success, "the rest goes on"
    assert (outcome.products[0].rows, outcome.products[0].quarantined) == (20, 1)
    assert outcome.products[0].quarantined_for == ("range: length (1)",)
    assert outcome.products[0].warnings == ("20 rows, 6 before",)
    mesh = load_mesh(harbour)
    with open_instance(mesh) as instance:
        event = instance.get_latest_materialization_event(BOATS)
        assert event is not None
        assert event.asset_materialization is not None
        path = str(event.asset_materialization.metadata["quarantine"].value)
        assert not Path(path).is_absolute()
        assert (harbour / path).exists()
        red = red_checks(instance, outcome.run_id)
    assert [name for name in red if name.startswith("length")]
    assert not [name for name in red if name.startswith(("boat", "kind", "skipper"))]


def evaluated(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [check.check_name for check in evaluations(instance, run_id)]


def red_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [check.check_name for check in evaluations(instance, run_id) if not check.passed]


def evaluations(instance: dg.DagsterInstance, run_id: str) -> list[Any]:
    records = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return [record.dagster_event.asset_check_evaluation_data for record in records if record.dagster_event]


def test_a_refused_product_keeps_its_snapshot_and_stops_only_what_is_built_on_it(released_harbour: Path) -> None:
    harbour = released_harbour
    boats = ProductStore(Warehouse(harbour / ".storymesh"), "fleet")
    before = [snapshot.version for snapshot in boats.list_snapshots("boats")]
    add_domain(harbour)
    spoil_boats(harbour, bad=5, good=5)
    outcome, events = run(harbour)
    assert not outcome.success
    states = {product.product: product.state for product in outcome.products}
    assert states == {"fleet.boats": "refused", "yard.repairs": "left out", "pier.berths": "new"}
    refused = next(product for product in outcome.products if product.product == "fleet.boats")
    assert "break the contract" in refused.reason
    assert refused.quarantined_for == ("range: length (5)",)
    assert outcome.narratives[0].state == "left out"
    assert "fleet.boats" in outcome.narratives[0].reason
    assert "storymesh run late-repairs --only" in outcome.narratives[0].reason
    alone, _ = run(harbour, "late-repairs", upstream=False)
    assert [narrative.state for narrative in alone.narratives] == ["unchanged"], "from the snapshots that readers have"
    assert [event.expected for event in events if isinstance(event, StepFailure)] == [True]
    latest = boats.latest_snapshot("boats")
    assert latest is not None
    assert [latest.version] == before, "readers still see the last good snapshot"
    assert pq.read_table(latest.files[0]).num_rows == 6
    with open_instance(load_mesh(harbour)) as instance:
        assert any(name.startswith("length") for name in red_checks(instance, outcome.run_id))
        checks = {
            check.check_name: check for check in evaluations(instance, outcome.run_id) if check.asset_key == BOATS
        }
        assert "5 of 10 rows break the contract" in checks["published"].description
        assert checks["published"].severity is dg.AssetCheckSeverity.ERROR
        # What nobody looked for is no failure of the rows.
        assert checks["volume"].severity is checks["there_are_boats"].severity is dg.AssetCheckSeverity.WARN
        noted = instance.fetch_observations(BOATS, limit=1).records[0].asset_observation
        assert noted is not None
        assert "5 of 10 rows break the contract" in str(noted.metadata["failed"].value)


def add_domain(root: Path) -> None:
    """A third domain that nothing else has to do with."""
    for part in ("domains/{}", "contracts/{}"):
        source, target = root / part.format("fleet"), root / part.format("pier")
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                text = path.read_text(encoding="utf-8").replace("fleet", "pier").replace("boats", "berths")
                new = target / path.relative_to(source).as_posix().replace("boats", "berths")
                new.parent.mkdir(parents=True, exist_ok=True)
                new.write_text(text, encoding="utf-8")
    workspace = root / "workspace.yaml"
    line = "  - python_file: {relative_path: domains/pier/definitions.py, working_directory: ., location_name: pier}\n"
    workspace.write_text(workspace.read_text(encoding="utf-8") + line, encoding="utf-8")


def test_missing_source_is_explained_without_a_traceback(harbour: Path, edit: Callable[[str, str, str], None]) -> None:
    (harbour / "domains/fleet/sources/boats.csv").unlink()
    outcome, events = run(harbour)
    failed = next(event for event in events if isinstance(event, StepFailure))
    assert failed.expected
    assert "domains/fleet/products/boats.odps.yaml" in failed.message
    assert "boats.csv" in failed.message
    assert "Traceback" not in failed.message
    assert {product.state for product in outcome.products} == {"refused", "left out"}
    assert "--only" not in outcome.narratives[0].reason, "nothing is published that it could be told from"


def test_closing_the_terminal_ends_a_run_as_ctrl_c_does(harbour: Path) -> None:
    mesh = load_mesh(harbour)

    def close_terminal(event: RunEvent) -> None:
        if isinstance(event, StepStart):
            signal.raise_signal(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup` it is ignored, and a run leaves it so
    try:
        with pytest.raises(KeyboardInterrupt):
            execute_run(mesh, [], close_terminal, harbour / "run.log")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    with open_instance(mesh) as instance:
        assert [run.is_finished for run in instance.get_runs()] == [True], "nobody waits for it"
    assert ProductStore(mesh.warehouse, "yard").latest_snapshot("repairs") is None, "no other step was begun"


def test_run_of_a_killed_process_is_closed_by_the_next_look(harbour: Path) -> None:
    mesh = load_mesh(harbour)
    job = dg.define_asset_job("left", selection="*").resolve(
        asset_graph=load_code_locations(mesh).resolve_asset_graph()
    )
    with open_instance(mesh) as instance:
        left, alive = (instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED) for _ in range(2))
        process = os.fork()
        if process == 0:
            with hold_run_lock(dagster_home(mesh), left.run_id):
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(process, 0)
        with hold_run_lock(dagster_home(mesh), alive.run_id):
            assert close_abandoned_runs(instance) == [left.run_id]
        closed, going = (instance.get_run_by_id(run.run_id) for run in (left, alive))
        assert closed is not None
        assert going is not None
        assert (closed.status, going.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED)
        assert close_abandoned_runs(instance) == []
