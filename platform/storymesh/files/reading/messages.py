"""The messages between a pool and its reader processes: JSON and bytes, each with its length.

A process that has read a hostile file may be the file's own by then, so nothing that runs code is read from it, and
what it says of a reading is made into one here or not at all.
"""

import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Final

from storymesh.files.reading.passages import FileContent
from storymesh.files.reading.reading import KINDS, Attachment, FileReading, Kind, Passage, Refused
from storymesh.language.types import Array, Boolean, Date, Field, Float, Integer, Struct, Timestamp, Type

_LENGTHS = struct.Struct(">QQ")
_STEP = 2**20
MAX_BYTES: Final = 2**30  # of a message
_PLACES = ("begin", "end", "part", "page", "box", "seconds", "cell", "confidence")
_NO_TEXT = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")


class ConnectionEnded(Exception):
    """The other process has ended, or sent what is no message."""


class Connection:
    """One end of a stream of messages. What is received ahead of a message waits for the next one."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._ahead = bytearray()

    def send(self, *messages: tuple[Mapping[str, Any], bytes]) -> None:
        """Send messages whole. Raises TimeoutError where the socket has a limit, ConnectionEnded."""
        pieces: list[bytes] = []
        for head, body in messages:
            words = json.dumps(head, separators=(",", ":")).encode()
            pieces += (_LENGTHS.pack(len(words), len(body)), words, body)
        try:
            self.socket.sendall(b"".join(pieces))
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionEnded(str(error)) from None

    def receive(self, most: int = MAX_BYTES, before: Callable[[], None] = lambda: None) -> tuple[dict[str, Any], bytes]:
        """Return the next message. Raises TimeoutError, ConnectionEnded; `before` is called before each wait."""
        lengths = _LENGTHS.unpack(self._take(_LENGTHS.size, before))
        if sum(lengths) > most:
            raise ConnectionEnded(f"a message of {sum(lengths):,} bytes")
        content = self._take(sum(lengths), before)
        try:
            head = json.loads(content[: lengths[0]])
        except (ValueError, RecursionError):
            raise ConnectionEnded("no message") from None
        if not isinstance(head, dict):
            raise ConnectionEnded("no message")
        return head, content[lengths[0] :]

    def _take(self, size: int, before: Callable[[], None]) -> bytes:
        while len(self._ahead) < size:
            before()
            try:
                piece = self.socket.recv(_STEP)
            except TimeoutError:
                raise
            except OSError as error:
                raise ConnectionEnded(str(error)) from None
            if not piece:
                raise ConnectionEnded("it has ended")
            self._ahead += piece
        taken = bytes(self._ahead[:size])
        del self._ahead[:size]
        return taken

    def close(self) -> None:
        """End the stream."""
        self.socket.close()


def content_message(content: FileContent) -> tuple[dict[str, Any], bytes]:
    """Return a reader's content as a message: texts that are valid Unicode, and the bytes of the attachments."""
    passages = [[getattr(passage, name) for name in _PLACES] for passage in content.passages]
    attached = [[item.part, item.name, item.media_type, len(item.content)] for item in content.attachments]
    head = _json_value({"text": content.text, "values": content.values, "passages": passages, "attachments": attached})
    return head, b"".join(item.content for item in content.attachments)


def _json_value(value: Any) -> Any:
    match value:
        case str():
            # Nothing but the length of these may stay: the places are counted in characters.
            return value if value.isascii() and "\0" not in value else value.translate(_NO_TEXT)
        case datetime() | date():
            return value.isoformat()
        case dict():
            return {name: _json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [_json_value(item) for item in value]
        case _:
            return value


def refusal_message(refused: Refused) -> dict[str, Any]:
    """Return a refusal as a message."""
    return {"refused": _json_value(asdict(refused))}


def reading_of(head: Mapping[str, Any], body: bytes, kind: Kind, reader: str, version: str) -> FileReading | Refused:
    """Return the reading or refusal that a message is. Raises ValueError where it is neither."""
    try:
        if "refused" in head:
            return Refused(str(head["refused"]["reason"]), str(head["refused"]["detail"])[:1000])
        text = head["text"]
        if not isinstance(text, str):
            raise ValueError("no text")
        values = {name: _typed(head["values"].get(name), field) for name, field in KINDS[kind].items()}
        passages = tuple(_passage(found, len(text)) for found in head["passages"])
        return FileReading(
            kind, reader, version, text, values, passages, _attachments(head["attachments"], body), _least(passages)
        )
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _least(passages: tuple[Passage, ...]) -> float | None:
    return min((found.confidence for found in passages if found.confidence is not None), default=None)


def _passage(found: list[Any], length: int) -> Passage:
    begin, end, part, page, box, seconds, cell, confidence = found
    if not 0 <= begin <= end <= length:
        raise ValueError("a passage outside the text")
    return Passage(
        begin, end, part, page, tuple(box) if box else None, tuple(seconds) if seconds else None, cell, confidence
    )


def _attachments(listed: list[list[Any]], body: bytes) -> tuple[Attachment, ...]:
    found, at = [], 0
    for part, name, media_type, size in listed:
        found.append(Attachment(str(part), str(name), str(media_type), body[at : at + size]))
        at += size
    if at != len(body):
        raise ValueError("other bytes than those of the attachments")
    return tuple(found)


def _typed(value: Any, field: Field) -> Any:
    """Return a value of JSON as the type says. Raises ValueError or TypeError where it is none."""
    kind: Type = field.type
    if value is None:
        return [] if isinstance(kind, Array) else None
    match kind:
        case Struct():
            return {name: _typed(value.get(name), of) for name, of in kind.fields.items() if isinstance(of, Field)}
        case Array():
            return [_typed(item, kind.item) for item in value]
        case Timestamp():
            return datetime.fromisoformat(value).astimezone(UTC)
        case Date():
            return date.fromisoformat(value)
        case Boolean():
            return bool(value)
        case Integer():
            return int(value)
        case Float():
            return float(value)
        case _:
            if not isinstance(value, str):
                raise ValueError("no text")
            return value
