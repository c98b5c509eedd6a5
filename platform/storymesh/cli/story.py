"""A record as a person reads it on a terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from storymesh.cli.trace import marks

if TYPE_CHECKING:
    from storymesh.provenance.trace import ToldCase

_TEXTS = ("text", "messages", "prompt", "completion", "chosen", "rejected")


def story(record: Mapping[str, Any]) -> str:
    """The record's id and moment, then each of its texts under its own name; a label last."""
    return marked_story(record, None).plain


def marked_story(record: Mapping[str, Any], told: "ToldCase | None") -> Text:
    """The same with its values marked, as far as `told` knows them."""
    columns = {column.name: column for column in told.columns} if told else {}
    page = Text(f"── {record['id']} · {record['at']}\n")
    for column, name, text in _texts(record):
        page.append(f"[{name}]\n")
        parts = columns[column].parts if column in columns and columns[column].text == text else ()
        page.append_text(marks(text, ((one.begin, one.end, one.expression, bool(one.places)) for one in parts)))
        page.append("\n\n")
    if "label" in record:
        page.append(f"[label] {record['label']}\n\n")
    page.right_crop(1)
    return page


def _texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Column as a trace calls it, name for people, text."""
    for name in _TEXTS:
        value = record.get(name)
        if isinstance(value, str):
            yield name, name, value
        elif isinstance(value, list):
            for message in value:
                yield f"messages.{message['role']}", str(message["role"]), str(message["content"])
