"""The quotes of a CSV, watched while its bytes pass by: a quote that is never closed would swallow the rows after it.

Parsers of CSV are lenient here: at the end of the file they take what they have for one long value. This module reads
quotes as RFC 4180 has them. A quote opens at the beginning of a field only; closed, it ends the field; a quote in the
middle of a plain field is a character like others (`5" pipe`).
"""

import io
import re
from codecs import BOM_UTF8
from typing import IO

QUOTE = b'"'
_HINT = 'close it on that line; a quote that belongs to the text is written twice ("") in a quoted field'


class UnbalancedQuote(Exception):
    """`line` is where the quote opened; `words` say what is wrong with it."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(words)
        self.line, self.message, self.hint = line, words, _HINT


class Quotes:
    """Fed a CSV's bytes in pieces of any size. Raises UnbalancedQuote as soon as a quote cannot be right."""

    def __init__(self, delimiter: str) -> None:
        self._ends = b"\r\n" + delimiter.encode()
        ends = re.escape(self._ends)
        closed = rb'"(?:[^"]++|"")*+"(?=[%b])' % ends
        # As much as is well: plain text and whole quoted fields, each at the beginning of its field.
        self._well = re.compile(rb'[^"]*+(?:(?<=[%b])%b[^"]*+)*+' % (ends, closed))
        self._kept = b""  # quotes at the end of the last piece: what follows says whether they close or are doubled
        self._before = b"\n"
        self._line = 1
        self._opened: int | None = None
        self._head: bytes | None = b""  # the first bytes, until they are enough to show a byte order mark

    def feed(self, piece: bytes) -> None:
        if self._head is not None:
            self._head += piece
            if len(self._head) < len(BOM_UTF8):
                return
            piece, self._head = self._head.removeprefix(BOM_UTF8), None
        met = self._kept + piece
        end = len(met.rstrip(QUOTE))
        self._kept = met[end:]
        self._scan(met, end)
        self._pass(met[:end])

    def finish(self) -> None:
        """The end of the file, which closes a field as a line's end does."""
        rest, self._head, self._kept = (self._head or b"") + self._kept + b"\n", None, b""
        self._scan(rest, len(rest))
        if self._opened is not None:
            raise UnbalancedQuote(self._opened, f"the quote that opens on line {self._opened} is never closed")

    def _scan(self, met: bytes, end: int) -> None:
        position = 0
        while position < end:
            if self._opened is None:
                well = self._well.match(met, position, end)
                position = well.end() if well else position
                if position >= end:
                    return
                # A quote that opens what is not closed well, or one in the middle of a plain field.
                before = met[position - 1 : position] if position else self._before
                if before in self._ends:
                    self._opened = self._line_of(met, position)
                position += 1
                continue
            position = met.find(QUOTE, position, end)
            if position < 0:
                return
            after = met[position + 1 : position + 2]
            if after == QUOTE:
                position += 2
            elif after in self._ends:
                self._opened = None
                position += 1
            else:
                raise self._text_after(met, position)

    def _text_after(self, met: bytes, position: int) -> UnbalancedQuote:
        assert self._opened is not None
        text = met[position + 1 : position + 13].decode("utf-8", "ignore").splitlines()[0]
        closed = self._line_of(met, position)
        there = "there" if closed == self._opened else f"on line {closed}"
        words = f"the quote that opens on line {self._opened} closes {there} in front of '{text}', not at a field's end"
        return UnbalancedQuote(self._opened, words)

    def _line_of(self, met: bytes, position: int) -> int:
        return self._line + self._breaks(met[:position])

    def _breaks(self, passed: bytes) -> int:
        """Ends of lines in `passed`: \\n, \\r\\n (also when a piece ends between the two) or \\r."""
        count = passed.count(b"\n") + passed.count(b"\r") - passed.count(b"\r\n")
        return count - (self._before == b"\r" and passed[:1] == b"\n")

    def _pass(self, passed: bytes) -> None:
        if passed:
            self._line += self._breaks(passed)
            self._before = passed[-1:]


class WatchedFile(io.RawIOBase):
    """A file to read from whose bytes are watched; raises UnbalancedQuote from `read`."""

    def __init__(self, file: IO[bytes], delimiter: str) -> None:
        self._file = file
        self._quotes = Quotes(delimiter)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if piece:
            self._quotes.feed(piece)
        else:
            self._quotes.finish()
        return piece
