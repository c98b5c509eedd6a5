"""`storymesh evaluate --truth`: answers held against how often each action truly works, in a file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.release.catalog import Release
from tests.evaluation.test_evaluate import figures, questions_of, write_answers

Command = Callable[..., Any]
RATES = {"slot": 0.5, "rail": 0.52, "wait": 0.0, "pray": 0.25}


def write_truth(path: Path, cases: list[str], **other: float) -> Path:
    """A file in which `rail` is truly best, `slot` nearly so; `pray` is an action that nobody has taken."""
    rows = [(case, action, rate) for case in [*cases, "another"] for action, rate in (RATES | other).items()]
    if path.suffix == ".parquet":
        columns = zip(*rows, strict=True)
        pq.write_table(pa.table(dict(zip(("case_id", "action", "rate"), columns, strict=True))), path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("case_id", "action", "rate"), *rows])
    return path


@pytest.fixture(scope="module")
def cases(release: Release) -> list[str]:
    files = sorted((release.path / "data/eval").glob("test-*.parquet"))
    rows = pa.concat_tables([pq.read_table(path, columns=["case_id", "abstain"]) for path in files]).to_pylist()
    return [row["case_id"] for row in rows if not row["abstain"]]


@pytest.mark.parametrize("name", ["truth.csv", "truth.parquet"])
def test_answers_are_held_against_the_truth(
    storymesh: Command, release: Release, tmp_path: Path, cases: list[str], name: str
) -> None:
    truth = write_truth(tmp_path / name, cases)
    asked = [item["id"] for item in questions_of(storymesh, release, tmp_path, "--task", "best")]
    said = {"Best: rail.": (1.0, 1.0, 0.0), "Best: slot.": (0.0, 1.0, 0.02), "Best: wait.": (0.0, 0.0, 0.52)}
    # Whoever names none has drawn among the three that work at all.
    said["I would rather not choose one."] = (0.0, 0.0, 0.52 - (0.5 + 0.52 + 0.25) / 3)
    for text, (best, near, regret) in said.items():
        path = write_answers(tmp_path / "a.jsonl", [(question, text) for question in asked])
        options = ("--answers", str(path), "--truth", str(truth), "--format", "json", "--least", "truth.best=0.9")
        done = storymesh(tmp_path, "evaluate", str(release.path), *options)
        assert done.code == (0 if best == 1 else 1), done.err
        found = figures(done.out)
        scores = (found["truth.best"], found["truth.near 0.05"], found["truth.regret"])
        assert scores == pytest.approx((best, near, regret), abs=1e-3)
        (result,) = json.loads(done.out)["results"]
        assert result["scores"]["truth"]["best"]["n"] == len(cases) * len({item.split("/")[0] for item in asked})


def test_an_action_that_nobody_can_name_may_be_the_best_one(
    storymesh: Command, release: Release, tmp_path: Path, cases: list[str]
) -> None:
    truth = write_truth(tmp_path / "truth.csv", cases, pray=0.75)
    options = ("--baseline", "chance", "--truth", str(truth), "--format", "json")
    found = figures(storymesh(tmp_path, "evaluate", str(release.path), *options).out)
    assert found["truth.best"] == 0.0
    assert found["truth.regret"] == pytest.approx(0.75 - (0.5 + 0.52) / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("case_id,action,rate\nD091,slot,1.5\n", "the rate of 'slot' in the case 'D091' is 1.5, not a share"),
        ("case_id,action,rate\nD091,slot,\n", "the rate of 'slot' in the case 'D091' is None, not a share"),
        ("case_id,action,rate\nD091,slot,often\n", "cannot be read as the truth"),
        ("case_id,action,rate\nD091,slot,0.5\nD091,slot,0.5\n", "the case 'D091' has 'slot' more than once"),
        ("case_id,action,rate\nD000,slot,0.5\n", "has none of the cases that are asked about, such as"),
        ("case,action,rate\nD091,slot,0.5\n", "cannot be read as the truth: "),
        ("", "cannot be read as the truth"),
    ],
)
def test_a_file_that_is_no_truth_is_answered_in_words(
    storymesh: Command, release: Release, tmp_path: Path, cases: list[str], content: str, message: str
) -> None:
    (tmp_path / "truth.csv").write_text(content.replace("D091", cases[0]))
    options = ("--baseline", "chance", "--truth", "truth.csv")
    done = storymesh(tmp_path, "evaluate", str(release.path), *options)
    assert done.code == 1 and message.replace("D091", cases[0]) in done.err, done.err
    assert "Traceback" not in done.err
    (tmp_path / "truth.parquet").write_text(content)
    done = storymesh(tmp_path, "evaluate", str(release.path), "--baseline", "chance", "--truth", "truth.parquet")
    assert done.code == 1 and "cannot be read as the truth" in done.err, done.err
