"""`storymesh evaluate`: answers held against the questions of a release."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from storymesh.cli.options import BaseUrlOption, FormatOption, MeshOption, ReleaseArgument
from storymesh.cli.output.console import console_on, echo, open_table
from storymesh.cli.output.json_document import echo_result
from storymesh.errors import WrongUsage

if TYPE_CHECKING:
    from storymesh.evaluation.questions import Book
    from storymesh.lifecycle.evaluate import EvaluationResult
    from storymesh.release.catalog import Release


AnswersOption = Annotated[
    Path | None, typer.Option("--answers", metavar="FILE", help='JSON lines of {"id": …, "answer": …}.')
]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="PROVIDER:NAME, or hf:FOLDER on this machine.")
]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", metavar="NAME", help="What needs no model: one of them, or all.")
]
QuestionsOption = Annotated[
    Path | None, typer.Option("--questions", metavar="FILE", help="Write what a model is asked, and ask nothing.")
]
BookOption = Annotated[
    Literal["open", "closed", "both"],
    typer.Option("--book", help="With what may be looked up before the question, or without."),
]
ListedOption = Annotated[
    bool, typer.Option("--list-actions", help="Let questions list the actions, each wording in another order.")
]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="TASKS", help="Of best,rate,verdict,abstain. Default: all.")
]
LeastOption = Annotated[
    list[str] | None,
    typer.Option("--least", metavar="FIGURE=N", help="Exit 1 below it, such as best=0.8 or verdict.auc=0.7."),
]
TruthOption = Annotated[
    Path | None,
    typer.Option(
        "--truth", metavar="FILE", help="CSV or Parquet of case_id, action, rate: how often each truly works."
    ),
]
IntoOption = Annotated[
    Path | None, typer.Option("--into", metavar="DIR", help="Write results.json and results.html there.")
]


def evaluate(
    release: ReleaseArgument,
    mesh: MeshOption = None,
    answers: AnswersOption = None,
    model: ModelOption = None,
    baseline: BaselineOption = None,
    questions: QuestionsOption = None,
    book: BookOption = "closed",
    list_actions: ListedOption = False,
    task: TaskOption = None,
    least: LeastOption = None,
    truth: TruthOption = None,
    into: IntoOption = None,
    base_url: BaseUrlOption = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Score answers by the questions of a release.

    A model answers, a file does, or what needs no model.

    What is right was computed when the release was made; no other model judges.
    """
    from storymesh.cli.evaluation_sources import evaluate_source, parse_least, parse_tasks, write_questions
    from storymesh.engine.open import open_engine
    from storymesh.evaluation.truth import read_truth
    from storymesh.lifecycle.evaluate import load_questions, unmet_demands
    from storymesh.lifecycle.evaluation_files import evaluation_as_dict, write_evaluation
    from storymesh.mesh.lookup import named_release

    sources = [source for source in (answers, model, baseline, questions) if source is not None]
    if len(sources) != 1:
        met = "none of them" if not sources else "several"
        raise WrongUsage(
            f"one of --answers, --model, --baseline and --questions says who answers, and there is {met}",
            "--baseline all needs no model",
        )
    tasks, demands = parse_tasks(task), parse_least(least or [])
    named = _require_allowed(mesh, named_release(release, mesh), model)
    loaded = load_questions(named, open_engine, listed=list_actions)
    if truth is not None:
        loaded = replace(loaded, truth=read_truth(truth, loaded.questions))
    books: tuple[Book, ...] = ("open", "closed") if book == "both" else (book,)
    if questions is not None:
        echo(write_questions(loaded, questions, books, tasks), err=True)
        return
    found = evaluate_source(
        loaded, answers=answers, model=model, baseline=baseline, books=books, tasks=tasks, base_url=base_url, mesh=mesh
    )
    if into is not None:
        write_evaluation(found, into)
    if format == "json":
        echo_result(evaluation_as_dict(found))
    else:
        show_evaluation(found, into)
    missed = unmet_demands(found, demands)
    for sentence in missed:
        echo(sentence, err=True)
    if missed:
        raise typer.Exit(1)


def _require_allowed(mesh: Path | None, release: "Release", model: str | None) -> "Release":
    """Return the release. Raises StorymeshError for a model of elsewhere that may not see what it tells of."""
    from storymesh.cli.evaluation_sources import HF
    from storymesh.mesh.model_access import require_model_for_release

    if model is not None and not model.startswith(HF):
        require_model_for_release(mesh, release, model)
    return release


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
