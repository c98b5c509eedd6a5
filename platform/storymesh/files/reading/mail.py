"""Mails as they are written: every part by hand, forwarded mails with it, and whatever is wrong with its MIME.

The text is what a person reads: of alternatives the plain one, or else the HTML without what is hidden; then what was
forwarded, below its own From, Date and Subject. All else is an attachment.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, cast

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.html import parse_html
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import Attachment, FileRefused, damaged
from storymesh.files.reading.text import decode_text

REVISION = 1
MAX_PARTS = 10_000
MAX_DEPTH = 50
_MAX_ADDRESSES = 10_000
_TEXTS = ("text/plain", "text/html")
_SEALED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_NEXT_MAIL = re.compile(rb"\n\r?\nFrom [^\n]{1,200}\d{4}[^\n]{0,20}\n[!-9;-~]{1,100}:")
_NOT_A_NAME = re.compile(r"[\x00-\x1f\x7f/\\]+")


class _RawFields(Compat32):
    """Header fields as they were written: bytes beyond ASCII are decoded here, not replaced."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


def open_reader(_: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Return the reader of mails."""
    return read_mail


def read_mail(content: bytes) -> FileContent:
    """Return the text of a mail, its header fields, the texts of its parts and its attachments."""
    require_type(content, "mail")
    if content.startswith(b"From ") and _NEXT_MAIL.search(content):
        raise FileRefused("wrong type", "a mailbox of several mails: split it, so that each is a file")
    try:
        message = BytesParser(policy=_RawFields()).parsebytes(_without_envelope(content))
    except (MessageError, ValueError, LookupError, AttributeError) as error:
        raise damaged(error) from None
    walk = _Walk()
    walk.read(message)
    if not walk.writer.text.strip() and not walk.attachments:
        raise FileRefused("no text", "the mail has neither text nor attachment")
    values = {"mail": _header_values(message), "parts": walk.parts}
    return FileContent(walk.writer.text, values, walk.writer.passages, walk.attachments)


def _without_envelope(content: bytes) -> bytes:
    """Return a mail without the line that a mailbox puts before it."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    return content.partition(b"\n")[2] if content.startswith((b"From ", b">From ")) else content


@dataclass
class _Walk:
    """The parts of a mail that were met so far."""

    writer: PassageWriter = field(default_factory=PassageWriter)
    parts: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    _met: int = 0

    def read(self, part: Message, number: str = "") -> None:
        """Write the text of a part and of what is in it. A part is numbered as IMAP does: "2.1" is in "2"."""
        self._met += 1
        if self._met > MAX_PARTS or number.count(".") > MAX_DEPTH:
            raise FileRefused("too large when opened", f"it has more than {MAX_PARTS:,} parts, or {MAX_DEPTH} in a row")
        kind = part.get_content_type()
        if kind == "multipart/encrypted" or (kind in _SEALED and part.get_param("smime-type") != "signed-data"):
            raise FileRefused("encrypted", f"part {number or 1} of the mail is {kind}")
        within = part.get_payload()
        if kind == "message/rfc822" and isinstance(within, list) and within:
            self._read_forwarded(cast("Message", within[0]), number or "1")
        elif isinstance(within, list):
            self._read_parts(kind, within, number)
        elif kind in _TEXTS and part.get_content_disposition() != "attachment" and not _name_of(part):
            self._write_text(part, kind, number or "1")
        else:
            self._keep(part, kind, number or "1")

    def _read_parts(self, kind: str, within: list[Any], number: str) -> None:
        numbered = [(f"{number}.{index}" if number else str(index), part) for index, part in enumerate(within, 1)]
        if kind != "multipart/alternative":
            for below, part in numbered:
                self.read(part, below)
            return
        shown = next((below for below, part in numbered if _has_plain_text(part)), None)
        for below, part in numbered:
            # What is shown instead of it says the same: a text beside the plain one is passed over, a file is not.
            if shown is None or below == shown or part.get_content_type() not in ("text/html", "multipart/related"):
                self.read(part, below)
            elif part.is_multipart():
                for index, inner in enumerate(part.get_payload(), 1):
                    if inner.get_content_type() not in _TEXTS:
                        self.read(inner, f"{below}.{index}")

    def _read_forwarded(self, message: Message, number: str) -> None:
        named = ((name, _header_text(message, name)) for name in ("From", "Date", "Subject"))
        lines = "\n".join(f"{name}: {value}" for name, value in named if value)
        if lines:
            self.writer.begin_block()
            self.writer.add(lines, part=number)
        self.read(message, number if message.get_content_maintype() == "multipart" else f"{number}.1")

    def _write_text(self, part: Message, kind: str, number: str) -> None:
        text = _text_of(part)
        if kind == "text/html":
            text = parse_html(text).text
        text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        if text.strip():
            self.writer.begin_block()
            self.writer.add(text, part=number)
        self.parts.append({"part": number, "type": kind, "name": None, "text": text})

    def _keep(self, part: Message, kind: str, number: str) -> None:
        content = _bytes_of(part)
        name = _name_of(part) or ""
        self.parts.append({"part": number, "type": kind, "name": name or None, "text": None})
        if content:
            self.attachments.append(Attachment(number, name, kind, content))


def _has_plain_text(part: Message) -> bool:
    return part.get_content_type() == "text/plain" and not part.is_multipart() and bool(_text_of(part).strip())


def _bytes_of(part: Message) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return content if isinstance(content, bytes) else b""


def _text_of(part: Message) -> str:
    charset = part.get_content_charset()
    return decode_text(_bytes_of(part), charset)[0]


def _name_of(part: Message) -> str | None:
    """Return the name of a part that is a file, without folders."""
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError):
        return None
    if not name:
        return None
    return _NOT_A_NAME.sub("_", _decoded_words(name)).strip(". ")[:255] or None


def _header_values(message: Message) -> dict[str, Any]:
    senders = _addresses(message, "From")
    name, sender = senders[0] if senders else (None, None)
    return {
        "subject": _header_text(message, "Subject"),
        "sender": sender or None,
        "sender_name": name or None,
        "to": [address for _, address in _addresses(message, "To") if address],
        "cc": [address for _, address in _addresses(message, "Cc") if address],
        "reply_to": next((address for _, address in _addresses(message, "Reply-To")), None),
        "date": _moment(message.get("Date")),
        "received": _moment(str(message.get("Received") or "").rpartition(";")[2].strip() or None),
        "message_id": _header_text(message, "Message-ID"),
        "in_reply_to": _header_text(message, "In-Reply-To"),
        "list_id": _header_text(message, "List-Id"),
    }


def _header_text(message: Message, name: str) -> str | None:
    value = message.get(name)
    return None if value is None else _decoded_words(str(value)) or None


def _decoded_words(value: str) -> str:
    """Return a header field without its encoding, on one line."""
    pieces = []
    try:
        decoded = list(decode_header(value))
    except (HeaderParseError, ValueError, LookupError):
        decoded = [(value, None)]
    for piece, charset in decoded:
        if isinstance(piece, bytes):
            # Bytes without a charset are ASCII, or what a careless writer put there.
            pieces.append(decode_text(piece, charset if charset != "unknown-8bit" else None)[0])
        else:
            pieces.append(_from_raw_bytes(piece))
    return " ".join("".join(pieces).split())


def _from_raw_bytes(text: str) -> str:
    """Return a text in which the parser kept bytes beyond ASCII as halves of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return decode_text(text.encode("utf-8", "surrogateescape"))[0]
    return text


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    fields = [str(value) for value in message.get_all(name, [])]
    if sum(field.count(",") for field in fields) > _MAX_ADDRESSES:
        raise FileRefused("too large when opened", f"{name} has more than {_MAX_ADDRESSES:,} addresses")
    found = getaddresses([_from_raw_bytes(field) for field in fields])
    return [(_decoded_words(person), address) for person, address in found if person or address]


def _moment(value: Any) -> datetime | None:
    """Return a moment in UTC; one without a zone is taken as UTC, and none for what is no date."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(str(value))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
