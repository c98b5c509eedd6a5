"""Who is told when something goes wrong: the log, and a web address where one is given in the environment.

A target is a function of an `Alert`; another one is another line in `targets`.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import dagster as dg

WEBHOOK = "STORYMESH_ALERT_WEBHOOK"
TIMEOUT_S = 10
MOST = 10  # steps or checks that one alert names
_LOG = logging.getLogger("storymesh.alert")


@dataclass(frozen=True)
class Trouble:
    """One thing that went wrong: the step or check, and its words."""

    what: str
    words: str


@dataclass(frozen=True)
class Alert:
    """A run that failed (`failed`), or one that went through with red checks (`checks`)."""

    kind: str
    job: str
    run_id: str
    troubles: tuple[Trouble, ...]

    @property
    def text(self) -> str:
        head = (
            f"{self.job} failed"
            if self.kind == "failed"
            else f"{self.job} went through, but not all of its checks hold"
        )
        lines = [f"- {one.what}: {one.words}" for one in self.troubles[:MOST]]
        more = len(self.troubles) - MOST
        return "\n".join(
            [f"storymesh: {head} (run {self.run_id})", *lines, *([f"- and {more} more"] if more > 0 else [])]
        )


class AlertNotSent(Exception):
    """The target did not take the alert. Its address is a secret and stands nowhere in the words."""


Target = Callable[[Alert], None]


def to_log(alert: Alert) -> None:
    _LOG.error(alert.text)


def to_webhook(alert: Alert) -> None:
    """POST JSON to the address in STORYMESH_ALERT_WEBHOOK: `text` as chat programs read it, and the parts of it."""
    body = json.dumps({"text": alert.text, **asdict(alert)}).encode()
    address = os.environ[WEBHOOK]
    try:
        if not address.startswith(("https://", "http://")):
            raise ValueError
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - checked
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - checked
            return
    except urllib.error.HTTPError as error:
        words = f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        words = type(error).__name__
    raise AlertNotSent(f"the address in {WEBHOOK} did not take the alert: {words}") from None


def targets() -> tuple[Target, ...]:
    return (to_log, to_webhook) if os.environ.get(WEBHOOK) else (to_log,)


def send(alert: Alert) -> None:
    """Tell every target. Raises AlertNotSent after all of them were tried."""
    failed: list[str] = []
    for target in targets():
        try:
            target(alert)
        except AlertNotSent as error:
            failed.append(str(error))
    if failed:
        raise AlertNotSent("; ".join(failed))


def alert_sensors() -> Sequence[dg.SensorDefinition]:
    """One for runs that failed, one for runs that went through with red checks; of every location and of terminals."""

    @dg.run_failure_sensor(
        name="alert_of_failures",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells of each run that failed: in the log, and at the address in {WEBHOOK}.",
    )
    def failures(context: dg.RunFailureSensorContext) -> None:
        troubles = [Trouble(event.step_key or "run", _words(event)) for event in context.get_step_failure_events()] or [
            Trouble("run", context.failure_event.message or "it ended without a word")
        ]
        send(Alert("failed", context.dagster_run.job_name, context.dagster_run.run_id, tuple(troubles)))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_of_checks",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells of red checks in runs that went through: in the log, and at the address in {WEBHOOK}.",
    )
    def checks(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        if troubles := tuple(_red_checks(context.instance, run.run_id)):
            send(Alert("checks", run.job_name, run.run_id, troubles))

    return failures, checks


def _red_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[Trouble]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is None:
            continue
        found = entry.dagster_event.asset_check_evaluation_data
        if not found.passed:
            yield Trouble(f"{found.asset_key.to_user_string()}: {found.check_name}", found.description or "it is red")


def _words(event: dg.DagsterEvent) -> str:
    """What a person can act on; of an error that nobody expected its last cause."""
    told = event.step_failure_data.user_failure_data
    if told is not None and told.description:
        return str(told.description)
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split())[:500] if error is not None else "it failed without a word"
