"""What a reader gives of a file: its text with the place of every passage, and the values of its kind.

`FileReading.values` has the names of `KINDS[kind]` with values of those types, so that an expression over them can be
checked before any file is opened. A list there (`pages`, `segments`, `cells`, `parts`) has the same passages in columns
that `passages` has for evidence: `passages` says where in the file each stretch of `text` stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from storymesh.language.types import Array, Boolean, Date, Field, Float, Integer, Struct, Text, Timestamp

Kind = Literal["mail", "text", "html", "pdf", "office", "image", "audio"]
Lasting = Literal[
    "empty",
    "wrong type",
    "encrypted",
    "damaged",
    "scanned",
    "too large",
    "too large when opened",
    "too slow",
    "reader crashed",
    "no text",
]
Passing = Literal[
    "gone", "no access", "no reader", "timeout", "no connection", "address not allowed", "too many redirects"
]
LASTING: Final = frozenset(get_args(Lasting))
"""Reasons that stay until file or reader is another one; others, such as "http 404", may be gone at the next run."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of the text, `begin` to `end` in characters, and where it stands in the file.

    `part`: of a mail "1.2", of an office document the part or the sheet; `page` counts from 1; `box` is left, top,
    right, bottom in points (of a picture: in pixels) from the upper left corner; `seconds` begin and end; `cell` as a
    sheet names it; `confidence` 0 to 1 where it was recognised.
    """

    begin: int
    end: int
    part: str | None = None
    page: int | None = None
    box: tuple[float, float, float, float] | None = None
    seconds: tuple[float, float] | None = None
    cell: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a file. `part` is its place there, `media_type` what it is said to be; the content decides."""

    part: str
    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileReading:
    """What a reader found. `version` names the reader's and its library's; `confidence` is the least of the passages,
    None where nothing was recognised."""

    kind: Kind
    reader: str
    version: str
    text: str
    values: Mapping[str, Any]
    passages: tuple[Passage, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that gives no reading: the reason that is counted, and what was met."""

    reason: str
    detail: str = ""

    @property
    def lasting(self) -> bool:
        """True where only another version of the file or of the reader can change it."""
        return self.reason in LASTING


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The bounds of reading one file: its `bytes`, `seconds`, and `memory` in bytes beside that of the reader."""

    bytes: int = 25 * 10**6
    seconds: float = 20.0
    memory: int = 2 * 10**9


def _field(of: Any) -> Field:
    return Field(of, nullable=True)


def _list(**fields: Any) -> Field:
    return Field(Array(Field(Struct({name: _field(of) for name, of in fields.items()}))))


def _struct(**fields: Any) -> Field:
    return Field(Struct({name: _field(of) for name, of in fields.items()}))


_TEXTS: Final = Array(Field(Text()))
KINDS: Final[Mapping[Kind, Mapping[str, Field]]] = {
    "mail": {
        "mail": _struct(
            subject=Text(),
            sender=Text(),
            sender_name=Text(),
            to=_TEXTS,
            cc=_TEXTS,
            reply_to=Text(),
            date=Timestamp(),
            received=Timestamp(),
            message_id=Text(),
            in_reply_to=Text(),
            list_id=Text(),
        ),
        "parts": _list(part=Text(), type=Text(), name=Text(), text=Text()),
    },
    "text": {"encoding": Field(Text())},
    "html": {"html": _struct(title=Text(), language=Text(), description=Text())},
    "pdf": {
        "pdf": _struct(title=Text(), author=Text(), created=Timestamp(), pages=Integer(), scanned=Boolean()),
        "pages": _list(number=Integer(), text=Text(), confidence=Float()),
    },
    "office": {
        "office": _struct(format=Text(), title=Text(), author=Text(), created=Timestamp(), modified=Timestamp()),
        "cells": _list(sheet=Text(), cell=Text(), row=Integer(), column=Integer(), text=Text()),
        "pages": _list(number=Integer(), text=Text(), confidence=Float()),
    },
    "image": {
        "image": _struct(
            format=Text(),
            width=Integer(),
            height=Integer(),
            brightness=Float(),
            contrast=Float(),
            sharpness=Float(),
            quality=Text(),
            taken_on=Date(),
        ),
    },
    "audio": {
        "audio": _struct(format=Text(), seconds=Float(), language=Text()),
        "segments": _list(begin=Float(), end=Float(), text=Text(), confidence=Float()),
    },
}
"""The names that a file of each kind has besides `text` and `file`, with the types of their values. Of a mail, `date`
is what its sender says; `received` is the moment in the uppermost Received header, which its own server wrote."""


class FileRefused(Exception):
    """A file that a reader does not read, for one of the reasons that are counted."""

    def __init__(self, reason: Lasting | Passing, detail: str = "") -> None:
        self.refused = Refused(reason, detail)
        super().__init__(f"{reason}: {detail}")


def damaged(error: BaseException) -> FileRefused:
    """Return the refusal of a file in which a library met what it did not expect."""
    return FileRefused("damaged", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": "))
