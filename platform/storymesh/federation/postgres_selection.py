"""Rows of a PostgreSQL selected there: by time, and by keys that travel as arrays of the column's own type.

An array needs no right to make a table, is one value of a read-only statement, and lets the server use an index. What
the server would compare otherwise than the contract does is not selected by, so that no row is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storymesh.federation.selection import KeySet, RowSelection, TimeBounds, TransferEstimate
from storymesh.federation.sql import quote_name, quote_text

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLED_KEYS = 1_000
_MOMENTS = (1082, 1114, 1184)  # date, timestamp, timestamptz
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
_FRAME = 5 + 1  # bytes of a row on its way: the protocol's, and the end of its line
_WIDTHS = {16: 1, 20: 8, 21: 4, 23: 6, 700: 8, 701: 12, 1082: 10, 1114: 22, 1184: 25, 1700: 8, 2950: 36}
_STATISTICS = """
select a.attname, s.avg_width * (1 - s.null_frac) from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_stats s on (s.schemaname, s.tablename, s.attname) = (n.nspname, c.relname, a.attname)
where a.attrelid = to_regclass(%s)"""


def selection_sql(selection: RowSelection, names: Sequence[str], oids: Mapping[str, int]) -> list[str]:
    """Return the conditions of a selection, as far as the server compares as the contract does."""
    found: list[str] = []
    for bounds in selection.bounds:
        if oids[names[bounds.place]] in _MOMENTS:
            found += _bounds_sql(bounds, quote_name(names[bounds.place], "postgres"))
    for keys in selection.keys:
        if condition := _keys_sql(keys, [names[place] for place in keys.places], oids):
            found.append(condition)
    return found


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


def _keys_sql(keys: KeySet, names: Sequence[str], oids: Mapping[str, int]) -> str:
    """Return the condition that columns are among keys; nothing where the server cannot say."""
    import pyarrow.compute as pc

    columns = zip(names, keys.values.columns, strict=True)
    found = [item for name, values in columns if (item := _key_column(name, oids[name], values)) is not None]
    if not found:
        return ""
    fits = found[0].fits
    for item in found[1:]:
        fits = pc.and_(fits, item.fits)
    if len(found) == 1:
        return f"{found[0].column} = any({found[0].array(fits)})"
    arrays = ", ".join(item.array(fits) for item in found)
    return f"({', '.join(item.column for item in found)}) in (select * from unnest({arrays}))"


def _key_column(name: str, oid: int, values: "pa.ChunkedArray") -> _KeyColumn | None:
    """Return how a column is compared with keys; None where the server might find other values equal than the contract
    does."""
    import pyarrow as pa
    import pyarrow.compute as pc

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


def _array_text(texts: "pa.Array") -> str:
    """Return texts as the literal of an array of PostgreSQL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(quoted)], pa.int32()), quoted), ",")
    return f"{{{joined[0].as_py()}}}"


def sent_bytes(selection: RowSelection) -> int:
    """Return about how many bytes of keys go in with a statement."""
    return sum(keys.values.nbytes for keys in selection.keys)


def sampled(selection: RowSelection) -> tuple[RowSelection, float]:
    """Return a selection by a sample of its keys, and how many times more there are of them."""
    keys = tuple(item.sample(SAMPLED_KEYS) for item in selection.keys)
    factors = [
        before.values.num_rows / after.values.num_rows
        for before, after in zip(selection.keys, keys, strict=True)
        if after.values.num_rows
    ]
    return RowSelection(selection.bounds, keys), max(factors, default=1.0)


def estimate_selection(
    cursor: Any, query: str, columns: Sequence[str], oids: Mapping[str, int], widths: Mapping[str, float]
) -> TransferEstimate:
    """Return what a query would give, as the server's planner has it: the rows as they cross, in the server's text."""
    cursor.execute(f"explain (format json) {query}")
    ((plans,),) = cursor.fetchall()
    rows = int(plans[0]["Plan"]["Plan Rows"])
    width = sum(1 + _WIDTHS.get(oids[name], widths.get(name, 32)) for name in columns)
    return TransferEstimate(rows, int(rows * (_FRAME + width)))


def column_widths(cursor: Any, table: str) -> dict[str, float]:
    """Return the mean widths of the columns of a table, as far as the server tells this user."""
    cursor.execute(_STATISTICS, (table,))
    return {name: float(width) for name, width in cursor.fetchall()}
