"""What `schedule` accepts is what Dagster accepts, and anything else is refused with the field that is wrong."""

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as some

from storymesh.mesh.settings import check_schedule


@pytest.mark.parametrize(
    "cron", ["0 6 * * 1-5", "@daily", "@weekly", "0 6 L * *", "0 6 * * 7", "0 6 * * mon#2", "0 22-2 * * *"]
)
def test_what_dagster_runs_is_accepted(cron: str) -> None:
    assert check_schedule(cron) == cron
    assert is_schedule_of_dagster(cron)


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 25 * * *", "'25' is no hour .* between 0 and 23"),
        ("0 6 * * 1,9", "'9' is no day of the week .* between 0 and 7"),
        ("0 6 * * sunday", "'sunday' is no day of the week"),
        ("*-5 * * * *", "a number, a range"),
        ("0 6 * *", "4 fields, five are wanted"),
        ("0 0 6 * * *", "6 fields, five are wanted"),
        ("@reboot", "'@reboot' is no schedule"),
        ("0 6 30 2 *", "never comes"),
    ],
)
def test_a_wrong_schedule_is_refused_with_the_field_that_is_wrong(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_schedule(cron)


PARTS = some.sampled_from(
    (*("*", "*/5", "0", "1", "5", "1-3", "2-4/2", "1,3", "jan", "MON", "mon-fri"), *("60", "7", "-1", "?", "L", "5/10"))
)


@given(some.lists(PARTS, min_size=5, max_size=5))
def test_dagster_and_the_check_agree(parts: list[str]) -> None:
    cron = " ".join(parts)
    assert is_accepted(cron) == is_schedule_of_dagster(cron)


def is_accepted(cron: str) -> bool:
    try:
        check_schedule(cron)
    except ValueError:
        return False
    return True


def is_schedule_of_dagster(cron: str) -> bool:
    try:
        dg.ScheduleDefinition(name="schedule", job_name="job", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        return False
    return True
