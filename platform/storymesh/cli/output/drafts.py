"""The guesses of `storymesh new` in words."""

from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo
from storymesh.cli.output.counting import count_of
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.scaffold.narrative import NarrativeDraft
    from storymesh.scaffold.product import ProductDraft


def show_product(draft: "ProductDraft") -> None:
    """Print each property with its type and why, then what a person should look at."""
    echo(printable_line(f"{draft.name}: {count_of(draft.rows, 'row')}, {count_of(len(draft.columns), 'property')}"
         .replace("propertys", "properties")))  # fmt: skip
    for reason in draft.layout:
        echo(printable_line(f"  the file: {reason}"))
    width = max(len(column.name) for column in draft.columns)
    for column in draft.columns:
        words = f"{column.fields.get('physicalType') or column.logical_type:<13} {'; '.join(draft.reasons_of(column))}"
        echo(printable_line(f"  {column.name:<{width}}  {words}"))
    for note in draft.notes():
        echo(printable_line(f"  look at: {note}"))


def show_narrative(draft: "NarrativeDraft") -> None:
    """Print each role with its link and why, then when a case closes and its outcome, and what to look at."""
    echo(printable_line(f"{draft.id}: one case for each row of {draft.anchor.contract.id}"))
    for role in draft.roles[1:]:
        link = role.link or {}
        on = ", ".join(f"{mine} = {theirs}" for mine, theirs in link.get("on", {}).items())
        echo(printable_line(f"  {role.name}: {role.contract.id} on {on} ({link['expect']}): {role.why}"))
    if draft.closes is not None:
        echo(printable_line(f"  closes: {draft.anchor.name}.{draft.closes}: most becomes known then"))
    if draft.outcome is not None:
        words = f"action {draft.outcome.action}, score {draft.outcome.score}, worked {draft.outcome.worked}"
        echo(printable_line(f"  outcome: {words}"))
    for note in draft.notes:
        echo(printable_line(f"  look at: {note}"))
