"""The statements that ask PostgreSQL what has changed in a table."""

from collections.abc import Iterable, Sequence
from typing import Any

from storymesh.engine.sql_text import quote_text
from storymesh.federation.changes import MONTH, Fingerprint

SLACK = "1 hour"
"""Before the last change that was seen: changes that were under way then are seen later."""


def row_text(columns: Iterable[str]) -> str:
    """Return the text that identifies a row: for each value its length and itself, or a dash."""
    parts = [f"coalesce(length(({column})::text)::text || ':' || ({column})::text, '-')" for column in columns]
    return " || '|' || ".join(parts)


def _figures(columns: Iterable[str]) -> str:
    text = f"md5(convert_to({row_text(columns)}, 'UTF8'))"
    return f"count(*), coalesce(sum(('x' || substr({text}, 1, 15))::bit(60)::bigint), 0)::text"


def all_rows(cursor: Any, source: str, columns: Sequence[str]) -> Fingerprint:
    """Return the fingerprint of some columns of all rows."""
    cursor.execute(f"SELECT {_figures(columns)} FROM {source}")
    ((rows, digest),) = cursor.fetchall()
    return Fingerprint(rows, digest)


def last_change(cursor: Any, source: str, column: str) -> str:
    """Return when the last change was, as text; an empty one where no row says."""
    cursor.execute(f"SELECT coalesce(max({column})::text, '') FROM {source}")
    ((last,),) = cursor.fetchall()
    return str(last)


def changed_since(column: str, last: str | None) -> list[str]:
    """Return the conditions of rows that have changed since shortly before a moment; none without one."""
    if not last:
        return []
    return [f"({column} >= {quote_text(last)}::timestamptz - interval '{SLACK}' OR {column} IS NULL)"]


def months_of(cursor: Any, source: str, moment: str, columns: Sequence[str]) -> dict[str, str]:
    """Return the fingerprint of the rows of each month, as text."""
    month = _month(moment)
    cursor.execute(f"SELECT {month}, {_figures(columns)} FROM {source} GROUP BY 1")
    return {name: Fingerprint(rows, digest).text for name, rows, digest in cursor.fetchall()}


def in_months(moment: str, months: Sequence[str]) -> list[str]:
    """Return the conditions of the rows of some months."""
    listed = ", ".join(quote_text(month) for month in months)
    return [f"{_month(moment)} IN ({listed})" if months else "false"]


def _month(moment: str) -> str:
    return f"left(coalesce(({moment})::text, ''), {MONTH})"
