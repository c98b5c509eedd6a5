"""Baselines, which need no model: chance, one fixed action, a table from train, and the precedents of each case.

A model that is not better than the table has learned nothing that a query would not tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storymesh.evaluation.questions import Book, Floats, QuestionSet
from storymesh.evaluation.scores import Predictions


@dataclass(frozen=True)
class TrainedAction:
    """The counts of an action in a stratum: how often it was tried and worked, among the judged cases of train."""

    stratum: str
    action: str
    tried: int
    worked: int


def baseline_predictions(questions: QuestionSet, table: Sequence[TrainedAction], name: str) -> Predictions:
    """Return what a baseline answers. Raises KeyError for a name that is none of BASELINES."""
    return BASELINES[name](questions, table)


def _chance(questions: QuestionSet, _: Sequence[TrainedAction]) -> Predictions:
    """Any of the actions that were tried before, each as likely as the other; an even chance that it works."""
    offered = (questions.tried > 0).astype(np.float64)
    share = offered / np.maximum(offered.sum(1, keepdims=True), 1)
    return _by_case(questions, share, np.full(questions.rates.shape, 0.5))


def _majority(questions: QuestionSet, table: Sequence[TrainedAction]) -> Predictions:
    """The action that worked best in train, whatever the case."""
    tried, worked = _count_actions(questions, table, [None])
    return _by_score(questions, np.broadcast_to(_smoothed(tried, worked), questions.rates.shape))


def _action_table(questions: QuestionSet, table: Sequence[TrainedAction]) -> Predictions:
    """The action that worked best in train in the stratum of the case; too few where train does not have it."""
    strata = questions.cases["stratum"].to_pylist()
    names = sorted(set(strata))
    tried, worked = _count_actions(questions, table, names)
    place = np.searchsorted(np.asarray(names, object), np.asarray(strata, object)) if names else np.zeros(0, np.int64)
    return _by_score(questions, _smoothed(tried, worked)[place], abstains=tried.sum(1)[place] == 0)


def _precedents(questions: QuestionSet, _: Sequence[TrainedAction]) -> Predictions:
    """The best-supported action of the case's own precedents: what an open-book answer can say."""
    worked = np.nan_to_num(questions.rates) * questions.tried
    low = _wilson_low(questions.tried, worked)
    scores = np.where(questions.tried > 0, low, -1.0)
    return _by_score(questions, scores, shares=np.nan_to_num(questions.rates, nan=0.5), abstains=questions.abstain)


BASELINES: Mapping[str, Callable[[QuestionSet, Sequence[TrainedAction]], Predictions]] = {
    "chance": _chance,
    "majority": _majority,
    "action table": _action_table,
    "precedents": _precedents,
}


def baseline_book(name: str) -> Book:
    """Return the book that a baseline answers with: only `precedents` looks up those of the case."""
    return "open" if name == "precedents" else "closed"


def _count_actions(
    questions: QuestionSet, table: Sequence[TrainedAction], strata: Sequence[str | None]
) -> tuple[Floats, Floats]:
    """Return how often each action was tried and worked in each stratum (None: in all): S x A."""
    rows = {stratum: row for row, stratum in enumerate(strata)}
    columns = {code: column for column, code in enumerate(questions.actions)}
    tried, worked = (np.zeros((len(strata), len(columns))) for _ in range(2))
    for item in table:
        row, column = rows.get(item.stratum, rows.get(None)), columns.get(item.action)
        if row is not None and column is not None:
            tried[row, column] += item.tried
            worked[row, column] += item.worked
    return tried, worked


def _smoothed(tried: Floats, worked: Floats) -> Floats:
    return (worked + 1) / (tried + 2)


def _wilson_low(tried: Floats, worked: Floats) -> Floats:
    z, n = 1.959963984540054, np.maximum(tried, 1)
    rate = worked / n
    low = (rate + z * z / (2 * n) - z * np.sqrt((rate * (1 - rate) + z * z / (4 * n)) / n)) / (1 + z * z / n)
    return np.where(worked > 0, low, 0.0)


def _by_score(
    questions: QuestionSet, scores: Floats, shares: Floats | None = None, abstains: "np.ndarray | None" = None
) -> Predictions:
    """Return what names the action with the highest score of each case (C x A), the first of several."""
    weights = np.zeros(scores.shape)
    if scores.size:
        weights[np.arange(len(scores)), scores.argmax(1)] = 1.0
    if abstains is not None:
        weights[abstains] = 0.0
    return _by_case(questions, weights, scores if shares is None else shares, abstains)


def _by_case(
    questions: QuestionSet, weights: Floats, shares: Floats, abstains: "np.ndarray | None" = None
) -> Predictions:
    """Return the answers to all questions, given those to each case."""
    case = np.asarray(questions.questions["case"], np.int64)
    every = np.ones(len(case), np.bool_)
    said = np.zeros(len(case), np.bool_) if abstains is None else abstains[case]
    columns = (questions.asked[case], questions.own[case])
    rate, verdict = (np.where(column >= 0, shares[case, column], 0.5) for column in columns)
    return Predictions(weights[case], said, rate, verdict, every)
