"""Answers that tell the future: texts that print how their own case went, or choose their words by it.

When the question was asked nobody knew that. A model that learns such answers learns to foretell, which it cannot do.
Earlier cases ended before the question: what `precedents` say of their outcomes is no such thing, nor is the action of
the option that a record is about, which is what its label is for. A record whose `where` selects the cases that worked
may name what was done in them: that is to imitate what worked.
"""

from collections.abc import Iterator
from dataclasses import is_dataclass

from storymesh.errors import Finding
from storymesh.language import ast
from storymesh.language.static_values import StaticValue
from storymesh.location import Location
from storymesh.narrative.conditions import requires_success
from storymesh.narrative.typed_record import TypedRecord
from storymesh.narrative.typed_template import TypedTemplate

OUTCOME = "outcome"
HINT = (
    "say what earlier cases showed (`precedents`); to imitate what worked, give the record `where: outcome.worked` and "
    "print `outcome.action` alone"
)


def foretelling_warnings(record: TypedRecord) -> Iterator[Finding]:
    """Yield a warning for each place where an answer of the config reads the outcome of its own case."""
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
