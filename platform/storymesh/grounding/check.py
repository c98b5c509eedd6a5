"""Checks a language model's text against the facts of its record, before it is accepted.

The text of the template is true: each of its values comes from a row. So an accepted text is a paraphrase of it, and
every claim of the text (number, date, name, code, order, outcome, cause) is checked up there and in the
facts. A value must not only exist: it must stand by the words that it stands by in the story, else two numbers could
change places. Each fault is described so that it can be sent back to the model. How it works and what it cannot
see: docs/decisions/grounding.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from storymesh.grounding.causes import check_causes
from storymesh.grounding.dates import check_dates, check_order
from storymesh.grounding.faults import CheckResult, Fault
from storymesh.grounding.format_checks import check_format, check_relevance
from storymesh.grounding.names import check_names
from storymesh.grounding.numbers import check_numbers
from storymesh.grounding.omissions import check_omissions
from storymesh.grounding.outcomes import check_outcomes
from storymesh.grounding.parsed_text import ParsedText
from storymesh.grounding.source_facts import SourceFacts, source_facts_of

Kind = Literal["number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"]

LONGEST_TEXT = 20_000
"""The characters of a text that are read at least; for a longer story four times its length."""
MOST_FAULTS_SHOWN = 12
"""The most faults that the model is sent at once, so that the first are not lost among many."""


@dataclass(frozen=True)
class GroundingSource:
    """What a text is checked against: the template's text and the record's facts.

    `facts` has a value for each dotted path; a list of structs is one list for each of its fields, in the same order
    (`{"resolution.cost_usd": [34168, 54970], "resolution.action": ["REROUTE", "RAIL"]}`).
    """

    story: str
    facts: Mapping[str, Any]
    units: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    known: str = ""


@dataclass(frozen=True)
class UnsupportedClaim:
    """A claim of a text that no fact supports, or a fact that it leaves out (`begin` and `end` are 0 then).

    `begin` and `end` are characters of the retelling, `words` what stands there, `because` what is wrong with it in
    words for the model.
    """

    kind: Kind
    begin: int
    end: int
    words: str
    because: str


@dataclass(frozen=True)
class Grounding:
    """The faults of a text, and how many claims of each kind were checked."""

    claims: tuple[UnsupportedClaim, ...]
    checked: Mapping[str, int]

    @property
    def score(self) -> float:
        """The share of the checked claims that the source supports. A text that is no rewrite at all (kind "text") has
        0.0, so that it passes no threshold."""
        if any(claim.kind == "text" for claim in self.claims):
            return 0.0
        checked = sum(self.checked.values())
        return 1.0 - min(1.0, len(self.claims) / checked) if checked else 1.0

    @property
    def scores(self) -> Mapping[str, float]:
        """`score` for each kind that was checked."""
        faults: dict[str, int] = {}
        for claim in self.claims:
            faults[claim.kind] = faults.get(claim.kind, 0) + 1
        return {kind: 1.0 - min(1.0, faults.get(kind, 0) / count) for kind, count in self.checked.items() if count}


class _SourceIdentity:
    """A source as a cache key, by identity, since facts cannot be hashed."""

    __slots__ = ("source",)

    def __init__(self, source: GroundingSource) -> None:
        self.source = source

    def __hash__(self) -> int:
        return id(self.source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SourceIdentity) and other.source is self.source


@lru_cache(maxsize=64)
def _source_facts(same: _SourceIdentity) -> SourceFacts:
    """Return the facts of a source, parsed once for all attempts at a record. Few are cached: a run has many."""
    source = same.source
    return source_facts_of(source.story, source.facts, source.units, source.known)


def check_grounding(retelling: str, source: GroundingSource) -> Grounding:
    """Check `retelling` against `source`. Never raises; its time is bounded by the length of the story."""
    longest = max(LONGEST_TEXT, 4 * len(source.story))
    faults: list[Fault] = list(check_format(retelling, source.story, source.known, longest))
    checked = dict.fromkeys(("number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"), 0)
    checked["text"] = 1 if not faults else len(faults)
    if not any(fault.fatal for fault in faults):
        truth = _source_facts(_SourceIdentity(source))
        parsed = ParsedText(retelling[:longest], truth.subjects)
        for kind, count, found in _run_checks(parsed, truth, source.facts):
            checked[kind] += count
            faults += found
    claims = tuple(
        UnsupportedClaim(fault.kind, fault.begin, fault.end, retelling[fault.begin : fault.end][:200], fault.because)
        for fault in sorted(faults, key=lambda fault: (fault.begin, fault.end, fault.kind))
    )
    for kind in {claim.kind for claim in claims}:
        checked[kind] = max(checked[kind], sum(claim.kind == kind for claim in claims))
    return Grounding(claims, MappingProxyType({kind: count for kind, count in checked.items() if count}))


def _run_checks(parsed: ParsedText, truth: SourceFacts, facts: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Run every check in turn, and stop after a fatal fault."""
    checks: tuple[Callable[[ParsedText, SourceFacts], CheckResult], ...] = (
        check_relevance,
        check_numbers,
        check_dates,
        check_names,
        check_order,
        check_causes,
    )
    for check in checks:
        found = check(parsed, truth)
        yield found
        if any(fault.fatal for fault in found[2]):
            return
    codes = [mention for mention in parsed.mentions if mention.kind == "code"]
    yield "code", len(codes), []
    yield check_outcomes(parsed, truth, facts)
    yield check_omissions(parsed, truth, facts)


def grounding_feedback(grounding: Grounding) -> str:
    """Return what the model is sent before its next attempt; empty if nothing is wrong."""
    if not grounding.claims:
        return ""
    lines = ["Your text says things that the record does not carry. Correct these and keep the rest:"]
    lines += [f"- {claim.because}" for claim in grounding.claims[:MOST_FAULTS_SHOWN]]
    more = len(grounding.claims) - MOST_FAULTS_SHOWN
    if more > 0:
        lines.append(f"- and {more} more of this kind.")
    lines.append("Use only what the record says, and answer with the corrected text alone.")
    return "\n".join(lines)
