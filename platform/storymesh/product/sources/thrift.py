"""Thrift's compact protocol (https://github.com/apache/thrift), as far as Parquet's footers and page headers go.

Libraries read these structs in C++, and some end the process at one that contradicts itself. This reader knows only
what it is asked for, and refuses what two readers could take for two things: a field that stands twice.
"""

from collections.abc import Mapping
from typing import Any

BYTE, INT16, INT32, INT64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(3, 14)
_TRUE, _FALSE = 1, 2
_MAX_VARINT_BITS = 70  # bits
_MAX_DEPTH = 12

Shape = Mapping[tuple[int, int], "Shape | None"]
"""The fields that are wanted of a struct: id and kind -> the shape of the struct, or of the list's structs, there."""


class NotThrift(Exception):
    """Bytes that are no struct of the compact protocol, or one that is too deep or too large."""


class CompactReader:
    """A reader of structs in `data`, of which it keeps at most `most_structs`. Its methods raise NotThrift, and
    IndexError where the data end too early."""

    def __init__(self, data: bytes, most_structs: int = 1_000) -> None:
        self._data = data
        self._left = most_structs
        self.place = 0

    def read_struct(self, shape: Shape, depth: int = 0) -> dict[int, Any]:
        """Return the wanted fields of the next struct that are there: integers, structs and lists of structs."""
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise NotThrift
        fields: dict[int, Any] = {}
        seen: set[int] = set()
        last = 0
        while head := self._byte():
            kind, delta = head & 15, head >> 4
            last = last + delta if delta else self._integer()
            if last in seen:
                raise NotThrift
            seen.add(last)
            if (last, kind) in shape:
                fields[last] = self._wanted(kind, shape[last, kind], depth)
            else:
                self._skip(kind, depth)
        return fields

    def _wanted(self, kind: int, inside: Shape | None, depth: int) -> Any:
        if kind in (INT16, INT32, INT64):
            return self._integer()
        if kind == STRUCT:
            return self.read_struct(inside or {}, depth + 1)
        if kind == LIST:
            count, kind = self._list_head()
            if kind != STRUCT:
                raise NotThrift
            return [self.read_struct(inside or {}, depth + 1) for _ in range(count)]
        self._skip(kind, depth)
        return True

    def _skip(self, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):
            return
        if kind in (INT16, INT32, INT64):
            self._varint()
        elif kind in (BYTE, DOUBLE, UUID):
            self._advance({BYTE: 1, DOUBLE: 8, UUID: 16}[kind])
        elif kind == BINARY:
            self._advance(self._varint())
        elif kind in (LIST, SET):
            count, inside = self._list_head()
            self._skip_items(count, inside, depth)
        elif kind == MAP:
            if count := self._varint():
                kinds = self._byte()
                for _ in range(count):
                    self._skip_items(1, kinds >> 4, depth)
                    self._skip_items(1, kinds & 15, depth)
        elif kind == STRUCT:
            self._skip_struct(depth + 1)
        else:
            raise NotThrift

    def _skip_struct(self, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise NotThrift
        while head := self._byte():
            if not head >> 4:
                self._varint()
            self._skip(head & 15, depth)

    def _skip_items(self, count: int, kind: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise NotThrift
        if kind in (_TRUE, _FALSE):
            self._advance(count)  # in a list a truth value takes a byte
            return
        for _ in range(count):
            self._skip(kind, depth + 1)

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        return (head >> 4 if head < 0xF0 else self._varint()), head & 15

    def _byte(self) -> int:
        byte = self._data[self.place]
        self.place += 1
        return byte

    def _advance(self, count: int) -> None:
        self.place += count
        if self.place > len(self._data):
            raise IndexError

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = 0
        for shift in range(0, _MAX_VARINT_BITS, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise NotThrift
