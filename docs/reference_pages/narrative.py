"""The parts of docs/reference/narrative.md: the fields of a narrative with their types, and the record formats."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from reference_pages.markdown import code, explained, listed, table
from reference_pages.narrative_fields import FIELDS, SECTIONS
from storymesh.narrative import definition as narrative
from storymesh.narrative.formats import FORMATS


def page() -> dict[str, str]:
    parts: list[str] = []
    for title, (model, words) in SECTIONS.items():
        parts.append(f"## {title}\n" if title == "The file" else f"## `{title}`\n")
        parts += [f"{words}\n"] if words else []
        rows = list(_fields(title, model))
        parts += [table(["field", "type", "default", "meaning"], rows)] if rows else []
    formats = (
        [
            code(name),
            listed(sorted(slot.name for slot in format_.slots if slot.required)),
            listed(sorted(slot.name for slot in format_.slots if not slot.required)),
            f"{listed(format_.columns)}{f': {format_.layout}' if format_.layout else ''}",
        ]
        for name, format_ in FORMATS.items()
    )
    return {
        "sections": "\n".join(parts),
        "formats": table(["format", "needs", "may have", "columns"], formats),
        "reserved": listed(sorted(narrative.RESERVED)),
    }


def _fields(title: str, model: type[BaseModel]) -> Iterator[list[str]]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    schema = model.model_json_schema()
    for name, words in explained(names, FIELDS[title], title):
        shown = schema["properties"][name]
        default = "required" if name in schema.get("required", ()) else _default(shown)
        yield [code(name), _type(shown), default, words]


def _default(shown: Mapping[str, Any]) -> str:
    value = shown.get("default")
    return "" if value in (None, "", [], {}, "PT0S") else code(value)


def _type(shown: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    match shown:
        case {"anyOf": options}:
            # A decimal may also be written as a text: nobody has to.
            kept = [option for option in options if option.get("type") != "null"]
            decimal = [option["type"] for option in kept if "type" in option] == ["number", "string"]
            return "number" if decimal else " or ".join(_type(option) for option in kept)
        case {"const": value}:
            return code(value)
        case {"enum": values}:
            return listed(values)
        case {"$ref": target}:
            name = str(target).rpartition("/")[2]
            return "`{}`" if name == "AsOf" else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        case {"format": "duration" | "date" as form}:
            return str(form)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": inner}:
            return f"name → {_type(inner)}"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"integer, {low} to {high}"
        case {"type": "integer", "minimum": low}:
            return f"integer, at least {low}"
        case {"type": "integer" | "number" | "boolean" as kind}:
            return {"boolean": "true or false"}.get(kind, kind)
        case {"type": "string"}:
            return "text"
    raise ValueError(f"no words for {shown}")
