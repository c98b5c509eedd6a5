"""Scenario files: a few given rows, a case, and the texts that are expected of it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal as Exact
from pathlib import Path
from typing import Any

from storymesh.contract.definition import Contract
from storymesh.contract.type_options import is_storable_number, parse_time
from storymesh.document import Definition, Document, read_document, refusal_finding
from storymesh.errors import DefinitionErrors, Finding, WrongUsage, suggest_name
from storymesh.input_file import InputFileRefused, require_inside
from storymesh.language.types import Boolean, Date, Decimal, Float, Integer, Json, Text, Time, Timestamp, Type
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_variant import tell_by_variant
from storymesh.printable import shortened


class ScenarioFile(Definition):
    """The fields of a scenario file."""

    title: str = ""
    given: Mapping[str, tuple[Mapping[str, Any], ...]]
    case: str
    variant: str | None = None
    expect: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Scenario:
    """A scenario: the `given` rows of each role, typed by the contracts, the `case` and the texts expected of it; with
    `variant` those that the variant of that name tells."""

    path: Path
    document: Document
    title: str
    given: Mapping[str, tuple[Mapping[str, Any], ...]]
    case: str
    expect: Mapping[str, Mapping[str, Any]]
    variant: str | None = None


def read_scenarios(folder: Path, root: Path, typed: TypedNarrative) -> list[Scenario]:
    """Return the scenarios beside a narrative. Raises DefinitionErrors with what is wrong in any of them."""
    findings: list[Finding] = []
    found: list[Scenario] = []
    for path in sorted((folder / "scenarios").glob("*.yaml")):
        try:
            require_inside(path, folder)
            found.append(_read(path, root, typed))
        except InputFileRefused as error:
            findings.append(refusal_finding(error, root))
        except DefinitionErrors as refused:
            findings.extend(refused.findings)
    if findings:
        raise DefinitionErrors(findings)
    return found


def _read(path: Path, root: Path, typed: TypedNarrative) -> Scenario:
    document = read_document(path, root)
    file = document.parse(ScenarioFile)
    findings: list[Finding] = []
    given: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for role, rows in file.given.items():
        if role not in typed.contracts:
            message, hint = f"'{role}' is no role of the cast", suggest_name(role, typed.contracts)
            findings.append(Finding(document.key_at("given", role), "unknown-name", message, hint))
            continue
        needed = typed.columns.get(role, frozenset())
        given[role] = tuple(
            _row(document, ("given", role, index), row, typed.contracts[role], needed, findings)
            for index, row in enumerate(rows)
        )
    for config in file.expect:
        if config not in typed.records:
            message, hint = f"there is no record '{config}'", suggest_name(config, typed.records)
            findings.append(Finding(document.key_at("expect", config), "unknown-name", message, hint))
    if file.variant is not None:
        try:
            tell_by_variant(typed, file.variant)
        except WrongUsage as unknown:
            findings.append(Finding(document.at("variant"), "unknown-name", unknown.message, unknown.hint))
    if findings:
        raise DefinitionErrors(findings)
    return Scenario(path, document, file.title or path.stem, given, file.case, file.expect, file.variant)


def _row(
    document: Document,
    steps: tuple[str | int, ...],
    row: Mapping[str, Any],
    contract: Contract,
    needed: frozenset[str],
    findings: list[Finding],
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in row.items():
        item = contract.properties.get(name)
        if item is None:
            message, hint = f"'{contract.id}' has no property '{name}'", suggest_name(name, contract.properties)
            findings.append(Finding(document.key_at(*steps, name), "unknown-name", message, hint))
            continue
        try:
            values[name] = _value(value, item.type)
        except (ValueError, TypeError, ArithmeticError):
            message = f"'{name}' is {shortened(repr(value), 80)}, it wants to be {item.type}"
            findings.append(Finding(document.at(*steps, name), "wrong-value", message))
    event_time = [contract.event_time] if contract.event_time else []
    for name in sorted({*contract.key, *event_time, *needed} - set(values)):
        item = contract.properties[name]
        if item.required or name in contract.key:
            message = f"'{name}' is missing, which '{contract.id}' requires and the narrative reads"
            findings.append(Finding(document.at(*steps), "missing-field", message, "give it a value"))
    return values


def _value(value: Any, kind: Type) -> Any:
    """Return a value of YAML in the type of the contract; dates and times are written as ISO 8601."""
    match kind:
        case _ if value is None:
            return None
        case Text():
            if isinstance(value, dict | list):
                raise TypeError(value)
            return str(value).lower() if isinstance(value, bool) else str(value)
        case Integer():
            if isinstance(value, bool) or int(value) != float(value):
                raise ValueError(value)
            if not is_storable_number(int(value)):
                raise ValueError(value)
            return int(value)
        case Decimal():
            return Exact(str(value))
        case Float():
            if isinstance(value, bool) or not math.isfinite(float(value)):
                raise ValueError(value)
            return float(value)
        case Boolean():
            if not isinstance(value, bool):
                raise TypeError(value)
            return value
        case Date():
            return date.fromisoformat(value)
        case Timestamp():
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        case Time():
            if (time := parse_time(value)) is None:
                raise ValueError(value)
            return time
        case Json():
            if not isinstance(value, str):
                return json.dumps(value, ensure_ascii=False)
            json.loads(value)
            return value
        case _:
            return value
