"""Plain text in whatever encoding."""

import codecs
from collections.abc import Callable, Mapping
from typing import Any

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import FileRefused

REVISION = 1
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_GUESSED_FROM = 2**18  # bytes
# Of the many that there are these are met in files, and short texts fit almost any.
_MET = [
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_5"),
    *("iso8859_7", "iso8859_15", "koi8_r", "mac_roman", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "utf_16"),
]
_BEYOND_ASCII = bytes(range(128, 256))
_MIN_SIGNS = 24  # bytes beyond ASCII, below which a guess is worth no more than what is most common


def open_reader(_: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Return the reader of texts."""
    return read_text


def read_text(content: bytes) -> FileContent:
    """Return a text with the encoding that it was found to be in."""
    require_type(content, "text")
    text, encoding = decode_text(content)
    if not text.strip():
        raise FileRefused("no text")
    writer = PassageWriter()
    writer.add(text.replace("\r\n", "\n").replace("\r", "\n"))
    return FileContent(writer.text, {"encoding": encoding}, writer.passages)


def decode_text(content: bytes, declared: str | None = None) -> tuple[str, str]:
    """Return bytes as text, and the encoding: what their mark says, what is declared where that fits, UTF-8, a guess.

    What fits nowhere is read as Windows-1252, with the replacement character for what that does not have.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace"), encoding.removesuffix("-sig")
    for name in (declared, "utf-8"):
        if name and (text := _decode(content, name)) is not None:
            return text, codecs.lookup(name).name
    guess = _guessed_encoding(content)
    if guess and (text := _decode(content, guess)) is not None:
        return text, codecs.lookup(guess).name
    return content.decode("cp1252", "replace"), "cp1252"


def _decode(content: bytes, encoding: str) -> str | None:
    try:
        if codecs.lookup(encoding).name.replace("-", "_") in _NO_CHARSETS:
            return None
        return content.decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        return None


def _guessed_encoding(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    if len(content) - len(content.translate(None, _BEYOND_ASCII)) < _MIN_SIGNS:
        return None
    best = from_bytes(content[:_GUESSED_FROM], cp_isolation=_MET, preemptive_behaviour=True).best()
    return best.encoding if best else None
