"""The scores of an evaluation, as people read them and as JSON."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from storymesh.cli.output.console import console_on

if TYPE_CHECKING:
    from storymesh.lifecycle.evaluate import EvaluationResult


def show_evaluation(evaluation: "EvaluationResult", into: Path | None) -> None:
    """Print a table for each book or baseline."""
    console = console_on(sys.stdout)
    console.print(f"{evaluation.answerer} · {evaluation.release.name}", style="bold", highlight=False, markup=False)
    for result in evaluation.results:
        counts = ", ".join(f"{number:,} {name}" for name, number in result.counts.items() if number)
        console.print(f"\n{result.book}: {counts}", highlight=False, markup=False, soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        for column in ("task", "figure"):
            table.add_column(column)
        for column in ("value", "95 % interval", "of"):
            table.add_column(column, justify="right")
        for task, scores in result.scores.items():
            for figure, score in scores.items():
                interval = f"{score.low:.3f} to {score.high:.3f}"
                table.add_row(task, figure, f"{score.value:.3f}", interval, f"{score.n:,}")
        console.print(table)
    if into is not None:
        console.print(f"\n{into / 'results.html'} shows the answers", highlight=False, markup=False, soft_wrap=True)


def evaluation_as_json(evaluation: "EvaluationResult") -> str:
    """Return an evaluation as a JSON document, without its single answers."""
    from storymesh.lifecycle.evaluation_files import evaluation_as_dict

    return json.dumps(evaluation_as_dict(evaluation), indent=2, ensure_ascii=False)
