"""The results of an evaluation as files: `results.json` for machines and `results.html` for people."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from storymesh.atomic_write import write_atomically
from storymesh.lifecycle.evaluate import BookResult, EvaluationResult, ScoredAnswer
from storymesh.release.report.page import render_page

RESULTS = "results.json"
PAGE = "results.html"
TEMPLATE = Path(__file__).with_name("evaluation.html.jinja")
MAX_ANSWERS = 100  # of a book
MAX_ANSWER_LENGTH = 3_000  # characters that are shown


def evaluation_as_dict(evaluation: EvaluationResult) -> dict[str, Any]:
    """Return an evaluation in the types of JSON, without its single answers."""
    return {
        "release": evaluation.release.name,
        "digest": evaluation.release.digest,
        "answerer": evaluation.answerer,
        "results": [_result(result) for result in evaluation.results],
        "baselines": evaluation.document.model_dump()["baselines"],
    }


def write_evaluation(evaluation: EvaluationResult, folder: Path) -> None:
    """Write both files into a folder, which is made. A file that is there is replaced, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = evaluation_as_dict(evaluation)
    answers = {result.book: [asdict(answer) for answer in result.answers] for result in evaluation.results}
    text = json.dumps({**content, "answers": answers}, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / RESULTS, text)
    shown = {result.book: _shown_answers(result) for result in evaluation.results if result.answers}
    page = render_page(TEMPLATE, **content, shown=shown)
    write_atomically(folder / PAGE, page)


def _result(result: BookResult) -> dict[str, Any]:
    scores = {
        task: {figure: asdict(score) for figure, score in figures.items()} for task, figures in result.scores.items()
    }
    return {
        "book": result.book,
        "counts": dict(result.counts),
        "scores": scores,
        "faults": dict(result.faults),
        "values": {path: dict(counts) for path, counts in result.values.items()},
    }


def _shown_answers(result: BookResult) -> list[ScoredAnswer]:
    """Return the answers of a book that the page shows: the wrong ones first, and so many as it carries."""
    wrong_first = sorted(result.answers, key=lambda answer: answer.correct is not False)
    return [_shortened(answer) for answer in wrong_first[:MAX_ANSWERS]]


def _shortened(item: ScoredAnswer) -> ScoredAnswer:
    if item.answer is None or len(item.answer) <= MAX_ANSWER_LENGTH:
        return item
    return replace(item, answer=f"{item.answer[:MAX_ANSWER_LENGTH]}…")
