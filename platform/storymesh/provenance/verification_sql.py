"""Queries that count again what a record counts: precedents and linked rows, from the written cases of a build.

They are written apart from `case.precedent`, which counts for all cases at once: a second way to the same number, for
one case at a time. `Tracer.confirm` runs them; their SQL is for people, who can run it as it stands. Of values a query
names only the id of the case, keys of rows and actions, so it shows nothing that may not be shown.
"""

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from storymesh.case.link import KEY
from storymesh.case.precedent import Z95, wilson_bound
from storymesh.dataset.build import Build
from storymesh.dataset.tables import cases_with_splits
from storymesh.engine import decimals, dialect
from storymesh.engine.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir

Rank = int | Literal["best", "worst"]


class VerificationQueries:
    """The queries over the cases of one build. Each returns a table of at most one row with one column, `value`."""

    def __init__(self, build: Build, engine: Engine) -> None:
        self._engine = engine
        self._linked = engine.read_parquet(build.files.cases)
        self._cases = cases_with_splits(build, engine)
        self._levels = [[formula.name for formula in level] for level in build.typed.case.match]
        definition = build.narrative.case.precedents
        self._min = definition.min if definition else 0
        self._quote = definition.quote if definition else 0
        self._since = definition.since if definition else None

    def sql(self, query: "ir.Table") -> str:
        return self._engine.compile_sql(query)

    def rows(self, case_id: str, column: Sequence[str], keys: Sequence[str] | None) -> "ir.Table":
        """Count the rows of a list of the case that have one of `keys`; None: all. `column` is the path of the list."""
        case = self._linked.filter(self._linked["case_id"] == case_id)
        rows = case[column[0]]
        for step in column[1:]:
            rows = rows[step]
        if keys is not None:
            rows = dialect.filter_items(rows, lambda row: row[KEY].isin(list(keys)))
        return case.select(value=rows.length())

    def level(self, case_id: str) -> "ir.Table":
        """Return the level of matching on which the case has enough precedents, or null."""
        return self._level(self._earlier(case_id)).select(value="level")

    def enough(self, case_id: str) -> "ir.Table":
        level = self._level(self._earlier(case_id))
        return level.select(value=level["level"].notnull())

    def tried(self, case_id: str) -> "ir.Table":
        """Count the precedents of the case."""
        matching = self._matching(case_id)
        return matching.aggregate(value=matching.count())

    def options(self, case_id: str) -> "ir.Table":
        """Count the different actions among the precedents."""
        matching = self._matching(case_id)
        return matching.aggregate(value=matching["action"].nunique())

    def of_option(self, case_id: str, action: str, name: str) -> "ir.Table":
        """Return `tried`, `worked`, `rate` or `mean_score` of one action."""
        option = self._option(case_id, action)
        tried, worked = option.count(), option.count(where=option["worked"])
        value: ir.Scalar
        match name:
            case "tried":
                value = tried
            case "worked":
                value = worked
            case "rate":
                value = (worked.cast("float64") / tried.nullif(0)).coalesce(0.0)
            case _:
                total = decimals.to_float(decimals.to_widest(option["score"]).sum())
                value = (total / tried.nullif(0)).coalesce(0.0)
        return option.aggregate(value=value)

    def quotes(self, case_id: str, action: str) -> "ir.Table":
        """Count the precedents of one action that are quoted."""
        import ibis

        option = self._option(case_id, action)
        return option.aggregate(value=ibis.least(option.count(), self._quote))

    def action(self, case_id: str, rank: Rank, other_than: str | None = None) -> "ir.Table":
        """Return the action at a rank in the order of the options, the best or the worst; never `other_than`."""
        matching = self._matching(case_id)
        counted = matching.group_by("action").aggregate(
            tried=matching.count(), worked=matching.count(where=matching["worked"])
        )
        options = counted.mutate(low=wilson_bound(counted["worked"], counted["tried"], Z95))
        order = [options["low"].desc(), options["tried"].desc(), options["action"]]
        if not isinstance(rank, int):
            options = options.filter(options["tried"] >= self._min)
        if rank == "best":
            options = options.filter(options["worked"] > 0)
        elif rank == "worst":
            order = [options["low"], options["tried"], options["action"].desc()]
        if other_than is not None:
            options = options.filter(options["action"] != other_than)
        ordered = options.order_by(order).limit(1, offset=rank if isinstance(rank, int) else 0)
        return ordered.select(value="action")

    def _earlier(self, case_id: str) -> "ir.Table":
        """Return action, score, worked and, for each level, whether it matches: of the cases known before the day of
        this case, not longer before it than `since`, in the period of its split or an earlier one."""
        import ibis

        cases = self._cases
        case = cases.filter(cases["case_id"] == case_id)
        if "withheld" in case.columns:
            case = case.filter(~case["withheld"])  # one whose precedents are withheld counts none
        asking = case.select(asking_at="at", asking_rank="rank", asking_match="match")
        judged = cases.filter(cases["outcome"].notnull()).select("known", "period", "match", "outcome")
        pairs = judged.cross_join(asking)
        day = pairs["asking_at"].truncate("D")
        earlier = pairs.filter(pairs["known"] < day, pairs["period"] <= pairs["asking_rank"])
        if self._since is not None:
            earlier = earlier.filter(earlier["known"] >= day - ibis.interval(days=self._since.days))
        levels = {
            f"level_{number}": reduce(and_, [earlier["match"][name] == earlier["asking_match"][name] for name in level])
            for number, level in enumerate(self._levels, 1)
        }
        return earlier.select(
            **{name: earlier["outcome"][name] for name in ("action", "score", "worked")},
            **{name: matches.coalesce(False) for name, matches in levels.items()},
        )

    def _level(self, earlier: "ir.Table") -> "ir.Table":
        import ibis

        numbers = range(1, len(self._levels) + 1)
        enough = [(earlier.count(where=earlier[f"level_{number}"]) >= self._min, number) for number in numbers]
        return earlier.aggregate(level=ibis.cases(*enough))

    def _matching(self, case_id: str) -> "ir.Table":
        """Return the precedents of the case: the earlier cases that match on its level."""
        import ibis

        earlier = self._earlier(case_id)
        leveled = earlier.cross_join(self._level(earlier))
        numbers = range(1, len(self._levels) + 1)
        return leveled.filter(
            ibis.cases(*((leveled["level"] == number, leveled[f"level_{number}"]) for number in numbers), else_=False)
        )

    def _option(self, case_id: str, action: str) -> "ir.Table":
        matching = self._matching(case_id)
        return matching.filter(matching["action"] == action)


class VerificationQuery(NamedTuple):
    """One of `VerificationQueries` with its arguments, which is built when somebody runs or reads it."""

    queries: VerificationQueries
    name: str
    arguments: tuple[Any, ...]

    @property
    def expression(self) -> "ir.Table":
        built: ir.Table = getattr(self.queries, self.name)(*self.arguments)
        return built

    @property
    def sql(self) -> str:
        return self.queries.sql(self.expression)
