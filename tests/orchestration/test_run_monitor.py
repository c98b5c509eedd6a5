"""The watch over runs: alerts to targets over real HTTP, and runs that wait for one that was killed."""

import json
import logging
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqlEventLogStorage

from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.alerts import WEBHOOK, AlertNotSent, alert_sensors
from storymesh.orchestration.instance import close_abandoned_runs, dagster_home, hold_run_lock, open_instance
from storymesh.orchestration.run import execute
from storymesh.orchestration.run.events import RunEvent, RunPlan
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run_monitor import abandoned_runs


class Inbox(HTTPServer):
    """Keeps what is posted to it; answers with `code`."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.code = 204
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                inbox.posted.append(json.loads(body))
                self.send_response(inbox.code)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/hooks/s3cr3t")
        yield server
        server.shutdown()
        thread.join()


@dg.op
def refusing() -> None:
    raise dg.Failure("'boats' is held back: too few rows", allow_retries=False)


@dg.op
def stumbling() -> None:
    raise ZeroDivisionError


@dg.job
def nightly() -> None:
    refusing()
    stumbling()


def sensor_of(name: str) -> dg.SensorDefinition:
    (found,) = [sensor for sensor in alert_sensors() if sensor.name == name]
    return found


def alert_of_failure() -> dg.RunFailureSensorContext:
    instance = dg.DagsterInstance.ephemeral()
    done = nightly.execute_in_process(instance=instance, raise_on_error=False)
    event = done.get_run_failure_event()
    context = dg.build_run_status_sensor_context("alert_of_failures", event, instance, done.dagster_run)
    return context.for_run_failure()


def test_alert_of_a_failed_run_names_its_steps_and_their_messages(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "storymesh.alert"):
        sensor_of("alert_of_failures")(alert_of_failure())
    (posted,) = inbox.posted
    assert (posted["kind"], posted["job"]) == ("failed", "nightly")
    messages = {trouble["what"]: trouble["words"] for trouble in posted["troubles"]}
    assert messages["refusing"] == "'boats' is held back: too few rows"
    assert "ZeroDivisionError" in messages["stumbling"]
    assert "nightly failed" in posted["text"]
    assert "'boats' is held back" in posted["text"], "chat programs show this"
    assert posted["text"] in caplog.messages


def test_alert_of_a_successful_run_names_its_failed_checks(inbox: Inbox) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("volume", asset="boats"), dg.AssetCheckSpec("key", asset="boats")])
    def boats() -> Iterator[Any]:
        yield dg.Output(1)
        yield dg.AssetCheckResult(check_name="volume", passed=False, description="3 rows, 9 before")
        yield dg.AssetCheckResult(check_name="key", passed=True)

    instance = dg.DagsterInstance.ephemeral()
    done = dg.materialize([boats], instance=instance)
    context = dg.build_run_status_sensor_context(
        "alert_of_checks", done.get_run_success_event(), instance, done.dagster_run
    )
    sensor_of("alert_of_checks")(context)
    (posted,) = inbox.posted
    assert posted["kind"] == "checks"
    assert posted["troubles"] == [{"what": "boats: volume", "words": "3 rows, 9 before"}]


def test_error_of_a_webhook_does_not_hold_its_secret_address(inbox: Inbox) -> None:
    inbox.code = 500
    with pytest.raises(Exception, match="HTTP 500") as failed:
        sensor_of("alert_of_failures")(alert_of_failure())
    assert isinstance(failed.value.__cause__ or failed.value, AlertNotSent)
    assert "s3cr3t" not in str(failed.value)


def test_run_waiting_for_a_killed_run_continues(harbour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = load_mesh(harbour)
    monkeypatch.setattr(execute, "CLOSE_EVERY_S", 0.1)
    job = dg.define_asset_job("other", selection="*").resolve(asset_graph=running_graph(harbour))
    with open_instance(mesh) as instance:
        other = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        instance.event_log_storage.set_concurrency_slots("fleet_boats", 1)
        read, write = os.pipe()
        process = os.fork()
        if process == 0:
            with hold_run_lock(dagster_home(mesh), other.run_id):
                os.write(write, b"held")
                signal.pause()
        os.read(read, 4)
        claim = instance.event_log_storage.claim_concurrency_slot("fleet_boats", other.run_id, "publish")
        assert claim.is_claimed

        def kill_other_run(event: RunEvent) -> None:
            if isinstance(event, RunPlan):  # this run has looked for abandoned ones by now
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)

        outcome = execute_run(mesh, [], kill_other_run, harbour / "run.log")
        assert outcome.success
        closed = instance.get_run_by_id(other.run_id)
        assert closed is not None
        assert closed.status is dg.DagsterRunStatus.FAILURE
        assert "no run was abandoned" in str(
            abandoned_runs.evaluate_tick(dg.build_sensor_context(instance)).skip_message
        )


def test_forgotten_step_in_a_queue_gets_the_free_slot(harbour: Path) -> None:
    """It began to wait between the moment when the slot became free and that when Dagster looked who waits."""
    with open_instance(load_mesh(harbour)) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        storage.set_concurrency_slots("fleet_boats", 1)
        storage.add_pending_step("fleet_boats", "a run", "publish", should_assign=False)
        assert not storage.claim_concurrency_slot("fleet_boats", "a run", "publish").is_claimed
        storage.add_pending_step("fleet_boats", "another", "publish", should_assign=False)
        close_abandoned_runs(instance)
        assert storage.claim_concurrency_slot("fleet_boats", "a run", "publish").is_claimed
        close_abandoned_runs(instance)
        assert not storage.claim_concurrency_slot("fleet_boats", "another", "publish").is_claimed, "one at a time"


def running_graph(root: Path) -> Any:
    from storymesh.orchestration.load_locations import load_code_locations

    return load_code_locations(load_mesh(root)).resolve_asset_graph()
