"""The Open Data Product Standard 1.0: where a product's definition breaks its JSON Schema.

The Bitol project publishes the standard (https://github.com/bitol-io/open-data-product-standard) in no package, so its
shape is written down here; a test holds it to the published schema. `format` keywords are left out, as they are
annotations.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
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
_TEXT: JsonSchema = {"type": "string"}


def validate_product(document: Document) -> list[Finding]:
    """Return one finding for each place where a product's definition breaks the standard."""
    return validate_document(document, accepted_odps_schema(), "the product", _revise)


@cache
def odps_schema() -> JsonSchema:
    """Return the JSON Schema of the standard."""
    linked = {"authoritativeDefinitions": _list_of("AuthoritativeDefinition")}
    custom = {"customProperties": _list_of("CustomProperty")}
    annotated = {"tags": {"type": "array", "items": _TEXT}, **custom, **linked}
    port = {"name": _TEXT, "version": _TEXT, "contractId": _TEXT, **annotated}
    return {
        **_fields(
            {
                "apiVersion": {**_TEXT, "enum": ["v0.9.0", "v1.0.0"]},
                "kind": {**_TEXT, "enum": ["DataProduct"]},
                **_texts("id", "name", "version", "status", "domain", "tenant", "productCreatedTs"),
                **annotated,
                "description": _fields({**_texts("purpose", "limitations", "usage"), **custom, **linked}),
                "inputPorts": _list_of("InputPort"),
                "outputPorts": _list_of("OutputPort"),
                "managementPorts": _list_of("ManagementPort"),
                "support": _list_of("Support"),
                "team": _fields({**_texts("name", "description"), "members": _list_of("TeamMember"), **annotated}),
            },
            "apiVersion kind id status",
        ),
        "$defs": {
            "CustomProperty": _fields({**_texts("property", "description"), "value": {}}, "property value"),
            "AuthoritativeDefinition": _fields(_texts("type", "url", "description"), "type url"),
            "InputPort": _fields(port, "name version contractId"),
            "OutputPort": _fields(
                {
                    **port,
                    **_texts("description", "type"),
                    "sbom": {"type": "array", "items": _fields(_texts("type", "url"), "url")},
                    "inputContracts": {"type": "array", "items": _fields(_texts("id", "version"), "id version")},
                },
                "name version",
            ),
            "ManagementPort": _fields(
                {**_texts("name", "content", "type", "url", "channel", "description"), **annotated}, "name content"
            ),
            "Support": _fields(
                {**_texts("channel", "url", "description", "tool", "scope", "invitationUrl"), **annotated},
                "channel url",
            ),
            "TeamMember": _fields(
                {
                    **_texts("username", "name", "description", "role", "dateIn", "dateOut", "replacedByUsername"),
                    **annotated,
                },
                "username",
            ),
        },
    }


@cache
def accepted_odps_schema() -> JsonSchema:
    """Return the standard's schema, by which `team` may also be the plain list of members that it was in 0.9."""
    schema = odps_schema()
    team = {"oneOf": [schema["properties"]["team"], _list_of("TeamMember")]}
    return {**schema, "properties": {**schema["properties"], "team": team}}


def _fields(properties: JsonSchema, required: str = "") -> JsonSchema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": required.split()} if required else {}),
    }


def _texts(*names: str) -> JsonSchema:
    return dict.fromkeys(names, _TEXT)


def _list_of(definition: str) -> JsonSchema:
    return {"type": "array", "items": {"$ref": f"#/$defs/{definition}"}}


def _revise(violation: SchemaViolation, _: Any) -> SchemaViolation:
    return replace(violation, hint=_MISSING_HINTS.get(violation.missing, "")) if violation.missing else violation
