"""The run monitor: each run is locked while its process lives, and abandoned runs are closed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg

from storymesh.orchestration.dagster_internals import (
    RETRIES_ENABLED,
    InProcessExecutor,
    persistent_database_engines,
    sleep_in_pool_waits,
)
from storymesh.orchestration.instance import close_abandoned_runs, hold_run_lock
from storymesh.orchestration.openlineage import lineage_listener

CHECK_EVERY_S = 30


class LockedInProcessExecutor(InProcessExecutor):
    """Executes all steps in one process, which holds the lock of its run meanwhile."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        on_event = lineage_listener(plan_context.job.get_definition(), plan_context.run_id)
        steps: Any = super().execute(plan_context, execution_plan)
        home = Path(plan_context.instance.root_directory)
        with (
            persistent_database_engines(),
            hold_run_lock(home, plan_context.run_id),
            sleep_in_pool_waits(),
            closing(steps) as events,
        ):
            for event in events:
                on_event(event)
                yield event


@dg.executor(name="in_process")
def executor(_: dg.InitExecutorContext) -> LockedInProcessExecutor:
    """Return the executor of every code location."""
    return LockedInProcessExecutor(retries=RETRIES_ENABLED)


@dg.sensor(
    name="abandoned_runs",
    minimum_interval_seconds=CHECK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process was killed, also those of a terminal, and frees their pools.",
)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Close abandoned runs. Until then each counts as going on, and whoever waits for it waits for ever."""
    closed = close_abandoned_runs(context.instance)
    return dg.SkipReason(f"closed: {', '.join(closed)}" if closed else "no run was abandoned")
