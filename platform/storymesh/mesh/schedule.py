"""When something runs by the clock: five cron fields, checked before anything is loaded."""

import re
from typing import Annotated

from pydantic import AfterValidator

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 6))
_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of the week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_PART = re.compile(r"(?P<first>\*|\w+)(-(?P<last>\w+))?(/(?P<step>[1-9]\d*))?")
_EXAMPLE = "such as '0 6 * * *', which is every day at six (UTC)"


def checked(cron: str) -> str:
    """`cron` as it stands. Raises ValueError that says which field is wrong, and why."""
    parts = cron.split()
    if len(parts) != len(_FIELDS):
        words = f"'{cron}' is no schedule: {len(parts)} fields, five are wanted (minute, hour, day, month, weekday)"
        raise ValueError(f"{words}, {_EXAMPLE}")
    for part, (name, low, high) in zip(parts, _FIELDS, strict=True):
        for one in part.split(","):
            _check(cron, one, name, low, high)
    return cron


def _check(cron: str, part: str, name: str, low: int, high: int) -> None:
    wrong = f"'{part}' is no {name} of the schedule '{cron}'"
    match = _PART.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"]):
        raise ValueError(f"{wrong}: a number, a range such as {low}-{high}, *, or one of these with /step")
    places = [_place(text, name, low) for text in (match["first"], match["last"]) if text not in (None, "*")]
    if any(place is None or not low <= place <= high for place in places):
        raise ValueError(f"{wrong}: it lies between {low} and {high}")
    if len(places) == 2 and places != sorted(places, key=lambda place: place or 0):
        raise ValueError(f"{wrong}: the range runs backwards")
    if match["step"] and match["first"] != "*" and not match["last"]:
        raise ValueError(f"{wrong}: a step wants a range or * before it")


def _place(text: str, name: str, low: int) -> int | None:
    names = _NAMES.get(name, [])
    if text.lower() in names:
        return names.index(text.lower()) + low
    return int(text) if text.isascii() and text.isdigit() else None


Schedule = Annotated[str, AfterValidator(checked)]
