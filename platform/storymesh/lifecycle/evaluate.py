"""The evaluation of answers to the questions of a release: of a file, a model, or what needs no model.

Nothing here judges by another model: what is right stands in the release, and what is said of it is computed.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import WrongUsage
from storymesh.evaluation.answers import AnswerFile
from storymesh.evaluation.baselines import baseline_book, baseline_predictions
from storymesh.evaluation.citations import NUMBERED, CaseIds, find_citations
from storymesh.evaluation.facts import AnswerFacts, check_answer, value_counts
from storymesh.evaluation.parsed_answers import ParsedAnswers, parse_answers
from storymesh.evaluation.questions import TASKS, Book, QuestionSet, Task, chat_messages, question_set
from storymesh.evaluation.scores import Bootstrap, Predictions, Score, Scores, score_predictions
from storymesh.evaluation.truth import Truth, score_truth
from storymesh.release.catalog import Release, report_damage
from storymesh.release.evaluation_document import EvaluationDocument, read_evaluation_document
from storymesh.release.evaluation_questions import asks_questions
from storymesh.release.folder import files_of, require_sound_files
from storymesh.release.layout import all_record_files

Messages = tuple[tuple[str, str], ...]
Ask = Callable[[Sequence[Messages]], Sequence[str | None]]


@dataclass(frozen=True)
class ReleaseQuestions:
    """The questions of a release, what its document says of them, and the look of its case ids. `listed`: a question
    which action is best lists the actions to choose from. `truth`: how often each action works, where it is known."""

    release: Release
    questions: QuestionSet
    document: EvaluationDocument
    ids: CaseIds
    listed: bool = False
    truth: Truth | None = None

    def messages(self, row: Mapping[str, Any], book: Book) -> Messages:
        """Return what a model is sent for one of the questions."""
        return tuple(chat_messages(self.questions, row, book, listed=self.listed))

    @property
    def by_id(self) -> Mapping[str, int]:
        """The id of each question -> its row."""
        return {name: row for row, name in enumerate(self.questions.questions["id"].to_pylist())}


@dataclass(frozen=True)
class ScoredAnswer:
    """One answer, for people: what was asked, what is right, what was said and what is wrong with it."""

    id: str
    task: str
    question: str
    answer: str | None
    read: str
    right: str
    correct: bool | None
    faults: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class BookResult:
    """The scores of one answerer with one book: task -> figure -> score; `values`: path -> how many answers say its
    value or leave it out; `faults`: kind of claim -> how many no fact carries; `counts` of the answers as given."""

    book: str
    counts: Mapping[str, int]
    scores: Mapping[str, Scores]
    faults: Mapping[str, int]
    values: Mapping[str, Mapping[str, int]]
    answers: tuple[ScoredAnswer, ...] = ()


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found: a result for each book, or for each baseline."""

    release: Release
    answerer: str
    results: tuple[BookResult, ...]
    document: EvaluationDocument


def load_questions(release: Release, open_engine: OpenEngine, *, listed: bool = False) -> ReleaseQuestions:
    """Return the questions of a release. Raises WrongUsage where it has none, StorymeshError where it is damaged."""
    require_sound_files(release)
    with report_damage(release), open_engine(only=files_of(release)) as engine:
        for config in release.configs:
            files = all_record_files(release.path, config)
            if not files or not asks_questions((records := engine.read_parquet(files)).columns):
                continue
            document = read_evaluation_document(release.path)
            cases = engine.fetch_table(records.order_by("id"))
            questions = question_set(cases, document.actions)
            return ReleaseQuestions(release, questions, document, CaseIds(cases["case_id"].to_pylist()), listed)
    raise WrongUsage(f"{release.name} has no questions", "add `evaluation:` to its narrative.yaml and run it again")


def evaluate_baselines(loaded: ReleaseQuestions, names: Sequence[str], tasks: Sequence[Task]) -> EvaluationResult:
    """Return the scores of baselines."""
    results = []
    for name in names:
        predictions = baseline_predictions(loaded.questions, loaded.document.trained, name)
        scores = _score_tasks(loaded, predictions, tasks, baseline_book(name))
        counts = {"questions": loaded.questions.questions.num_rows}
        results.append(BookResult(name, counts, scores, {}, {}))
    return EvaluationResult(loaded.release, "baselines", tuple(results), loaded.document)


def evaluate_answers(
    loaded: ReleaseQuestions, answers: AnswerFile, answerer: str, book: Book, tasks: Sequence[Task], engine: OpenEngine
) -> EvaluationResult:
    """Return the scores of answers in a file, which were given with this `book`."""
    result = _score(loaded, answers, book, tasks, engine)
    return EvaluationResult(loaded.release, answerer, (result,), loaded.document)


def evaluate_model(
    loaded: ReleaseQuestions,
    ask: Ask,
    answerer: str,
    books: Sequence[Book],
    tasks: Sequence[Task],
    engine: OpenEngine,
) -> EvaluationResult:
    """Return the scores of a model that `ask` puts questions to. Raises WrongUsage for an open book where the release
    has no `context`."""
    results = []
    if "open" in books and not any(loaded.questions.cases["context"].to_pylist()):
        message = f"{loaded.release.name} has nothing to look up"
        raise WrongUsage(message, "name a template for `context` under `evaluation`, or ask with --book closed")
    for book in books:
        rows = [row for row in loaded.questions.questions.to_pylist() if row["task"] in _questions_of_tasks(tasks)]
        said = ask([loaded.messages(row, book) for row in rows])
        texts = {row["id"]: text for row, text in zip(rows, said, strict=True) if text is not None}
        results.append(_score(loaded, AnswerFile(texts), book, tasks, engine))
    return EvaluationResult(loaded.release, answerer, tuple(results), loaded.document)


def unmet_demands(evaluation: EvaluationResult, least: Mapping[tuple[str, str], float]) -> list[str]:
    """Return a sentence for each figure (task, name) that is below its minimum, or missing."""
    found = []
    for result in evaluation.results:
        for (task, figure), bound in least.items():
            score = result.scores.get(task, {}).get(figure)
            if score is None:
                found.append(f"{result.book}: there is no {task}.{figure}")
            elif score.value < bound:
                found.append(f"{result.book}: {task}.{figure} is {score.value:.3f}, at least {bound:g} is asked for")
    return found


def _questions_of_tasks(tasks: Sequence[Task]) -> set[str]:
    """Return the questions that some tasks are scored by: to abstain is an answer to what is best."""
    return {"best" if task == "abstain" else task for task in tasks}


def _score_tasks(
    loaded: ReleaseQuestions, predictions: Predictions, tasks: Sequence[Task], book: Book
) -> dict[str, Scores]:
    """Return the scores of the tasks, and after them those by the truth, where it is known and `best` is asked."""
    found = score_predictions(loaded.questions, predictions, book)
    scores: dict[str, Scores] = {task: found[task] for task in TASKS if task in tasks and task in found}
    if loaded.truth is not None and "best" in tasks:
        scores["truth"] = score_truth(loaded.questions, predictions, loaded.truth)
    return scores


def _score(
    loaded: ReleaseQuestions, answers: AnswerFile, book: Book, tasks: Sequence[Task], open_engine: OpenEngine
) -> BookResult:
    questions = loaded.questions
    table = questions.questions
    texts = pa.array([answers.texts.get(name) for name in table["id"].to_pylist()], pa.string())
    read = parse_answers(texts, questions.actions)
    weights = np.zeros((len(read.choice), len(questions.actions)))
    named = read.choice >= 0
    weights[np.flatnonzero(named), read.choice[named]] = 1.0
    predictions = Predictions(weights, read.abstains, read.share, read.verdict, read.answered)
    scores = _score_tasks(loaded, predictions, tasks, book)
    shown = np.isin(np.asarray(table["task"].to_pylist(), object), list(_questions_of_tasks(tasks)))
    if loaded.listed and "best" in scores:
        scores["best"] = {**scores["best"], **_score_order(questions, read)}
    facts = _check_facts(loaded, texts, shown, book, open_engine)
    asked = int(shown.sum())
    answered = int((read.answered & shown).sum())
    counts = {"questions": asked, "answered": answered, "unanswered": asked - answered}
    counts |= {"unknown": answers.unknown, "repeated": answers.repeated, "cut": answers.cut}
    return BookResult(
        book,
        counts,
        {**scores, "facts": _score_facts(questions, facts, read.foretells)},
        dict(sum((Counter(item.faults) for item in facts.values()), Counter[str]())),
        value_counts(facts.values()),
        tuple(_scored(loaded, row, texts, read, facts) for row in np.flatnonzero(shown).tolist()),
    )


def _score_order(questions: QuestionSet, read: ParsedAnswers) -> Scores:
    """names the first: of the answers that name one of the listed actions, those that name the first of the list; by
    chance it is one in as many as there are (`names the first by chance`)."""
    labels = list(questions.actions.values())
    asked = [row if row["task"] == "best" else None for row in questions.questions.to_pylist()]
    lists = [questions.offered(row) if row else [] for row in asked]
    said = [labels[choice] if choice >= 0 else "" for choice in read.choice.tolist()]
    counts = np.array([name in offered for name, offered in zip(said, lists, strict=True)])
    first = np.array([bool(offered) and name == offered[0] for name, offered in zip(said, lists, strict=True)])
    chance = np.array([1 / max(len(offered), 1) for offered in lists])
    case = np.asarray(questions.questions["case"], np.int64)
    drawn = Bootstrap(questions.component)
    figures = {
        "names the first": drawn.ratio(first & counts, counts, case),
        "names the first by chance": drawn.ratio(chance * counts, counts, case),
    }
    return {name: score for name, score in figures.items() if score is not None}


def _check_facts(
    loaded: ReleaseQuestions, texts: pa.Array, shown: "np.ndarray[Any, Any]", book: Book, open_engine: OpenEngine
) -> dict[int, AnswerFacts]:
    """Return what each answer says of facts and cases, by the row of its question."""
    cases = loaded.questions.cases.select(["at", "facts", "context", "rates"])
    numbered = bool(pc.any(pc.match_substring_regex(cases["context"], NUMBERED)).as_py())
    records = cases.to_pylist()
    asked = loaded.questions.questions.select(["case", "text"]).to_pylist()
    given = [row for row in np.flatnonzero(shown).tolist() if texts[row].is_valid and texts[row].as_py().strip()]
    cited = {}
    for row in given:
        record, view = records[asked[row]["case"]], asked[row]["text"]
        if book == "open":
            view = f"{record['context'] or ''}\n{view}"
        cited[row] = find_citations(texts[row].as_py(), loaded.ids, view, record["facts"], numbered=numbered)
    named = {case for citations in cited.values() for case in citations.cases}
    moments = _moments(loaded.release, sorted(named), open_engine)
    found = {}
    for row in given:
        record, text = records[asked[row]["case"]], asked[row]["text"]
        said = texts[row].as_py()
        found[row] = check_answer(said, record, cited[row], moments, asked=text, labels=loaded.questions.actions)
    return found


def _moments(release: Release, ids: Sequence[str], open_engine: OpenEngine) -> dict[str, Any]:
    """Return the moments of those of some cases that the release has a record of, in any config."""
    if not ids:
        return {}
    with report_damage(release), open_engine(only=files_of(release)) as engine:
        named = engine.materialize(pa.table({"named": pa.array(ids, pa.string())}))
        found: dict[str, Any] = {}
        for config in release.configs:
            files = all_record_files(release.path, config)
            if files:
                found |= _moments_in(engine, engine.read_parquet(files), named)
        return found


def _moments_in(engine: Engine, records: ibis.Table, named: ibis.Table) -> dict[str, Any]:
    known = records.semi_join(named, records["case_id"] == named["named"]).select("case_id", "at").distinct()
    return {row["case_id"]: row["at"] for row in engine.fetch_rows(known)}


def _score_facts(questions: QuestionSet, facts: Mapping[int, AnswerFacts], foretells: Any) -> Scores:
    """grounded: the share of claims that facts carry; of cited cases those that exist, were before the question, and
    belong to the record; foretold: answers that tell how their own case went."""
    rows = np.asarray(sorted(facts), np.int64)
    if not len(rows):
        return {}
    items = [facts[row] for row in rows.tolist()]
    case = np.asarray(questions.questions["case"], np.int64)[rows]
    drawn = Bootstrap(questions.component)
    claims = np.array([item.claims for item in items])
    faults = np.array([sum(item.faults.values()) for item in items])
    cited = np.array([item.cited for item in items])
    figures: dict[str, Score | None] = {
        "grounded": drawn.ratio(np.maximum(claims - faults, 0), claims, case),
        "foretold": drawn.ratio(foretells[rows], np.ones(len(rows)), case),
    }
    for name in ("exist", "known", "belong"):
        counts = np.array([getattr(item, name) for item in items])
        figures[f"citations {name}"] = drawn.ratio(counts, cited, case)
    return {name: score for name, score in figures.items() if score is not None}


def _scored(
    loaded: ReleaseQuestions, row: int, texts: pa.Array, read: ParsedAnswers, facts: Mapping[int, AnswerFacts]
) -> ScoredAnswer:
    questions = loaded.questions
    asked = questions.questions.slice(row, 1).to_pylist()[0]
    place, labels = asked["case"], list(questions.actions.values())
    record = questions.cases.slice(place, 1).to_pylist()[0]
    right, said, correct = "", "", None
    match asked["task"]:
        case "best":
            target = [labels[column] for column in np.flatnonzero(questions.target[place])]
            choice = int(read.choice[row])
            right = "too few cases" if questions.abstain[place] else ", ".join(target) or "none has worked"
            said = "too few cases" if read.abstains[row] else labels[choice] if choice >= 0 else "unread"
            correct = bool(read.abstains[row]) if questions.abstain[place] else said in target if target else None
        case "rate":
            true, share = questions.rates[place, questions.asked[place]], read.share[row]
            right, said = f"{true:.0%}", "unread" if np.isnan(share) else f"{share:.0%}"
            correct = bool(abs(share - true) <= 0.1)
        case _:
            verdict = read.verdict[row]
            right = "it worked" if questions.worked[place] else "it did not work"
            said = "unread" if np.isnan(verdict) else f"{verdict:.0%}"
            correct = None if np.isnan(verdict) else bool((verdict >= 0.5) == questions.worked[place])
    checked = facts.get(row)
    faults = [*(checked.wrong if checked else ())]
    if checked and checked.invented:
        named = ", ".join(checked.invented[:10])
        faults.append(f"{len(checked.invented)} of {checked.cited} cited cases do not exist: {named}")
    if read.foretells[row]:
        faults.append("it tells how the case went")
    sources = tuple(f"{source['product']} {source['key']}" for source in record["sources"][:10])
    answer = texts[row].as_py()
    return ScoredAnswer(
        asked["id"],
        asked["task"],
        asked["text"],
        answer,
        said if answer is not None else "unanswered",
        right,
        correct,
        tuple(faults),
        sources,
    )
