"""What was learned, held against the truth: each arm's answers read by `storymesh evaluate`'s own reader and scores."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storymesh.engine.open import open_engine
from storymesh.evaluation.answers import AnswerFile
from storymesh.evaluation.baselines import BASELINES, baseline_predictions
from storymesh.evaluation.parsed_answers import parse_answers
from storymesh.evaluation.questions import Book, Booleans, Floats
from storymesh.evaluation.scores import Bootstrap, Score
from storymesh.evaluation.truth import NEAR, Truth, read_truth
from storymesh.lifecycle.evaluate import ReleaseQuestions, evaluate_answers, load_questions
from storymesh.release.catalog import read_release

WAYS = {"chosen": "likelihood", "json": "named", "closed": "named", "open": "named, open book"}
"""How an arm says which action is best -> the words for it."""


@dataclass(frozen=True)
class Told:
    """For C questions: how often the answer names the best action, one within 0.05 of it, and how much it loses."""

    best: Floats
    near: Floats
    lost: Floats


@dataclass(frozen=True)
class Row:
    """A line of the table: an arm, how and which questions it was asked, of how many seeds."""

    arm: str
    way: str
    seeds: int
    by_seed: tuple[float, ...]
    told: Told
    asked: Booleans


class Examination:
    """The questions that were asked of a release, with their truth, and what arms were found to know. Intervals are
    over strata, which are drawn again as wholes: what is known of one cell says little of another."""

    def __init__(self, release: Path, truth: Path, asked: Collection[str]) -> None:
        loaded = load_questions(read_release(release), open_engine)
        cases = loaded.questions.cases
        self.questions = replace(loaded.questions, cases=cases.filter(pc.is_in(cases["case_id"], pa.array(asked))))
        self.loaded: ReleaseQuestions = replace(loaded, questions=self.questions)
        self.truth: Truth = read_truth(truth, self.questions)
        self.counts = self.truth.known & ~self.questions.abstain
        self._cases: list[str] = self.questions.cases["case_id"].to_pylist()
        strata = self.questions.cases["stratum"].combine_chunks().dictionary_encode()
        self._drawn = Bootstrap(np.asarray(strata.indices, np.int64))

    def baselines(self) -> list[Row]:
        rows = []
        for name in BASELINES:
            predicted = baseline_predictions(self.questions, self.loaded.document.trained, name)
            first = np.asarray(self.questions.questions["case"], np.int64)
            asked = np.asarray(self.questions.questions["id"].to_pylist(), object)
            weights = np.zeros(self.questions.rates.shape)
            held = np.char.startswith(asked.astype(str), "best-1/")
            weights[first[held]] = predicted.weights[held]
            told = self._told(weights)
            rows.append(Row(name, "no model", 0, (self.mean(told.best).value,), told, self.counts))
        return rows

    def rows(self, given: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Return a row for each arm and way of asking, over its seeds."""
        found = []
        for arm in dict.fromkeys(item["arm"] for item in given):
            for way in WAYS:
                seeds = [
                    self._told(self._weights(item[way], way)) for item in given if item["arm"] == arm and way in item
                ]
                if seeds:
                    mean = Told(*(np.mean([getattr(seed, name) for seed in seeds], 0) for name in asdict(seeds[0])))
                    asked = np.isin(self._cases, [case for item in given if item["arm"] == arm for case in item[way]])
                    by_seed = tuple(self.mean(seed.best, asked).value for seed in seeds)
                    found.append(Row(arm, WAYS[way], len(seeds), by_seed, mean, asked))
        return found

    def mean(self, values: Floats, asked: Booleans | None = None) -> Score:
        counts = self.counts if asked is None else self.counts & asked
        score = self._drawn.ratio(values * counts, counts, np.arange(len(values)))
        assert score is not None, "there are questions"
        return score

    def conduct(self, given: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
        """Return what else the arms that answer in words do, on average over seeds: cite, foretell, abstain."""
        found: dict[str, dict[str, list[float]]] = {}
        for item in given:
            kept = found.setdefault(item["arm"], {})
            for book in ("open", "closed"):
                if book in item:
                    for name, value in self._conduct(item[book], book).items():
                        kept.setdefault(f"{book}: {name}", []).append(value)
            for name in ("withheld", "unseen"):
                if item.get(name):
                    read = parse_answers(pa.array(list(item[name].values()), pa.string()), self.questions.actions)
                    kept.setdefault(f"{name} waterway: says too few", []).append(float(read.abstains.mean()))
        return {
            arm: {name: float(np.mean(values)) for name, values in kept.items()} for arm, kept in found.items() if kept
        }

    def _conduct(self, answers: Mapping[str, str], book: Book) -> dict[str, float]:
        file = AnswerFile({f"best-1/{case}": text for case, text in answers.items()})
        cases = self.questions.cases
        asked = replace(self.questions, cases=cases.filter(pc.is_in(cases["case_id"], pa.array(list(answers)))))
        loaded = replace(self.loaded, questions=asked)
        (result,) = evaluate_answers(loaded, file, "arm", book, ("best", "abstain"), open_engine).results
        names = ("grounded", "foretold", "citations exist", "citations known", "citations belong")
        found = {name: result.scores["facts"][name].value for name in names if name in result.scores["facts"]}
        if book == "open":
            found |= {f"abstain {name}": score.value for name, score in result.scores.get("abstain", {}).items()}
        return found

    def _weights(self, answers: Mapping[str, str], way: str) -> Floats:
        """Return the action that each answer names, as C x A."""
        texts = pa.array([answers.get(case) for case in self._cases], pa.string())
        codes = list(self.questions.actions)
        if way == "chosen":
            choice = np.array([codes.index(code) if code in codes else -1 for code in texts.to_pylist()])
        else:
            choice = parse_answers(texts, self.questions.actions).choice
        weights = np.zeros(self.questions.rates.shape)
        named = np.flatnonzero(choice >= 0)
        weights[named, choice[named]] = 1.0
        return weights

    def _told(self, weights: Floats) -> Told:
        highest, rates = np.nan_to_num(self.truth.highest), self.truth.rates
        best, near = ((weights * (rates >= highest[:, None] - room - 1e-9)).sum(1) for room in (0.0, NEAR))
        lost = highest - (weights * rates).sum(1) - (1 - weights.sum(1)) * self.truth.mean
        return Told(best, near, lost)


def read_answers(folder: Path, arms: Sequence[str]) -> list[dict[str, Any]]:
    """Return what learners wrote, in the order of the arms and of their seeds."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(
        (item for item in found if item["arm"] in arms), key=lambda item: (arms.index(item["arm"]), item["seed"])
    )
