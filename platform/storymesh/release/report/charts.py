"""The charts of a release's report: counts and distributions, computed by the engine over its files and cases.

Counts are of everything; lengths of texts are those of the sample on which diversity is measured, which is in memory.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from storymesh.dataset.tables import JudgedOutcomes
from storymesh.engine.engine import Engine

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from ibis.expr.types import Table

BINS = 24
MAX_ACTIONS = 20
MAX_MONTHS = 120  # of more, years are shown
LEFT_OUT = "left out"


@dataclass(frozen=True)
class ActionCount:
    """One action: how often it was taken, and how often it worked."""

    name: str
    tried: int
    worked: int


@dataclass(frozen=True)
class Bar:
    """One bar: its label, and the height of each of its parts."""

    label: str
    parts: tuple[int, ...]

    @property
    def total(self) -> int:
        """The height of the whole bar."""
        return sum(self.parts)


@dataclass(frozen=True)
class Chart:
    """Bars from left to right; `parts` names the parts of each, `low` and `high` label the ends of the axis."""

    parts: tuple[str, ...]
    bars: tuple[Bar, ...]
    low: str
    high: str
    summary: str

    @property
    def top(self) -> int:
        """The height of the highest bar, at least 1."""
        return max((bar.total for bar in self.bars), default=0) or 1


def count_actions(engine: Engine, outcomes: JudgedOutcomes) -> tuple[tuple[ActionCount, ...], int]:
    """Return the actions most often taken, and how many others there are."""
    table = outcomes.table.filter(outcomes.table["action"].notnull())
    counted = table.group_by("action").aggregate(tried=table.count(), worked=table["worked"].sum().coalesce(0))
    actions = [
        ActionCount(str(row["action"]), int(row["tried"]), int(row["worked"])) for row in engine.fetch_rows(counted)
    ]
    actions.sort(key=lambda action: (-action.tried, action.name))
    return tuple(actions[:MAX_ACTIONS]), max(len(actions) - MAX_ACTIONS, 0)


def chart_scores(engine: Engine, outcomes: JudgedOutcomes) -> Chart | None:
    """Return the distribution of scores, those that worked apart from the others; None where there are none."""
    scored = outcomes.table.filter(outcomes.table["score"].notnull() & outcomes.table["worked"].notnull())
    table = scored.select(value=scored["score"].cast("float64"), part=scored["worked"].ifelse(0, 1))
    value = table["value"]
    statistics = table.aggregate(
        rows=value.count(), low=value.quantile(0.01), high=value.quantile(0.99), middle=value.median(),
        least=value.min(), most=value.max(),
    )  # fmt: skip
    (row,) = engine.fetch_rows(statistics)

    def count(bins: _Bins) -> Iterator[tuple[int, int, int]]:
        place = ((value - bins.low) / bins.width).floor().cast("int64").clip(0, bins.count - 1)
        binned = table.select(place=place, part="part")
        counted = binned.group_by("place", "part").aggregate(rows=binned.count())
        return ((row["place"], row["part"], row["rows"]) for row in engine.fetch_rows(counted))

    return _histogram(_Spread(**row), count, ("worked", "did not work")) if row["rows"] else None


def chart_lengths(lengths: "npt.NDArray[np.int64]") -> Chart | None:
    """Return the distribution of the characters in the records of one config; None where there are none."""
    import numpy as np

    if not len(lengths):
        return None
    low, middle, high = map(float, np.quantile(lengths, (0.01, 0.5, 0.99)))
    spread = _Spread(len(lengths), low, high, middle, float(lengths.min()), float(lengths.max()))

    def count(bins: _Bins) -> Iterator[tuple[int, int, int]]:
        places = np.clip((lengths - bins.low) // bins.width, 0, bins.count - 1).astype(np.int64)
        return ((place, 0, rows) for place, rows in enumerate(np.bincount(places).tolist()))

    return _histogram(spread, count, ("records",), floor=0.0)


def chart_months(engine: Engine, cases: "Table", splits: Sequence[str]) -> Chart | None:
    """Return the cases (at, split) by month, or by year over a long time, each split apart."""
    dated = cases.filter(cases["at"].notnull())
    dated = dated.select(month=dated["at"].truncate("M").cast("date"), split=dated["split"].coalesce(LEFT_OUT))
    counted = dated.group_by("month", "split").aggregate(rows=dated.count())
    counts: dict[date, dict[str, int]] = {}
    for row in engine.fetch_rows(counted):
        counts.setdefault(row["month"], {})[row["split"]] = row["rows"]
    if not counts:
        return None
    first, last = min(counts), max(counts)
    yearly = (last.year - first.year) * 12 + last.month - first.month >= MAX_MONTHS
    step = 12 if yearly else 1
    begin, end = (
        (first.year * 12, last.year * 12)
        if yearly
        else (first.year * 12 + first.month - 1, last.year * 12 + last.month - 1)
    )
    parts = (*splits, LEFT_OUT)
    bars = []
    for number in range(begin, end + 1, step):
        inside = [counts.get(date(month // 12, month % 12 + 1, 1), {}) for month in range(number, number + step)]
        label = str(number // 12) if yearly else f"{date(number // 12, number % 12 + 1, 1):%B %Y}"
        bars.append(Bar(label, tuple(sum(month.get(part, 0) for month in inside) for part in parts)))
    fullest = max(bars, key=lambda bar: bar.total)
    summary = f"From {bars[0].label} to {bars[-1].label}; most in {fullest.label}, {fullest.total:,}."
    return Chart(parts, tuple(bars), bars[0].label, bars[-1].label, summary)


@dataclass(frozen=True)
class _Spread:
    """How many values there are and where: between `low` and `high` lie 98 of 100."""

    rows: int
    low: float
    high: float
    middle: float
    least: float
    most: float


@dataclass(frozen=True)
class _Bins:
    """So many bins of equal width, from `low` on."""

    low: float
    width: float
    count: int


def _histogram(
    spread: _Spread,
    count: Callable[[_Bins], Iterator[tuple[int, int, int]]],
    parts: tuple[str, ...],
    floor: float | None = None,
) -> Chart | None:
    """Return the distribution of some values, of which `count` yields how many of each part are in each bin: place,
    index of `parts`, rows.

    Values beyond the middle 98 of 100 are in the first and the last bar, so that outliers do not squeeze the others.
    """
    if not all(map(math.isfinite, (spread.low, spread.high, spread.least, spread.most))):
        return None
    width = _round_width((spread.high - spread.low) / BINS)
    low = math.floor(spread.low / width) * width
    if floor is not None:
        low = max(low, floor)
    bins = _Bins(low, width, max(1, math.floor((spread.high - low) / width) + 1))
    heights = [[0] * len(parts) for _ in range(bins.count)]
    for place, part, rows in count(bins):
        heights[place][part] = rows
    edges = [low + number * width for number in range(bins.count + 1)]
    bars = tuple(
        Bar(_bar_label(edges, number, spread.least < low, spread.most >= edges[-1]), tuple(heights[number]))
        for number in range(bins.count)
    )
    summary = (
        f"Half of {spread.rows:,} are at {_format_number(spread.middle)} or below; "
        f"98 of 100 lie between {_format_number(spread.low)} and {_format_number(spread.high)}."
    )
    return Chart(parts, bars, _format_number(edges[0]), _format_number(edges[-1]), summary)


def _bar_label(edges: Sequence[float], number: int, below: bool, above: bool) -> str:
    low, high = _format_number(edges[number]), _format_number(edges[number + 1])
    if number == 0 and below:
        return f"below {high}"
    return f"{low} and more" if number == len(edges) - 2 and above else f"{low} to {high}"


def _round_width(width: float) -> float:
    """Return the smallest of 1, 2, 5, 10, … (and their tenths) that is not less."""
    if width <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.4g}"


def take_in_turn(samples: Mapping[str, Sequence[Mapping[str, Any]]], most: int) -> Iterator[Mapping[str, Any]]:
    """Yield at most `most` of the samples of some splits, one of each in turn, as long as it has any."""
    turns = (
        rows[turn]
        for turn in range(max(map(len, samples.values()), default=0))
        for rows in samples.values()
        if turn < len(rows)
    )
    for _, row in zip(range(most), turns, strict=False):
        yield row
