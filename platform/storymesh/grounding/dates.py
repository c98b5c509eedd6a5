"""Checks of dates: each is in the source, by its event, and events come in the order of their days."""

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise

from storymesh.grounding.date_expressions import DateExpression, day_exists, may_mean
from storymesh.grounding.faults import (
    CheckResult,
    Fault,
    characters_of,
    quote_around,
    quote_date,
    sentence_at,
    words_at,
)
from storymesh.grounding.lexicon import (
    listed,
)
from storymesh.grounding.numbers import ELSEWHERE
from storymesh.grounding.parsed_text import Mention, ParsedText
from storymesh.grounding.similarity import alike
from storymesh.grounding.source_facts import KnownDate, SourceFacts, may_mean_known


def check_dates(said: ParsedText, truth: SourceFacts) -> CheckResult:
    """Check that each date and time of day is in the source, by its event, and that weekdays are right."""
    faults: list[Fault] = []
    checked = 0
    rare = truth.rarity("date")
    told: list[date] = []
    spans: list[date] = []
    said_spans = _spans(said)
    known_spans = [_days(span, truth) for reading in (truth.story, truth.known) for span in _spans(reading)]
    for mention in said.mentions:
        when = mention.when
        if when is None:
            continue
        checked += 1
        where = characters_of(said, mention.at, mention.to)
        text = words_at(said, mention.at, mention.to)
        if when.clock is not None:
            if when.clock not in truth.clocks and not any(
                when.clock + 720 == known and when.clock < 720 for known in truth.clocks
            ):
                faults.append(
                    Fault(
                        "date",
                        *where,
                        f"“{quote_around(said, mention)}”: the time {text} stands nowhere in the record.",
                    )
                )
            continue
        if not day_exists(when):
            faults.append(Fault("date", *where, f"There is no day {text}."))
            continue
        if when.shift is not None:
            followed = any(other.month and 0 <= other.at - when.to <= 3 for other in said.whens)
            bases = [*told[-12:], *spans[-2:]] if followed else [*told[-2:], *spans[-1:]]
            days = _shifted(when, bases, truth)
            if days is None:
                continue
            if not days:
                faults.append(
                    Fault(
                        "date",
                        *where,
                        f"“{quote_around(said, mention)}”: no event of the record lies so many days "
                        "from the one before.",
                    )
                )
                continue
            matching = [item for item in truth.dates if item.day in days]
        else:
            matching = [item for item in truth.dates if may_mean_known(when, item)]
        if not matching:
            if when.weekday is not None and when.month:
                without = DateExpression(when.year, when.month, when.day, None, when.at, when.to, swapped=when.swapped)
                right = next((item.day for item in truth.dates if item.day and may_mean(without, item.day)), None)
                if right is not None:
                    faults.append(
                        Fault(
                            "date",
                            *where,
                            f"{text} has the wrong day of the week: {right.day} {right:%B %Y} was a {right:%A}.",
                        )
                    )
                    told.append(right)
                    continue
            likely = _likeliest(mention, truth.dates, rare)
            hint = f" The record says there: {quote_date(truth, likely)}." if likely is not None else ""
            faults.append(
                Fault(
                    "date",
                    *where,
                    f"“{quote_around(said, mention)}”: the date {text} stands nowhere in the record.{hint}",
                )
            )
            continue
        own = max(matching, key=lambda item: alike(mention.by, item.by, rare))
        if own.day is not None:
            # A span ("from 19 April to 15 August") is background: the tale goes on from the day before it.
            (spans if {"@from", "@to"} & mention.by.keys() else told).append(own.day)
        if when.day is None and when.weekday is None and when.shift is None:
            continue
        if any(mention in span and _days(span, truth) in known_spans for span in said_spans):
            continue
        own_score = alike(mention.by, own.by, rare)
        others = [item for item in truth.dates if item not in matching and item.when.day]
        other = max(others, key=lambda item: alike(mention.by, item.by, rare), default=None)
        if other is not None and (score := alike(mention.by, other.by, rare)) - own_score > ELSEWHERE * (
            1 if when.shift is None else 2
        ):
            if any(
                one is not mention
                and one.when is not None
                and one.when.clock is None
                and one.when.shift is None
                and may_mean_known(one.when, other)
                and not may_mean_known(one.when, own)
                and alike(one.by, other.by, rare) >= score
                for one in said.mentions
            ):
                continue
            faults.append(
                Fault(
                    "date", *where,
                    f"“{quote_around(said, mention)}”: {text} belongs to something else in the record "
                    f"({quote_date(truth, own)}). "
                    f"For this it says: {quote_date(truth, other)}.",
                )
            )  # fmt: skip
    return "date", checked, faults


def _spans(reading: ParsedText) -> list[tuple[Mention, Mention]]:
    """Return the dates of "from 19 April 2023 to 15 August 2024", in pairs."""
    days = [mention for mention in reading.mentions if mention.when is not None and mention.when.clock is None]
    return [
        (first, second)
        for first, second in pairwise(days)
        if "@to" in second.by and second.at - first.to <= 3 and "@to" not in first.by
    ]


def _days(span: tuple[Mention, Mention], truth: SourceFacts) -> tuple[date | None, ...]:
    """The known days of a span's two ends."""
    return tuple(
        next((item.day for item in truth.dates if end.when is not None and may_mean_known(end.when, item)), None)
        for end in span
    )


def _shifted(when: DateExpression, told: list[date], truth: SourceFacts) -> list[date] | None:
    """The known days that lie as far as said from a day told before; None if there is nothing to count from."""
    known = {item.day for item in truth.dates if item.day is not None}
    if not known:
        return None
    assert when.shift is not None
    if any(item.shift == when.shift for item in (*truth.story.whens, *truth.known.whens)):
        return None
    bases = told or sorted(known)
    slack = 0 if abs(when.shift) < 7 or when.shift % 7 else 1
    return [
        day
        for base in reversed(bases)
        for off in range(-slack, slack + 1)
        if (day := base + timedelta(days=when.shift + off)) in known
    ]


def _likeliest(mention: Mention, items: list[KnownDate], rare: Mapping[str, float]) -> KnownDate | None:
    best = max(items, key=lambda item: alike(mention.by, item.by, rare), default=None)
    return best if best is not None and alike(mention.by, best.by, rare) > ELSEWHERE else None


_THEN = frozenset(listed("then afterwards subsequently next thereafter later"))


def check_order(said: ParsedText, truth: SourceFacts) -> CheckResult:
    """Check the order of two events that the source dates: "A before B", "after A, B", "A, then B"."""
    events = [item for item in truth.dates if item.day is not None and item.mention is not None]
    faults: list[Fault] = []
    checked = 0
    days = {item.day for item in events}
    if len(days) < 2:
        return "order", 0, faults
    rare = truth.rarity("date")

    def event(at: int, to: int) -> KnownDate | None:
        """Return the dated event that the words from `at` to `to` are clearly about, else None."""
        words = {word: 1.0 for word in said.concepts[at:to] if word}
        if not words:
            return None
        scored = sorted(((alike(words, item.by, rare), place) for place, item in enumerate(events)), reverse=True)
        best, place = scored[0]
        runner = next((score for score, other in scored if events[other].day != events[place].day), 0.0)
        return events[place] if best > 0.55 and best - runner > 0.3 else None

    for begin, end in said.spans:
        if said.text[said.tokens[begin].begin : said.tokens[end - 1].end] in truth.story.text:
            continue
        for at in range(begin, end):
            low = said.tokens[at].low
            first: KnownDate | None
            second: KnownDate | None
            if low in ("before", "after") and begin < at < end - 1:
                if any(when.at <= at < when.to for when in said.whens) or said.tokens[at + 1].low in (
                    "that",
                    "then",
                    "all",
                    "this",
                    ".",
                ):
                    continue
                left, right = event(_back(said, at, begin), at), event(at + 1, _ahead(said, at + 1, end))
                first, second = (left, right) if low == "before" else (right, left)
            elif low in ("before", "after") and at == begin and said.tokens[min(at + 1, end - 1)].low != "that":
                comma = next((here for here in range(at, end) if said.tokens[here].text == ","), None)
                if comma is None:
                    continue
                left, right = event(at + 1, comma), event(comma + 1, end)
                first, second = (right, left) if low == "before" else (left, right)
            elif (low in _THEN or low == "after") and at == begin and said.sentence_of[begin]:
                if low == "after" and said.tokens[at + 1 if at + 1 < end else at].low != "that":
                    continue
                first, second = event(*said.spans[said.sentence_of[begin] - 1]), event(at + 1, end)
            elif low in _THEN and at > begin and not any(when.at <= at < when.to for when in said.whens):
                first, second = event(_back(said, at, begin), at), event(at + 1, _ahead(said, at + 1, end))
            else:
                continue
            if first is None or second is None or first.day is None or second.day is None or first.day == second.day:
                continue
            checked += 1
            if first.day > second.day:
                faults.append(
                    Fault(
                        "order",
                        *characters_of(said, at, at + 1),
                        f"“{sentence_at(said, at)}” turns the order round: the record has {quote_date(truth, second)} "
                        f"before {quote_date(truth, first)}.",
                    )
                )
    return "order", checked, faults


def _back(said: ParsedText, at: int, begin: int) -> int:
    here = at - 2
    words = 0
    while here > begin and at - here < 16 and (words < 3 or said.tokens[here].text not in ",;:"):
        words += bool(said.concepts[here])
        here -= 1
    return max(here, begin)


def _ahead(said: ParsedText, at: int, end: int) -> int:
    here = at + 1
    while here < end and said.tokens[here].text not in ",;:" and here - at < 14:
        here += 1
    return here
