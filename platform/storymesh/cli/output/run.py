"""The progress and outcome of a run: a moving line and a list on a terminal, quiet lines elsewhere, then tables."""

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from storymesh.cli.output.console import open_table, pluralize
from storymesh.printable import printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table

    from storymesh.orchestration.run.events import RunEvent
    from storymesh.orchestration.run.outcome import NarrativeOutcome, ProductOutcome, RunOutcome

STYLES = {"new": "green", "unchanged": "dim", "in place": "dim", "refused": "red", "left out": "yellow"}


class RunDisplay:
    """The lines of a run that is going on, on `console`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.moving: tuple[Live, Spinner] | None = None
        self.running = ""

    def show(self, event: "RunEvent") -> None:
        from storymesh.orchestration.run import events

        match event:
            case events.RunPreparation(message):
                if self.console.is_terminal:
                    self._start_moving(message)
            case events.RunPlan(steps):
                self.console.print(pluralize(len(steps), "step"), style="dim")
            case events.StepStart(step):
                self.running = step
                self._move(step)
            case events.StepProgress(step, phase, rows):
                count = f" {rows:,} rows" if rows is not None else ""
                self._move(f"{step}: {phase}{count}")
            case events.StepSuccess(step, rows, unchanged, seconds):
                count = f"{rows:,} rows" if rows is not None else ""
                self._line(("✓", "green"), step, [count, "unchanged" if unchanged else "", f"{seconds:.1f} s"])
            case events.StepRetry(step, message, seconds):
                self._line(("↻", "yellow"), step, [message, f"again in {seconds:.0f} s"])
            case events.StepFailure(step, message, expected):
                self._line(("✗", "red"), step, [message if expected else f"an error that nobody expected: {message}"])
            case events.StepSkipped(step):
                self._line(("-", "yellow"), step, ["left out"])

    def stop(self) -> None:
        if self.moving is not None:
            self.moving[0].stop()
            self.moving = None

    def _start_moving(self, text: str) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        spinner = Spinner("dots", Text(text), style="status.spinner")
        # What libraries and models print goes where standard output leads, which is the log, and not above the line.
        live = Live(spinner, console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False)
        live.start()
        self.moving = (live, spinner)

    def _move(self, text: str) -> None:
        if self.moving is not None:
            self.moving[1].update(text=Text(text))

    def _line(self, mark: tuple[str, str], step: str, parts: list[str]) -> None:
        text = ", ".join(part for part in parts if part)
        self.console.print(Text.assemble(mark, printable(f" {step:<36} {text}")), soft_wrap=True)


def show_outcome(console: Console, outcome: "RunOutcome", log: str) -> None:
    """Print the tables at the end of a run. Why a step failed was printed when it did, and is not again."""
    _show_tables(console, outcome, {failure.message for failure in outcome.failures.values()})
    end = "done" if outcome.success else f"{pluralize(len(outcome.failures), 'step')} failed"
    style = "green" if outcome.success else "red"
    console.print(f"{end} in {outcome.seconds:.1f} s; log: {log}", style=style, soft_wrap=True)


def show_unchanged(console: Console, outcome: "RunOutcome") -> None:
    """Print the same tables where no run was needed."""
    _show_tables(console, outcome, frozenset())
    words = f"nothing has changed since the last run, so none began ({outcome.seconds:.1f} s); all the same: --again"
    console.print(words, style="green", soft_wrap=True)


def _show_tables(console: Console, outcome: "RunOutcome", known: Set[str]) -> None:
    """Print what came of products and narratives, without the reasons that are `known`."""
    if outcome.products:
        console.print(_products(outcome.products, known))
        for product in outcome.products:
            for reason in product.quarantined_for:
                _print_labelled(console, "quarantined", f"{product.product}: {reason}")
            for words in product.warnings:
                _print_labelled(console, "warning", f"{product.product}: {words}")
    for narrative in outcome.narratives:
        _show_narrative(console, narrative, known)


def _products(products: "tuple[ProductOutcome, ...]", known: Set[str]) -> "Table":
    table = open_table("product", "rows", "quarantined", "version", "", right=("rows", "quarantined"))
    for product in products:
        state = _state(product, known)
        table.add_row(
            product.product, _count(product.rows), _count(product.quarantined), (product.version or "")[:12], state
        )
    return table


def _show_narrative(console: Console, narrative: "NarrativeOutcome", known: Set[str]) -> None:
    cases = f", {narrative.cases:,} cases" if narrative.cases is not None else ""
    where = f" {narrative.version} in {narrative.path}" if narrative.version else ""
    line = Text.assemble("\n", (narrative.narrative, "bold"), f"{where}{cases}, ", _state(narrative, known))
    console.print(line, soft_wrap=True)
    splits = list(dict.fromkeys(split for rows in narrative.configs.values() for split in rows))
    if narrative.configs:
        table = open_table("config", *splits, right=splits)
        for config, rows in narrative.configs.items():
            table.add_row(config, *(_count(rows.get(split, 0)) for split in splits))
        console.print(table)
        for config, rows in narrative.configs.items():
            if not any(rows.values()):
                why = "what was dropped says why" if narrative.drops else "there is no case that it tells"
                console.print(f"warning: no record is left in '{config}': {why}", style="yellow")
    if drops := _flatten_drops(narrative.drops):
        table = open_table("dropped", "why", "count", right=("count",))
        for what, reason, count in drops:
            table.add_row(what, reason, _count(count))
        console.print(table)
    for words in narrative.warnings:
        _print_labelled(console, "warning", words)


def _print_labelled(console: Console, label: str, words: str) -> None:
    console.print(Text.assemble((f"{label}: ", "yellow"), printable(words)), soft_wrap=True)


def _state(outcome: "ProductOutcome | NarrativeOutcome", known: Set[str]) -> Text:
    reason = f": {outcome.reason}" if outcome.reason and outcome.reason not in known else ""
    return Text.assemble((outcome.state, STYLES[outcome.state]), printable(reason))


def _flatten_drops(drops: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, int]]:
    return [(what, reason, count) for what, reasons in drops.items() for reason, count in reasons.items()]


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
