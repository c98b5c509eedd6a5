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


def check_dates(parsed: ParsedText, truth: SourceFacts) -> CheckResult:
    """Check that each date and time of day is in the source, by its event, and that weekdays are right."""
    checker = _DateChecker(parsed, truth)
    dated = [mention for mention in parsed.mentions if mention.when is not None]
    faults = [fault for mention in dated if (fault := checker.check(mention)) is not None]
    return "date", len(dated), faults


class _DateChecker:
    """Checks the dates of one text in their order: a relative date is counted from those before it."""

    def __init__(self, parsed: ParsedText, truth: SourceFacts) -> None:
        self._said = parsed
        self._truth = truth
        self._rare = truth.rarity("date")
        self._days: list[date] = []
        self._span_days: list[date] = []
        self._said_spans = _spans(parsed)
        self._known_spans = [_days(span, truth) for text in (truth.story, truth.known) for span in _spans(text)]

    def check(self, mention: Mention) -> Fault | None:
        """Return what is wrong with a date or time of day."""
        when, truth = mention.when, self._truth
        assert when is not None
        text = words_at(self._said, mention.at, mention.to)
        if when.clock is not None:
            if when.clock in truth.clocks or any(
                when.clock + 720 == known and when.clock < 720 for known in truth.clocks
            ):
                return None
            return self._fault(mention, f"{self._quote(mention)}: the time {text} stands nowhere in the record.")
        if not day_exists(when):
            return self._fault(mention, f"There is no day {text}.")
        if when.shift is not None:
            days = _shifted(when, self._bases(when), truth)
            if days is None:
                return None
            if not days:
                words = "no event of the record lies so many days from the one before."
                return self._fault(mention, f"{self._quote(mention)}: {words}")
            matching = [item for item in truth.dates if item.day in days]
        else:
            matching = [item for item in truth.dates if may_mean_known(when, item)]
        if not matching:
            return self._unknown_date(mention, when, text)
        own = max(matching, key=lambda item: alike(mention.by, item.by, self._rare))
        if own.day is not None:
            # A span ("from 19 April to 15 August") is background: the tale goes on from the day before it.
            (self._span_days if {"@from", "@to"} & mention.by.keys() else self._days).append(own.day)
        if when.day is None and when.weekday is None and when.shift is None:
            return None
        if any(mention in span and _days(span, truth) in self._known_spans for span in self._said_spans):
            return None
        return self._misplaced_date(mention, when, text, matching, own)

    def _bases(self, when: DateExpression) -> list[date]:
        """Return the days from which a relative date may be counted, the latest last."""
        followed = any(other.month and 0 <= other.at - when.to <= 3 for other in self._said.whens)
        if followed:
            return [*self._days[-12:], *self._span_days[-2:]]
        return [*self._days[-2:], *self._span_days[-1:]]

    def _unknown_date(self, mention: Mention, when: DateExpression, text: str) -> Fault:
        """Return the fault of a date that is not in the source: a wrong weekday, or no such date."""
        if when.weekday is not None and when.month:
            without = DateExpression(when.year, when.month, when.day, None, when.at, when.to, swapped=when.swapped)
            days = (item.day for item in self._truth.dates if item.day and may_mean(without, item.day))
            if (right := next(days, None)) is not None:
                self._days.append(right)
                words = f"{text} has the wrong day of the week: {right.day} {right:%B %Y} was a {right:%A}."
                return self._fault(mention, words)
        likely = _likeliest(mention, self._truth.dates, self._rare)
        hint = f" The record says there: {quote_date(self._truth, likely)}." if likely is not None else ""
        return self._fault(mention, f"{self._quote(mention)}: the date {text} stands nowhere in the record.{hint}")

    def _misplaced_date(
        self, mention: Mention, when: DateExpression, text: str, matching: list[KnownDate], own: KnownDate
    ) -> Fault | None:
        """Return the fault of a date that the source has for something else."""
        rare = self._rare
        own_score = alike(mention.by, own.by, rare)
        others = [item for item in self._truth.dates if item not in matching and item.when.day]
        other = max(others, key=lambda item: alike(mention.by, item.by, rare), default=None)
        if other is None:
            return None
        score = alike(mention.by, other.by, rare)
        if score - own_score <= ELSEWHERE * (1 if when.shift is None else 2):
            return None
        if any(
            one is not mention
            and one.when is not None
            and one.when.clock is None
            and one.when.shift is None
            and may_mean_known(one.when, other)
            and not may_mean_known(one.when, own)
            and alike(one.by, other.by, rare) >= score
            for one in self._said.mentions
        ):
            return None
        quoted_own, quoted_other = quote_date(self._truth, own), quote_date(self._truth, other)
        words = f"{text} belongs to something else in the record ({quoted_own}). For this it says: {quoted_other}."
        return self._fault(mention, f"{self._quote(mention)}: {words}")

    def _quote(self, mention: Mention) -> str:
        return f"“{quote_around(self._said, mention)}”"

    def _fault(self, mention: Mention, message: str) -> Fault:
        return Fault("date", *characters_of(self._said, mention.at, mention.to), message)


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


def check_order(parsed: ParsedText, truth: SourceFacts) -> CheckResult:
    """Check the order of two events that the source dates: "A before B", "after A, B", "A, then B"."""
    events = [item for item in truth.dates if item.day is not None and item.mention is not None]
    faults: list[Fault] = []
    checked = 0
    days = {item.day for item in events}
    if len(days) < 2:
        return "order", 0, faults
    rare = truth.rarity("date")

    def event(at: int, to: int) -> KnownDate | None:
        return _event_of({word: 1.0 for word in parsed.concepts[at:to] if word}, events, rare)

    for begin, end in parsed.spans:
        if parsed.text[parsed.tokens[begin].begin : parsed.tokens[end - 1].end] in truth.story.text:
            continue
        for at in range(begin, end):
            low = parsed.tokens[at].low
            first: KnownDate | None
            second: KnownDate | None
            if low in ("before", "after") and begin < at < end - 1:
                if any(when.at <= at < when.to for when in parsed.whens) or parsed.tokens[at + 1].low in (
                    "that",
                    "then",
                    "all",
                    "this",
                    ".",
                ):
                    continue
                left, right = event(_back(parsed, at, begin), at), event(at + 1, _ahead(parsed, at + 1, end))
                first, second = (left, right) if low == "before" else (right, left)
            elif low in ("before", "after") and at == begin and parsed.tokens[min(at + 1, end - 1)].low != "that":
                comma = next((here for here in range(at, end) if parsed.tokens[here].text == ","), None)
                if comma is None:
                    continue
                left, right = event(at + 1, comma), event(comma + 1, end)
                first, second = (right, left) if low == "before" else (left, right)
            elif (low in _THEN or low == "after") and at == begin and parsed.sentence_of[begin]:
                if low == "after" and parsed.tokens[at + 1 if at + 1 < end else at].low != "that":
                    continue
                first, second = event(*parsed.spans[parsed.sentence_of[begin] - 1]), event(at + 1, end)
            elif low in _THEN and at > begin and not any(when.at <= at < when.to for when in parsed.whens):
                first, second = event(_back(parsed, at, begin), at), event(at + 1, _ahead(parsed, at + 1, end))
            else:
                continue
            if first is None or second is None or first.day is None or second.day is None or first.day == second.day:
                continue
            checked += 1
            if first.day > second.day:
                faults.append(
                    Fault(
                        "order",
                        *characters_of(parsed, at, at + 1),
                        f"“{sentence_at(parsed, at)}” turns the order round: the record has "
                        f"{quote_date(truth, second)} before {quote_date(truth, first)}.",
                    )
                )
    return "order", checked, faults


def _event_of(words: Mapping[str, float], events: list[KnownDate], rare: Mapping[str, float]) -> KnownDate | None:
    """Return the dated event that some words are clearly about, else None."""
    if not words:
        return None
    scored = sorted(((alike(words, item.by, rare), place) for place, item in enumerate(events)), reverse=True)
    best, place = scored[0]
    runner_up = next((score for score, other in scored if events[other].day != events[place].day), 0.0)
    return events[place] if best > 0.55 and best - runner_up > 0.3 else None


def _back(parsed: ParsedText, at: int, begin: int) -> int:
    here = at - 2
    words = 0
    while here > begin and at - here < 16 and (words < 3 or parsed.tokens[here].text not in ",;:"):
        words += bool(parsed.concepts[here])
        here -= 1
    return max(here, begin)


def _ahead(parsed: ParsedText, at: int, end: int) -> int:
    here = at + 1
    while here < end and parsed.tokens[here].text not in ",;:" and here - at < 14:
        here += 1
    return here
