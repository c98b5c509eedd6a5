"""What `storymesh new` says of what it guessed."""

from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo
from storymesh.cli.output.counting import count_of
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.scaffold.product import ProductDraft


def show_product(draft: "ProductDraft") -> None:
    """Print each property with its type and why, then what a person should look at."""
    echo(printable_line(f"{draft.name}: {count_of(draft.rows, 'row')}, {count_of(len(draft.columns), 'property')}"
         .replace("propertys", "properties")))  # fmt: skip
    width = max(len(column.name) for column in draft.columns)
    for column in draft.columns:
        words = f"{column.fields.get('physicalType') or column.logical_type:<13} {'; '.join(draft.reasons_of(column))}"
        echo(printable_line(f"  {column.name:<{width}}  {words}"))
    for note in draft.notes():
        echo(printable_line(f"  look at: {note}"))
