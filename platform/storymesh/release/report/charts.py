"""The figures of a release's report: counts and distributions, computed by the engine over its files and cases.

Counts are of all of it; lengths of texts are those of a sample that the records' ids decide, as `variety` takes it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.dataset.tables import JudgedOutcomes
from storymesh.engine.engine import Engine
from storymesh.narrative.formats import format_of_columns
from storymesh.release.diversity import SAMPLE

if TYPE_CHECKING:
    from ibis.expr.types import Table

BINS = 24
MOST_ACTIONS = 20
MOST_MONTHS = 120  # of more, years are shown
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Action:
    """One action: how often it was taken, and how often it worked."""

    name: str
    tried: int
    worked: int


@dataclass(frozen=True)
class Bar:
    """One bar: what it stands for, in words, and the height of each of its parts."""

    words: str
    parts: tuple[int, ...]

    @property
    def whole(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True)
class Chart:
    """Bars from left to right; `parts` names the parts of each, `low` and `high` are the ends of its axis in words,
    `said` the whole of it in a sentence."""

    parts: tuple[str, ...]
    bars: tuple[Bar, ...]
    low: str
    high: str
    said: str

    @property
    def top(self) -> int:
        return max((bar.whole for bar in self.bars), default=0) or 1


def actions_of(engine: Engine, outcomes: JudgedOutcomes) -> tuple[tuple[Action, ...], int]:
    """The actions most often taken, with how many others there are."""
    table = outcomes.table.filter(outcomes.table["action"].notnull())
    counted = table.group_by("action").aggregate(tried=table.count(), worked=table["worked"].sum().coalesce(0))
    every = [Action(str(row["action"]), int(row["tried"]), int(row["worked"])) for row in engine.fetch_rows(counted)]
    every.sort(key=lambda action: (-action.tried, action.name))
    return tuple(every[:MOST_ACTIONS]), max(len(every) - MOST_ACTIONS, 0)


def scores_of(engine: Engine, outcomes: JudgedOutcomes) -> Chart | None:
    """How the scores lie, those that worked apart from those that did not; None where there are none to show."""
    scored = outcomes.table.filter(outcomes.table["score"].notnull() & outcomes.table["worked"].notnull())
    value = scored["score"].cast("float64")
    return _histogram(
        engine, scored.select(value=value, part=scored["worked"].ifelse(0, 1)), ("worked", "did not work")
    )


def lengths_of(engine: Engine, files: Sequence[Path]) -> Chart | None:
    """How many characters the records of one config have, all their texts together."""
    if not files:
        return None
    import ibis

    rows = engine.read_parquet(files)
    format_ = format_of_columns(rows.columns)
    if format_ is None:
        return None
    texts = [text.value_in(rows).length().coalesce(0) for text in format_.texts]
    chosen = rows.select("id", value=sum(texts[1:], texts[0]).cast("float64"))
    sample = rows.select("id").order_by(rows["id"].hexdigest("md5")).limit(SAMPLE)
    found = chosen.semi_join(sample, "id")
    return _histogram(engine, found.select("value", part=ibis.literal(0)), ("records",), floor=0.0)


def months_of(engine: Engine, cases: "Table", splits: Sequence[str]) -> Chart | None:
    """The cases by the month of their moment (by year, of a long time), each split apart. `cases`: at and split."""
    months = cases.filter(cases["at"].notnull())
    months = months.select(month=months["at"].truncate("M").cast("date"), split=months["split"].coalesce(LEFT_OUT))
    counted = months.group_by("month", "split").aggregate(rows=months.count())
    found: dict[date, dict[str, int]] = {}
    for row in engine.fetch_rows(counted):
        found.setdefault(row["month"], {})[row["split"]] = row["rows"]
    if not found:
        return None
    first, last = min(found), max(found)
    yearly = (last.year - first.year) * 12 + last.month - first.month >= MOST_MONTHS
    step = 12 if yearly else 1
    number = (
        (first.year * 12, last.year * 12)
        if yearly
        else (first.year * 12 + first.month - 1, last.year * 12 + last.month - 1)
    )
    parts = (*splits, LEFT_OUT)
    bars = []
    for place in range(number[0], number[1] + 1, step):
        inside = [found.get(date(month // 12, month % 12 + 1, 1), {}) for month in range(place, place + step)]
        words = str(place // 12) if yearly else f"{date(place // 12, place % 12 + 1, 1):%B %Y}"
        bars.append(Bar(words, tuple(sum(one.get(part, 0) for one in inside) for part in parts)))
    fullest = max(bars, key=lambda bar: bar.whole)
    said = f"From {bars[0].words} to {bars[-1].words}; most in {fullest.words}, {fullest.whole:,}."
    return Chart(parts, tuple(bars), bars[0].words, bars[-1].words, said)


def _histogram(engine: Engine, table: "Table", parts: tuple[str, ...], floor: float | None = None) -> Chart | None:
    """`table`: value (a float) and part (its place in `parts`). What lies beyond the middle 98 of 100 is in the first
    and the last bar, so that a few far ones do not press the others together."""
    value = table["value"]
    ends = table.aggregate(
        rows=value.count(), low=value.quantile(0.01), high=value.quantile(0.99), middle=value.median(),
        least=value.min(), most=value.max(),
    )  # fmt: skip
    (found,) = engine.fetch_rows(ends)
    if not found["rows"] or not all(math.isfinite(found[name]) for name in ("low", "high", "least", "most")):
        return None
    width = _nice((found["high"] - found["low"]) / BINS)
    low = math.floor(found["low"] / width) * width
    if floor is not None:
        low = max(low, floor)
    bins = max(1, math.floor((found["high"] - low) / width) + 1)
    place = ((value - low) / width).floor().cast("int64").clip(0, bins - 1)
    placed = table.select(place=place, part="part")
    counted = placed.group_by("place", "part").aggregate(rows=placed.count())
    heights = [[0] * len(parts) for _ in range(bins)]
    for row in engine.fetch_rows(counted):
        heights[row["place"]][row["part"]] = row["rows"]
    edges = [low + number * width for number in range(bins + 1)]
    bars = tuple(
        Bar(_between(edges, number, found["least"] < low, found["most"] >= edges[-1]), tuple(heights[number]))
        for number in range(bins)
    )
    said = (
        f"Half of {found['rows']:,} are at {_number(found['middle'])} or below; "
        f"98 of 100 lie between {_number(found['low'])} and {_number(found['high'])}."
    )
    return Chart(parts, bars, _number(edges[0]), _number(edges[-1]), said)


def _between(edges: Sequence[float], number: int, below: bool, above: bool) -> str:
    low, high = _number(edges[number]), _number(edges[number + 1])
    if number == 0 and below:
        return f"below {high}"
    return f"{low} and more" if number == len(edges) - 2 and above else f"{low} to {high}"


def _nice(width: float) -> float:
    """The smallest of 1, 2, 5, 10, … (and their tenths) that is not less."""
    if width <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.4g}"


def share_out(samples: Mapping[str, Sequence[Mapping[str, Any]]], most: int) -> Iterator[Mapping[str, Any]]:
    """At most `most` of the samples of some splits, one of each in turn, as long as it has any."""
    turns = (
        rows[turn]
        for turn in range(max(map(len, samples.values()), default=0))
        for rows in samples.values()
        if turn < len(rows)
    )
    for _, row in zip(range(most), turns, strict=False):
        yield row
