"""The foreign keys of a table as its database knows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby


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
