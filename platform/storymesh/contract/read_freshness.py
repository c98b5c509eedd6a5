"""Reading the freshness that a contract promises under `slaProperties`. All other promises there are for people."""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

from storymesh.contract.definition import Freshness, Property
from storymesh.contract.document_reader import DocumentReader, Steps, names_of_object
from storymesh.contract.type_options import is_storable_number
from storymesh.errors import suggest_name
from storymesh.language.types import MOMENTS

NAMES = ("freshness", "latency", "ly")
"""The `property` of an SLA that says how old the newest row may be."""

UNITS: Mapping[str, timedelta] = {
    **dict.fromkeys(("us", "µs", "microsecond", "microseconds"), timedelta(microseconds=1)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "wk", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("mo", "month", "months"), timedelta(days=30)),
    **dict.fromkeys(("q", "quarter", "quarters"), timedelta(days=91)),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), timedelta(days=365)),
}
_ISO = re.compile(
    r"P(?:(?P<y>\d+)Y)?(?:(?P<mo>\d+)M)?(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?"
    r"(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_WRITTEN = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-zµ]*)\s*")
_MAX_AGE = timedelta(days=1_000_000)


def read_freshness(
    reader: DocumentReader, properties: Mapping[str, Property], event_time: str | None, object_names: Collection[str]
) -> tuple[Freshness, ...]:
    """Return each promise of freshness about this schema object, which is called one of `object_names`.

    What the standard allows and nobody could measure is a warning.
    """
    promises: dict[tuple[timedelta, str], Freshness] = {}
    for index, item in enumerate(reader.value.get("slaProperties") or []):
        if item["property"].lower() not in NAMES:
            continue
        at: Steps = ("slaProperties", index)
        age = _read_age(item["value"], str(item.get("unit") or ""))
        if isinstance(age, str):
            reader.warn((*at, "value"), "freshness", f"{item['property']} is not measured: {age}", _hint(item))
            continue
        for name in _read_elements(reader, at, item, properties, event_time, object_names):
            promises.setdefault((age, name), Freshness(age, name, reader.document.at(*at)))
    return tuple(promises.values())


def _read_age(value: Any, unit: str) -> timedelta | str:
    """Return how old the newest row may be, or why nobody knows. A number without a unit counts days."""
    number: float = value
    written = unit.strip()
    if isinstance(value, str):
        if duration := _iso_duration(value):
            return duration
        match = _WRITTEN.fullmatch(value)
        if match is None:
            return f"{value[:40]!r} is no length of time"
        number, written = float(match[1]), match[2] or written
    if not is_storable_number(number) or number <= 0:
        return f"{value!r} is no length of time"
    step = UNITS.get(written.lower() or "d") or _iso_duration(written)
    if step is None:
        return f"the unit '{written[:40]}' is not known"
    if number > _MAX_AGE / step:
        return f"{value!r} is longer than a million days"
    return number * step


def _iso_duration(text: str) -> timedelta | None:
    """Return a duration in ISO 8601, such as `P1D` or `PT4H`; None for any other text."""
    match = _ISO.fullmatch(text.strip().upper())
    if match is None or not any(match.groups()) or max(len(part or "") for part in match.groups()) > 6:
        return None
    return sum((float(part) * UNITS[unit] for unit, part in match.groupdict().items() if part), timedelta()) or None


def _hint(item: Mapping[str, Any]) -> str:
    unit = str(item.get("unit") or "")
    near = suggest_name(unit.lower(), UNITS) if unit and unit.lower() not in UNITS else ""
    return near if near.startswith("did") else "for instance value: 24, unit: h"


def _read_elements(
    reader: DocumentReader,
    at: Steps,
    item: Mapping[str, Any],
    properties: Mapping[str, Property],
    event_time: str | None,
    object_names: Collection[str],
) -> Iterator[str]:
    """Yield the properties of this schema object that a promise is about; what is about another is that one's."""
    own = "element" in item
    written = item["element"] if own else reader.value.get("slaDefaultElement")
    place = (*at, "element") if own else ("slaDefaultElement",) if written else at
    others = {name for other in reader.value["schema"] for name in names_of_object(other)}
    for element in str(written or "").split(",") if written else [""]:
        holder, _, name = element.strip().rpartition(".")
        if holder and holder not in object_names:
            if holder not in others:
                words = f"freshness names '{element.strip()}', which is no property"
                reader.warn(place, "freshness", words, suggest_name(name, properties))
            continue
        if not holder and name in others and name not in properties:
            if name not in object_names:
                continue
            name = ""  # the object itself
        name = name or event_time or ""
        if not name:
            hint = "name the property under element, or give the object an eventTime"
            reader.warn(at, "freshness", "freshness is not measured: of what?", hint)
        elif (prop := properties.get(name) or _by_reference(properties, name)) is None:
            words = f"freshness names '{name}', which is no property"
            reader.warn(place, "freshness", words, suggest_name(name, properties))
        elif not isinstance(prop.type, MOMENTS):
            words = f"freshness is not measured: '{prop.name}' is {prop.type}"
            reader.warn(place, "freshness", words, "it has to be a date or a timestamp")
        else:
            yield prop.name


def _by_reference(properties: Mapping[str, Property], name: str) -> Property | None:
    return next((item for item in properties.values() if name in (item.reference, item.physical_name)), None)
