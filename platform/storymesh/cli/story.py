"""A record as a person reads it on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

_TEXTS = ("text", "messages", "prompt", "completion", "chosen", "rejected")


def story(record: Mapping[str, Any]) -> str:
    """The record's id and moment, then each of its texts under its own name; a label last."""
    lines = [f"── {record['id']} · {record['at']}"]
    for name, text in _texts(record):
        lines += [f"[{name}]", text.rstrip("\n"), ""]
    if "label" in record:
        lines += [f"[label] {record['label']}", ""]
    return "\n".join(lines)


def _texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _TEXTS:
        value = record.get(name)
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, list):
            yield from ((str(message["role"]), str(message["content"])) for message in value)
