"""The fields of a definition as a table: names, types and defaults from the model, meanings from the page."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from reference_pages.markdown import code, explained, listed, table


def field_table(model: type[BaseModel], meanings: Mapping[str, str], what: str) -> str:
    """Return the table of the fields of `model`, or nothing where it has none."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    schema = model.model_json_schema()
    rows = []
    for name, words in explained(names, meanings, what):
        shown = schema["properties"][name]
        default = "required" if name in schema.get("required", ()) else _default(shown)
        rows.append([code(name), _type(shown), default, words])
    return table(["field", "type", "default", "meaning"], rows) if rows else ""


def _default(shown: Mapping[str, Any]) -> str:
    value = shown.get("default")
    if isinstance(value, list):
        return listed(value)
    return "" if isinstance(value, dict) or value in (None, "", "PT0S") else code(value)


def _type(shown: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    match shown:
        case {"format": "storymesh-expression"}:
            return "text"
        case {"format": "storymesh-duration"}:
            return "duration"
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
