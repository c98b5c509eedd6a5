"""A check of the quotes of a CSV while its bytes are read: a quote that is never closed would swallow rows.

CSV parsers are lenient here: at the end of the file they take what they have for one long value. This module reads
quotes as RFC 4180 defines them, of any character, and with an escape where the file has one. A quote opens only at the
beginning of a field; the closing quote ends the field; a quote in the middle of an unquoted field is an ordinary
character (`5" pipe`).
"""

import io
import re
from codecs import BOM_UTF8
from typing import IO

_HINT = "close it on that line; a quote that belongs to the text is written twice ({0}{0}) in a quoted field"


class UnbalancedQuote(Exception):
    """A quote that opens on `line` and is not closed as it should be; `message` says how."""

    def __init__(self, line: int, message: str, quote: str = '"') -> None:
        super().__init__(message)
        self.line, self.message, self.hint = line, message, _HINT.format(quote)


class QuoteChecker:
    """A check that is fed the bytes of a CSV in pieces of any size."""

    def __init__(self, delimiter: str, quote: str = '"', escape: str | None = None) -> None:
        self._field_ends = b"\r\n" + delimiter.encode()
        self._quote = quote.encode()
        ends, mark = re.escape(self._field_ends), re.escape(self._quote)
        closed = rb"%b(?:[^%b]++|%b%b)*+%b(?=[%b])" % (mark, mark, mark, mark, mark, ends)
        # The longest correct part: unquoted text and whole quoted fields, each at the beginning of its field.
        self._correct = re.compile(rb"[^%b]*+(?:(?<=[%b])%b[^%b]*+)*+" % (mark, ends, closed, mark))
        self._escape = escape.encode() if escape is not None else None
        self._escaped = re.compile(rb"%b(.)" % re.escape(self._escape or b"\\"), re.DOTALL)
        self._held = b""  # an escape at the end of the last piece
        self._pending = b""  # quotes at the end of the last piece: the next byte says if they close or are doubled
        self._previous = b"\n"
        self._line = 1
        self._opened_on: int | None = None
        self._head: bytes | None = b""  # the first bytes, until they are enough to show a byte order mark

    def feed(self, piece: bytes) -> None:
        """Check the next bytes. Raises UnbalancedQuote as soon as a quote cannot be right."""
        if self._head is not None:
            self._head += piece
            if len(self._head) < len(BOM_UTF8):
                return
            piece, self._head = self._head.removeprefix(BOM_UTF8), None
        data = self._pending + (piece if self._escape is None else self._without_escapes(piece))
        end = len(data.rstrip(self._quote))
        self._pending = data[end:]
        self._scan(data, end)
        self._advance(data[:end])

    def _without_escapes(self, piece: bytes) -> bytes:
        """Return the bytes with letters in the place of what is escaped, line ends excepted."""
        assert self._escape is not None
        plain = self._escaped.sub(lambda match: b"x" + (match[1] if match[1] in b"\r\n" else b"x"), self._held + piece)
        self._held = self._escape if plain.endswith(self._escape) else b""
        return plain.removesuffix(self._held) if self._held else plain

    def finish(self) -> None:
        """Check the end of the file, which closes a field as the end of a line does. Raises UnbalancedQuote."""
        rest, self._head, self._pending = (self._head or b"") + self._pending + b"\n", None, b""
        self._scan(rest, len(rest))
        if self._opened_on is not None:
            words = f"the quote that opens on line {self._opened_on} is never closed"
            raise UnbalancedQuote(self._opened_on, words, self._quote.decode())

    def _scan(self, data: bytes, end: int) -> None:
        position = 0
        while position < end:
            if self._opened_on is None:
                match = self._correct.match(data, position, end)
                position = match.end() if match else position
                if position >= end:
                    return
                # A quote of a field that is not closed correctly, or one in the middle of an unquoted field.
                previous = data[position - 1 : position] if position else self._previous
                if previous in self._field_ends:
                    self._opened_on = self._line_at(data, position)
                position += 1
                continue
            position = data.find(self._quote, position, end)
            if position < 0:
                return
            following = data[position + 1 : position + 2]
            if following == self._quote:
                position += 2
            elif following in self._field_ends:
                self._opened_on = None
                position += 1
            else:
                raise self._closed_early(data, position)

    def _closed_early(self, data: bytes, position: int) -> UnbalancedQuote:
        assert self._opened_on is not None
        text = data[position + 1 : position + 13].decode("utf-8", "replace").splitlines()[0]
        closed = self._line_at(data, position)
        where = "there" if closed == self._opened_on else f"on line {closed}"
        begin = f"the quote that opens on line {self._opened_on} closes {where}"
        words = f"{begin} in front of '{text}', not at a field's end"
        return UnbalancedQuote(self._opened_on, words, self._quote.decode())

    def _line_at(self, data: bytes, position: int) -> int:
        return self._line + self._count_breaks(data[:position])

    def _count_breaks(self, data: bytes) -> int:
        """Return the number of line ends in `data`: \\n, \\r\\n (also when a piece ends between the two) or \\r."""
        count = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
        return count - (self._previous == b"\r" and data[:1] == b"\n")

    def _advance(self, data: bytes) -> None:
        if data:
            self._line += self._count_breaks(data)
            self._previous = data[-1:]


class QuoteCheckedFile(io.RawIOBase):
    """A file whose `read` has `checker` check the quotes of the bytes that it returns. It raises UnbalancedQuote."""

    def __init__(self, file: IO[bytes], checker: QuoteChecker) -> None:
        self._file, self._checker = file, checker

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if piece:
            self._checker.feed(piece)
        else:
            self._checker.finish()
        return piece
