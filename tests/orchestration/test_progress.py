"""Progress within a step reaches the log of the run, and whoever listens in this process."""

import dagster as dg

from storymesh.orchestration.progress import progress_listener, progress_reporter


@dg.asset(key=["fleet", "boats"])
def boats(context: dg.AssetExecutionContext) -> None:
    report = progress_reporter(context)
    report("staging", 1_000)
    report("staging", 1_001)
    report("auditing", 0)


def test_each_phase_is_reported_to_the_listener_and_not_more_often_than_people_read() -> None:
    events: list[tuple[str, str, int]] = []
    with progress_listener(lambda key, phase, rows: events.append((key.to_user_string(), phase, rows))):
        assert dg.materialize([boats]).success
    assert events == [("fleet/boats", "staging", 1_000), ("fleet/boats", "auditing", 0)]


def test_progress_is_in_the_log_without_any_listener() -> None:
    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize([boats], instance=instance)
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "staging 1,000 rows" in messages
