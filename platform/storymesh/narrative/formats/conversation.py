"""Questions and answers as turns of a conversation: what the formats that ask and answer can be written as.

With `chat`, each column is a list of messages with role and content, so that trainers put the chat template of a model
around them, and learn the answer only: https://huggingface.co/docs/trl/dataset_formats. Without, each is a plain text.
A file shows by the type of its columns which of the two it has.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from storymesh.narrative.formats.format import RecordFormat, TextColumn

if TYPE_CHECKING:
    import ibis.expr.types as ir

# The name of a text -> the column and the role that it has as a turn.
TURNS: Mapping[str, tuple[str, str]] = {
    "system": ("prompt", "system"),
    "prompt": ("prompt", "user"),
    "completion": ("completion", "assistant"),
    "chosen": ("chosen", "assistant"),
    "rejected": ("rejected", "assistant"),
}


class TurnText(TextColumn):
    """A text that is a column of its own, or a turn of the messages in a column. Only turns have a system message."""

    @property
    def column(self) -> str:
        return TURNS[self.name][0]

    @property
    def role(self) -> str:
        return TURNS[self.name][1]

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        import ibis

        from storymesh.engine import dialect

        value = records[self.column]
        if value.type().is_array():
            return dialect.item_at(dialect.filter_items(value, lambda turn: turn["role"] == self.role), 0)["content"]
        return value if self.column == self.name else ibis.null("string")

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        value = record.get(self.column)
        if isinstance(value, list):
            return next((str(message["content"]) for message in value if message["role"] == self.role), None)
        return str(value) if value is not None and self.column == self.name else None


class TurnFormat(RecordFormat):
    """A format whose columns hold texts, or with `chat` messages."""

    def assemble(self, texts: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        if not self.chat:
            return super().assemble(texts)
        turns: dict[str, list[ir.StructValue]] = {}
        for text in self.texts:
            if isinstance(text, TurnText) and text.name in texts:
                message = ibis.struct({"role": text.role, "content": texts[text.name]})
                turns.setdefault(text.column, []).append(message)
        return {column: ibis.array(messages) for column, messages in turns.items()}

    def assemble_row(self, texts: Mapping[str, str]) -> dict[str, Any]:
        if not self.chat:
            return super().assemble_row(texts)
        turns: dict[str, Any] = {}
        for text in self.texts:
            if isinstance(text, TurnText) and text.name in texts:
                turns.setdefault(text.column, []).append({"role": text.role, "content": texts[text.name]})
        return turns

    def column_texts(self, records: "ir.Table") -> "dict[str, ir.StringValue]":
        from storymesh.engine import dialect

        return {
            column: dialect.map_items(value, lambda message: message["content"]).join("\n")
            if (value := records[column]).type().is_array()
            else value
            for column in self.text_columns
        }

    def replace_texts(self, records: "ir.Table", replacements: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        from storymesh.engine import dialect

        replaced: dict[str, ir.Value] = {}
        for text in self.texts:
            if not isinstance(text, TurnText):
                continue
            value = replaced.setdefault(text.column, records[text.column])
            if (words := replacements.get(text.name)) is None:
                continue
            if not value.type().is_array():
                replaced[text.column] = words.coalesce(value)
                continue

            replaced[text.column] = dialect.map_items(value, partial(_replaced_turn, role=text.role, words=words))
        return replaced


def _replaced_turn(message: "ir.StructValue", *, role: str, words: "ir.StringValue") -> "ir.StructValue":
    """Return a message with other words if it has this role and there are some."""
    import ibis

    own = message["content"]
    content = ibis.ifelse(message["role"] == role, words.coalesce(own), own)
    return ibis.struct({"role": message["role"], "content": content})
