"""What keeps watch over runs: each is held by a lock while its process lives, and one that was abandoned is closed."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from storymesh.orchestration.instance import close_abandoned, held
from storymesh.orchestration.openlineage import lineage_of

CHECK_EVERY_S = 30


def _until_next_claim(self: InstanceConcurrencyContext) -> float:
    """Seconds until a step that waits for its pool asks again. Dagster 1.13 takes the least of these and zero, so that
    a waiting run keeps a processor busy."""
    return max(0.0, min(self._pending_timeouts.values(), default=0.0) - time.time())


InstanceConcurrencyContext.interval_to_next_pending_claim_check = _until_next_claim  # type: ignore[method-assign]


class _Holding(InProcessExecutor):
    """All steps in one process, which holds the lock of its run meanwhile."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        hear = lineage_of(plan_context.job.get_definition(), plan_context.run_id)
        happening: Any = super().execute(plan_context, execution_plan)
        with held(Path(plan_context.instance.root_directory), plan_context.run_id), closing(happening) as events:
            for event in events:
                hear(event)
                yield event


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
