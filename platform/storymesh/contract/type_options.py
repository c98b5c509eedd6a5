"""The `logicalTypeOptions` of a property: which of them the audit understands, and whether they make sense."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from storymesh.document import Document, Step
from storymesh.engine.patterns import HINT, pattern_fault
from storymesh.errors import Finding, suggest_name
from storymesh.printable import shortened

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

_TIME = re.compile(r"T?((?:[01]\d|2[0-3]):[0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6})0*)?)?Z?", re.ASCII)
BOUNDS: Mapping[str, str] = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
"""An option that bounds a value -> the comparison that a value within it holds."""

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
        if isinstance(value, int | float) and not isinstance(value, bool) and not is_storable_number(value):
            add(name, f"{name} is {_shortened(value)}, a number that a column can hold is wanted", "leave it away")
    if found:
        return found
    match logical_type:
        case "string":
            if "pattern" in options and (fault := pattern_fault(options["pattern"])):
                add("pattern", f"the pattern cannot be run: {fault}", HINT)
            written = options.get("format")
            if written is not None and written not in FORMATS:
                warn("format", f"the format '{_shortened(written)}' is not audited", suggest_name(written, FORMATS))
            if options.get("minLength", 0) > options.get("maxLength", float("inf")):
                add("maxLength", "maxLength is below minLength, so no text fits")
        case "date" | "timestamp" | "time":
            parse, sample = (
                (parse_time, "12:30:00") if logical_type == "time" else (parse_moment, "2024-01-31T12:00:00Z")
            )
            for name in BOUNDS:
                if name in options and parse(options[name]) is None:
                    hint = f"write it in ISO 8601, as {sample}"
                    warn(name, f"{name} is not audited: {_shortened(options[name])!r} is no {logical_type}", hint)
            if options.get("defaultTimezone", "UTC") not in _UTC:
                words = f"'{options['defaultTimezone']}' is not applied: a time without a zone is read as UTC"
                warn("defaultTimezone", words, "convert times to UTC before they are published")
            if "format" in options and not _is_iso_format(options["format"]):
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
        case "vector":
            if options.get("normalized"):
                warn("normalized", "the length of a vector is not audited, only how many elements it has")
    return found


def is_storable_number(value: object) -> bool:
    """Return True for a finite number that a column of the contract can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)


def _shortened(value: object) -> str:
    return shortened(str(value), 30)


def parse_time(text: Any) -> str | None:
    """Return a time of day in ISO 8601 as the text that a product holds, such as `09:30:00`; None when it is none."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    fraction = (match[3] or "").rstrip("0")
    return f"{match[1]}:{match[2] or '00'}" + (f".{fraction}" if fraction else "")


def _is_iso_format(pattern: object) -> bool:
    """Return True for a pattern, in Java's letters as the standard has it, of a day or moment in ISO 8601."""
    plain = re.sub(r"[\s'TZXx.]|SSS+", "", str(pattern).replace("uuuu", "yyyy").replace("YYYY", "yyyy"))
    return plain.replace("DD", "dd") in ("yyyy-MM-dd", "yyyy-MM-ddHH:mm", "yyyy-MM-ddHH:mm:ss", "HH:mm", "HH:mm:ss")


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
