"""Rows of a PostgreSQL selected there: by time, by a condition, and by keys that travel as arrays of the column's type.

An array needs no right to make a table, is one value of a read-only statement, and lets the server use an index. What
the server would compare otherwise than the contract does is not selected by, so that no row is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

from storymesh.engine.sql_text import quote_text
from storymesh.federation.request import (
    ColumnComparison,
    ColumnIsNull,
    ColumnMembership,
    Condition,
    Conjunction,
    Disjunction,
    Negation,
    Value,
)
from storymesh.federation.selection import KeyForm, KeySet, KeyTimes, RowSelection, TimeBounds
from storymesh.federation.sql import quote_name

if TYPE_CHECKING:
    import pyarrow as pa

MOMENTS = (1082, 1114, 1184)  # date, timestamp, timestamptz
_ARRAYS = {
    20: "bigint",
    21: "bigint",
    23: "bigint",
    25: "text",
    1043: "text",
    2950: "uuid",
    1700: "numeric",
    1082: "date",
}
_BLANK_FILLED = 1042
_FORMS = {
    "bigint": r"^(0|-?[1-9][0-9]{0,17})$",
    "uuid": r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "numeric": r"^-?[0-9]{1,30}$",
    "text": r"^[^\x00]*$",
}
"""What a key has to look like for a value of the column to be equal to it; no text of the others ever is."""
_TEXTS, _NUMBERS, _BOOLEAN = (25, 1043), (20, 21, 23, 1700), 16
_WHOLE = (20, 21, 23)
_UUID = 2950


def selection_sql(selection: RowSelection, names: Sequence[str], oids: Mapping[str, int]) -> list[str]:
    """Return the conditions of a selection, as far as the server compares as the contract does."""
    found: list[str] = []
    for bounds in selection.bounds:
        if oids[names[bounds.place]] in MOMENTS:
            found += _bounds_sql(bounds, quote_name(names[bounds.place], "postgres"))
    for keys in selection.keys:
        if condition := _keys_sql(keys, [names[place] for place in keys.places], oids):
            found.append(condition)
    if selection.times is not None and (condition := _times_sql(selection.times, names, oids)):
        found.append(condition)
    if selection.where is not None:
        columns = {column: (quote_name(name, "postgres"), oids[name]) for column, name in
                   selection.where.names(names).items()}  # fmt: skip
        if condition := _condition_sql(selection.where.condition, columns):
            found.append(condition)
    return found


def _condition_sql(condition: Condition, columns: Mapping[str, tuple[str, int]]) -> str:
    """Return a condition, or one that holds of more rows, that the server decides as the contract does; empty where
    that is every row."""
    match condition:
        case Conjunction(conditions=inner):
            parts = [part for one in inner if (part := _condition_sql(one, columns))]
            return f"({' AND '.join(parts)})" if parts else ""
        case Disjunction(conditions=inner):
            parts = [_condition_sql(one, columns) for one in inner]
            return f"({' OR '.join(parts)})" if all(parts) else ""
        case Negation(condition=ColumnIsNull(column=name)):
            return f"{columns[name][0]} IS NOT NULL"
        case ColumnIsNull(column=name):
            return f"{columns[name][0]} IS NULL"
        case ColumnComparison(column=name, value=value):
            column, oid = columns[name]
            literal = _literal(value, oid)
            # A collation may hold different texts for equal, so those that are not are told apart byte by byte.
            column += ' COLLATE "C"' if isinstance(value, str) and condition.operator != "==" else ""
            operator = {"==": "=", "!=": "<>"}.get(condition.operator, condition.operator)
            return f"{column} {operator} {literal}" if literal else ""
        case ColumnMembership(column=name, values=values):
            column, oid = columns[name]
            literals = [_literal(value, oid) for value in values]
            return f"{column} IN ({', '.join(literals)})" if all(literals) else ""
        case _:
            return ""


def _literal(value: Value, oid: int) -> str:
    """Return a value as a column of this type compares with it as the contract does; empty where none does."""
    if isinstance(value, bool):
        return str(value).lower() if oid == _BOOLEAN else ""
    if isinstance(value, int | Decimal):
        return f"{value:f}" if oid in _NUMBERS and isinstance(value, Decimal) else str(value) if oid in _NUMBERS else ""
    return quote_text(value) if isinstance(value, str) and oid in _TEXTS and "\0" not in value else ""


def _bounds_sql(bounds: TimeBounds, column: str) -> list[str]:
    found: list[str] = []
    for comparison, moment in ((">=", bounds.start), ("<=", bounds.end)):
        if moment is not None:
            condition = f"{column} {comparison} {quote_text(moment.isoformat(sep=' '))}"
            found.append(f"({condition} OR {column} IS NULL)" if bounds.or_null else condition)
    return found


@dataclass(frozen=True)
class _KeyColumn:
    """A column as it is compared, the type of what it is compared with, and the texts of the keys: `fits` says which
    can be equal to any value of it."""

    column: str
    kind: str
    texts: "pa.Array"
    fits: "pa.Array"

    def array(self, fits: "pa.Array") -> str:
        """Return the keys as an array."""
        return f"{quote_text(_array_text(self.texts.filter(fits)))}::{self.kind}[]"


def _key_columns(
    keys: KeySet, values: "pa.Table", names: Sequence[str], oids: Mapping[str, int]
) -> "tuple[list[_KeyColumn], pa.Array]":
    """Return how those of the columns are compared that the server can compare with `values`, and which of these can be
    equal to any row."""
    import pyarrow.compute as pc

    columns = zip(names, values.columns, keys.forms, strict=True)
    made = (_key_column(name, oids[name], texts, form, keys.secret) for name, texts, form in columns)
    found = [item for item in made if item is not None]
    return found, reduce(pc.and_, [item.fits for item in found]) if found else None


def _times_sql(times: KeyTimes, names: Sequence[str], oids: Mapping[str, int]) -> str:
    """Return the condition that a row is of a key at a time of that key; nothing where the server cannot say."""
    import pyarrow.compute as pc

    moment = names[times.place]
    if oids[moment] not in MOMENTS:
        return ""
    keys = [names[place] for place in times.keys.places]
    found, fits = _key_columns(times.keys, times.values.select(times.keys.values.column_names), keys, oids)
    if not found:
        return ""
    spans = [pc.strftime(times.values[name].combine_chunks().filter(fits)) for name in ("start", "end")]
    arrays = [item.array(fits) for item in found] + [f"{quote_text(_array_text(one))}::timestamp[]" for one in spans]
    # Names that no column of the table has: inside, they would stand for it.
    own = [quote_name(f"storymesh:{n}", "postgres") for n in range(len(arrays))]
    *equal, start, end = own
    conditions = [f"{item.column} = {name}" for item, name in zip(found, equal, strict=True)]
    column = quote_name(moment, "postgres")
    conditions += [f"{column} >= {start}", f"{column} <= {end}"]
    return f"exists (select from unnest({', '.join(arrays)}) as k({', '.join(own)}) where {' and '.join(conditions)})"


def _keys_sql(keys: KeySet, names: Sequence[str], oids: Mapping[str, int]) -> str:
    """Return the condition that columns are among keys; nothing where the server cannot say."""
    found, fits = _key_columns(keys, keys.values, names, oids)
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0].column} = any({found[0].array(fits)})"
    arrays = ", ".join(item.array(fits) for item in found)
    return f"({', '.join(item.column for item in found)}) in (select * from unnest({arrays}))"


def _key_column(name: str, oid: int, values: "pa.ChunkedArray", form: KeyForm, secret: bytes) -> _KeyColumn | None:
    """Return how a column is compared with keys; None where the server might find other values equal than the contract
    does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if form != "raw":
        if oid not in (_WHOLE if form == "hashed number" else (*_TEXTS, _BLANK_FILLED, _UUID)):
            return None
        hashes = values.combine_chunks().cast(pa.string())
        return _KeyColumn(_hash_sql(name, secret), "text", hashes, pc.is_valid(hashes))
    kind = "text" if oid == _BLANK_FILLED else _ARRAYS.get(oid)
    plain = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if kind is None or not (plain or pa.types.is_integer(values.type) or pa.types.is_date32(values.type)):
        return None
    if plain and kind in ("date", "numeric"):  # a text of the contract is not how these are written, or one of many
        return None
    if not plain and kind == "text":
        return None  # `007` is 7
    texts = values.combine_chunks().cast(pa.string())
    column = quote_name(name, "postgres") + ("::text" if oid == _BLANK_FILLED else "")
    return _KeyColumn(column, kind, texts, pc.match_substring_regex(texts, _FORMS[kind]))


def _hash_sql(name: str, secret: bytes) -> str:
    """Return the keyed hash of a column, as `hashing` defines it."""
    text = f"{quote_text(secret.decode() + '|')} || {quote_name(name, 'postgres')}::text"
    return f"encode(sha256(convert_to({text}, 'UTF8')), 'hex')"


def _array_text(texts: "pa.Array") -> str:
    """Return texts as the literal of an array of PostgreSQL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(quoted)], pa.int32()), quoted), ",")
    return f"{{{joined[0].as_py()}}}"
