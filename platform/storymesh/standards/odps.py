"""The Open Data Product Standard 1.0: where a product's definition breaks its JSON Schema."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from storymesh.document import Document
from storymesh.errors import Finding
from storymesh.standards.validate import JsonSchema, SchemaViolation, validate_document

_MISSING_HINTS: Mapping[str, str] = {
    "apiVersion": "one of v0.9.0, v1.0.0",
    "kind": "one of DataProduct",
    "id": "<domain>.<product>",
    "status": "for instance active",
    "contractId": "the id of the contract of another product, <domain>.<product>",
}


def validate_product(document: Document) -> list[Finding]:
    """Return one finding for each place where a product's definition breaks the standard."""
    return validate_document(document, _accepted_schema(), "the product", _revise)


@cache
def odps_schema() -> JsonSchema:
    """Return the standard's JSON Schema, as it was published."""
    text = (files("storymesh.standards") / "schemas" / "odps-json-schema-v1.0.0.json").read_text(encoding="utf-8")
    schema: JsonSchema = json.loads(text)
    return schema


@cache
def _accepted_schema() -> JsonSchema:
    """Return the standard's schema, by which `team` may also be the plain list of members that it was in 0.9."""
    schema = odps_schema()
    members = {"type": "array", "items": {"$ref": "#/$defs/TeamMember"}}
    team = {"oneOf": [schema["properties"]["team"], members]}
    return {**schema, "properties": {**schema["properties"], "team": team}}


def _revise(violation: SchemaViolation, _: Any) -> SchemaViolation:
    return replace(violation, hint=_MISSING_HINTS.get(violation.missing, "")) if violation.missing else violation
