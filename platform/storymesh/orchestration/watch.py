"""What keeps watch over runs: each is held by a lock while its process lives, and one that was abandoned is closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from storymesh.orchestration.instance import close_abandoned, held

CHECK_EVERY_S = 30


class _Holding(InProcessExecutor):
    """All steps in one process, which holds the lock of its run meanwhile."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        with held(Path(plan_context.instance.root_directory), plan_context.run_id):
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process")
def executor(_: dg.InitExecutorContext) -> _Holding:
    return _Holding(retries=RetryMode.ENABLED)


@dg.sensor(
    name="abandoned_runs",
    minimum_interval_seconds=CHECK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process was killed, also those of a terminal, and frees their pools.",
)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Until it is closed a run counts as going on, and whoever waits for it waits for ever."""
    closed = close_abandoned(context.instance)
    return dg.SkipReason(f"closed: {', '.join(closed)}" if closed else "no run was abandoned")
