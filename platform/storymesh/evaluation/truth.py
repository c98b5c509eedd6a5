"""The true success rate of each action in each case, where it is known, as for a generated mesh.

What earlier cases showed is only what can be known; the truth is what the answers are held against beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from storymesh.errors import StorymeshError
from storymesh.evaluation.questions import Booleans, Floats, QuestionSet
from storymesh.evaluation.scores import Bootstrap, Predictions, Scores
from storymesh.input_file import open_input
from storymesh.printable import printable

COLUMNS = {"case_id": pa.string(), "action": pa.string(), "rate": pa.float64()}
HINT = "it is a CSV or Parquet file with the columns case_id, action and rate, a share from 0 to 1"
NEAR = 0.05
ROWS = 65_536  # read at once


@dataclass(frozen=True)
class Truth:
    """The rate at which each action works in each case of a question set: `rates` is C x A, 0 for an action that the
    file does not name; `highest` of all actions of a case, NaN where the file does not have it; `mean` of those above
    0."""

    rates: Floats
    highest: Floats
    mean: Floats

    @property
    def known(self) -> Booleans:
        return ~np.isnan(self.highest)


def read_truth(path: Path, questions: QuestionSet) -> Truth:
    """Return what a file says of the cases of the questions; rows of other cases are passed over.

    Raises StorymeshError for a file that is no such table, says two things of one action, or has none of the cases.
    """
    ids = questions.cases["case_id"].combine_chunks()
    parts = [_rows_of_cases(path, batch, ids) for batch in _batches(path)]
    table = pa.concat_tables(parts).combine_chunks() if parts else pa.table({name: [] for name in COLUMNS})
    if not table.num_rows:
        asked = f"{ids[0].as_py()}" if len(ids) else "any"
        raise StorymeshError(f"{path} has none of the cases that are asked about, such as {printable(asked)}", HINT)
    _require_sound(path, table)
    case = np.asarray(pc.index_in(table["case_id"], ids).combine_chunks(), np.int64)
    column = np.asarray(pc.fill_null(pc.index_in(table["action"], questions.codes), -1).combine_chunks(), np.int64)
    rate = np.asarray(table["rate"].combine_chunks())
    rates, highest = np.zeros((len(ids), len(questions.actions))), np.full(len(ids), np.nan)
    rates[case[column >= 0], column[column >= 0]] = rate[column >= 0]
    np.fmax.at(highest, case, rate)
    works = rate > 0
    count = np.bincount(case[works], minlength=len(ids))
    total = np.bincount(case[works], rate[works], minlength=len(ids))
    return Truth(rates, highest, total / np.maximum(count, 1))


def score_truth(questions: QuestionSet, predictions: Predictions, truth: Truth) -> Scores:
    """best: the share of questions whose answer names an action that truly works most often; near: one that does
    within 0.05 of it; regret: how much less often the named one works, an answer that names none counting as a draw
    among those that work at all. What should be answered with too few cases is left out."""
    table = questions.questions
    rows = np.flatnonzero(np.asarray(table["task"].to_pylist(), object) == "best")
    case = np.asarray(table["case"], np.int64)[rows]
    counts = truth.known[case] & ~questions.abstain[case]
    weights, rates = predictions.weights[rows], truth.rates[case]
    highest = np.nan_to_num(truth.highest[case])
    lost = highest - (weights * rates).sum(1) - (1 - weights.sum(1)) * truth.mean[case]
    drawn = Bootstrap(questions.component)
    figures = {
        "best": drawn.ratio((weights * (rates >= highest[:, None] - 1e-9)).sum(1) * counts, counts, case),
        f"near {NEAR}": drawn.ratio(
            (weights * (rates >= highest[:, None] - NEAR - 1e-9)).sum(1) * counts, counts, case
        ),
        "regret": drawn.ratio(lost * counts, counts, case),
    }
    return {name: score for name, score in figures.items() if score is not None}


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file by the batch, its three columns only."""
    with open_input(path, path.parent) as file:
        try:
            if path.suffix.lower() == ".parquet":
                yield from pyarrow.parquet.ParquetFile(file, pre_buffer=False).iter_batches(ROWS, columns=list(COLUMNS))
            else:
                typed = pyarrow.csv.ConvertOptions(column_types=COLUMNS, include_columns=list(COLUMNS))
                yield from pyarrow.csv.open_csv(file, convert_options=typed)
        except (pa.ArrowException, OSError, KeyError) as error:
            words = printable(" ".join(str(error).split()))[:200]
            raise StorymeshError(f"{path} cannot be read as the truth: {words}", HINT) from None


def _rows_of_cases(path: Path, batch: pa.RecordBatch, ids: pa.Array) -> pa.Table:
    table = pa.Table.from_batches([batch])
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise StorymeshError(f"{path} has no column {' and no '.join(missing)}", HINT)
    try:
        typed = table.select(list(COLUMNS)).cast(pa.schema(COLUMNS))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        words = printable(" ".join(str(error).split()))[:200]
        raise StorymeshError(f"{path} cannot be read as the truth: {words}", HINT) from None
    return typed.filter(pc.is_in(typed["case_id"], ids))


def _require_sound(path: Path, table: pa.Table) -> None:
    """Raise StorymeshError for the first row that is no share, and for the first action that a case has twice."""
    share = pc.and_(pc.greater_equal(table["rate"], 0), pc.less_equal(table["rate"], 1))
    wrong = table.filter(pc.invert(pc.fill_null(pc.and_(share, pc.is_valid(table["action"])), False)))
    if wrong.num_rows:
        row = wrong.slice(0, 1).to_pylist()[0]
        named = printable(f"'{row['action']}' in the case '{row['case_id']}'")
        raise StorymeshError(f"{path}: the rate of {named} is {row['rate']}, not a share from 0 to 1", HINT)
    counts = table.group_by(["case_id", "action"]).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        row = twice.slice(0, 1).to_pylist()[0]
        named = printable(f"the case '{row['case_id']}' has '{row['action']}'")
        raise StorymeshError(f"{path}: {named} more than once", "leave one row for each action of a case")
