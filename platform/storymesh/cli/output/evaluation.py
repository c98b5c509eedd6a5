"""The scores of an evaluation, as people read them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.cli.output.console import console_on, open_table

if TYPE_CHECKING:
    from storymesh.lifecycle.evaluate import EvaluationResult


def show_evaluation(evaluation: "EvaluationResult", into: Path | None) -> None:
    """Print a table for each book or baseline."""
    console = console_on(sys.stdout)
    console.print(f"{evaluation.answerer} · {evaluation.release.name}", style="bold")
    for result in evaluation.results:
        counts = ", ".join(f"{number:,} {name}" for name, number in result.counts.items() if number)
        console.print(f"\n{result.book}: {counts}", soft_wrap=True)
        numbers = ("value", "95 % interval", "of")
        table = open_table("task", "figure", *numbers, right=numbers)
        for task, scores in result.scores.items():
            for figure, score in scores.items():
                interval = f"{score.low:.3f} to {score.high:.3f}"
                table.add_row(task, figure, f"{score.value:.3f}", interval, f"{score.n:,}")
        console.print(table)
    if into is not None:
        console.print(f"\n{into / 'results.html'} shows the answers", soft_wrap=True)
