"""What is true of a record, as values that a text may use: from the story, the known text and the facts.

A fact brings the exact value behind a rounded one, its sign, the words of its path ("expected_delay_hours") and, in a
list, the words of its own row; so a value of the story knows what it stands for.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from storymesh.grounding.date_expressions import DateExpression, day_exists, may_mean
from storymesh.grounding.lexicon import concept
from storymesh.grounding.name_index import NameIndex
from storymesh.grounding.number_words import Dimension
from storymesh.grounding.parsed_text import (
    DIRECTIONS,
    Mention,
    ParsedText,
    folded,
)
from storymesh.grounding.quantities import Quantity, is_code_number, is_list_number
from storymesh.grounding.record_values import (
    PLAIN_ACTION_WORDS,
    FactMoment,
    FactNumber,
    action_words,
    derived_values,
    facts_of,
)

PATH_WORDS = 0.8
"""What the words of a fact's path count for the value that it stands behind."""
ROW_WORDS = 0.5
"""What the other values of its row count."""


@dataclass(slots=True, eq=False)
class KnownNumber:
    """A true number: it is any of `points`, and `stated` is how the story prints it. `sign` is the fact's, or
    0 where it is not known."""

    points: tuple[float, ...]
    dimension: Dimension
    stated: float
    by: dict[str, float]
    mention: Mention | None = None
    path: str = ""
    sign: int = 0


@dataclass(slots=True, eq=False)
class KnownDate:
    """A true date, or a part of one. `by` as for numbers."""

    when: DateExpression
    day: date | None
    by: dict[str, float]
    mention: Mention | None = None


@dataclass(slots=True, eq=False)
class SourceFacts:
    """Everything true that can be looked up, and how well each word tells values of one kind apart."""

    story: ParsedText
    known: ParsedText
    numbers: dict[Dimension, list[KnownNumber]]
    dates: list[KnownDate]
    clocks: set[int]
    names: NameIndex
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
    """The names in the words of the source."""
    rare: dict[str, dict[str, float]] = field(default_factory=dict)

    def rarity(self, kind: str) -> dict[str, float]:
        """Return for each word how well it tells the values of a kind apart: 0 if it stands beside all of them."""
        if kind not in self.rare:
            items: Iterable[KnownNumber | KnownDate] = self.dates if kind == "date" else self.numbers.get(kind, [])  # type: ignore[call-overload]
            counts: dict[str, float] = {}
            total = 0
            for item in items:
                total += 1
                for word, weight in item.by.items():
                    counts[word] = counts.get(word, 0.0) + weight * weight
            self.rare[kind] = {word: math.log((total + 0.6) / max(count, 0.8)) for word, count in counts.items()}
        return self.rare[kind]


def source_facts_of(story: str, values: Mapping[str, Any], units: Mapping[str, str], known: str) -> SourceFacts:
    """Return what the source of a record says."""
    facts, moments, texts = facts_of(values, units)
    rows = _rows(texts)
    subjects = _subjects(rows)
    told, beside = ParsedText(story, subjects), ParsedText(known, subjects)
    numbers = _known_numbers((told, beside), facts, rows)
    dates, clocks = _dates(told, beside, moments, rows)
    clocks |= {moment.at.hour * 60 + moment.at.minute for moment in moments}
    names = NameIndex(
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
    parts = _parts_of_names((told, beside), texts)
    vocabulary = set(told.vocabulary) | set(beside.vocabulary)
    for _, _, text in texts:
        vocabulary.update(filter(None, (concept(word) for word in re.findall(r"[^\W\d_]+", text.lower()))))
    printed = {dimension: [item.stated for item in items] for dimension, items in numbers.items()}
    derived, sums, rests, lengths = derived_values(facts, printed, moments, values)
    keys = {mention.key for text in (told, beside) for mention in text.mentions if mention.key} | set(parts)
    return SourceFacts(
        told, beside, numbers, dates, clocks, names, codes, parts, vocabulary, derived, sums, rests, lengths,
        action_words(texts), subjects, keys,
    )  # fmt: skip


def _known_numbers(
    texts: tuple[ParsedText, ...], facts: list[FactNumber], rows: dict[tuple[str, int], list[str]]
) -> dict[Dimension, list[KnownNumber]]:
    """Return the numbers of the texts with the facts behind them, then the facts that no text prints."""
    numbers: dict[Dimension, list[KnownNumber]] = {}
    by_dimension: dict[Dimension, list[FactNumber]] = {}
    for fact in facts:
        by_dimension.setdefault(fact.dimension, []).append(fact)
    printed: set[int] = set()
    for telling in texts:
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
            item = KnownNumber((quantity.stated,), quantity.dimension, quantity.stated, dict(mention.by), mention)
            if behind:
                behind = _likeliest(behind, mention.by, rows)
                item.points = tuple(
                    {
                        quantity.stated,
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
                KnownNumber((abs(fact.value),), fact.dimension, abs(fact.value), by, None, fact.path, sign)
            )
    return numbers


def _parts_of_names(
    parsed: tuple[ParsedText, ...], texts: list[tuple[str, int | None, str]]
) -> dict[tuple[str, ...], set[str]]:
    """Return the parts that names play (`DIRECTIONS`), by the texts and by the paths of the facts."""
    parts: dict[tuple[str, ...], set[str]] = {}
    for telling in parsed:
        for mention in telling.mentions:
            if mention.key and mention.parts:
                parts.setdefault(mention.key, set()).update(mention.parts)
    for path, _, text in texts:
        played = {DIRECTIONS[word] for word in path.rsplit(".", 1)[-1].lower().split("_") if word in DIRECTIONS}
        if played:
            key = tuple(folded(word) for word in re.findall(r"[^\W_]+", text))
            parts.setdefault(key, set()).update(played)
    return parts


def _prints(quantity: Quantity, value: float) -> bool:
    slack = 1e-6 + 1e-9 * abs(value)
    return quantity.low - slack <= abs(value) <= quantity.high + slack


def _rows(texts: list[tuple[str, int | None, str]]) -> dict[tuple[str, int], list[str]]:
    """Return the words of each row of a list, by the list's path."""
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
    """Return the words that name some rows of a list and not the others: options, cases, ships."""
    sizes: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = {}
    for (path, _), words in rows.items():
        sizes[path] = sizes.get(path, 0) + 1
        for word in set(words):
            counts[path, word] = counts.get((path, word), 0) + 1
    return frozenset(
        word for (path, word), count in counts.items() if 2 * count <= sizes[path] and word not in PLAIN_ACTION_WORDS
    )


def _lend(by: dict[str, float], fact: FactNumber | FactMoment, rows: dict[tuple[str, int], list[str]]) -> None:
    for word in fact.words:
        by[word] = max(by.get(word, 0.0), PATH_WORDS)
    if fact.row is not None and "." in fact.path:
        for word in rows.get((fact.path.rsplit(".", 1)[0], fact.row), ()):
            by[word] = max(by.get(word, 0.0), ROW_WORDS)


_Behind = TypeVar("_Behind", FactNumber, FactMoment)


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
    told: ParsedText, beside: ParsedText, moments: list[FactMoment], rows: dict[tuple[str, int], list[str]]
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
                if day_exists(DateExpression(latest, item.when.month, item.when.day, None, 0, 0))
                else None
            )
            have.add(item.day)
    by_day: dict[date, list[FactMoment]] = {}
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
            dates.append(KnownDate(DateExpression(day.year, day.month, day.day, None, 0, 0), day, by))
    return dates, clocks


def may_mean_known(when: DateExpression, item: KnownDate) -> bool:
    """Whether a date as said may be this known one."""
    if item.day is not None:
        return may_mean(when, item.day)
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
