"""The `schedule` of mesh.yaml and domain.yaml: a cron expression, checked before anything is loaded.

What Dagster accepts is accepted: five fields as croniter 6 reads them, which Dagster has a copy of.
"""

from typing import Annotated

from pydantic import AfterValidator

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_EXAMPLE = "such as '0 6 * * *', which is every day at six (UTC)"


def check_schedule(cron: str) -> str:
    """Return `cron` as it is. Raises ValueError that names the wrong field and what is allowed in it."""
    from croniter import CroniterBadDateError, croniter

    fields = cron.split()
    is_alias = len(fields) == 1 and cron.startswith("@") and croniter.is_valid(cron)
    if len(fields) != len(_FIELDS) and not is_alias:
        message = f"'{cron}' is no schedule: {len(fields)} fields, five are wanted (minute, hour, day, month, weekday)"
        raise ValueError(f"{message}, {_EXAMPLE}")
    if not croniter.is_valid(cron):
        raise ValueError(_fault(cron, fields))
    try:
        croniter(cron).get_next()
    except CroniterBadDateError:
        raise ValueError(f"the schedule '{cron}' never comes: no such month has that day") from None
    return cron


def _fault(cron: str, fields: list[str]) -> str:
    """Return what is wrong with a schedule, by trying each part of it with `*` in all other fields."""
    from croniter import CroniterError, croniter

    for position, (field, (name, low, high)) in enumerate(zip(fields, _FIELDS, strict=True)):
        for part in field.split(","):
            others = ["*"] * len(_FIELDS)
            others[position] = part
            try:
                croniter.expand(" ".join(others))
            except CroniterError as error:
                allowed = f"a number, a range such as {low}-{high}, *, or one of these with /step"
                if "out of range" in str(error):
                    allowed = f"it lies between {low} and {high}"
                return f"'{part}' is no {name} of the schedule '{cron}': {allowed}"
    return f"'{cron}' is no schedule, {_EXAMPLE}"


Schedule = Annotated[str, AfterValidator(check_schedule)]
