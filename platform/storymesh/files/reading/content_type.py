"""The type of a file by its first bytes; the suffix of its name decides nothing."""

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Final
from zipfile import BadZipFile, ZipFile

from storymesh.files.reading.reading import FileRefused, Kind

_SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"ID3", "mp3"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"#!AMR", "amr"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"{\\rtf", "rtf"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"PAR1", "parquet"),
    (0, b"SQLite format 3\x00", "sqlite"),
    (0, b"\x7fELF", "program"),
    (0, b"%!PS", "postscript"),
    (0, b"8BPS", "psd"),
    (257, b"ustar", "tar"),
)
_RIFF = {b"WAVE": "wav", b"WEBP": "webp", b"AVI ": "avi"}
_HEIF = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_MAIN_PARTS = (("word/", "docx"), ("xl/", "xlsx"), ("ppt/", "pptx"))
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--(?:(?!-->).){0,2000}-->\s*)*<(?:!doctype\s+html|(?:html|head|body|title|meta|link|style"
    rb"|script|div|p|span|table|h[1-6]|ul|ol|a|b|br|font|center|article|section|main|header)[\s>/])",
    re.IGNORECASE | re.DOTALL,
)
_HEADER = re.compile(rb"([!-9;-~]{1,100})[ \t]{0,9}:[^\n]*(?:\r?\n[ \t][^\n]*)*\r?\n?")
_OF_MAIL = frozenset(
    b"from to cc bcc subject date sender reply-to return-path received message-id mime-version delivered-to".split()
)  # fmt: skip
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_LOOKED_AT = 2**16
_MP3_RATES = 0b1111_0000, 0b0000_1100  # of a frame's third byte: bits a second and samples a second; neither all ones

TEXTS: Final = frozenset({"text", "html", "mail"})
PICTURES: Final = frozenset({"jpeg", "png", "gif", "tiff", "webp", "bmp"})
SOUNDS: Final = frozenset({"wav", "mp3", "flac", "ogg", "amr", "matroska", "mp4", "aiff", "aac"})
ACCEPTED: Final[Mapping[Kind, frozenset[str]]] = {
    "mail": frozenset({"mail"}),
    "text": TEXTS,
    "html": frozenset({"html"}),
    "pdf": frozenset({"pdf"}),
    "office": frozenset({"docx", "xlsx", "pptx", "zip"}),
    "image": PICTURES,
    "audio": SOUNDS,
}
"""The content that each kind reads; an archive is looked into by the reader of office documents, or refused."""


def content_type(content: bytes) -> str:
    """Return the short name of what some bytes are, such as "pdf", "docx", "jpeg", "mail" or "text"; "unknown"."""
    head = content[:_LOOKED_AT]
    for at, signature, name in _SIGNATURES:
        if head.startswith(signature, at):
            return _archive_type(content) if name == "zip" else name
    if b"%PDF-" in head[:1024] and not _looks_like_mail(head):  # a mail may have one inside
        return "pdf"
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], "unknown")
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "heif" if head[8:12] in _HEIF else "mp4"
    if head.startswith(b"BM") and head[6:10] == bytes(4) and b"\0" in head[10:18]:
        return "bmp"
    if frame := _mpeg_frame(head):
        return frame
    return _text_type(head)


def require_type(content: bytes, kind: Kind) -> str:
    """Return what the content is. Raises FileRefused where `kind` does not read that."""
    found = content_type(content)
    if found == "ole" and kind == "office":
        if "EncryptedPackage".encode("utf-16-le") in content:
            raise FileRefused("encrypted", "the document has a password")
        raise FileRefused("wrong type", "a document of before Office 2007: save it as .docx, .xlsx or .pptx")
    if found not in ACCEPTED[kind]:
        raise FileRefused("wrong type", f"{kind} was expected, and the content is {found}")
    return found


def kind_of(content: bytes) -> Kind | None:
    """Return the kind that reads this content, None where none does: of mail and HTML their own before text."""
    found = content_type(content)
    kinds: tuple[Kind, ...] = ("mail", "html", "text", "pdf", "image", "audio", "office")
    return next((kind for kind in kinds if found in ACCEPTED[kind] and found != "zip"), None)


def _archive_type(content: bytes) -> str:
    try:
        with ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
    except (BadZipFile, ValueError, NotImplementedError, OSError):
        return "zip"
    if "[Content_Types].xml" in names:
        for folder, name in _MAIN_PARTS:
            if any(part.startswith(folder) for part in names):
                return name
    return "zip"


def _mpeg_frame(head: bytes) -> str | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac"
    layer, version = head[1] & 0b0110, head[1] & 0b1_1000
    # Layer I is not met, and would be what a text of UTF-16 begins with.
    valid = layer in (0b0010, 0b0100) and version != 0b0_1000 and all(head[2] & mask != mask for mask in _MP3_RATES)
    return "mp3" if valid else None


def _text_type(head: bytes) -> str:
    if head.startswith(_BYTE_ORDER_MARKS):
        return "text"
    if b"\0" in head or len(_CONTROLS.findall(head)) * 100 > len(head):
        return "unknown"
    plain = head.removeprefix(b"\xef\xbb\xbf")
    if _looks_like_mail(plain):
        return "mail"
    if _HTML.match(plain):
        return "html"
    return "text" if plain else "unknown"


def _looks_like_mail(head: bytes) -> bool:
    """Return True for a block of header fields of which two are a mail's, or one and nothing else than fields."""
    at = 0
    if head.startswith((b"From ", b">From ")):  # of a mailbox
        at = head.find(b"\n") + 1
    known = set()
    while (match := _HEADER.match(head, at)) and match.end() > at:
        known.add(match[1].lower())
        at = match.end()
    mail = known & _OF_MAIL
    ended = at >= len(head) or head[at : at + 2] in (b"\r\n", b"\n\r") or head[at : at + 1] == b"\n"
    return len(mail) >= 2 and (ended or len(mail) >= 3)
