"""The page of an evaluation: scores beside those of the baselines, and answers with what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from storymesh.release.report.page import render_page

TEMPLATE = Path(__file__).with_name("evaluation.html.jinja")
MOST_ANSWERS = 100  # of a book
LONGEST_ANSWER = 3_000  # characters that are shown


def render_evaluation_page(
    *,
    release: str,
    digest: str,
    answerer: str,
    results: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, Any],
    answers: Mapping[str, Sequence[Any]],
) -> str:
    """Return the page. Of each book's answers the wrong ones come first, and so many are shown as a page carries."""
    shown = {
        book: [_shortened(item) for item in sorted(items, key=lambda item: item.correct is not False)[:MOST_ANSWERS]]
        for book, items in answers.items()
        if items
    }
    return render_page(
        TEMPLATE,
        release=release,
        digest=digest,
        answerer=answerer,
        results=results,
        baselines=baselines,
        shown=shown,
    )


def _shortened(item: Any) -> Any:
    if item.answer is None or len(item.answer) <= LONGEST_ANSWER:
        return item
    return replace(item, answer=f"{item.answer[:LONGEST_ANSWER]}…")
