"""The values of a record's facts: numbers in common units, moments, texts, and what can be computed from them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from typing import Any

from storymesh.grounding.lexicon import concept
from storymesh.grounding.number_words import UNITS, Dimension

MOST_DERIVED = 64
"""Facts of one unit of which sums and differences are formed at most."""


@dataclass(slots=True)
class FactNumber:
    """A number of the facts, in hours, shares, kg or metres where its unit is known."""

    path: str
    row: int | None
    value: float
    dimension: Dimension
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FactMoment:
    """A date or timestamp of the facts."""

    path: str
    row: int | None
    at: datetime

    @property
    def words(self) -> tuple[str, ...]:
        return path_words(self.path)


@lru_cache(maxsize=4096)
def path_words(path: str) -> tuple[str, ...]:
    """Return the concepts in the words of a path."""
    words = (concept(word) for word in re.split(r"[._\s]+", path.lower()))
    return tuple(dict.fromkeys(word for word in words if word))


@lru_cache(maxsize=4096)
def dimension_of(path: str, unit: str) -> tuple[Dimension, float]:
    """Return the dimension of a fact and what one of its unit is: from the contract's unit, else from its name's last
    words."""
    for word in reversed(re.split(r"[^a-z%]+", unit.lower())):
        if word in UNITS:
            return UNITS[word]
        if word in ("%", "ratio", "share"):
            return "share", 0.01 if word == "%" else 1.0
    leaf = path.rsplit(".", 1)[-1].lower().split("_")
    if leaf[-1] in ("hours", "days", "minutes", "usd", "eur", "kg", "nm", "km", "percent", "pct", "weeks"):
        return UNITS[leaf[-1]]
    if "days" in leaf[:1]:
        return UNITS["days"]
    if leaf[-1] in ("rate", "share", "ratio", "fraction") or leaf == ["change"]:
        return "share", 1.0
    return "count", 1.0


def facts_of(
    values: Mapping[str, Any], units: Mapping[str, str]
) -> tuple[list[FactNumber], list[FactMoment], list[tuple[str, int | None, str]]]:
    """Return numbers, moments and texts of the facts, each list's elements with their row."""
    numbers: list[FactNumber] = []
    moments: list[FactMoment] = []
    texts: list[tuple[str, int | None, str]] = []

    def add(path: str, row: int | None, value: Any) -> None:
        if value is None or isinstance(value, bool):
            return
        if isinstance(value, int | float | Decimal):
            number = float(value)
            if math.isfinite(number):
                dimension, scale = dimension_of(path, units.get(path, ""))
                if dimension == "share" and scale == 1.0 and abs(number) > 1.5:
                    scale = 0.01
                numbers.append(FactNumber(path, row, number * scale, dimension, path_words(path)))
        elif isinstance(value, datetime):
            moments.append(FactMoment(path, row, value.replace(tzinfo=None)))
        elif isinstance(value, date):
            moments.append(FactMoment(path, row, datetime(value.year, value.month, value.day)))
        elif isinstance(value, str):
            texts.append((path, row, value))

    for path, value in values.items():
        if isinstance(value, list | tuple):
            for row, element in enumerate(value[:2_000]):
                if isinstance(element, list | tuple):
                    for inner in element[:200]:
                        add(path, row, inner)
                else:
                    add(path, row, element)
        else:
            add(path, None, value)
    return numbers, moments, texts


def derived_values(
    facts: list[FactNumber],
    printed: Mapping[Dimension, list[float]],
    moments: list[FactMoment],
    values: Mapping[str, Any],
) -> tuple[dict[Dimension, list[float]], dict[Dimension, list[float]], list[float], list[float]]:
    """Return differences and shares of facts that belong together and the time between moments; their sums; what is
    left of a count or a share ("failed in 4 of 7"); and the lengths of lists."""
    derived: dict[Dimension, list[float]] = {}
    sums: dict[Dimension, list[float]] = {}
    rests: list[float] = []
    lengths: list[float] = []
    groups: dict[tuple[Dimension, str], list[float]] = {}
    cells: dict[tuple[str, int], list[FactNumber]] = {}
    for fact in facts:
        if fact.row is None:
            groups.setdefault((fact.dimension, ""), []).append(abs(fact.value))
            if "." in fact.path:
                cells.setdefault((fact.path.rsplit(".", 1)[0], -1), []).append(fact)
        else:
            groups.setdefault((fact.dimension, fact.path), []).append(abs(fact.value))
            cells.setdefault((fact.path.rsplit(".", 1)[0], fact.row), []).append(fact)
    if not facts:
        for dimension, values_said in printed.items():
            groups[dimension, ""] = list(values_said)
    for (dimension, path), group in groups.items():
        if dimension == "share":
            rests += [1 - value for value in group if 0 < value < 1]
            continue
        if path and len(group) > 1:
            sums.setdefault(dimension, []).append(sum(group))
        if len(group) <= MOST_DERIVED and dimension != "count":
            for one, other in combinations(group, 2):
                derived.setdefault(dimension, []).append(abs(one - other))
                sums.setdefault(dimension, []).append(one + other)
    for row in list(cells.values())[: MOST_DERIVED * 4]:
        counts = [fact.value for fact in row if fact.dimension == "count" and fact.value.is_integer()]
        if len(counts) <= 4:
            for one, other in combinations(counts, 2):
                rests.append(abs(one - other))
                if max(one, other) > 0 and min(one, other) >= 0:
                    derived.setdefault("share", []).append(min(one, other) / max(one, other))
    for value in values.values():
        if isinstance(value, list | tuple) and value:
            lengths.append(float(len(value)))
    spans = sorted({moment.at for moment in moments})[:24]
    for earlier, later in combinations(spans, 2):
        gap = (later - earlier).total_seconds() / 3600
        days = (later.date() - earlier.date()) // timedelta(days=1)
        derived.setdefault("duration", []).extend((gap, days * 24.0))
    return derived, sums, rests, lengths


PLAIN_ACTION_WORDS = frozenset({"pass", "goods", "ship", "freight", "passage", "decide", ""})


def action_words(texts: list[tuple[str, int | None, str]]) -> dict[str, frozenset[str]]:
    """Return the words of each action by its code: of the codes under paths that are called an action."""
    actions: dict[str, frozenset[str]] = {}
    for path, _, text in texts:
        if "action" in path.rsplit(".", 1)[-1]:
            words = frozenset(concept(word) for word in re.findall(r"[^\W\d_]+", text.lower())) - PLAIN_ACTION_WORDS
            if words:
                actions.setdefault(text, words)
    return actions
