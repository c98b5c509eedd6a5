"""The format `messages`: a conversation, for supervised fine-tuning. Its texts are messages of one column."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storymesh.narrative.formats.format import RecordFormat, TemplateSlot, TextColumn

if TYPE_CHECKING:
    import ibis.expr.types as ir

COLUMN = "messages"


class MessageText(TextColumn):
    """The text of one message of a conversation, named by its role."""

    @property
    def column(self) -> str:
        return COLUMN

    @property
    def path(self) -> str:
        return f"{COLUMN}.{self.name}"

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        return records[COLUMN].filter(lambda message: message["role"] == self.name)[0]["content"]

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        contents = (message["content"] for message in record.get(COLUMN) or () if message["role"] == self.name)
        value = next(contents, None)
        return None if value is None else str(value)


class ConversationFormat(RecordFormat):
    """A format whose column `messages` holds all texts that are a `MessageText`, as `role` and `content` of each."""

    def assemble(self, texts: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        given = [text for text in self.texts if text.name in texts]
        messages = [
            ibis.struct({"role": text.name, "content": texts[text.name]})
            for text in given
            if isinstance(text, MessageText)
        ]
        return super().assemble(texts) | {COLUMN: ibis.array(messages)}

    def assemble_row(self, texts: Mapping[str, str]) -> dict[str, Any]:
        given = [text for text in self.texts if text.name in texts]
        messages = [{"role": text.name, "content": texts[text.name]} for text in given if isinstance(text, MessageText)]
        return super().assemble_row(texts) | {COLUMN: messages}

    def column_texts(self, records: "ir.Table", between: str = "\n") -> "dict[str, ir.StringValue]":
        from storymesh.engine import dialect

        contents = dialect.map_items(records[COLUMN], lambda message: message["content"])
        return super().column_texts(records, between) | {COLUMN: contents.join(between)}

    def replace_texts(self, records: "ir.Table", replacements: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        roles = [text.name for text in self.texts if isinstance(text, MessageText) and text.name in replacements]

        def replaced(message: "ir.StructValue") -> "ir.StructValue":
            own = message["content"]
            cases = [(message["role"] == role, replacements[role].coalesce(own)) for role in roles]
            return ibis.struct({"role": message["role"], "content": ibis.cases(*cases, else_=own) if cases else own})

        return {COLUMN: records[COLUMN].map(replaced)}


SYSTEM = TemplateSlot(
    "system",
    "question",
    "question: sees what was known at the moment of the case, and precedents",
    required=False,
)
USER = TemplateSlot("user", "question", "question")
ASSISTANT = TemplateSlot("assistant", "answer", "answer: sees that plus `outcome.action` and `outcome.worked`")

MESSAGES = ConversationFormat(
    name="messages",
    purpose="a conversation, for supervised fine-tuning",
    slots=(SYSTEM, USER, ASSISTANT),
    texts=(MessageText("system", SYSTEM), MessageText("user", USER), MessageText("assistant", ASSISTANT)),
    columns={COLUMN: "the conversation: role and content of each turn"},
    layout="a list of `role` and `content`",
)
