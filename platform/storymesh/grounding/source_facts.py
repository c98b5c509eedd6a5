"""What a record's source says, as values that a retelling may use: read from the story, the known text and the facts.

A fact brings the exact value behind a rounded one, its sign, the words of its path ("expected_delay_hours") and, in a
list, the words of its own row; so a value of the story knows what it stands for.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from typing import Any, TypeVar

from storymesh.grounding.lexicon import DEMONYMS, concept
from storymesh.grounding.parsed_text import DIRECTIONS, Mention, Names, Telling, folded, is_code_number, is_list_number
from storymesh.grounding.quantities import UNITS, Dimension, Quantity, When, day_exists, fits

PATH_WORDS = 0.8
"""What the words of a fact's path count for the value that it stands behind."""
ROW_WORDS = 0.5
"""What the other values of its row count."""
MOST_DERIVED = 64
"""Facts of one unit of which sums and differences are formed at most."""


@dataclass(slots=True, eq=False)
class Known:
    """A true value: every number in `points` is it, `said` as the story prints it. `sign` is the fact's, 0 unknown."""

    points: tuple[float, ...]
    dimension: Dimension
    said: float
    by: dict[str, float]
    mention: Mention | None = None
    path: str = ""
    sign: int = 0


@dataclass(slots=True, eq=False)
class KnownDate:
    """A true date, or a part of one. `by` as for numbers."""

    when: When
    day: date | None
    by: dict[str, float]
    mention: Mention | None = None


@dataclass(slots=True)
class _Fact:
    path: str
    row: int | None
    value: float
    dimension: Dimension
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    path: str
    row: int | None
    at: datetime

    @property
    def words(self) -> tuple[str, ...]:
        return _path_words(self.path)


@dataclass(slots=True, eq=False)
class Truth:
    """Everything true that can be looked up, and how well each word tells values of one kind apart."""

    story: Telling
    known: Telling
    numbers: dict[Dimension, list[Known]]
    dates: list[KnownDate]
    clocks: set[int]
    names: Names
    codes: set[str]
    parts: dict[tuple[str, ...], set[str]]
    vocabulary: set[str]
    derived: dict[Dimension, list[float]]
    sums: dict[Dimension, list[float]]
    rests: list[float]
    lengths: list[float]
    actions: dict[str, frozenset[str]]
    subjects: frozenset[str]
    keys: set[tuple[str, ...]]
    """The names as the source tells them."""
    rare: dict[str, dict[str, float]] = field(default_factory=dict)

    def rarity(self, kind: str) -> dict[str, float]:
        """For each word, how well it tells the values of a kind apart: 0 if it stands by all of them."""
        if kind not in self.rare:
            items: Iterable[Known | KnownDate] = self.dates if kind == "date" else self.numbers.get(kind, [])  # type: ignore[call-overload]
            counts: dict[str, float] = {}
            total = 0
            for item in items:
                total += 1
                for word, weight in item.by.items():
                    counts[word] = counts.get(word, 0.0) + weight * weight
            self.rare[kind] = {word: math.log((total + 0.6) / max(count, 0.8)) for word, count in counts.items()}
        return self.rare[kind]


@lru_cache(maxsize=4096)
def _path_words(path: str) -> tuple[str, ...]:
    words = (concept(word) for word in re.split(r"[._\s]+", path.lower()))
    return tuple(dict.fromkeys(word for word in words if word))


@lru_cache(maxsize=4096)
def dimension_of(path: str, unit: str) -> tuple[Dimension, float]:
    """The dimension of a fact and what one of its unit is: from the contract's unit, else from its name's last
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
) -> tuple[list[_Fact], list[_Moment], list[tuple[str, int | None, str]]]:
    """Numbers, moments and texts of the facts, each list's elements with their row."""
    numbers: list[_Fact] = []
    moments: list[_Moment] = []
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
                numbers.append(_Fact(path, row, number * scale, dimension, _path_words(path)))
        elif isinstance(value, datetime):
            moments.append(_Moment(path, row, value.replace(tzinfo=None)))
        elif isinstance(value, date):
            moments.append(_Moment(path, row, datetime(value.year, value.month, value.day)))
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


def truth_of(story: str, values: Mapping[str, Any], units: Mapping[str, str], known: str) -> Truth:
    """Reads the source of a record."""
    facts, moments, texts = facts_of(values, units)
    rows = _rows(texts)
    subjects = _subjects(rows)
    told, beside = Telling(story, subjects), Telling(known, subjects)
    numbers: dict[Dimension, list[Known]] = {}
    by_dimension: dict[Dimension, list[_Fact]] = {}
    for fact in facts:
        by_dimension.setdefault(fact.dimension, []).append(fact)
    printed: set[int] = set()
    for telling in (told, beside):
        for mention in telling.mentions:
            quantity = mention.quantity
            if quantity is None or is_list_number(telling.tokens, quantity) or is_code_number(telling.tokens, quantity):
                continue
            behind = [
                fact
                for dimension in dict.fromkeys((quantity.dimension, "count"))
                for fact in by_dimension.get(dimension, ())
                if _prints(quantity, fact.value * (quantity.scale if fact.dimension != quantity.dimension else 1.0))
            ]
            item = Known((quantity.said,), quantity.dimension, quantity.said, dict(mention.by), mention)
            if behind:
                behind = _likeliest(behind, mention.by, rows)
                item.points = tuple(
                    {
                        quantity.said,
                        *(
                            abs(fact.value) * (quantity.scale if fact.dimension != quantity.dimension else 1.0)
                            for fact in behind
                        ),
                    }
                )
                item.path = behind[0].path
                signs = {1 if fact.value > 0 else -1 if fact.value < 0 else 0 for fact in behind}
                item.sign = signs.pop() if len(signs) == 1 else 0
                for fact in behind:
                    printed.add(id(fact))
                    _lend(item.by, fact, rows)
            numbers.setdefault(quantity.dimension, []).append(item)
    for fact in facts:
        if id(fact) not in printed:
            by: dict[str, float] = {}
            _lend(by, fact, rows)
            sign = 1 if fact.value > 0 else -1 if fact.value < 0 else 0
            numbers.setdefault(fact.dimension, []).append(
                Known((abs(fact.value),), fact.dimension, abs(fact.value), by, None, fact.path, sign)
            )
    dates, clocks = _dates(told, beside, moments, rows)
    clocks |= {moment.at.hour * 60 + moment.at.minute for moment in moments}
    names = Names(
        [
            told.folded_words,
            beside.folded_words,
            *([folded(word) for word in re.findall(r"[^\W_]+", text)] for _, _, text in texts),
        ]
    )
    codes = {
        token.text.lower()
        for telling in (told, beside)
        for token in telling.tokens
        if token.kind in ("code", "word", "number")
    }
    codes |= {text.lower() for _, _, text in texts}
    parts: dict[tuple[str, ...], set[str]] = {}
    for telling in (told, beside):
        for mention in telling.mentions:
            if mention.key and mention.parts:
                parts.setdefault(mention.key, set()).update(mention.parts)
    for path, _, text in texts:
        played = {DIRECTIONS[word] for word in path.rsplit(".", 1)[-1].lower().split("_") if word in DIRECTIONS}
        if played:
            key = tuple(folded(word) for word in re.findall(r"[^\W_]+", text))
            parts.setdefault(key, set()).update(played)
    vocabulary = set(told.vocabulary) | set(beside.vocabulary)
    for _, _, text in texts:
        vocabulary.update(filter(None, (concept(word) for word in re.findall(r"[^\W\d_]+", text.lower()))))
    return Truth(
        told, beside, numbers, dates, clocks, names, codes, parts, vocabulary, *_derived(facts, numbers, moments,
        values), _actions(texts), subjects,
        {mention.key for telling in (told, beside) for mention in telling.mentions if mention.key} | set(parts),
    )  # fmt: skip


def _prints(quantity: Quantity, value: float) -> bool:
    slack = 1e-6 + 1e-9 * abs(value)
    return quantity.low - slack <= abs(value) <= quantity.high + slack


def _rows(texts: list[tuple[str, int | None, str]]) -> dict[tuple[str, int], list[str]]:
    """The words of each row of a list, by the list's path."""
    rows: dict[tuple[str, int], list[str]] = {}
    for path, row, text in texts:
        if row is not None and "." in path:
            if len(text) > 40:
                continue
            words = [concept(word) for word in re.findall(r"[^\W\d_]{2,}", text.lower())[:6]]
            words.append(text.lower())
            rows.setdefault((path.rsplit(".", 1)[0], row), []).extend(filter(None, words))
    return rows


def _subjects(rows: dict[tuple[str, int], list[str]]) -> frozenset[str]:
    """The words that name some rows of a list and not the others: options, cases, ships."""
    sizes: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = {}
    for (path, _), words in rows.items():
        sizes[path] = sizes.get(path, 0) + 1
        for word in set(words):
            counts[path, word] = counts.get((path, word), 0) + 1
    return frozenset(
        word for (path, word), count in counts.items() if 2 * count <= sizes[path] and word not in _PLAIN_ACTION
    )


def _lend(by: dict[str, float], fact: _Fact | _Moment, rows: dict[tuple[str, int], list[str]]) -> None:
    for word in fact.words:
        by[word] = max(by.get(word, 0.0), PATH_WORDS)
    if fact.row is not None and "." in fact.path:
        for word in rows.get((fact.path.rsplit(".", 1)[0], fact.row), ()):
            by[word] = max(by.get(word, 0.0), ROW_WORDS)


_Behind = TypeVar("_Behind", _Fact, _Moment)


def _likeliest(behind: list[_Behind], by: Mapping[str, float], rows: dict[tuple[str, int], list[str]]) -> list[_Behind]:
    """Of the facts with this value, those whose path and row have most words by the mention."""
    if len(behind) == 1:
        return behind
    scored = []
    for fact in behind:
        score = sum(by.get(word, 0.0) for word in fact.words)
        if fact.row is not None and "." in fact.path:
            score += sum(by.get(word, 0.0) for word in rows.get((fact.path.rsplit(".", 1)[0], fact.row), ()))
        scored.append((score, fact))
    best = max(score for score, _ in scored)
    return [fact for score, fact in scored if score >= best - 1e-9]


def _dates(
    told: Telling, beside: Telling, moments: list[_Moment], rows: dict[tuple[str, int], list[str]]
) -> tuple[list[KnownDate], set[int]]:
    dates: list[KnownDate] = []
    clocks: set[int] = set()
    years: dict[tuple[int, int], set[int]] = {}
    for moment in moments:
        years.setdefault((moment.at.month, moment.at.day), set()).add(moment.at.year)
    for telling in (told, beside):
        for mention in telling.mentions:
            when = mention.when
            if when is None:
                continue
            if when.clock is not None:
                clocks.add(when.clock)
                continue
            if when.shift is not None:
                continue
            day = None
            if when.month and when.day and day_exists(when):
                held = years.get((when.month, when.day), set())
                year = when.year or (next(iter(held)) if len(held) == 1 else None)
                day = date(year, when.month, when.day) if year else None
            dates.append(KnownDate(when, day, dict(mention.by), mention))
    have = {item.day for item in dates}
    # A month and day without a year has that of the full date nearest to it in the text.
    latest: int | None = None
    for item in dates:
        latest = item.when.year or latest
        if item.day is None and latest and item.when.month and item.when.day and day_exists(item.when):
            item.day = (
                date(latest, item.when.month, item.when.day)
                if day_exists(When(latest, item.when.month, item.when.day, None, 0, 0))
                else None
            )
            have.add(item.day)
    by_day: dict[date, list[_Moment]] = {}
    for moment in moments:
        by_day.setdefault(moment.at.date(), []).append(moment)
    for item in dates:
        if item.day in by_day and item.mention is not None:
            for moment in _likeliest(by_day[item.day], item.by, rows):
                _lend(item.by, moment, rows)
    for day, those in by_day.items():
        if day not in have:
            by: dict[str, float] = {}
            for moment in those:
                _lend(by, moment, rows)
            dates.append(KnownDate(When(day.year, day.month, day.day, None, 0, 0), day, by))
    return dates, clocks


def fits_known(when: When, item: KnownDate) -> bool:
    """Whether a date as said may be this known one."""
    if item.day is not None:
        return fits(when, item.day)
    known = item.when
    if when.day is not None and known.day is None:
        return False
    return (
        (when.year is None or known.year is None or when.year == known.year)
        and (when.month is None or known.month is None or when.month == known.month)
        and (when.day is None or known.day is None or when.day == known.day)
        and (when.month is not None or when.day is not None or when.year is not None)
        and (when.weekday is None or known.weekday == when.weekday or known.weekday is None)
    )


def _derived(
    facts: list[_Fact], numbers: dict[Dimension, list[Known]], moments: list[_Moment], values: Mapping[str, Any]
) -> tuple[dict[Dimension, list[float]], dict[Dimension, list[float]], list[float], list[float]]:
    """Sums, differences and shares of facts that belong together and the time between moments; what is left of a count
    or a share ("failed in 4 of 7"); and the lengths of lists."""
    derived: dict[Dimension, list[float]] = {}
    sums: dict[Dimension, list[float]] = {}
    rests: list[float] = []
    lengths: list[float] = []
    groups: dict[tuple[Dimension, str], list[float]] = {}
    cells: dict[tuple[str, int], list[_Fact]] = {}
    for fact in facts:
        if fact.row is None:
            groups.setdefault((fact.dimension, ""), []).append(abs(fact.value))
            if "." in fact.path:
                cells.setdefault((fact.path.rsplit(".", 1)[0], -1), []).append(fact)
        else:
            groups.setdefault((fact.dimension, fact.path), []).append(abs(fact.value))
            cells.setdefault((fact.path.rsplit(".", 1)[0], fact.row), []).append(fact)
    if not facts:
        for dimension, items in numbers.items():
            groups[dimension, ""] = [item.said for item in items]
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


_PLAIN_ACTION = frozenset({"pass", "goods", "ship", "freight", "passage", "decide", ""})


def _actions(texts: list[tuple[str, int | None, str]]) -> dict[str, frozenset[str]]:
    """What can be done, by its code: the words of the codes under paths that are called an action."""
    actions: dict[str, frozenset[str]] = {}
    for path, _, text in texts:
        if "action" in path.rsplit(".", 1)[-1]:
            words = frozenset(concept(word) for word in re.findall(r"[^\W\d_]+", text.lower())) - _PLAIN_ACTION
            if words:
                actions.setdefault(text, words)
    return actions


def demonym(key: tuple[str, ...], names: Names) -> bool:
    """Whether the name is how people of a known country are called: "Dutch" for the Netherlands."""
    return len(key) == 1 and key[0] in DEMONYMS and names.carry(tuple(DEMONYMS[key[0]].split()))
