"""How a run looks: a moving line and a list on a terminal, quiet lines elsewhere, and tables at the end.

What libraries print on their own (progress bars, dbt's log) goes to the run's log file, not between these lines.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.status import Status

    from storymesh.orchestration.run.run import NarrativeOutcome, Outcome, ProductOutcome, Told

PLAIN_WIDTH = 120
STYLES = {"new": "green", "unchanged": "dim", "refused": "red", "left out": "yellow"}


class Display:
    """Shows what a run tells, on `console`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status: Status | None = None
        self.running = ""

    def tell(self, told: "Told") -> None:
        from storymesh.orchestration.run import run

        match told:
            case run.Preparing(words):
                if self.console.is_terminal:
                    self.status = self.console.status(words)
                    self.status.start()
            case run.Planned(steps):
                self.console.print(f"{len(steps)} steps", style="dim", highlight=False)
            case run.Started(step):
                self.running = step
                self._move(step)
            case run.Reached(step, phase, rows):
                count = f" {rows:,} rows" if rows is not None else ""
                self._move(f"{step}: {phase}{count}")
            case run.Finished(step, rows, unchanged, seconds):
                count = f"{rows:,} rows" if rows is not None else ""
                self._line("[green]✓[/]", step, [count, "unchanged" if unchanged else "", f"{seconds:.1f} s"])
            case run.Again(step, words, seconds):
                self._line("[yellow]↻[/]", step, [words, f"again in {seconds:.0f} s"])
            case run.Failed(step, words, expected):
                self._line("[red]✗[/]", step, [words if expected else f"an error that nobody expected: {words}"])
            case run.LeftOut(step):
                self._line("[yellow]-[/]", step, ["left out"])

    def stop(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None

    def _move(self, words: str) -> None:
        if self.status is not None:
            self.status.update(escape(words))

    def _line(self, mark: str, step: str, parts: list[str]) -> None:
        told = ", ".join(part for part in parts if part)
        self.console.print(f"{mark} {escape(step):<36} {escape(told)}", highlight=False, soft_wrap=True)


@contextmanager
def terminal_for_us(log: Path) -> Iterator[Console]:
    """A console on what was standard output; whatever else is printed meanwhile, also by libraries, goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file, os.fdopen(os.dup(kept[0]), "w", encoding="utf-8", errors="replace") as out:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield console_on(out)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def console_on(out: TextIO) -> Console:
    """Colours and a moving line where a person looks; neither in CI or in a file."""
    quiet = bool(os.environ.get("CI")) or not out.isatty()
    return Console(file=out, force_terminal=not quiet, no_color=quiet or None, width=PLAIN_WIDTH if quiet else None)


def show_outcome(console: Console, outcome: "Outcome", log: str) -> None:
    """The tables at the end."""
    if outcome.products:
        console.print(_products(outcome.products))
    for narrative in outcome.narratives:
        _show_narrative(console, narrative)
    end = "done" if outcome.success else f"{len(outcome.failures)} of the steps failed"
    style = "green" if outcome.success else "red"
    console.print(f"{end} in {outcome.seconds:.1f} s; log: {log}", style=style, highlight=False, soft_wrap=True)


def _products(products: "tuple[ProductOutcome, ...]") -> Table:
    table = Table("product", box=None, pad_edge=False, header_style="bold")
    table.add_column("rows", justify="right")
    table.add_column("quarantined", justify="right")
    table.add_column("version")
    table.add_column("", overflow="fold")
    for one in products:
        state = f"[{STYLES[one.state]}]{one.state}[/]" + (f": {escape(one.reason)}" if one.reason else "")
        table.add_row(one.product, _count(one.rows), _count(one.quarantined), (one.version or "")[:12], state)
    return table


def _show_narrative(console: Console, one: "NarrativeOutcome") -> None:
    state = f"[{STYLES[one.state]}]{one.state}[/]" + (f": {escape(one.reason)}" if one.reason else "")
    cases = f", {one.cases:,} cases" if one.cases is not None else ""
    where = f" {one.version} in {one.path}" if one.version else ""
    console.print(f"\n[bold]{one.narrative}[/]{where}{cases}, {state}", highlight=False, soft_wrap=True)
    splits = list(dict.fromkeys(split for rows in one.configs.values() for split in rows))
    if one.configs:
        table = Table("config", box=None, pad_edge=False, header_style="bold")
        for split in splits:
            table.add_column(split, justify="right")
        for config, rows in one.configs.items():
            table.add_row(config, *(_count(rows.get(split, 0)) for split in splits))
        console.print(table)
    if drops := _flat(one.drops):
        table = Table("dropped", "why", box=None, pad_edge=False, header_style="bold")
        table.add_column("count", justify="right")
        for what, reason, count in drops:
            table.add_row(what, escape(reason), _count(count))
        console.print(table)


def _flat(drops: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, int]]:
    return [(what, reason, count) for what, reasons in drops.items() for reason, count in reasons.items()]


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
