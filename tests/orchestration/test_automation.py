"""What a new snapshot starts: each location's own sensor is asked as Dagster's daemon asks it, look after look."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration import definitions
from storymesh.orchestration.assets import sources
from storymesh.orchestration.dagster_internals import persistent_database_engines
from storymesh.orchestration.instance import open_instance
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run.selection import read_terms
from tests.support.built_once import built_once
from tests.support.harbour import make_harbour
from tests.support.paths import MESHES

FOLDERS = ("domains/fleet", "domains/yard", "narratives")
LATE = {f"late_repairs/{name}" for name in ("cases", "precedents", "records/report", "records/advice", "release")}
LOG = {f"log/{name}" for name in ("cases", "records/report", "release")}
LOG_YAML = """\
apiVersion: storymesh/v1
kind: Narrative
id: log
version: 1.0.0
title: What the yard did
owner: harbour-lab
license: cc-by-4.0
cast: {repair: yard.repairs@1}
case: {anchor: repair, at: repair.reported_at, closes: repair.done_at}
records:
  report: {format: text, text: report.md.jinja}
"""


class Daemon:
    """Looks at every location once in each tick; what it asks for runs only where a test says so."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root, self.instance = root, instance
        self.cursors: dict[str, str | None] = {}

    def tick(self) -> set[str]:
        asked: set[str] = set()
        for folder in FOLDERS:
            repository = self._location(folder).get_repository_def()
            sensor = automation_of(repository)
            seen = dg.build_sensor_context(self.instance, self.cursors.get(folder), repository_def=repository)
            result = sensor.evaluate_tick(seen)
            self.cursors[folder] = result.cursor
            asked |= {
                key.to_user_string() for request in result.run_requests or [] for key in request.asset_selection or []
            }
        return asked

    def look(self, folder: str) -> set[str]:
        """Return the raw files of the location with new content, after reporting them to Dagster as its daemon does."""
        repository = self._location(folder).get_repository_def()
        name = f"new_files_{Path(folder).name}"
        (sensor,) = [sensor for sensor in repository.sensor_defs if sensor.name == name]
        result = sensor.evaluate_tick(dg.build_sensor_context(self.instance, repository_def=repository))
        for seen in result.asset_events:
            self.instance.report_runless_asset_event(seen)
        return {seen.asset_key.to_user_string() for seen in result.asset_events}

    def make(self, *keys: str) -> bool:
        """A run of its own for each location, as the sensor or a person in the UI has it."""
        done = True
        for folder in FOLDERS:
            job = self._location(folder).resolve_implicit_global_asset_job_def()
            here = {key.to_user_string() for key in job.asset_layer.executable_asset_keys} & set(keys)
            if here:
                chosen = [dg.AssetKey.from_user_string(key) for key in here]
                done &= job.execute_in_process(
                    instance=self.instance, asset_selection=chosen, raise_on_error=False
                ).success
        return done

    @contextmanager
    def making(self, folder: str, key: str) -> Iterator[None]:
        """While a run of somebody else is making an asset."""
        job = self._location(folder).resolve_implicit_global_asset_job_def()
        made = self.instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({dg.AssetKey.from_user_string(key)})
        )
        yield
        self.instance.report_run_canceled(made)

    def _location(self, folder: str) -> dg.Definitions:
        return definitions(str(self.root / folder / "definitions.py"))


def automation_of(repository: dg.RepositoryDefinition) -> dg.SensorDefinition:
    (sensor,) = [sensor for sensor in repository.sensor_defs if sensor.name.startswith("new_snapshots_")]
    return sensor


def run(root: Path, *narratives: str) -> None:
    mesh = load_mesh(root)
    outcome = execute_run(mesh, read_terms(mesh, narratives), lambda event: None, root / "run.log")
    assert outcome.success, outcome.failures


@pytest.fixture
def daemon(harbour: Path) -> Iterator[Daemon]:
    """The harbour with a narrative of the repairs alone and with docks that nobody tells of. Nothing was run in it."""
    add_log_and_docks(harbour)
    with watching(harbour) as daemon:
        yield daemon


@pytest.fixture
def daemon_after_a_run(harbour: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The same after a run of everything, before which nobody had written to the raw files for long."""

    def make(root: Path) -> None:
        make_harbour(root)
        add_log_and_docks(root)
        settled(root)
        run(root)

    finished = built_once(tmp_path_factory, "harbour with a log and docks", make)
    shutil.rmtree(harbour)
    with watching(Path(shutil.copytree(finished, harbour))) as daemon:
        yield daemon


@contextmanager
def watching(root: Path) -> Iterator[Daemon]:
    with persistent_database_engines(), open_instance(load_mesh(root)) as instance:
        yield Daemon(root, instance)


def add_log_and_docks(harbour: Path) -> None:
    folder = harbour / "narratives/log"
    folder.mkdir()
    (folder / "report.md.jinja").write_text("{{ repair.boat }} came on {{ case.at | date }}.\n", encoding="utf-8")
    (folder / "narrative.yaml").write_text(LOG_YAML, encoding="utf-8")
    for path in ("contracts/fleet/{}.odcs.yaml", "domains/fleet/products/{}.odps.yaml", "domains/fleet/sources/{}.csv"):
        text = (harbour / path.format("boats")).read_text(encoding="utf-8")
        (harbour / path.format("docks")).write_text(text.replace("boats", "docks"), encoding="utf-8")


def change(root: Path, product: str, old: str = "Skipper 1", new: str = "Skipper 9") -> None:
    path = root / f"domains/fleet/sources/{product}.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_each_location_looks_by_itself_and_can_be_stopped(harbour: Path) -> None:
    for folder in FOLDERS:
        repository = definitions(str(harbour / folder / "definitions.py")).get_repository_def()
        sensor = automation_of(repository)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert sensor.name == f"new_snapshots_{Path(folder).name}"


def test_a_new_snapshot_starts_what_is_built_on_it_and_nothing_else(
    daemon_after_a_run: Daemon, harbour: Path, edit: Callable[[str, str, str], None]
) -> None:
    daemon = daemon_after_a_run
    assert daemon.tick() == set(), "a run of everything leaves nothing to do"

    change(harbour, "docks")
    assert daemon.make("fleet/boats", "fleet/docks")
    assert daemon.tick() == set(), "boats have an equal content, which is no new snapshot, and nobody tells of docks"

    change(harbour, "boats", ",11,", ",12,")
    assert daemon.make("fleet/boats")
    assert daemon.tick() == {*LATE, "yard/repairs"}, "the narrative that uses it, and the product with the input port"
    assert daemon.tick() == set(), "nothing twice"
    assert daemon.make("yard/repairs", *LATE)
    assert daemon.tick() == set(), "the repairs are what they were: the log of repairs has nothing new"
    assert {path.name for path in (harbour / "releases/late-repairs").iterdir()} >= {"1.0.0-r1", "1.0.0-r2"}

    change(harbour, "boats", ",12,", ",13,")
    edit("narratives/log/report.md.jinja", "came on", "arrived on")
    run(harbour)
    assert daemon.tick() == set(), "what a run did itself is not done again"


def test_new_raw_data_becomes_a_release_by_itself(
    daemon_after_a_run: Daemon, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = daemon_after_a_run
    monkeypatch.setattr(sources, "SETTLED_S", 1800.0)  # a busy machine's moments are long
    assert daemon.look("domains/fleet") == set(), "a run has seen what it read"
    assert daemon.tick() == set()

    change(harbour, "boats", ",11,", ",12,")
    assert daemon.look("domains/fleet") == set(), "it was written to a moment ago, and may not be whole"
    settled(harbour)
    assert daemon.look("domains/fleet") == {"fleet/sources/boats.csv"}
    assert daemon.look("domains/fleet") == set()
    assert daemon.tick() == {"fleet/boats"}, "the docks have the file that they had"
    assert daemon.tick() == set()
    assert daemon.make("fleet/boats")
    assert daemon.tick() >= {"yard/repairs", *LATE}

    change(harbour, "docks", "skipper", "skipper,notes")
    settled(harbour)
    assert daemon.look("domains/fleet") == {"fleet/sources/docks.csv"}
    assert daemon.tick() == {"fleet/docks"}
    os.utime(harbour / "domains/fleet/sources/docks.csv", (0, 0))
    assert daemon.look("domains/fleet") == set(), "another time of change is no other content"


def settled(root: Path) -> None:
    """The raw files were written an hour ago, at the latest."""
    for path in root.glob("domains/*/sources/*"):
        before = path.stat().st_mtime - 3600
        os.utime(path, (before, before))


def test_what_was_published_before_anybody_looked_is_followed_once_it_can_be(daemon: Daemon, harbour: Path) -> None:
    assert daemon.tick() == set(), "nothing is published by itself"
    assert daemon.make("fleet/boats")
    assert daemon.tick() == set(), "the repairs are not published yet"
    assert daemon.make("yard/repairs")
    assert daemon.tick() == LATE | LOG, "narratives that were never told"
    assert daemon.make("late_repairs/cases")
    change(harbour, "boats")
    assert daemon.make("fleet/boats")
    daemon.cursors.clear()
    with daemon.making("domains/yard", "yard/repairs"):
        assert daemon.tick() == set(), "what is built on a product waits while it is being made"
    assert daemon.tick() == {*LATE, *LOG, "yard/repairs"}, "a sensor that was off, or new, misses nothing"


def test_what_fails_is_asked_for_once_and_again_with_the_next_version(
    daemon: Daemon, harbour: Path, edit: Callable[[str, str, str], None]
) -> None:
    assert daemon.make("fleet/boats", "yard/repairs")
    in_the_way = harbour / "releases/log"
    in_the_way.parent.mkdir()
    in_the_way.write_text("a release cannot be written here", encoding="utf-8")
    assert daemon.tick() >= LOG
    assert not daemon.make(*LOG)
    assert daemon.tick() & LOG == set(), "also what failed in the run that made its inputs"
    edit("narratives/log/report.md.jinja", "came on", "arrived on")
    assert daemon.tick() & LOG == LOG, "a new definition tells its narrative again"


def test_models_on_another_product_are_built_again_with_what_is_published_of_them(tmp_path: Path) -> None:
    """dbt only reads the project here: that its models were built is said to Dagster, with what they were made from."""
    root = tmp_path / "built_on"
    shutil.copytree(MESHES / "built_on", root)
    location = definitions(str(root / "domains/desk/definitions.py"))
    repository = location.get_repository_def()
    sensor = automation_of(repository)
    with persistent_database_engines(), open_instance(load_mesh(root)) as instance:

        def made(key: str, version: str, *inputs: str) -> None:
            tags = {"dagster/data_version": version}
            tags |= {f"dagster/input_data_version/{key}": version for key in inputs}
            asset = dg.AssetKey.from_user_string(key)
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, tags=tags))

        def asked(cursor: str | None) -> tuple[set[str], str | None]:
            result = sensor.evaluate_tick(dg.build_sensor_context(instance, cursor, repository_def=repository))
            keys = [key for request in result.run_requests or [] for key in request.asset_selection or []]
            return {key.to_user_string() for key in keys}, result.cursor

        made("quay/calls", "1")
        keys, cursor = asked(None)
        assert keys == set(), "a domain is first run by somebody"
        made("desk/models/late_calls", "1", "quay/calls")
        made("desk/late_calls", "1", "desk/models/late_calls")
        keys, cursor = asked(cursor)
        assert keys == set()
        made("quay/calls", "2")
        keys, cursor = asked(cursor)
        assert keys == {"desk/models/late_calls", "desk/late_calls"}
        keys, _ = asked(cursor)
        assert keys == set()
