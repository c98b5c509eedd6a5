"""Alerts about failed runs and failed checks: to the log, and to a web address where the environment has one.

A target is a function of an `Alert`; another one is another line in `alert_targets`.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import dagster as dg

from storymesh.orchestration.failures import message_of_failure
from storymesh.printable import printable
from storymesh.redaction import redact

WEBHOOK = "STORYMESH_ALERT_WEBHOOK"
TIMEOUT_S = 10
MAX_ITEMS = 10  # steps or checks that one alert names
MAX_MESSAGE = 500  # characters
_LOG = logging.getLogger("storymesh.alert")


@dataclass(frozen=True)
class AlertItem:
    """One step or check that failed, with its message.

    Field names are part of what the webhook is sent.
    """

    what: str
    words: str


@dataclass(frozen=True)
class Alert:
    """A run that failed (`failed`), or one that went through with red checks (`checks`)."""

    kind: str
    job: str
    run_id: str
    troubles: tuple[AlertItem, ...]

    @property
    def text(self) -> str:
        """The alert as a chat program shows it."""
        head = (
            f"{self.job} failed"
            if self.kind == "failed"
            else f"{self.job} went through, but not all of its checks hold"
        )
        lines = [f"- {item.what}: {item.words}" for item in self.troubles[:MAX_ITEMS]]
        more = len(self.troubles) - MAX_ITEMS
        return "\n".join(
            [f"storymesh: {head} (run {self.run_id})", *lines, *([f"- and {more} more"] if more > 0 else [])]
        )


class AlertNotSent(Exception):
    """The target did not take the alert. Its address is a secret, so the message does not hold it."""


AlertTarget = Callable[[Alert], None]


def send_to_log(alert: Alert) -> None:
    """Write the alert to the log."""
    _LOG.error(printable(redact(alert.text)))


def send_to_webhook(alert: Alert) -> None:
    """Send the alert as JSON to the address in STORYMESH_ALERT_WEBHOOK: `text` for chat programs, and its parts."""
    body = redact(json.dumps({"text": alert.text, **asdict(alert)}, ensure_ascii=False)).encode()
    address = os.environ[WEBHOOK]
    try:
        if not address.startswith(("https://", "http://")):
            raise ValueError
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - checked
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - checked
            return
    except urllib.error.HTTPError as error:
        reason = f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        reason = type(error).__name__
    raise AlertNotSent(f"the address in {WEBHOOK} did not take the alert: {reason}") from None


def alert_targets() -> tuple[AlertTarget, ...]:
    """Return the targets that the environment asks for."""
    return (send_to_log, send_to_webhook) if os.environ.get(WEBHOOK) else (send_to_log,)


def send_alert(alert: Alert) -> None:
    """Send the alert to every target. Raises AlertNotSent after all of them were tried."""
    errors: list[str] = []
    for target in alert_targets():
        try:
            target(alert)
        except AlertNotSent as error:
            errors.append(str(error))
    if errors:
        raise AlertNotSent("; ".join(errors))


def alert_sensors() -> Sequence[dg.SensorDefinition]:
    """Return two sensors of all runs, wherever they were started: one for failed runs, one for failed checks."""

    @dg.run_failure_sensor(
        name="alert_of_failures",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells of each run that failed: in the log, and at the address in {WEBHOOK}.",
    )
    def failures(context: dg.RunFailureSensorContext) -> None:
        steps = context.get_step_failure_events()
        troubles = [AlertItem(event.step_key or "run", _message_of(event)) for event in steps]
        if not troubles:
            troubles = [AlertItem("run", context.failure_event.message or "it ended without a word")]
        send_alert(Alert("failed", context.dagster_run.job_name, context.dagster_run.run_id, tuple(troubles)))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_of_checks",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells of red checks in runs that went through: in the log, and at the address in {WEBHOOK}.",
    )
    def checks(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        if troubles := tuple(_failed_checks(context.instance, run.run_id)):
            send_alert(Alert("checks", run.job_name, run.run_id, troubles))

    return failures, checks


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[AlertItem]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is None:
            continue
        check = entry.dagster_event.asset_check_evaluation_data
        if not check.passed:
            name = f"{check.asset_key.to_user_string()}: {check.check_name}"
            yield AlertItem(name, check.description or "it is red")


def _message_of(event: dg.DagsterEvent) -> str:
    message, expected = message_of_failure(event.step_failure_data)
    return message if expected else message[:MAX_MESSAGE]
