"""The SQL that gives again what a record counts: precedents and linked rows, from the written cases of a build.

It is written by hand and apart from `case.precedent`, which counts for all cases at once: a second way to the same
number, that anybody who has DuckDB can run. It names other values than the case's id by where they stand, never by
what they are, so that it shows nothing that may not be shown.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from storymesh.case.precedent import Z95
from storymesh.dataset.build import Build
from storymesh.dataset.split import SPLITS

Rank = int | Literal["best", "worst"]

_ORDER = "low DESC, tried DESC, action"
_OTHER_WAY = "low, tried, action DESC"
_OF_OPTION = {
    "tried": "count(*)",
    "worked": "count(*) FILTER (worked)",
    "rate": "coalesce(CAST(count(*) FILTER (worked) AS DOUBLE) / nullif(count(*), 0), 0.0)",
    "mean_score": "coalesce(CAST(sum(score) AS DOUBLE) / nullif(count(*), 0), 0.0)",
}


class Recounting:
    """Queries over the cases of one build. Each gives one row with one value."""

    def __init__(self, build: Build) -> None:
        self._cases = _file(build.cases_path)
        self._splits = _file(build.splits_path)
        self._levels = [[formula.name for formula in level] for level in build.typed.views.match]
        asks = build.narrative.case.precedents
        self._min = asks.min if asks else 0
        self._quote = asks.quote if asks else 0

    def rows(self, case_id: str, listed: str, keys: Sequence[str] | None) -> str:
        """How many rows of the case's list `listed` (a column, as SQL has it) have one of the keys; None: all."""
        those = listed
        if keys is not None:
            known = f"[{', '.join(map(_text, keys))}]::VARCHAR[]"
            those = f"list_filter({listed}, lambda one: list_contains({known}, one._key))"
        return f"SELECT len({those})\nFROM {self._cases}\nWHERE case_id = {_text(case_id)}"

    def level(self, case_id: str) -> str:
        return self._query(case_id, "SELECT level FROM level")

    def enough(self, case_id: str) -> str:
        return self._query(case_id, "SELECT level IS NOT NULL FROM level")

    def tried(self, case_id: str) -> str:
        return self._query(case_id, "SELECT count(*) FROM matching")

    def options(self, case_id: str) -> str:
        return self._query(case_id, "SELECT count(DISTINCT action) FROM matching")

    def of_option(self, case_id: str, action: str, name: str) -> str:
        """`tried`, `worked`, `rate` or `mean_score` of one action."""
        return self._query(case_id, f"SELECT {_OF_OPTION[name]}\nFROM matching\nWHERE action = {_text(action)}")

    def quotes(self, case_id: str, action: str) -> str:
        wanted = f"SELECT least(count(*), {self._quote})\nFROM matching\nWHERE action = {_text(action)}"
        return self._query(case_id, wanted)

    def action(self, case_id: str, rank: Rank, but: str | None = None) -> str:
        """The action at a place in the order of the options, the best or the worst; `but` leaves out one action."""
        where, order, offset = ["true"], _ORDER, rank
        if not isinstance(rank, int):
            where, offset = [f"tried >= {self._min}"], 0
            if rank == "best":
                where.append("worked > 0")
            else:
                order = _OTHER_WAY
        if but is not None:
            where.append(f"action <> {_text(but)}")
        wanted = f"{_OPTIONS}\nSELECT action\nFROM options\nWHERE {' AND '.join(where)}\n"
        return self._query(case_id, f"{wanted}ORDER BY {order}\nLIMIT 1 OFFSET {offset}")

    def _query(self, case_id: str, wanted: str) -> str:
        levels = ",\n    ".join(
            f"coalesce({_all(f'cases.match.{name} = asking.match.{name}' for name in level)}, false) AS level_{number}"
            for number, level in enumerate(self._levels, 1)
        )
        numbers = range(1, len(self._levels) + 1)
        enough = " ".join(f"WHEN count(*) FILTER (level_{n}) >= {self._min} THEN {n}" for n in numbers)
        on_level = " ".join(f"WHEN {n} THEN level_{n}" for n in numbers)
        order = f"[{', '.join(map(_text, SPLITS))}]"
        return f"""\
WITH cases AS (SELECT one.*, split FROM {self._cases} AS one JOIN {self._splits} USING (case_id)),
asking AS (SELECT * FROM cases WHERE case_id = {_text(case_id)}),
earlier AS (
  SELECT cases.case_id, cases.outcome.action AS action, cases.outcome.score AS score, cases.outcome.worked AS worked,
    {levels}
  FROM cases, asking
  WHERE cases.outcome IS NOT NULL AND cases.known < date_trunc('day', asking.at)
    AND list_position({order}, cases.split) <= list_position({order}, asking.split)),
level AS (SELECT CASE {enough} END AS level FROM earlier),
matching AS (SELECT earlier.* FROM earlier, level WHERE CASE level {on_level} ELSE false END){_joined(wanted)}"""


_P = "worked / CAST(tried AS DOUBLE)"
_LOW = (
    f"({_P} + {Z95 * Z95!r} / (2 * CAST(tried AS DOUBLE)) - {Z95!r} * sqrt(({_P} * (1 - {_P})"
    f" + {Z95 * Z95!r} / (4 * CAST(tried AS DOUBLE))) / CAST(tried AS DOUBLE)))"
    f" / (1 + {Z95 * Z95!r} / CAST(tried AS DOUBLE))"
)
_OPTIONS = f"""\
,
counted AS (SELECT action, count(*) AS tried, count(*) FILTER (worked) AS worked FROM matching GROUP BY action),
options AS (
  SELECT *, CASE WHEN worked = 0 THEN 0.0 ELSE  -- the lower end of Wilson's 95 % interval
    {_LOW} END AS low
  FROM counted)"""


def _joined(wanted: str) -> str:
    """Further tables of the WITH stand behind a comma, the query itself on a line of its own."""
    return wanted if wanted.startswith(",") else f"\n{wanted}"


def _file(path: object) -> str:
    return f"read_parquet({_text(str(path))})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _all(parts: Iterable[str]) -> str:
    return " AND ".join(parts)
