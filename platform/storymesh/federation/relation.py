"""A table of a server, or a query over its tables, and the words about what went wrong with it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from storymesh.errors import SourceUnreadable
from storymesh.federation.server import Server
from storymesh.outage import ResourceUnavailable
from storymesh.redaction import HIDDEN, hide_values, redact

_CREDENTIALS = ("PASSWORD", "TOKEN", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "CREDENTIAL")
_MAX_WORDS = 300


@dataclass(frozen=True)
class Relation:
    """A table of a server, or else a query to it. On a file server the table is the path of the files."""

    server: Server
    table: str | None = None
    query: str | None = None

    @property
    def words(self) -> str:
        """What it is, for messages."""
        what = f"the table '{self.table}'" if self.table is not None else "the query" if self.query else "the files"
        return f"{what} of {self.server.words}"

    def unreadable(self, message: str, hint: str = "") -> SourceUnreadable:
        """Return the error about something that a person has to mend."""
        return SourceUnreadable(f"{self.server.at}{self.words}: {self.without_secrets(message)}", hint)

    def unreachable(self, message: str) -> ResourceUnavailable:
        """Return the error about a server that does not answer, and may do so in a moment."""
        words = f"{self.server.at}{self.server.words}: {self.without_secrets(message)}"
        hint = "run again when the server is well; what was published stays as it is"
        return ResourceUnavailable(words, hint, transient=True)

    def missing_package(self, what: str, extra: str) -> SourceUnreadable:
        """Return the error about a package that is not installed."""
        return self.unreadable(f"it is read with {what}, which is not installed", f"pip install 'storymesh[{extra}]'")

    def without_secrets(self, text: str) -> str:
        """Return a library's message on one line, without this server's credentials, however short, and without row
        values."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return redact(hide_values(re.sub(r"\s+", " ", text).strip()))[:_MAX_WORDS]

    @cached_property
    def _secrets(self) -> list[str]:
        values = (self.server.credential(name) for name in _CREDENTIALS)
        return sorted((value for value in values if value), key=len, reverse=True)


@dataclass(frozen=True)
class ForeignKey:
    """`columns` of a table hold the `to_columns` of a row of another; `schema` is the other's, of a MySQL its
    database."""

    columns: tuple[str, ...]
    schema: str
    table: str
    to_columns: tuple[str, ...]


def foreign_keys_of(rows: Iterable[tuple[str, str, str, str, str]]) -> tuple[ForeignKey, ...]:
    """Return the foreign keys that a catalogue tells of: of each a row for every column, one after the other, with the
    name of the constraint, the column, and schema, table and column that it leads to."""
    found = []
    for _, group in groupby(rows, key=lambda row: row[0]):
        parts = list(group)
        columns, to_columns = tuple(part[1] for part in parts), tuple(part[4] for part in parts)
        found.append(ForeignKey(columns, parts[0][2], parts[0][3], to_columns))
    return tuple(found)
