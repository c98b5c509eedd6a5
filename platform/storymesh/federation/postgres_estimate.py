"""Estimates of what selections of a PostgreSQL's rows would move: by its planner, or by a sample of the table.

The planner knows as much as the last ANALYZE found. It knows nothing of a keyed hash: of hashed keys the number of
different values of the column says what share of the rows they have. Of a table that was never analysed, some of its
pages are counted at the server instead.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from storymesh.federation.postgres_selection import selection_sql
from storymesh.federation.selection import KeySet, RowSelection, TransferEstimate
from storymesh.federation.sql import quote_name, select_sql

SAMPLED_KEYS = 1_000
SAMPLED_PAGES = 500
_FRAME = 5 + 1  # bytes of a row on its way: the protocol's, and the end of its line
_WIDTHS = {16: 1, 20: 8, 21: 4, 23: 6, 700: 8, 701: 12, 1082: 10, 1114: 22, 1184: 25, 1700: 8, 2950: 36}
_UNKNOWN_WIDTH = 32
_LESS_THAN_ONE = 0.5  # of a sample in which nothing was selected
_PARTITION_STATISTICS_VERSION = 12_00_00
_MIN_HITS = 5  # so many rows of a sample tell what share of them is selected further
_STATISTICS = """
select a.attname, s.avg_width * (1 - s.null_frac), s.n_distinct from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_stats s on (s.schemaname, s.tablename, s.attname) = (n.nspname, c.relname, a.attname)
where a.attrelid = to_regclass(%s)"""
_NEVER_ANALYSED = """
select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where (n.nspname, c.relname) in (select * from unnest(%s::text[], %s::text[])) and (c.reltuples < 0 or (
  has_any_column_privilege(c.oid, 'select') and not row_security_active(c.oid) and not exists (
    select from pg_catalog.pg_stats s where (s.schemaname, s.tablename) = (n.nspname, c.relname)
  )
)) and c.reltuples <> 0 order by 1"""
_PAGES = """
select case c.relkind when 'p' then (
    select sum(pg_relation_size(t.relid)) from pg_partition_tree(c.oid) t where t.isleaf
  ) else pg_relation_size(c.oid) end / current_setting('block_size')::bigint
from pg_catalog.pg_class c where c.oid = to_regclass(%s) and c.relkind in ('r', 'm', 'p')"""


@dataclass(frozen=True)
class SelectedColumns:
    """What is selected of a `source`: the `names` of columns with the `oids` of their types, and how each is
    `written`. `table` is its name where it is a table, and no query."""

    source: str
    names: Sequence[str]
    oids: Mapping[str, int]
    written: Sequence[str]
    table: str | None
    limit: int | None = None

    def query(self, selection: RowSelection) -> str:
        """Return the SELECT of the selected rows."""
        where = selection_sql(selection, self.names, self.oids)
        return select_sql(self.written, self.source, self.limit, where)

    def selects(self, selection: RowSelection) -> bool:
        """Return True if the server can select by some of it."""
        return bool(selection_sql(selection, self.names, self.oids))


def estimate_ways(
    cursor: Any, columns: SelectedColumns, ways: Mapping[str, RowSelection]
) -> dict[str, TransferEstimate]:
    """Estimate what each way would move; a way that the server cannot select by is left out."""
    offered = {way: one for way, one in ways.items() if one == RowSelection() or columns.selects(one)}
    planner = _Planner(cursor, columns)
    at_any_time = {way: replace(selection, times=None) for way, selection in offered.items()}
    known = planner if planner.knows(offered.values()) else _Sample.of(cursor, columns, at_any_time) or planner
    found: dict[str, TransferEstimate] = {}
    for way, selection in offered.items():
        share = _share_at_times(cursor, columns, selection) if selection.times is not None else 1.0
        if share is None:
            continue
        rows = min(known.rows(way, selection) * share, known.count)
        size = round(rows * (_FRAME + known.width))
        found[way] = TransferEstimate(round(rows), size, selection.sent_bytes, known.doubt)
    return found


def _share_at_times(cursor: Any, columns: SelectedColumns, selection: RowSelection) -> float | None:
    """Return the share of the rows of keys that lie at the times of these, as a sample of the table has it; None where
    no sample can be taken, or has too few of them to tell."""
    assert selection.times is not None
    keys = selection.times.keys.sample(SAMPLED_KEYS)
    by_key = RowSelection(selection.bounds, (keys,))
    sample = _Sample.of(
        cursor, columns, {"keys": by_key, "times": replace(by_key, times=selection.times.of_keys(keys))}
    )
    if sample is None or sample.hits["keys"] < _MIN_HITS:
        return None
    return (sample.hits["times"] or _LESS_THAN_ONE) / sample.hits["keys"]


class _Planner:
    """What the server's planner and its statistics say."""

    def __init__(self, cursor: Any, columns: SelectedColumns) -> None:
        self._cursor, self._columns = cursor, columns
        plan = self._plan_of(RowSelection())
        self.count = float(plan["Plan Rows"])
        read = {(node["Schema"], node["Relation Name"]) for node in _nodes(plan) if "Relation Name" in node}
        cursor.execute(_NEVER_ANALYSED, tuple(map(list, zip(*sorted(read), strict=True))) if read else ([], []))
        self.unknown = [name for (name,) in cursor.fetchall()]
        cursor.execute(_STATISTICS, (columns.table,))
        self._statistics = {name: (float(width), float(distinct)) for name, width, distinct in cursor.fetchall()}
        widths = {name: width for name, (width, _) in self._statistics.items()}
        self.width = sum(
            1 + _WIDTHS.get(columns.oids[name], widths.get(name, _UNKNOWN_WIDTH)) for name in columns.names
        )
        self.doubt = self._doubt() if self.unknown else ""

    def knows(self, selections: Iterable[RowSelection]) -> bool:
        """Return True if the statistics are there that an estimate of all these rests on."""
        hashed = [keys for selection in selections for keys in selection.keys if keys.hashed]
        return not self.unknown and all(self._share(keys) is not None for keys in hashed)

    def rows(self, _: str, selection: RowSelection) -> float:
        """Return how many rows are selected. The planner is asked with some of the keys, and never by hashes."""
        plain = replace(selection, keys=tuple(keys for keys in selection.keys if not keys.hashed), times=None)
        part, factor = _some_keys(plain)
        rows = float(self._plan_of(part)["Plan Rows"]) * factor
        for share in (self._share(keys) for keys in selection.keys if keys.hashed):
            rows *= 1.0 if share is None else share
        return rows

    def _share(self, keys: KeySet) -> float | None:
        """Return the share of the rows that have one of some keys, if all of these occur; None where nothing says."""
        values = 1.0
        for place in keys.places:
            _, distinct = self._statistics.get(self._columns.names[place], (0.0, 0.0))
            if not distinct:
                return None
            values *= distinct if distinct > 0 else -distinct * self.count
        return float(min(1.0, keys.values.num_rows / max(1.0, min(values, self.count))))

    def _plan_of(self, selection: RowSelection) -> dict[str, Any]:
        self._cursor.execute(f"explain (format json, verbose) {self._columns.query(selection)}")
        ((plans,),) = self._cursor.fetchall()
        plan: dict[str, Any] = plans[0]["Plan"]
        return plan

    def _doubt(self) -> str:
        names = ", ".join(self.unknown)
        return f"the server has no statistics of {names}, so this may be far off: run ANALYZE {names} there"


@dataclass(frozen=True)
class _Sample:
    """What some pages of a table say, counted at the server."""

    count: float
    width: float
    doubt: str
    counted: Mapping[str, float]
    hits: Mapping[str, int]

    @classmethod
    def of(cls, cursor: Any, columns: SelectedColumns, ways: Mapping[str, RowSelection]) -> "_Sample | None":
        """Return what a sample says of each way; None of what no sample can be taken of, or has no row."""
        if cursor.connection.server_version < _PARTITION_STATISTICS_VERSION:
            return None
        cursor.execute(_PAGES, (columns.table,))
        pages = next((found for (found,) in cursor.fetchall()), None)
        if not pages:
            return None
        part = min(1.0, SAMPLED_PAGES / float(pages))
        some = {way: _some_keys(selection) for way, selection in ways.items()}
        source = f"{columns.source} tablesample system ({100 * part:.6f}) repeatable (0)"
        texts = " + ".join(f"coalesce(octet_length({quote_name(name, 'postgres')}::text), 0)" for name in columns.names)
        # Each is a query of its own over the same pages: in a WHERE the server joins with the keys, not row by row.
        wheres = [selection_sql(selection, columns.names, columns.oids) for selection, _ in some.values()]
        counts = [f"({select_sql(['count(*)'], source, where=where)})" for where in wheres]
        cursor.execute(f"select count(*), avg({texts}), {', '.join(counts)} from {source}")
        ((rows, width, *hits),) = cursor.fetchall()
        if not rows:
            return None
        found = {
            way: (hit or _LESS_THAN_ONE) * factor / part
            for (way, (_, factor)), hit in zip(some.items(), hits, strict=True)
        }
        table = columns.table
        doubt = (
            f"the server has no statistics of {table}: {rows:,} of its rows were looked at; run ANALYZE {table} there"
        )
        return cls(rows / part, float(width) + len(columns.names), doubt, found, dict(zip(some, hits, strict=True)))

    def rows(self, way: str, _: RowSelection) -> float:
        """Return how many rows are selected."""
        return self.counted[way]


def _some_keys(selection: RowSelection) -> tuple[RowSelection, float]:
    """Return a selection by a sample of its keys, and how many times more rows all of them select."""
    keys = tuple(item.sample(SAMPLED_KEYS) for item in selection.keys)
    pairs = zip(selection.keys, keys, strict=True)
    shares = [before.values.num_rows / after.values.num_rows for before, after in pairs if after.values.num_rows]
    return replace(selection, keys=keys), prod(shares)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of a plan of the server."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
