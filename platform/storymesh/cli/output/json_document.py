"""Results and errors of commands as JSON: with `--format json` nothing else stands on standard output.

Fields are those of the values that the commands show. A later version may add fields; none is renamed, removed or given
another type without a note under "Changed" in the changelog.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from storymesh.cli.options import OutputFormat
from storymesh.cli.output.console import echo_json
from storymesh.errors import DefinitionErrors, Finding, StorymeshError
from storymesh.redaction import redact

_Result = TypeVar("_Result")


def print_result(result: _Result, form: OutputFormat, show: Callable[[_Result], object]) -> None:
    """Print a result as a JSON document, or for people as `show` does."""
    if form == "json":
        echo_result(result)
    else:
        show(result)


def echo_result(value: object) -> None:
    """Print a value as a JSON document."""
    echo_json(json.dumps(json_value(value), indent=2, ensure_ascii=False, allow_nan=False))


def echo_error(error: StorymeshError) -> None:
    """Print an error as a JSON document: its message, hint and exit code, and the findings where it has some."""
    several = isinstance(error, DefinitionErrors)
    message = "the definitions have findings" if several else redact(error.message)
    content = {"message": message, "hint": redact(error.hint), "exit_code": error.exit_code}
    findings = {"findings": error.findings} if isinstance(error, DefinitionErrors) else {}
    echo_result({"error": content, **findings})


def json_value(value: Any) -> Any:
    """Return a value in the types of JSON. Decimals are texts, since a number of JSON may lose their digits; moments
    are ISO 8601 in UTC; a float that is not finite is a text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case Path():
            return str(value)
        case Finding():
            at = value.location
            place = {"path": at.path, "line": at.line, "column": at.column}
            return {**place, "severity": value.severity, "rule": value.rule, "words": value.message, "hint": value.hint}
        case Mapping():
            return {str(name): json_value(item) for name, item in value.items() if not str(name).startswith("_")}
        case Sequence() | Set():
            return [json_value(item) for item in value]
        case _ if is_dataclass(value):
            brief = _BRIEF.get(type(value).__name__)
            names = brief or [field.name for field in fields(value) if field.repr]
            return {name: json_value(getattr(value, name)) for name in names}
        case _:
            return str(value)


# Of these a result says which one is meant, not all that is in it.
_BRIEF: Mapping[str, Sequence[str]] = {
    "Release": ("narrative", "version", "digest", "path"),
    "Snapshot": ("product", "version", "rows", "published_at"),
}
