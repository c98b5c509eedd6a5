"""The failures of steps: transient ones are retried with backoff, those that a person has to fix fail once.

An error that is neither keeps its traceback.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from storymesh.errors import EngineFailed, StorymeshError
from storymesh.orchestration.dagster_internals import assets_built_on
from storymesh.outage import as_unavailable, is_transient
from storymesh.redaction import redact

RETRIES = 3
FIRST_WAIT_S = 2.0
WAIT_FACTOR = 4  # 2, 8, 32 s
FAILED, LEFT_OUT, HINT = "failed", "left_out", "hint"


@contextmanager
def dagster_failures(attempt: int | None = None) -> Iterator[None]:
    """Translate a step's exceptions for Dagster; `attempt` counts from 0, None means no retry.

    Raises dg.RetryRequested for a transient error, dg.Failure without retries for every other that is explained.
    """
    try:
        yield
    except StorymeshError as error:
        if attempt is not None and is_transient(error):
            raise retry_request(attempt) from as_dagster_failure(error)
        raise as_dagster_failure(error) from None
    except Exception as error:
        known = as_unavailable(error)
        if known is None:
            raise
        if attempt is not None and known.transient:
            raise retry_request(attempt) from as_dagster_failure(known)
        raise as_dagster_failure(known) from error


@contextmanager
def asset_failures(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Translate a step's exceptions as `dagster_failures` does, and note the reason at the assets that the step should
    have made and at those skipped because of it: their pages show only that a run failed.

    The note is an observation, which the interface shows until the asset is made the next time.
    """
    try:
        with dagster_failures(context.retry_number):
            yield
    except dg.RetryRequested as request:
        if context.retry_number >= RETRIES and isinstance(request.__cause__, dg.Failure):
            _note_failure(context, request.__cause__)
        raise
    except dg.Failure as failure:
        _note_failure(context, failure)
        raise
    except Exception as error:
        _note_failure(context, dg.Failure(redact(f"an error that nobody expected: {type(error).__name__}: {error}")))
        raise


def _note_failure(context: dg.AssetExecutionContext, failure: dg.Failure) -> None:
    def is_missing(key: dg.AssetKey) -> bool:
        made = context.instance.get_latest_materialization_event(key)
        return made is None or made.run_id != context.run.run_id  # a model of dbt may be made before another fails

    reason = failure.description or ""
    more = {name: value for name, value in failure.metadata.items() if name != HINT}  # which the reason ends with
    missing = sorted(filter(is_missing, context.selected_asset_keys))
    for key in missing:
        context.log_event(dg.AssetObservation(key, metadata={FAILED: reason, **more}))
    for key, cause in assets_built_on(context.job_def, missing).items():
        words = f"{cause.to_user_string()} was not made: {reason}"
        context.log_event(dg.AssetObservation(key, metadata={LEFT_OUT: words, **more}))


def failed_run(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """Return the run in which an asset failed, by its last note."""
    records = instance.fetch_observations(key, limit=1).records
    note = records[0].asset_observation if records else None
    return records[0].run_id if note is not None and FAILED in note.metadata else None


def as_dagster_failure(error: StorymeshError, metadata: Mapping[str, Any] | None = None) -> dg.Failure:
    """Return `error` as Dagster records it, without retries: another attempt would change nothing."""
    text = redact(f"{error.message} ({error.hint})" if error.hint else error.message)
    hint = {HINT: redact(error.hint)} if error.hint else {}
    return dg.Failure(text, metadata={**(metadata or {}), **hint}, allow_retries=False)


def retry_request(attempt: int) -> dg.RetryRequested:
    """Return the request for another attempt; after the last one Dagster fails with what this was raised from."""
    return dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=FIRST_WAIT_S * WAIT_FACTOR**attempt)


def message_of_failure(data: Any) -> tuple[str, bool]:
    """Return the message of Dagster's `StepFailureData`, and True if it was raised on purpose, in words for people."""
    raised = data.user_failure_data
    if raised is not None and raised.description:
        return str(raised.description), True
    return message_of_cause(data.error), False


def message_of_cause(error: Any) -> str:
    """Return the message of the innermost cause of a serialised error, on one line.

    An engine's failure says what matters of its own cause, such as a page of Java.
    """
    while error is not None and error.cause is not None and error.cls_name != EngineFailed.__name__:
        error = error.cause
    if error is None:
        return "it failed without a word"
    if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return "it was interrupted; run it again, or re-execute its run from the failure"
    # What was raised on purpose has words for people; before them Python puts the name of the class.
    on_purpose = error.cls_name in (dg.Failure.__name__, EngineFailed.__name__)
    message = error.message.partition(": ")[2] if on_purpose else error.message
    return " ".join(message.split())
