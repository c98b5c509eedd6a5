"""Holds a language model's retelling against the record's facts, before it is accepted.

The story that the template told is true: each of its values leads back to a row. So a retelling is a paraphrase of
it, and every claim of the retelling (number, date, name, code, order, outcome, cause) is looked up there and in the
facts. A value must not only exist: it must stand by the words that it stands by in the story, else two numbers could
change places. What is found is named in words that can be sent back to the model. How it works and what it cannot see:
docs/decisions/grounding.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from storymesh.grounding.causes import cause
from storymesh.grounding.dates import dates, order
from storymesh.grounding.faults import Fault, Found
from storymesh.grounding.format_checks import about, form
from storymesh.grounding.names import names
from storymesh.grounding.numbers import numbers
from storymesh.grounding.omissions import omission
from storymesh.grounding.outcomes import outcome
from storymesh.grounding.parsed_text import Telling
from storymesh.grounding.source_facts import Truth, truth_of

Kind = Literal["number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"]

LONGEST = 20_000
"""Characters of a retelling that are read at least; a longer story is read four times over."""
TOLD_AT_MOST = 12
"""Faults that the model is told at once: more would only drown the first."""


@dataclass(frozen=True)
class Source:
    """What a retelling is held against.

    `facts` has a value for each dotted path; a list of structs is one list for each of its fields, in the same order
    (`{"resolution.cost_usd": [34168, 54970], "resolution.action": ["REROUTE", "RAIL"]}`).
    """

    story: str
    facts: Mapping[str, Any]
    units: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    known: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of the retelling that no fact carries, or a fact that it leaves out (`begin` and `end` are 0 then).

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
    """The faults of a retelling, and how many claims of each kind were looked at."""

    claims: tuple[Claim, ...]
    checked: Mapping[str, int]

    @property
    def score(self) -> float:
        """The share of what was looked at that the source carries: 1.0 is all of it. What is no retelling at all (kind
        "text") has 0.0, so that no threshold lets it pass."""
        if any(claim.kind == "text" for claim in self.claims):
            return 0.0
        looked = sum(self.checked.values())
        return 1.0 - min(1.0, len(self.claims) / looked) if looked else 1.0

    @property
    def scores(self) -> Mapping[str, float]:
        """`score` for each kind that was looked at."""
        faults: dict[str, int] = {}
        for claim in self.claims:
            faults[claim.kind] = faults.get(claim.kind, 0) + 1
        return {kind: 1.0 - min(1.0, faults.get(kind, 0) / count) for kind, count in self.checked.items() if count}


class _Same:
    """A source as a key: the same object, since facts cannot be hashed."""

    __slots__ = ("source",)

    def __init__(self, source: Source) -> None:
        self.source = source

    def __hash__(self) -> int:
        return id(self.source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.source is self.source


@lru_cache(maxsize=64)
def _read(same: _Same) -> Truth:
    """What a source says, read once for all attempts at a record; few are kept, a run has many records."""
    source = same.source
    return truth_of(source.story, source.facts, source.units, source.known)


def ground(retelling: str, source: Source) -> Grounding:
    """Holds `retelling` against `source`. Never fails on any text; its time grows with the story, not with the
    retelling beyond four times that."""
    longest = max(LONGEST, 4 * len(source.story))
    faults: list[Fault] = list(form(retelling, source.story, source.known, longest))
    checked = dict.fromkeys(("number", "date", "name", "code", "order", "outcome", "cause", "omission", "text"), 0)
    checked["text"] = 1 if not faults else len(faults)
    if not any(fault.fatal for fault in faults):
        truth = _read(_Same(source))
        said = Telling(retelling[:longest], truth.subjects)
        for kind, count, found in _checked(said, truth, source.facts):
            checked[kind] += count
            faults += found
    claims = tuple(
        Claim(fault.kind, fault.begin, fault.end, retelling[fault.begin : fault.end][:200], fault.because)
        for fault in sorted(faults, key=lambda fault: (fault.begin, fault.end, fault.kind))
    )
    for kind in {claim.kind for claim in claims}:
        checked[kind] = max(checked[kind], sum(claim.kind == kind for claim in claims))
    return Grounding(claims, MappingProxyType({kind: count for kind, count in checked.items() if count}))


def _checked(said: Telling, truth: Truth, facts: Mapping[str, Any]) -> Iterator[Found]:
    """Every check in turn."""
    checks: tuple[Callable[[Telling, Truth], Found], ...] = (about, numbers, dates, names, order, cause)
    for check in checks:
        found = check(said, truth)
        yield found
        if any(fault.fatal for fault in found[2]):
            return
    codes = [mention for mention in said.mentions if mention.kind == "code"]
    yield "code", len(codes), []
    yield outcome(said, truth, facts)
    yield omission(said, truth, facts)


def feedback(grounding: Grounding) -> str:
    """What the model is told before its next attempt; empty where nothing is wrong."""
    if not grounding.claims:
        return ""
    lines = ["Your text says things that the record does not carry. Correct these and keep the rest:"]
    lines += [f"- {claim.because}" for claim in grounding.claims[:TOLD_AT_MOST]]
    more = len(grounding.claims) - TOLD_AT_MOST
    if more > 0:
        lines.append(f"- and {more} more of this kind.")
    lines.append("Use only what the record says, and answer with the corrected text alone.")
    return "\n".join(lines)
