"""A product whose column has the files: the texts themselves, or the addresses at which they are."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.files.content import FilePlace, OpenedFile, content_of, too_large
from storymesh.files.definition import FilesOrigin
from storymesh.files.listing import FileEntry
from storymesh.files.reading.reading import Refused
from storymesh.files.rows import URI

if TYPE_CHECKING:
    import ibis.expr.types as ir

ROW = "row"
_CHUNK = 1_000


@dataclass(frozen=True)
class Upstream:
    """A published product: its `version`, its contract, and its rows on an engine."""

    product: str
    version: str
    contract: Contract
    read: "Callable[[Engine], ir.Table]"

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

    def place(self, engine: Engine, origin: FilesOrigin) -> FilePlace:
        """Return the texts of the column as files."""
        rows = self.read(engine)
        if origin.text is None:
            raise NotImplementedError
        return UpstreamTexts(engine, rows.select(**{URI: self._uri(rows), "text": rows[origin.text]}))


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
