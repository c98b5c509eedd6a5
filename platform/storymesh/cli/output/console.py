"""The terminal that commands print to: everything goes through here, so that no value or name can act on it.

Values, names and messages hold text of others. `console_on` and `echo` write out what a terminal would act on (see
`storymesh.printable`) and take nothing of a text for markup. Records in a pipe or a file (`echo_text`) stay as they
are: there they are data. What libraries print on their own goes to a log file.
"""

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import typer

from storymesh.atomic_write import open_private
from storymesh.printable import printable, printable_json, printable_with_colours
from storymesh.redaction import redact

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_WIDTH = 120


def echo(text: str, *, err: bool = False) -> None:
    """Print a line for people, on a terminal and in a pipe alike."""
    typer.echo(printable(text), err=err)


def echo_text(text: str) -> None:
    """Print what others may read as data: as it is in a pipe or a file, written out on a terminal."""
    # Without `color`, what is printed to a pipe would lose its escape sequences.
    typer.echo(printable(text) if sys.stdout.isatty() else text, color=True)


def print_output_of_program(line: str) -> None:
    """Print a line of another program on standard error, with its colours and without secrets."""
    typer.echo(printable_with_colours(redact(line)), nl=False, err=True)


def echo_json(document: str) -> None:
    """Print a JSON document whose values are the same wherever it is read."""
    typer.echo(printable_json(document))


@contextmanager
def terminal_without_libraries(log: Path) -> "Iterator[Console]":
    """Yield a console on standard output, while everything else that is printed, also by libraries, goes to `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with (
        open_private(log, "a") as file,
        os.fdopen(os.dup(saved[0]), "w", encoding="utf-8", errors="replace") as out,
    ):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield console_on(out)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(saved, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def open_table(*columns: str, right: Collection[str] = ()) -> "Table":
    """Return a table without lines, with the columns of these names, of which those `right` are set to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        longest = max(map(len, name.split()), default=0)  # a name is read whole, whatever its column holds
        side: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=side, overflow="fold", min_width=longest)
    return table


def console_on(out: TextIO) -> "Console":
    """Return a console with colours and a moving line where a person looks; with neither in CI or in a file."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class SafeConsole(Console):
        """A console whose texts cannot move the cursor, name links, or be taken for markup."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **options)  # Rich would leave some of it out in silence

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                # What Rich itself has the terminal do is marked as control, and colours are in the style; so are links
                # of what a program printed.
                style = segment.style.update_link(None) if segment.style and segment.style.link else segment.style
                yield segment if segment.control else Segment(printable(segment.text), style)

    quiet = bool(os.environ.get("CI")) or not out.isatty()
    return SafeConsole(
        file=out,
        force_terminal=not quiet,
        no_color=quiet or None,
        width=PLAIN_WIDTH if quiet else None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def pluralize(number: int, noun: str, plural: str | None = None) -> str:
    """Return '1 version', '2 versions'; `plural` is that of a noun which does not just take an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
