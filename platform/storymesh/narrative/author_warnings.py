"""Warnings about a narrative that compiles: answers that foretell, outcomes that are no secret, deprecated properties,
and splits that stay empty."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import timedelta

from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.errors import Finding
from storymesh.language import ast
from storymesh.language.static_values import Path, StaticValue
from storymesh.location import Location
from storymesh.narrative.conditions import requires_success
from storymesh.narrative.definition import Narrative
from storymesh.narrative.typed_record import TypedRecord
from storymesh.narrative.typed_template import TypedTemplate
from storymesh.narrative.used_columns import linking_columns, record_columns

MAX_EMBARGO_SHARE = 0.5  # the share of the days of validation that an embargo may take without a word
OUTCOME = "outcome"
HINT = (
    "say what earlier cases showed (`precedents`); to imitate what worked, give the record `where: outcome.worked` and "
    "print `outcome.action` alone"
)


def narrative_warnings(
    narrative: Narrative, cast: Cast, typed: TypedCase, records: Mapping[str, TypedRecord], together: Iterable[Path]
) -> Iterator[Finding]:
    """Yield the warnings about a narrative and its records. `together` are the paths that splits keep together."""
    for record in records.values():
        yield from _foretelling(record)
    yield from _known_outcome(narrative, cast, typed)
    yield from _empty_splits(narrative)
    yield from _deprecated(narrative, cast, typed, records, together)


def _foretelling(record: TypedRecord) -> Iterator[Finding]:
    """Yield a warning for each place where an answer of the config reads the outcome of its own case.

    When the question was asked nobody knew that. A model that learns such answers learns to foretell, which it cannot
    do. Earlier cases ended before the question: what `precedents` say of their outcomes is no such thing, nor is the
    action of the option that a record is about, which is what its label is for. A record whose `where` selects the
    cases that worked may name what was done in them: that is to imitate what worked.
    """
    imitates = any(requires_success(condition.tree) for condition in record.conditions)
    allowed = {"action"} if imitates else set()
    for template in _answers(record):
        read = {path[1] for path in template.checked.reads if path[0] == OUTCOME and len(path) > 1} - allowed
        places = [(part, at) for part, at in _places(template.checked.tree) if part in read]
        hidden = read - {part for part, _ in places}
        for part, at in [*places, *((part, Location(template.checked.tree.path)) for part in sorted(hidden))]:
            printed = (OUTCOME, part) in template.checked.prints
            words = (
                f"the answer of '{record.config}' {'prints' if printed else 'chooses its words by'} 'outcome.{part}': "
                "when the question was asked nobody knew how its own case would go"
            )
            yield Finding(at, "foretells", words, HINT, "warning")


def _answers(record: TypedRecord) -> Iterator[TypedTemplate]:
    """Yield the templates whose words may stand in an answer: its own, and what a rewriting model is told."""
    yield from (slot for slot in record.slots.values() if slot.phase == "answer")
    for column in record.rewritten:
        if column.text.slot.phase == "answer":
            yield from (prompt for role, prompt in column.prompts.items() if role != "judge")


def _places(part: object) -> "Iterator[tuple[str, Location]]":
    """Yield the part of the outcome and the place of each expression that reads it first, not of what uses its value.

    `part` is a typed tree: each expression knows the paths that flow into it, also through names that were set.
    """
    if isinstance(part, tuple):
        for item in part:
            yield from _places(item)
        return
    if not is_dataclass(part) or isinstance(part, Location | StaticValue):
        return
    inside = [found for value in vars(part).values() for found in _places(value)]
    yield from inside
    if isinstance(part, ast.Attribute | ast.FilterCall):
        own = part.typed.paths - part.base.typed.paths
        named = {path[1] for path in own if path[0] == OUTCOME and len(path) > 1}
        yield from ((name, part.at) for name in sorted(named - {name for name, _ in inside}))


def _known_outcome(narrative: Narrative, cast: Cast, case: TypedCase) -> Iterator[Finding]:
    """Yield a warning where `outcome.worked` reads nothing that comes after the question.

    Mostly a contract does not say yet when a value came (`knownAt`), so that it counts as known with its row. Then
    every question may print what its answer should have to find out.
    """
    worked = case.outcome.get("worked")
    if worked is None:
        return
    read = sorted({path[:2] for name in worked.checked.reads for path in case.base_paths(name)})
    if not read or not all(_is_known_when_asked(cast, path) for path in read):
        return
    words = ", ".join(f"'{'.'.join(path)}'" for path in read)
    message = (
        f"`worked` reads {words}, known when the question is asked as the {_contracts(cast, read)}: a question can "
        "print how its case went"
    )
    hint = "a value that comes later has the customProperty `knownAt`, which names the property with its moment"
    yield Finding(narrative.at("case", "outcome", "worked"), "outcome-known", message, hint, "warning")


def _is_known_when_asked(cast: Cast, path: Path) -> bool:
    """Return True if every question sees the value of a property."""
    role = cast.roles.get(path[0])
    if role is None or len(path) < 2 or role.may_be_unknown or role.contract.hindsight:
        return False
    return not cast.never_known(role, path[1]) and cast.known_with_row(role, path[1])


def _contracts(cast: Cast, read: list[Path]) -> str:
    names = sorted({cast.roles[path[0]].contract.id for path in read})
    return f"contract{'s' if len(names) > 1 else ''} of {' and '.join(names)} {'have' if len(names) > 1 else 'has'} it"


def _deprecated(
    narrative: Narrative, cast: Cast, typed: TypedCase, records: Mapping[str, TypedRecord], together: Iterable[Path]
) -> Iterator[Finding]:
    """Yield a warning at the role for each product and property that is deprecated and read, with who reads it."""
    read = {config: record_columns(cast, typed, record) for config, record in records.items()}
    linking = linking_columns(cast, together)
    for role in cast.roles.values():
        contract, at = role.contract, narrative.at("cast", role.name)
        if contract.deprecated:
            message = f"'{contract.id}' {contract.version} is deprecated by its owner"
            yield Finding(at, "deprecated", message, contract.description or contract.terms, "warning")
        for name, item in contract.properties.items():
            if not item.deprecated:
                continue
            readers = [f"'{config}'" for config, columns in read.items() if name in columns[role.name]]
            readers += ["the links of the cases"] if name in linking[role.name] else []
            if readers:
                message = f"'{role.name}.{name}' is deprecated by '{contract.id}', and read by {', '.join(readers)}"
                yield Finding(at, "deprecated", message, item.description, "warning")


def _empty_splits(narrative: Narrative) -> Iterator[Finding]:
    """Yield a warning where validation has no time, or an embargo that leaves little of it."""
    split = narrative.dataset.split
    if split is None:
        return
    if split.random is not None:
        for name in ("validation", "test"):
            if getattr(split.random, name) == 0:
                at = narrative.at("dataset", "split", "random", name)
                yield Finding(at, "empty-split", f"no config can have records in {name}: its share is 0", "", "warning")
        return
    begins, ends = split.cuts
    period = ends - begins
    if period == timedelta(0):
        message = "no config can have records in validation: it begins when test does"
        at = narrative.at("dataset", "split", "validation")
        yield Finding(at, "empty-split", message, "give the two different days", "warning")
    elif narrative.case.closes is not None and split.embargo > MAX_EMBARGO_SHARE * period:
        at = narrative.at("dataset", "split", "embargo")
        if split.embargo >= period:
            message = (
                f"no case of validation can be kept: it lasts {_days(period)}, and a case has to close "
                f"{_days(split.embargo)} before test begins"
            )
        else:
            left = f"{_days(period - split.embargo)} of the {_days(period)}"
            message = f"only cases that begin and close in the first {left} of validation are kept"
        yield Finding(at, "empty-split", message, "a shorter embargo, or an earlier `validation`", "warning")


def _days(time: timedelta) -> str:
    days = time / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}" if days >= 1 else f"{time / timedelta(hours=1):g} hours"
