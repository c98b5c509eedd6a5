"""The format `tool_calls`: a conversation in which the assistant looks something up with a tool before it answers.

The columns are those of https://huggingface.co/docs/transformers/chat_extras: `tools` declares what may be called, as
JSON Schema; a message of the assistant has `tool_calls`, one of the role `tool` what came of it. Each argument of the
call is a text of its own, since which there are is for the author to say: `with_tool` makes the format of one tool.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from storymesh.narrative.formats.format import TemplateSlot, TextColumn
from storymesh.narrative.formats.messages import ASSISTANT, COLUMN, SYSTEM, USER, ConversationFormat, MessageText

if TYPE_CHECKING:
    import ibis.expr.types as ir

TOOLS, CALLS = "tools", "tool_calls"
ARGUMENTS = "arguments"
RESULT = TemplateSlot("result", "question", "of `tool_calls`; question: what the tool answers, such as precedents")


@dataclass(frozen=True)
class CalledTool:
    """A tool as its records need it: `declaration` is its JSON Schema in a list, `arguments` has the type of each in a
    column, `string` or `int64`."""

    name: str
    declaration: str
    arguments: Mapping[str, str]


class ArgumentText(TextColumn):
    """The text of one argument of the call."""

    @property
    def argument(self) -> str:
        return self.name.removeprefix(f"{ARGUMENTS}.")

    @property
    def column(self) -> str:
        return COLUMN

    @property
    def path(self) -> str:
        return f"{COLUMN}.{self.name}"

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        calls = records[COLUMN].filter(lambda message: message[CALLS].notnull())[0][CALLS]
        return calls[0]["function"][ARGUMENTS][self.argument].cast("string")

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        value = called_arguments(record).get(self.argument)
        return None if value is None else str(value)


class ReplyText(MessageText):
    """The answer of the assistant: the message of this role that calls nothing."""

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        return records[COLUMN].filter(lambda message: (message["role"] == self.role) & message[CALLS].isnull())[0][
            "content"
        ]

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        messages = record.get(COLUMN) or ()
        replies = (one["content"] for one in messages if one["role"] == self.role and not one[CALLS])
        reply = next(replies, None)
        return None if reply is None else str(reply)


class ResultText(MessageText):
    """The answer of the tool: the message of the role `tool`."""

    @property
    def role(self) -> str:
        return "tool"


def called_arguments(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of the call of one record."""
    for message in record.get(COLUMN) or ():
        for call in message.get(CALLS) or ():
            return dict(call["function"][ARGUMENTS])
    return {}


def _argument_text(name: str) -> ArgumentText:
    slot_name = f"{ARGUMENTS}.{name}"
    return ArgumentText(slot_name, TemplateSlot(slot_name, "question", f"question: the argument `{name}` of the call"))


@dataclass(frozen=True)
class ToolFormat(ConversationFormat):
    """A conversation of four messages: question, call, result, answer; a system message may stand before them."""

    tool: CalledTool | None = None

    @property
    def calls_tool(self) -> bool:
        return True

    def fault(self, given: Collection[str]) -> str | None:
        return None

    def with_tool(self, tool: CalledTool) -> "ToolFormat":
        """Return the format of records that call this tool."""
        return replace(self._with_arguments(tool.arguments), tool=tool)

    def _with_arguments(self, names: Collection[str]) -> "ToolFormat":
        """Return the format with a text for each argument, between the question and what comes of it."""
        others = [text for text in self.texts if not isinstance(text, ArgumentText)]
        place = next(place for place, text in enumerate(others) if text.slot is RESULT)
        texts = (*others[:place], *map(_argument_text, names), *others[place:])
        return replace(self, texts=texts, slots=tuple(text.slot for text in texts))

    def assemble(self, texts: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        assert self.tool is not None
        arguments = {name: texts[f"{ARGUMENTS}.{name}"].cast(type_) for name, type_ in self.tool.arguments.items()}
        function = ibis.struct({"name": ibis.literal(self.tool.name), ARGUMENTS: ibis.struct(arguments)})
        calls = ibis.array([ibis.struct({"type": ibis.literal("function"), "function": function})])

        def message(role: str, content: "ir.StringValue", *, call: bool = False) -> "ir.StructValue":
            name = ibis.literal(self.tool.name) if self.tool and role == "tool" else ibis.null("string")
            made = calls if call else ibis.null(calls.type())
            return ibis.struct({"role": ibis.literal(role), "content": content, CALLS: made, "name": name})

        given = [text for text in self.texts if isinstance(text, MessageText) and text.name in texts]
        messages = [message(text.role, texts[text.name]) for text in given]
        messages.insert(-2, message(ASSISTANT.name, ibis.literal(""), call=True))
        return {COLUMN: ibis.array(messages), TOOLS: ibis.literal(self.tool.declaration)}

    def assemble_row(self, texts: Mapping[str, str]) -> dict[str, Any]:
        tool = self.tool or CalledTool("", "[]", {})
        arguments = {
            name: int(texts[f"{ARGUMENTS}.{name}"]) if type_ == "int64" else texts[f"{ARGUMENTS}.{name}"]
            for name, type_ in tool.arguments.items()
        }
        call = {"type": "function", "function": {"name": tool.name, ARGUMENTS: arguments}}
        messages: list[dict[str, Any]] = []
        for text in self.texts:
            if not isinstance(text, MessageText) or text.name not in texts:
                continue
            if text.slot is RESULT:
                messages.append({"role": ASSISTANT.name, "content": "", CALLS: [call], "name": None})
            name = tool.name if text.slot is RESULT else None
            messages.append({"role": text.role, "content": texts[text.name], CALLS: None, "name": name})
        return {COLUMN: messages, TOOLS: tool.declaration}

    def texts_in(self, record: Mapping[str, Any]) -> Iterator[tuple[TextColumn, str]]:
        """Yield each text that one record has; which arguments there are the record itself says."""
        for text in self._with_arguments(tuple(called_arguments(record))).texts:
            if (words := text.text_in(record)) is not None:
                yield text, words

    def column_texts(self, records: "ir.Table") -> "dict[str, ir.StringValue]":
        import ibis

        from storymesh.engine import dialect

        def words(message: "ir.StructValue") -> "ir.StringValue":
            arguments = message[CALLS][0]["function"][ARGUMENTS]
            values = [arguments[name].cast("string") for name in arguments.type().names]
            called = dialect.concat_texts([part for value in values for part in (ibis.literal("\n"), value)][1:])
            return ibis.ifelse(message[CALLS].isnull(), message["content"], called)

        return {COLUMN: dialect.map_items(records[COLUMN], words).join("\n")}

    def replace_texts(self, records: "ir.Table", replacements: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        """Return the columns with other words for the answer, the only text that a model may rewrite."""
        import ibis

        from storymesh.engine import dialect

        words = replacements.get(ASSISTANT.name, ibis.null("string"))

        def replaced(message: "ir.StructValue") -> "ir.StructValue":
            answers = (message["role"] == ASSISTANT.name) & message[CALLS].isnull()
            content = ibis.ifelse(answers, words.coalesce(message["content"]), message["content"])
            return ibis.struct({name: content if name == "content" else message[name] for name in message.type().names})

        return {COLUMN: dialect.map_items(records[COLUMN], replaced), TOOLS: records[TOOLS]}


TOOL_CALLS = ToolFormat(
    name="tool_calls",
    purpose="a conversation in which the assistant calls a tool before it answers, for supervised fine-tuning",
    slots=(SYSTEM, USER, RESULT, ASSISTANT),
    texts=(
        MessageText("system", SYSTEM),
        MessageText("user", USER),
        ResultText("result", RESULT),
        ReplyText("assistant", ASSISTANT),
    ),
    columns={
        COLUMN: "the conversation: role and content of each message, and `tool_calls` of one that calls a tool",
        TOOLS: "the tools that may be called, as JSON Schema in a JSON text",
    },
    layout="a JSON text",
)
