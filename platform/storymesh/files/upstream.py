"""A product whose column has the files: the texts themselves, or the addresses at which they are."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.files.content import ANEW, FilePlace, OpenedFile, content_of, too_large
from storymesh.files.definition import FilesOrigin
from storymesh.files.extraction.extraction import URI
from storymesh.files.listing import FileEntry
from storymesh.files.reading.reading import FileLimits, Refused
from storymesh.files.reading.web import Unchanged, WebFile, fetch_many

if TYPE_CHECKING:
    import ibis.expr.types as ir

ROW = "row"
KnownContent = Callable[[str], "tuple[str, str] | None"]
"""Return the token and the SHA-256 of what was last read of a file, by its uri; None where nothing was."""

_CHUNK = 1_000


@dataclass(frozen=True)
class Upstream:
    """A published product: its `version`, its contract, and its rows on an engine. `networks` are private ones that
    its addresses may lead to."""

    product: str
    version: str
    contract: Contract
    read: "Callable[[Engine], ir.Table]"
    networks: tuple[str, ...] = ()

    def table(self, engine: Engine) -> "ir.Table":
        """Return the uri of each row, which is made of its key, and the row itself."""
        import ibis

        rows = self.read(engine)
        row = ibis.struct({name: rows[name] for name in self.contract.properties})
        return rows.select(**{URI: self._uri(rows), ROW: row})

    def _uri(self, rows: "ir.Table") -> "ir.StringValue":
        import ibis

        parts = [rows[name].cast("string") for name in self.contract.key]
        uri: ir.StringValue = ibis.literal(f"{self.product}/").concat(parts[0])
        for part in parts[1:]:
            uri = uri.concat(ibis.literal("/"), part)
        return uri

    def place(self, engine: Engine, origin: FilesOrigin, known: KnownContent, limits: FileLimits) -> FilePlace:
        """Return the texts of the column as files, or what is at its addresses; `known` is of the inventory."""
        rows = self.read(engine)
        if origin.text is not None:
            return UpstreamTexts(engine, rows.select(**{URI: self._uri(rows), "text": rows[origin.text]}))
        assert origin.url is not None
        listed = rows.select(**{URI: self._uri(rows), "address": rows[origin.url]})
        return UpstreamAddresses(engine, listed, known, limits, self.networks)


@dataclass(frozen=True)
class UpstreamTexts:
    """The texts of a column, each of which is read as a file."""

    engine: Engine
    rows: "ir.Table"

    def list_files(self) -> Iterator[FileEntry]:
        """Yield every row. A text is known by its SHA-256."""
        from storymesh.engine.dialect import sha256_hex

        text = self.rows["text"]
        listed = self.rows.select(uri=self.rows[URI], token=sha256_hex(text), size=text.length().cast("int64"))
        for batch in self.engine.stream_batches(listed, 20_000):
            for uri, token, size in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if token is None:
                    yield FileEntry(uri, "", 0, None, fault="no text")
                else:
                    yield FileEntry(uri, token, size, None)

    def open_files(self, entries: Iterable[FileEntry], limit: int) -> Iterator[tuple[FileEntry, OpenedFile | Refused]]:
        """Yield the texts of rows."""
        waiting = iter(entries)
        while some := list(islice(waiting, _CHUNK)):
            found = self.engine.fetch_table(self.rows.filter(self.rows[URI].isin([entry.uri for entry in some])))
            texts = dict(zip(found.column(URI).to_pylist(), found.column("text").to_pylist(), strict=True))
            for entry in some:
                data = (texts.get(entry.uri) or "").encode()
                yield entry, content_of(data) if len(data) <= limit else too_large(len(data), limit)


@dataclass(frozen=True)
class UpstreamAddresses:
    """What is at the addresses in a column. Whether it has changed, only its server can say: each is asked."""

    engine: Engine
    rows: "ir.Table"
    known: KnownContent
    limits: FileLimits
    networks: tuple[str, ...]

    def list_files(self) -> Iterator[FileEntry]:
        """Yield every row, with its address for a path."""
        for batch in self.engine.stream_batches(self.rows, 20_000):
            for uri, address in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if address is None or not address.strip():
                    yield FileEntry(uri, "", 0, None, fault="no address")
                else:
                    yield FileEntry(uri, None, 0, None, address.strip().encode())

    def open_files(self, entries: Iterable[FileEntry], limit: int) -> Iterator[tuple[FileEntry, OpenedFile | Refused]]:
        """Yield what the addresses give, in the order in which they are done; what has not changed is not sent."""
        for (entry, before), found in fetch_many(self._requests(entries), self.limits, self.networks):
            address = _address(entry)
            if isinstance(found, Unchanged):
                assert before is not None
                yield entry._replace(token=before[0]), OpenedFile(before[1], b"")
            elif isinstance(found, WebFile):
                token = json.dumps([address, found.token])
                yield entry._replace(token=token, size=len(found.content)), content_of(found.content)
            else:
                # What was read at another address is nothing that this row could keep.
                yield entry if before is not None else entry._replace(token=ANEW), found

    def _requests(
        self, entries: Iterable[FileEntry]
    ) -> Iterator[tuple[tuple[FileEntry, tuple[str, str] | None], str, str | None]]:
        """Yield each file with what is known of its address, the address, and what to ask its server with."""
        for entry in entries:
            address, before = _address(entry), self.known(entry.uri)
            if before is not None:
                known_address, word = json.loads(before[0])
                before, word = (before, word) if known_address == address else (None, None)
            yield (entry, before), address, word if before is not None else None


def _address(entry: FileEntry) -> str:
    assert entry.path is not None
    return entry.path.decode()
