"""The Open Data Contract Standard 3.2: where a contract breaks its JSON Schema."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from storymesh.document import Document
from storymesh.errors import Finding
from storymesh.standards.validate import JsonSchema, SchemaViolation, validate_document


def validate_contract(document: Document) -> list[Finding]:
    """Return one finding for each place where a contract breaks the standard."""
    return validate_document(document, odcs_schema(), "the contract", _revise)


@cache
def odcs_schema() -> JsonSchema:
    """Return the JSON Schema that the standard's Python package ships; the package itself is not imported."""
    spec = find_spec("open_data_contract_standard")
    if spec is None or spec.origin is None:  # pragma: no cover - it is a dependency of this package
        raise ModuleNotFoundError("open_data_contract_standard is not installed")
    schema: JsonSchema = json.loads(Path(spec.origin).with_name("schema.json").read_text(encoding="utf-8"))
    return schema


def _revise(violation: SchemaViolation, value: Any) -> SchemaViolation | None:
    """Return the violation that is meant.

    The schema takes a property without `logicalType` for each type at once, so it requires a `map` of it and the
    options of a vector: the mistake is that the type is missing.
    """
    holders: list[Any] = [value]
    for step in violation.steps:
        holder = holders[-1]
        if isinstance(holder, dict) and step not in holder:
            break
        holders.append(holder[step])
    if violation.missing == "map" and "logicalType" not in holders[-1]:
        message = f"'{holders[-1].get('name', 'items')}' has no logicalType"
        return replace(
            violation, message=message, hint="string, integer, number, boolean, date, timestamp, array or object"
        )
    if "logicalTypeOptions" in violation.steps:
        owner: Mapping[str, Any] = holders[violation.steps.index("logicalTypeOptions")]
        return violation if "logicalType" in owner else None
    item = holders[-1]
    if violation.expected == "fields" and violation.steps[-2:-1] == ("enum",) and not isinstance(item, dict | list):
        return replace(
            violation, message=f"'enum' holds {item!r}, fields are wanted", hint=f"write {{value: {item}, label: …}}"
        )
    return violation
