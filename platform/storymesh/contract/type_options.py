"""The `logicalTypeOptions` of a property: which of them the audit understands, and whether they make sense."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from storymesh.document import Document, Step
from storymesh.engine.patterns import HINT, pattern_fault
from storymesh.errors import Finding, suggest_name

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
FORMATS: Mapping[str, str] = {
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "uuid": r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
    "hostname": rf"^{_LABEL}(?:\.{_LABEL})*$",
    "ipv4": rf"^(?:{_OCTET}\.){{3}}{_OCTET}$",
    "ipv6": r"^[0-9a-fA-F.]*:[0-9a-fA-F:.]*$",
}
"""A text format of the standard and the pattern that a value of it has to match."""

FORMAT_LENGTHS: Mapping[str, tuple[int, int]] = {"hostname": (1, 253), "ipv6": (2, 45)}
"""The fewest and the most characters of a text format, where its pattern does not say so."""

RANGES: Mapping[str, tuple[int, int]] = {
    **{f"i{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": (0, 2**bits - 1) for bits in (8, 16, 32)},
}
"""A whole-number format of the standard and its bounds; the wider ones end where 64 bits do."""

_UNCHECKED_FORMATS = ("password", "byte", "binary", "date", "date-time")
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_UTC = ("UTC", "Etc/UTC", "Z")


def findings_of_options(
    document: Document, at: tuple[Step, ...], logical_type: str, options: Mapping[str, Any]
) -> list[Finding]:
    """Return findings about the options at `at`. The standard's schema has checked that they belong to the type."""
    found: list[Finding] = []

    def add(name: str, words: str, hint: str = "") -> None:
        found.append(document.finding((*at, name), "type-option", words, hint))

    def warn(name: str, words: str, hint: str = "") -> None:
        found.append(Finding(document.at(*at, name), "not-run", words, hint, "warning"))

    for name, value in options.items():
        if isinstance(value, int | float) and not is_storable_number(value):
            add(name, f"{name} is {_shortened(value)}, a number that a column can hold is wanted", "leave it away")
    if found:
        return found
    match logical_type:
        case "string":
            if "pattern" in options and (fault := pattern_fault(options["pattern"])):
                add("pattern", f"the pattern cannot be run: {fault}", HINT)
            written = options.get("format")
            if written is not None and written not in FORMATS and written not in _UNCHECKED_FORMATS:
                add(
                    "format",
                    f"the format '{written}' is not known",
                    suggest_name(written, [*FORMATS, *_UNCHECKED_FORMATS]),
                )
            if options.get("minLength", 0) > options.get("maxLength", float("inf")):
                add("maxLength", "maxLength is below minLength, so no text fits")
        case "date" | "timestamp":
            for name in _BOUNDS:
                if name in options and parse_moment(options[name]) is None:
                    add(name, f"{options[name]!r} is no moment", "write it as 2024-01-31 or 2024-01-31T12:00:00Z")
            if options.get("defaultTimezone", "UTC") not in _UTC:
                add("defaultTimezone", "times are UTC", "convert them before they are published")
            if "format" in options:
                warn("format", "the format is not applied: dates and times are read in ISO 8601")
        case "integer" | "number":
            lowest = max(options.get("minimum", -float("inf")), options.get("exclusiveMinimum", -float("inf")))
            highest = min(options.get("maximum", float("inf")), options.get("exclusiveMaximum", float("inf")))
            if lowest > highest:
                name = "maximum" if "maximum" in options else "exclusiveMaximum"
                add(name, f"the maximum {highest} is below the minimum {lowest}, so no number fits")
        case "object":
            for name in ("minProperties", "maxProperties", "required"):
                if name in options:
                    warn(name, f"'{name}' is not audited", "mark the nested properties as required")
    return found


def is_storable_number(value: object) -> bool:
    """Return True for a finite number that a column of the contract can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)


def _shortened(value: object) -> str:
    text = str(value)
    return text if len(text) <= 30 else f"{text[:30]}…"


def parse_moment(text: Any) -> datetime | None:
    """Return a date or a timestamp in ISO 8601 as a naive moment in UTC; None when it is neither."""
    if not isinstance(text, str):
        return None
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), datetime.min.time())
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
