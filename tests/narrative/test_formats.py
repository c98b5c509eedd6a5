"""Formats of records: what they say of themselves agrees, and a file of records shows its format."""

from typing import Any

import ibis
import pyarrow as pa
import pytest
from pydantic import ValidationError

from storymesh.engine.open import open_engine
from storymesh.narrative.definition import Record
from storymesh.narrative.formats import FORMATS, format_of_columns, template_slots
from storymesh.narrative.formats.format import RecordFormat
from storymesh.narrative.formats.messages import MESSAGES
from storymesh.narrative.formats.tool_calls import TOOL_CALLS, CalledTool

BESIDE = ("id", "case_id", "split", "at", "facts", "sources", "retellings")


def test_a_file_shows_its_format_by_its_columns() -> None:
    found = {name: format_of_columns([*BESIDE, *item.columns]) for name, item in FORMATS.items()}
    assert found == dict(FORMATS)
    assert format_of_columns(BESIDE) is None


def test_a_slot_of_one_name_means_the_same_in_every_format() -> None:
    slots = template_slots()
    assert all(slots[slot.name] == slot for item in FORMATS.values() for slot in item.slots)


def test_every_text_has_a_slot_and_a_described_column() -> None:
    for item in FORMATS.values():
        assert {text.slot for text in item.texts} == set(item.slots), item.name
        assert set(item.text_columns) <= set(item.columns), item.name
        assert item.label is None or item.label in item.columns, item.name


def test_a_record_gives_back_the_texts_that_it_was_assembled_of() -> None:
    forms = [item.as_chat(chat) for item in FORMATS.values() for chat in (False, True)]
    for item in forms:
        plain = item.may_chat and not item.chat  # plain texts have no system message
        texts = {text.name: f"words of {text.name}" for text in item.texts if not (plain and text.name == "system")}
        record = item.assemble_row(texts)
        assert {text.name: words for text, words in item.texts_in(record)} == texts, item.name
        optional = {text.name: words for text, words in item.texts_in(record) if text.slot.required}
        assert {text.name for text, _ in item.texts_in(item.assemble_row(optional))} == set(optional), item.name


@pytest.mark.parametrize("name", [name for name, item in FORMATS.items() if item.may_chat])
@pytest.mark.parametrize("chat", [False, True])
def test_texts_are_read_and_replaced_in_messages_as_in_plain_columns(name: str, chat: bool) -> None:
    item = FORMATS[name].as_chat(chat)
    texts = {text.name: f"words of {text.name}" for text in item.texts if chat or text.name != "system"}
    answers = [text.name for text in item.texts if text.slot.phase == "answer"]
    with open_engine() as engine:
        given = engine.materialize(pa.table({text: [words] for text, words in texts.items()}))
        record = item.assemble({text: given[text] for text in texts})
        records = engine.materialize(given.select(**record))
        assert engine.fetch_rows(records) == [item.assemble_row(texts)]
        replaced = records.select(**item.replace_texts(records, {answers[0]: ibis.literal("other words")}))
        assert engine.fetch_rows(replaced) == [item.assemble_row({**texts, answers[0]: "other words"})]
        read = records.select(**{text.name: text.value_in(records) for text in item.texts})
        assert engine.fetch_rows(read) == [{text.name: texts.get(text.name) for text in item.texts}]
        (columns,) = engine.fetch_rows(records.select(**item.column_texts(records)))
    assert columns["prompt"] == "\n".join(texts[text] for text in ("system", "prompt") if text in texts)


TOOL = TOOL_CALLS.with_tool(CalledTool("find", "[{}]", {"sea": "string", "ships": "int64"}))
SPOKEN = {
    "several turns": (MESSAGES, [text.name for text in MESSAGES.texts]),
    "two turns without a system message": (MESSAGES, ["user", "assistant", "user_2", "assistant_2"]),
    "one turn": (MESSAGES, ["system", "user", "assistant"]),
    "a tool": (TOOL, [text.name for text in TOOL.texts]),
    "a tool without a system message": (TOOL, [text.name for text in TOOL.texts if text.name != "system"]),
}


@pytest.mark.parametrize(("item", "names"), SPOKEN.values(), ids=SPOKEN.keys())
def test_every_message_of_a_conversation_is_written_read_and_replaced(item: RecordFormat, names: list[str]) -> None:
    texts = {name: "17" if name == "arguments.ships" else f"words of {name}" for name in names}
    with open_engine() as engine:
        given = engine.materialize(pa.table({text: [words] for text, words in texts.items()}))
        records = engine.materialize(given.select(**item.assemble({text: given[text] for text in texts})))
        (record,) = engine.fetch_rows(records)
        assert record == item.assemble_row(texts)
        found = format_of_columns(record)
        assert found is not None
        assert {text.name: words for text, words in found.texts_in(record)} == texts
        read = records.select(**{text.name: text.value_in(records) for text in item.texts})
        assert engine.fetch_rows(read) == [{text.name: texts.get(text.name) for text in item.texts}]
        for answer in (text.name for text in item.texts if text.slot.phase == "answer" and text.name in texts):
            replaced = records.select(**found.replace_texts(records, {answer: ibis.literal("other words")}))
            assert engine.fetch_rows(replaced) == [item.assemble_row({**texts, answer: "other words"})]
        (columns,) = engine.fetch_rows(records.select(**found.column_texts(records)))
    assert columns["messages"] == "\n".join(texts.values())


def test_a_call_has_the_arguments_that_its_tool_declares() -> None:
    texts = {text.name: text.name for text in TOOL.texts} | {"arguments.ships": "17"}
    record = TOOL.assemble_row(texts)
    (call,) = [message for message in record["messages"] if message["tool_calls"]]
    called = {"name": "find", "arguments": {"sea": "arguments.sea", "ships": 17}}
    assert (call["role"], call["tool_calls"]) == ("assistant", [{"type": "function", "function": called}])
    assert [message["role"] for message in record["messages"]] == ["system", "user", "assistant", "tool", "assistant"]


RECORD = {"format": "prompt_completion", "prompt": "a.jinja", "completion": "b.jinja"}

TALK = {"format": "messages", "user": "a.jinja", "assistant": "a.jinja", "prompt": None, "completion": None}


@pytest.mark.parametrize(
    ("fields", "chat"),
    [({}, False), ({"system": "s.jinja"}, True), ({"chat": True}, True), ({"chat": False}, False)],
)
def test_a_system_message_or_chat_makes_messages(fields: dict[str, Any], chat: bool) -> None:
    assert Record.model_validate({**RECORD, **fields}).format_written.chat is chat


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"chat": False, "system": "s.jinja"}, "`system` is a message"),
        ({"format": "text", "text": "a.jinja", "prompt": None, "completion": None, "chat": True}, "`chat` is for"),
        ({"action_cap": 0.3}, "`action_cap` is a share of pairs"),
        ({**TALK, "user_2": "a.jinja"}, "both user_2 and assistant_2, and there is no assistant_2"),
        ({**TALK, "user_3": "a.jinja", "assistant_3": "a.jinja"}, "there is a turn 3 and no turn 2"),
        ({**TALK, "tool": {"name": "find", "description": "", "arguments": {"a": "x.y"}}}, "tool_calls needs a `tool`"),
        ({**TALK, "format": "tool_calls", "result": "a.jinja"}, "tool_calls needs a `tool`"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Record.model_validate({**RECORD, **fields})
