"""The tool of a record, typed: each argument is a text in the question's view, and their types make its JSON Schema."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storymesh.errors import DefinitionErrors, Finding
from storymesh.language import ast
from storymesh.language.ast import Template
from storymesh.language.parse import parse_expression
from storymesh.language.static_values import Path, StaticValue, a_kind
from storymesh.language.typecheck.scope import CheckedTemplate, Scope
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Hidden, Integer, Text
from storymesh.narrative.definition import Narrative, Record
from storymesh.narrative.formats.format import RecordFormat
from storymesh.narrative.formats.tool_calls import ARGUMENTS, CalledTool, ToolFormat
from storymesh.narrative.tool_definition import Tool

MAX_LABELS = 50  # codes whose meaning the declaration of a tool tells


@dataclass(frozen=True)
class TypedTool:
    """A tool with the template of each argument, by the name of its slot."""

    called: CalledTool
    templates: Mapping[str, CheckedTemplate]

    def format_of(self, written: RecordFormat) -> RecordFormat:
        """Return the format with a text for each argument of this tool."""
        return written.with_tool(self.called) if isinstance(written, ToolFormat) else written


def type_tool(
    narrative: Narrative,
    record: Record,
    config: str,
    scope: Scope,
    unprintable: Mapping[Path, Hidden],
    findings: list[Finding],
) -> TypedTool | None:
    """Return the tool of a record typed in the view of a question, None where it has findings."""
    tool = record.tool
    assert tool is not None
    templates: dict[str, CheckedTemplate] = {}
    properties: dict[str, dict[str, Any]] = {}
    kinds: dict[str, str] = {}
    for name, argument in tool.arguments.items():
        location = narrative.at("records", config, "tool", ARGUMENTS, name)
        try:
            expression = parse_expression(argument.value, location)
            printed = (ast.Output(location, expression, argument.value),)
            template = Template(f"{config}.{ARGUMENTS}.{name}", location.path, printed)
            checked = check_template(template, scope, lambda _: None, unprintable, record.language)
        except DefinitionErrors as error:
            findings.extend(error.findings)
            continue
        (output,) = checked.tree.body
        assert isinstance(output, ast.Output)
        value = output.value.typed
        if not isinstance(value.type, Text | Integer):
            words = f"an argument of a tool is a text or a whole number, '{argument.value}' is {a_kind(value.type)}"
            findings.append(Finding(location, "wrong-type", words, "print it through a filter, such as `date`"))
            continue
        templates[f"{ARGUMENTS}.{name}"] = checked
        kinds[name] = "int64" if isinstance(value.type, Integer) else "string"
        properties[name] = _property(value, argument.description)
    if len(templates) < len(tool.arguments):
        return None
    return TypedTool(CalledTool(tool.name, _declaration(tool, properties), kinds), templates)


def _property(value: StaticValue, description: str) -> dict[str, Any]:
    """Return the JSON Schema of an argument; the codes of an enumeration are all that it may be."""
    written: dict[str, Any] = {"type": "integer" if isinstance(value.type, Integer) else "string"}
    if value.codes is not None:
        written["enum"] = sorted(value.codes)
    labels = value.type.labels if isinstance(value.type, Text) else {}
    told = [f"{code}: {labels[code]}" for code in written.get("enum", ()) if labels.get(code, code) != code]
    meaning = "; ".join(told) if len(told) <= MAX_LABELS else ""
    if words := description or meaning:
        written["description"] = words
    return written


def _declaration(tool: Tool, properties: Mapping[str, Any]) -> str:
    """Return the list of the one tool, as chat templates take it."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return json.dumps([{"type": "function", "function": function}], ensure_ascii=False)
