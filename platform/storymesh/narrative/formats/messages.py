"""The format `messages`: a conversation, for supervised fine-tuning. Its texts are messages of one column.

After the first question and answer there may be more of both, so that a model learns to be asked again: each further
turn has its own templates, which see what those of the first turn see.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from storymesh.narrative.formats.format import RecordFormat, TemplateSlot, TextColumn

if TYPE_CHECKING:
    import ibis.expr.types as ir

COLUMN = "messages"
MAX_TURNS = 5


class MessageText(TextColumn):
    """The text of one message of a conversation, named by its role, and from the second of that role on by its turn."""

    @property
    def column(self) -> str:
        return COLUMN

    @property
    def path(self) -> str:
        return f"{COLUMN}.{self.name}"

    @property
    def role(self) -> str:
        return self.name.partition("_")[0]

    @property
    def place(self) -> int:
        """The number of messages of the same role before it."""
        return int(self.name.partition("_")[2] or 1) - 1

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        return records[COLUMN].filter(lambda message: message["role"] == self.role)[self.place]["content"]

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        contents = [message["content"] for message in record.get(COLUMN) or () if message["role"] == self.role]
        return str(contents[self.place]) if self.place < len(contents) else None


class ConversationFormat(RecordFormat):
    """A format whose column `messages` holds all texts that are a `MessageText`, as `role` and `content` of each."""

    def fault(self, given: Collection[str]) -> str | None:
        for turn in range(2, MAX_TURNS + 1):
            pair = [f"user_{turn}", f"assistant_{turn}"]
            missing = [name for name in pair if name not in given]
            if len(missing) == 1:
                return f"a further turn has both {' and '.join(pair)}, and there is no {missing[0]}"
            if not missing and turn > 2 and f"user_{turn - 1}" not in given:
                return f"there is a turn {turn} and no turn {turn - 1}"
        return None

    def assemble(self, texts: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        from storymesh.engine.enum_text import enum_text

        given = [text for text in self.texts if text.name in texts and isinstance(text, MessageText)]
        roles = {text.role for text in given}
        messages = [ibis.struct({"role": enum_text(text.role, roles), "content": texts[text.name]}) for text in given]
        return {COLUMN: ibis.array(messages)}

    def assemble_row(self, texts: Mapping[str, str]) -> dict[str, Any]:
        given = [text for text in self.texts if text.name in texts]
        return {
            COLUMN: [
                {"role": text.role, "content": texts[text.name]} for text in given if isinstance(text, MessageText)
            ]
        }

    def column_texts(self, records: "ir.Table") -> "dict[str, ir.StringValue]":
        from storymesh.engine import dialect

        contents = dialect.map_items(records[COLUMN], lambda message: message["content"])
        return {COLUMN: contents.join("\n")}

    def replace_texts(self, records: "ir.Table", replacements: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        from storymesh.engine import dialect

        messages = records[COLUMN]
        # Behind a system message, if there is one, each text has its place.
        first = ibis.ifelse(messages[0]["role"] == SYSTEM.name, 1, 0)
        turns = [text for text in self.texts if isinstance(text, MessageText) and text.slot is not SYSTEM]
        places = [(place, replacements[text.name]) for place, text in enumerate(turns) if text.name in replacements]

        def replaced(message: "ir.StructValue", index: "ir.IntegerValue") -> "ir.StructValue":
            own = message["content"]
            cases = [(index == first + place, words.coalesce(own)) for place, words in places]
            content = ibis.cases(*cases, else_=own) if cases else own
            return ibis.struct({name: content if name == "content" else message[name] for name in message.type().names})

        return {COLUMN: dialect.map_indexed(messages, replaced)}


SYSTEM = TemplateSlot(
    "system",
    "question",
    "question: sees what was known at the moment of the case, and precedents",
    required=False,
)
USER = TemplateSlot("user", "question", "question")
ASSISTANT = TemplateSlot("assistant", "answer", "answer: sees that plus `outcome.action` and `outcome.worked`")
FURTHER = tuple(
    slot
    for turn in range(2, MAX_TURNS + 1)
    for slot in (
        TemplateSlot(
            f"user_{turn}", "question", f"of `messages`; question: what is asked in turn {turn}", required=False
        ),
        TemplateSlot(f"assistant_{turn}", "answer", f"of `messages`; answer: to what turn {turn} asks", required=False),
    )
)

MESSAGES = ConversationFormat(
    name="messages",
    purpose="a conversation, for supervised fine-tuning",
    slots=(SYSTEM, USER, ASSISTANT, *FURTHER),
    texts=tuple(MessageText(slot.name, slot) for slot in (SYSTEM, USER, ASSISTANT, *FURTHER)),
    columns={COLUMN: "the conversation: role and content of each turn"},
    layout="a list of `role` and `content`",
)
