"""Who answers the questions of `storymesh evaluate`: a file, a server, a model in a folder, or a baseline."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from storymesh.atomic_write import write_atomically
from storymesh.engine.open import open_engine
from storymesh.errors import WrongUsage, suggest_name
from storymesh.evaluation.answers import read_answer_file
from storymesh.evaluation.baselines import BASELINES
from storymesh.evaluation.questions import TASKS, Book, Task
from storymesh.lifecycle.evaluate import (
    Ask,
    EvaluationResult,
    Messages,
    ReleaseQuestions,
    evaluate_answers,
    evaluate_baselines,
    evaluate_model,
)
from storymesh.mesh.lookup import warehouse_of
from storymesh.temporary_folder import temporary_folder

HF = "hf:"
# The figure of a task that `--least` means without naming one: the higher the better.
MAIN_FIGURES: Mapping[str, str] = {
    "best": "best",
    "rate": "within 0.1",
    "verdict": "accuracy",
    "abstain": "recall",
    "facts": "grounded",
    "truth": "best",
}


def parse_tasks(written: str | None) -> tuple[Task, ...]:
    """Return the tasks of `--task`. Raises WrongUsage for a name that is none."""
    if written is None:
        return TASKS
    names = [name.strip() for name in written.split(",") if name.strip()]
    for name in names:
        if name not in TASKS:
            raise WrongUsage(f"'{name[:100]}' is no task", suggest_name(name, TASKS))
    if not names:
        raise WrongUsage("--task names no task", suggest_name("", TASKS))
    return tuple(task for task in TASKS if task in names)


def parse_least(written: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return (task, figure) -> the least value. Raises WrongUsage for what is none."""
    found = {}
    for text in written:
        name, _, number = text.rpartition("=")
        task, _, figure = name.partition(".")
        if task not in MAIN_FIGURES:
            raise WrongUsage(f"'{text[:100]}' asks for no figure", f"write --least best=0.8; {_known_figures(task)}")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not 0 <= value <= 1:
            raise WrongUsage(f"'{text[:100]}' asks for no share", "write a number from 0 to 1, as in --least best=0.8")
        found[task, figure or MAIN_FIGURES[task]] = value
    return found


def _known_figures(task: str) -> str:
    return suggest_name(task, MAIN_FIGURES)


def write_questions(loaded: ReleaseQuestions, path: Path, books: Sequence[Book], tasks: Sequence[Task]) -> str:
    """Write what a model is asked as JSON lines of id and messages, for whoever asks it elsewhere. Returns a sentence
    for people. Raises WrongUsage for both books at once: an answer names its question, not its book."""
    if len(books) > 1:
        raise WrongUsage("a file of questions is of one book", "write two: --book open, and --book closed")
    asked = {"best" if task == "abstain" else task for task in tasks}
    lines = [
        {
            "id": row["id"],
            "task": row["task"],
            "messages": [{"role": role, "content": content} for role, content in loaded.messages(row, books[0])],
        }
        for row in loaded.questions.questions.to_pylist()
        if row["task"] in asked
    ]
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return f"{len(lines):,} questions are in {path}; score JSON lines of id and answer with --answers"


def evaluate_source(
    loaded: ReleaseQuestions,
    *,
    answers: Path | None,
    model: str | None,
    baseline: str | None,
    books: Sequence[Book],
    tasks: Sequence[Task],
    base_url: str | None,
    mesh: Path | None,
) -> EvaluationResult:
    """Return the evaluation of the one source that is given."""
    if answers is not None:
        if len(books) > 1:
            raise WrongUsage("a file of answers is of one book", "score two: --book open, and --book closed")
        read = read_answer_file(answers, loaded.by_id)
        return evaluate_answers(loaded, read, answers.name, books[0], tasks, open_engine)
    if baseline is not None:
        if baseline != "all" and baseline not in BASELINES:
            raise WrongUsage(f"there is no baseline '{baseline[:100]}'", suggest_name(baseline, ["all", *BASELINES]))
        return evaluate_baselines(loaded, list(BASELINES) if baseline == "all" else [baseline], tasks)
    assert model is not None
    ask = _local(model, mesh) if model.startswith(HF) else _served(model, base_url, mesh)
    return evaluate_model(loaded, ask, model, books, tasks, open_engine)


def _local(model: str, mesh: Path | None) -> Ask:
    """Return what asks a model in a folder. Answers are kept as those of servers are, by the digest of the folder."""
    from storymesh.evaluation.local_model import ask_local_model, digest_local_model
    from storymesh.llm.ask import keep_answers
    from storymesh.llm.response_cache import ResponseCache
    from storymesh.release.rewritten_records import ANSWER_STORE

    folder = Path(model.removeprefix(HF)).expanduser()

    def ask(questions: Sequence[Messages]) -> Sequence[str]:
        name = f"{HF}{digest_local_model(folder)}"
        with _store(mesh) as store, ResponseCache(store / ANSWER_STORE) as kept:
            return keep_answers(name, questions, kept, lambda asked: ask_local_model(folder, asked))

    return ask


def _served(model: str, base_url: str | None, mesh: Path | None) -> Ask:
    """Return what asks a server. Answers are kept where those of narrators are, in the store of the mesh; without a
    mesh, as for a release that was pulled, each run asks again."""
    from storymesh.llm.ask import ask_model
    from storymesh.llm.asked_model import AskedModel
    from storymesh.llm.response_cache import ResponseCache
    from storymesh.release.rewritten_records import ANSWER_STORE

    asked = AskedModel(model=model, base_url=base_url, parameters={"temperature": 0})

    def ask(questions: Sequence[Messages]) -> list[str | None]:
        with _store(mesh) as folder, ResponseCache(folder / ANSWER_STORE) as kept:
            return ask_model(asked, questions, kept)

    return ask


@contextmanager
def _store(mesh: Path | None) -> Iterator[Path]:
    try:
        folder = warehouse_of(mesh).prepare_folder()
    except WrongUsage:
        if mesh is not None:
            raise
        with temporary_folder("evaluation") as made:
            yield made
        return
    yield folder
