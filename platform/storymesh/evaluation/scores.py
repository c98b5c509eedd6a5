"""The scores of answers: figures with confidence intervals.

Each figure is a ratio of sums over questions, so that one pass gives it and its bootstrap: components are drawn again,
as wholes, since cases that belong together say less than as many that do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storymesh.evaluation.questions import Book, Booleans, Floats, Integers, QuestionSet

DRAWS = 1_000
BINS = 10


@dataclass(frozen=True)
class Score:
    """A figure with the ends of its 95 % bootstrap interval; `n` questions count in it."""

    value: float
    low: float
    high: float
    n: int


Scores = Mapping[str, Score]


@dataclass(frozen=True)
class Predictions:
    """The predictions for Q questions, a row each. `weights` is Q x A, the probability of naming each action (0 in a
    row for no action); `rate` and `verdict` are shares, NaN where none is said."""

    weights: Floats
    abstains: Booleans
    rate: Floats
    verdict: Floats
    answered: Booleans


def score_predictions(questions: QuestionSet, predictions: Predictions, book: Book = "open") -> dict[str, Scores]:
    """Return task -> figure -> score, of what was answered with this book."""
    table = questions.questions
    task = np.asarray(table["task"].to_pylist(), object)
    case = np.asarray(table["case"], np.int64)
    drawn = Bootstrap(questions.component)
    best, rate, verdict = (np.flatnonzero(task == name) for name in ("best", "rate", "verdict"))
    found = {
        "best": _score_best(questions, predictions, best, case[best], drawn),
        "rate": _score_rate(questions, predictions, rate, case[rate], drawn),
        "verdict": _score_verdict(questions, predictions, verdict, case[verdict], drawn),
    }
    if book == "closed":
        best = best[~questions.withheld[case[best]]]
    found["abstain"] = _score_abstain(questions, predictions, best, case[best], drawn)

    return {name: scores for name, scores in found.items() if scores}


class Bootstrap:
    """Components drawn with replacement: `counts` says how often each stands in each of the draws."""

    def __init__(self, component: Integers) -> None:
        self.component = component
        number = int(component.max()) + 1 if len(component) else 0
        random = np.random.default_rng(0)
        self.counts = random.multinomial(number, np.full(number, 1 / number), DRAWS) if number else None

    def ratio(self, top: npt.ArrayLike, bottom: npt.ArrayLike, case: Integers, scale: float = 1.0) -> Score | None:
        """Return sum(top) / sum(bottom) over questions of these cases; None where nothing counts."""
        above, below = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
        if self.counts is None or not below.sum():
            return None
        number = self.counts.shape[1]
        sums = [np.bincount(self.component[case], values, number) for values in (above, below)]
        drawn_above, drawn_below = (self.counts @ values for values in sums)
        held = drawn_below > 0
        ratios = drawn_above[held] / drawn_below[held] if held.any() else above.sum() / below.sum()
        low, high = np.quantile(ratios, [0.025, 0.975])
        return _score(scale * above.sum() / below.sum(), scale * low, scale * high, int(np.count_nonzero(below)))

    def auc(self, said: Floats, worked: Booleans, case: Integers) -> Score | None:
        value = area_under_curve(said, worked)
        if self.counts is None or np.isnan(value):
            return None
        drawn = [area_under_curve(said, worked, self.counts[draw][self.component[case]]) for draw in range(200)]
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        return _score(value, low, high, len(said))


def _score(value: float, low: float, high: float, n: int) -> Score:
    # Rounded, so that a sum in another order gives the same file.
    value, low, high = (round(float(number), 4) + 0.0 for number in (value, low, high))
    return Score(value, low, high, n)


def _present(scores: Mapping[str, Score | None]) -> Scores:
    return {name: score for name, score in scores.items() if score is not None}


def _score_best(
    questions: QuestionSet, predictions: Predictions, rows: Integers, case: Integers, drawn: Bootstrap
) -> Scores:
    """best: the share of questions whose answer names an action that counts as best; regret: how much less often the
    named one worked before than the best did, an answer that names none counting as a draw among those tried."""
    weights = predictions.weights[rows]
    counts = np.asarray(questions.target[case].any(axis=1), np.bool_)
    right = (weights * questions.target[case]).sum(1)
    rates = questions.rates[case]
    known = ~np.isnan(rates)
    value = np.where(known, rates, 0.0)
    named = weights.sum(1)
    mean = value.sum(1) / np.maximum(known.sum(1), 1)
    reached = (weights * value).sum(1) + (1 - named) * mean
    highest = np.where(questions.target[case], value, 0.0).max(1, initial=0.0)
    wording = np.asarray(questions.questions["wording"], np.int64)[rows]
    given = predictions.answered[rows]
    return _present(
        {
            "best": drawn.ratio(right * counts, counts, case),
            "regret": drawn.ratio(np.maximum(highest - reached, 0.0) * counts, counts, case),
            "unread": drawn.ratio((named == 0) & ~predictions.abstains[rows] & given & counts, counts, case),
            "unanswered": drawn.ratio(~given, np.ones(len(rows)), case),
            "same in all wordings": _agreement(weights, case, wording, counts & given, drawn),
        }
    )


def _agreement(weights: Floats, case: Integers, wording: Integers, counts: Booleans, drawn: Bootstrap) -> Score | None:
    """Return the share of further wordings whose answer names what that of the first names."""
    first = np.full((int(case.max()) + 1 if len(case) else 0, weights.shape[1]), np.nan)
    first[case[wording == 1]] = weights[wording == 1]
    further = (wording > 1) & counts
    same = np.isclose(first[case], weights).all(1) if len(case) else np.zeros(0, np.bool_)
    return drawn.ratio(same & further, further, case)


def _score_rate(
    questions: QuestionSet, predictions: Predictions, rows: Integers, case: Integers, drawn: Bootstrap
) -> Scores:
    """error: how far a said rate is from that of the earlier cases, on average, of those that were read."""
    said = predictions.rate[rows]
    true = questions.rates[case, questions.asked[case]]
    read = ~np.isnan(said)
    return _present(
        {
            "error": drawn.ratio(np.where(read, np.abs(said - true), 0.0), read, case),
            "within 0.1": drawn.ratio(read & (np.abs(said - true) <= 0.1), np.ones(len(rows)), case),
            "unread": drawn.ratio(~read & predictions.answered[rows], np.ones(len(rows)), case),
        }
    )


def _score_verdict(
    questions: QuestionSet, predictions: Predictions, rows: Integers, case: Integers, drawn: Bootstrap
) -> Scores:
    """accuracy, Brier score, expected calibration error in ten bins, and the area under the ROC curve beside its
    that of somebody who knows how often each action worked before in such cases, and nothing else."""
    said, worked = predictions.verdict[rows], questions.worked[case]
    read = ~np.isnan(said)
    filled = np.where(read, said, 0.5)
    own = questions.own[case]
    worked_before = np.nan_to_num(questions.rates[case, own]) * questions.tried[case, own]
    known = np.where(own >= 0, (worked_before + 1) / (questions.tried[case, own] + 2), 0.5)
    scores = {
        "accuracy": drawn.ratio(read & ((said >= 0.5) == worked), np.ones(len(rows)), case),
        "brier": drawn.ratio(np.where(read, (filled - worked) ** 2, 0.0), read, case),
        "auc": drawn.auc(filled[read], worked[read], case[read]),
        "auc of precedents": drawn.auc(known, worked, case),
        "unread": drawn.ratio(~read & predictions.answered[rows], np.ones(len(rows)), case),
    }
    if read.any():
        error = calibration_error(said[read], worked[read])
        scores["ece"] = _score(error, error, error, int(read.sum()))
    return _present(scores)


def _score_abstain(
    questions: QuestionSet, predictions: Predictions, rows: Integers, case: Integers, drawn: Bootstrap
) -> Scores:
    """precision: of the answers that say too few, those that are right; recall: of those that should, the ones that
    do. With a closed book what only a look-up shows is not asked."""
    should, does = questions.abstain[case], predictions.abstains[rows]
    return _present(
        {
            "precision": drawn.ratio(should & does, does, case),
            "recall": drawn.ratio(should & does, should, case),
        }
    )


def area_under_curve(said: Floats, worked: Booleans, weight: Integers | None = None) -> float:
    """Return the probability that what worked was given more than what did not (ties count half), NaN without both."""
    if not len(said):
        return float("nan")
    _, place = np.unique(said, return_inverse=True)
    weights = np.ones(len(said)) if weight is None else weight.astype(np.float64)
    good, bad = (np.bincount(place, weights * side) for side in (worked, ~worked))
    below = np.cumsum(bad) - bad
    pairs = good.sum() * bad.sum()
    return float((good * (below + bad / 2)).sum() / pairs) if pairs else float("nan")


def calibration_error(said: Floats, worked: Booleans) -> float:
    """Return how far what was said is from what happened, bin by bin of a tenth, weighted by the answers in each."""
    place = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    count, total, happened = (np.bincount(place, values, BINS) for values in (np.ones(len(said)), said, worked))
    return float(np.abs(total - happened).sum() / count.sum())
