"""The part `tool:` of a record: what the assistant may look up, and with which values of its case it does."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from storymesh.case.definition import Name, pattern_check
from storymesh.document import Definition, ExpressionText

TOOL_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")  # what model servers take for the name of a function


class Argument(Definition):
    """An argument of a tool: its value in a case, an expression, and what the model is told of it."""

    value: ExpressionText
    description: str = ""


def _argument(value: object) -> object:
    return value if isinstance(value, Mapping | Argument) else {"value": value}


class Tool(Definition):
    """A tool, `name` and `description` as the model is told of it. An expression alone is an argument's value."""

    name: Annotated[str, pattern_check(TOOL_NAME, "a name of a function: letters, digits, _ and -, no digit first")]
    description: str
    arguments: Mapping[
        Name, Annotated[Argument, BeforeValidator(_argument, json_schema_input_type=Argument | ExpressionText)]
    ] = Field(min_length=1, max_length=20)
