"""The texts of records, as what looks at wording takes them."""

from typing import TYPE_CHECKING

from storymesh.engine import dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.expr.types import StringValue, Table

_TEXTS = ("text", "messages", "prompt", "completion", "chosen", "rejected")


def texts_of(records: "Table", between: str = "\n") -> "Mapping[str, StringValue]":
    """The texts of the format's columns, those of a conversation as one."""
    found: dict[str, StringValue] = {}
    for name in _TEXTS:
        if name in records.columns:
            value = records[name]
            listed = value.type().is_array()
            found[name] = dialect.map_items(value, lambda message: message.content).join(between) if listed else value
    return found


def whole_of(records: "Table") -> "StringValue":
    """All that a record says, as one text."""
    return dialect.concat_texts([text.concat("\n") for text in texts_of(records).values()])
