"""`evaluation.json` of a release: what its questions are and what needs no model answers to them, and beside it the
same questions as tasks of lm-evaluation-harness.

Like all of a release it may come from strangers, so it is bounded and checked when it is read.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints, ValidationError

from storymesh.errors import StorymeshError
from storymesh.evaluation.baselines import BASELINES, TrainedAction, baseline_book, baseline_predictions
from storymesh.evaluation.questions import MAX_ACTIONS, question_set
from storymesh.evaluation.scores import score_predictions
from storymesh.input_file import InputFileRefused, read_input

EVALUATION_DOCUMENT = "evaluation.json"
HARNESS_FOLDER = "lm_eval"
MAX_BYTES = 64 * 2**20
_Words = Annotated[str, StringConstraints(max_length=2_000)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class BaselineScore(_Frozen):
    """A figure of a baseline, with its interval."""

    value: float
    low: float
    high: float
    n: NonNegativeInt


class TableRow(_Frozen):
    """A row of the table of train, as the file has it: how often an action was tried and worked in a stratum."""

    stratum: _Words
    action: _Words
    tried: NonNegativeInt
    worked: NonNegativeInt


class EvaluationDocument(_Frozen):
    """The content of `evaluation.json`. `actions`: code -> label. `questions`: task -> how many. `strata`: stratum ->
    its cases. `table`: the outcomes of train. `baselines`: baseline -> task -> figure."""

    actions: Annotated[Mapping[_Words, _Words], Field(max_length=MAX_ACTIONS)]
    questions: Mapping[_Words, NonNegativeInt]
    strata: Mapping[_Words, NonNegativeInt]
    table: tuple[TableRow, ...]
    baselines: Mapping[_Words, Mapping[_Words, Mapping[_Words, BaselineScore]]]

    @property
    def trained(self) -> list[TrainedAction]:
        return [TrainedAction(row.stratum, row.action, row.tried, row.worked) for row in self.table]


def describe_evaluation(
    cases: pa.Table, labels: Mapping[str, str], table: Sequence[Mapping[str, Any]]
) -> EvaluationDocument:
    """Return the document for evaluation records and the outcomes of train (stratum, action, tried, worked)."""
    codes = {row["action"]: labels.get(row["action"], row["action"]) for row in table}
    questions = question_set(cases, {**labels, **codes})
    rows = tuple(TableRow(**row) for row in table)
    trained = [TrainedAction(row.stratum, row.action, row.tried, row.worked) for row in rows]
    scored = {
        name: score_predictions(questions, baseline_predictions(questions, trained, name), baseline_book(name))
        for name in BASELINES
    }
    tasks = questions.questions["task"].value_counts().to_pylist()
    strata = questions.cases["stratum"].value_counts().to_pylist()
    return EvaluationDocument(
        actions=questions.actions,
        questions=dict(sorted((item["values"], item["counts"]) for item in tasks)),
        strata=dict(sorted((item["values"], item["counts"]) for item in strata)),
        table=rows,
        baselines={
            name: {
                task: {figure: BaselineScore(**vars(score)) for figure, score in scores.items()}
                for task, scores in tasks_.items()
            }
            for name, tasks_ in scored.items()
        },
    )


def write_evaluation_document(document: EvaluationDocument, folder: Path) -> None:
    """Write `evaluation.json` into a release."""
    text = json.dumps(document.model_dump(), indent=1, ensure_ascii=False) + "\n"
    (folder / EVALUATION_DOCUMENT).write_text(text, encoding="utf-8")


def read_evaluation_document(folder: Path) -> EvaluationDocument:
    """Return `evaluation.json` of a release. Raises StorymeshError when it is missing or damaged."""
    path = folder / EVALUATION_DOCUMENT
    try:
        return EvaluationDocument.model_validate_json(read_input(path, folder, MAX_BYTES, links=False))
    except InputFileRefused as refused:
        words = f"the release has no {EVALUATION_DOCUMENT} that can be read: the file {refused.reason}"
        raise StorymeshError(words, "make it again with `evaluation:` in its narrative.yaml") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part)[:80] for part in problem["loc"])
        words = f"{path} is damaged: {where}: {problem['msg']}"
        raise StorymeshError(words, "storymesh releases --verify says what is damaged") from None


def write_harness_tasks(folder: Path, name: str, cases: pa.Table) -> None:
    """Write the questions `best` and `verdict` as tasks of lm-evaluation-harness: a YAML file, and its questions as
    JSON lines. Paths are relative to the release, where `lm_eval --include_path lm_eval` is to be run.

    Form: https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/task_guide.md (`output_type`
    `multiple_choice`; `gold` are the places of the right choices, any of which counts).
    """
    tasks: dict[str, list[dict[str, Any]]] = {"best": [], "verdict": []}
    for row in cases.select(["id", "question", "verdict_question", "options", "target", "label"]).to_pylist():
        codes = [option["action"] for option in row["options"]]
        if row["question"] and row["target"]:
            choices = [option["label"] for option in row["options"]]
            gold = [codes.index(code) for code in row["target"]]
            tasks["best"].append({"id": row["id"], "question": row["question"], "choices": choices, "gold": gold})
        if row["verdict_question"]:
            gold = [int(row["label"])]
            question = row["verdict_question"]
            tasks["verdict"].append({"id": row["id"], "question": question, "choices": ["no", "yes"], "gold": gold})
    (folder / HARNESS_FOLDER).mkdir(exist_ok=True)
    for task, lines in tasks.items():
        if not lines:
            continue
        questions = folder / HARNESS_FOLDER / f"{task}.jsonl"
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        questions.write_text(text, encoding="utf-8")
        content = {
            "task": f"{name}_{task}",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": questions.relative_to(folder).as_posix()}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}\n\nAnswer:",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            "metadata": {"version": 1.0},
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"  # JSON is YAML
        questions.with_suffix(".yaml").write_text(text, encoding="utf-8")
