"""The questions of a release with their right answers, as arrays: a row a case, a column an action.

An answer names its question by id: `best-<wording>/<case id>`, `rate/<case id>` or `verdict/<case id>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storymesh.errors import StorymeshError, TooLarge

Task = Literal["best", "rate", "verdict", "abstain"]
Book = Literal["open", "closed"]
TASKS: tuple[Task, ...] = ("best", "rate", "verdict", "abstain")
MAX_CASES = 100_000
MAX_ACTIONS = 1_000

_RATE = {"action": pa.string(), "tried": pa.int64(), "worked": pa.int64(), "rate": pa.float64()}
COLUMNS: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("case_id", "system", "question", "rate_question", "verdict_question", "context"), pa.string()),
    **dict.fromkeys(("rate_action", "action", "stratum", "component"), pa.string()),
    **dict.fromkeys(("abstain", "withheld", "label"), pa.bool_()),
    **dict.fromkeys(("rewordings", "target"), pa.list_(pa.string())),
    "options": pa.list_(pa.struct({"action": pa.string(), "label": pa.string()})),
    "rates": pa.list_(pa.struct({**_RATE, "low": pa.float64(), "high": pa.float64()})),
    "at": pa.timestamp("us"),
}
"""The columns of evaluation records that are read, with their types."""

LATER = "withheld"  # the column that older releases lack

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class QuestionSet:
    """The evaluation records of a release (`cases`, C of them) and the A `actions` that answers may name, code ->
    label."""

    cases: pa.Table
    actions: Mapping[str, str]

    def __len__(self) -> int:
        return int(self.cases.num_rows)

    @cached_property
    def codes(self) -> pa.Array:
        return pa.array(list(self.actions), pa.string())

    @cached_property
    def tried(self) -> Floats:
        """C x A: how often each action was tried before, 0 where never."""
        return self._rate_matrix("tried", 0.0)

    @cached_property
    def rates(self) -> Floats:
        """C x A: the share that worked before, NaN where it was never tried."""
        return self._rate_matrix("rate", np.nan)

    @cached_property
    def target(self) -> Booleans:
        """C x A: True for the actions that count as best."""
        cases, columns = self._positions(self.cases["target"])
        found = np.zeros((len(self), len(self.actions)), np.bool_)
        found[cases[columns >= 0], columns[columns >= 0]] = True
        return found

    @cached_property
    def own(self) -> Integers:
        """The column of what was done in each case, -1 for an action that is not known."""
        return self._column(self.cases["action"])

    @cached_property
    def asked(self) -> Integers:
        """The column of the action whose rate is asked, -1 where none is."""
        return self._column(self.cases["rate_action"])

    @cached_property
    def worked(self) -> Booleans:
        return _flags(self.cases["label"])

    @cached_property
    def abstain(self) -> Booleans:
        """True where the right answer is that there are too few cases."""
        return _flags(self.cases["abstain"])

    @cached_property
    def withheld(self) -> Booleans:
        """True where only a look-up shows that there are too few: a closed book cannot be asked to know."""
        return _flags(self.cases[LATER])

    @cached_property
    def component(self) -> Integers:
        """A number for what belongs together, from 0."""
        return np.asarray(self.cases["component"].combine_chunks().dictionary_encode().indices.to_numpy(), np.int64)

    @cached_property
    def questions(self) -> pa.Table:
        """The questions: id, task, case (row of `cases`), wording and text, those that are asked at all."""
        cases = pa.array(range(len(self)), pa.int64())
        parts = [self._question("best", 1, cases, self.cases["question"])]
        rewordings = self.cases["rewordings"].combine_chunks()
        counts = pc.list_value_length(rewordings)
        for place in range(int(pc.max(counts).as_py() or 0)):
            held = pc.greater(pc.fill_null(counts, 0), place)
            texts = pc.list_element(rewordings.filter(held), place)
            parts.append(self._question("best", place + 2, cases.filter(held), texts))
        parts.append(self._question("rate", 1, cases, self.cases["rate_question"], asked=self.asked >= 0))
        parts.append(self._question("verdict", 1, cases, self.cases["verdict_question"]))
        return pa.concat_tables(parts)

    def offered(self, row: Mapping[str, Any]) -> list[str]:
        """Return the labels that one of the `questions` may list to choose from: each wording begins with another."""
        options = self.cases["options"][row["case"]].as_py() or []
        turn = (row["wording"] - 1) % len(options) if options else 0
        return [option["label"] for option in [*options[turn:], *options[:turn]]]

    def _question(self, task: Task, wording: int, cases: Any, texts: Any, asked: Booleans | None = None) -> pa.Table:
        flat = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        held = pc.is_valid(flat) if asked is None else pc.and_(pc.is_valid(flat), pa.array(asked))
        rows, words = cases.filter(held), flat.filter(held)
        ids = pc.take(self.cases["case_id"].combine_chunks(), rows)
        name = f"best-{wording}/" if task == "best" else f"{task}/"
        return pa.table(
            {
                "id": pc.binary_join_element_wise(pa.scalar(name), ids, ""),
                "task": pa.array([task] * len(rows), pa.string()),
                "case": rows,
                "wording": pa.array([wording] * len(rows), pa.int64()),
                "text": words.cast(pa.string()),
            }
        )

    def _rate_matrix(self, field: str, absent: float) -> Floats:
        rates = self.cases["rates"].combine_chunks()
        flat = pc.list_flatten(rates)
        cases, columns = self._positions(rates, pc.struct_field(flat, "action"))
        found = np.full((len(self), len(self.actions)), absent)
        values = np.asarray(pc.fill_null(pc.struct_field(flat, field).cast(pa.float64()), absent))
        known = columns >= 0
        found[cases[known], columns[known]] = values[known]
        return found

    def _positions(self, lists: Any, actions: Any = None) -> tuple[Integers, Integers]:
        """Return row and column of each action in the lists."""
        lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
        flat = pc.list_flatten(lists) if actions is None else actions
        return np.asarray(pc.list_parent_indices(lists), np.int64), self._column(flat)

    def _column(self, actions: Any) -> Integers:
        return np.asarray(pc.fill_null(pc.index_in(actions, value_set=self.codes), -1), np.int64)


def question_set(cases: pa.Table, actions: Mapping[str, str]) -> QuestionSet:
    """Return the questions of evaluation records. `actions` are the known codes with their labels; codes that the
    records name besides are their own label. Raises StorymeshError for records that are none, TooLarge for too many."""
    hint = "make the release again with `evaluation:` in its narrative.yaml"
    if LATER not in cases.column_names:
        cases = cases.append_column(LATER, pa.repeat(pa.scalar(False), cases.num_rows))
    if missing := sorted(set(COLUMNS) - set(cases.column_names)):
        raise StorymeshError(f"these are no questions of an evaluation: they have no {' and no '.join(missing)}", hint)
    for name, kind in COLUMNS.items():
        try:
            typed = cases[name].cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            words = f"these are no questions of an evaluation: '{name}' is {str(cases[name].type)[:100]}"
            raise StorymeshError(words, hint) from None
        filled = pc.fill_null(typed, "") if name in ("case_id", "stratum", "component") else typed
        cases = cases.set_column(cases.column_names.index(name), name, filled)
    flat = pc.list_flatten(cases["rates"].combine_chunks())
    named = [pc.struct_field(flat, "action"), cases["action"].combine_chunks()]
    found = pc.unique(pa.concat_arrays([item.cast(pa.string()) for item in named])).drop_null().to_pylist()
    known = dict(actions) | {code: code for code in sorted(found) if code not in actions}
    if cases.num_rows > MAX_CASES or len(known) > MAX_ACTIONS:
        message = f"the evaluation has {cases.num_rows:,} cases and {len(known):,} actions"
        raise TooLarge(message, f"at most {MAX_CASES:,} and {MAX_ACTIONS:,} are scored: draw fewer with `each`")
    return QuestionSet(cases.sort_by("case_id"), known)


def chat_messages(
    questions: QuestionSet, row: Mapping[str, Any], book: Book, *, listed: bool
) -> Sequence[tuple[str, str]]:
    """Return what a model is sent for one of the `questions`: the system prompt, if there is one, and the question;
    with an open book what may be looked up stands before it, and `listed` actions to choose from after it."""
    case = questions.cases.slice(row["case"], 1)
    system, context = (case[name][0].as_py() for name in ("system", "context"))
    text = f"{context.strip()}\n\n{row['text']}" if book == "open" and context else row["text"]
    if listed and row["task"] == "best" and (labels := questions.offered(row)):
        text = f"{text}\n\nChoose one of: {'; '.join(labels)}."
    return [*([("system", system)] if system else []), ("user", text)]


def _flags(column: Any) -> Booleans:
    return np.asarray(pc.fill_null(column, False).combine_chunks().to_numpy(zero_copy_only=False), np.bool_)
