"""Tricks that guess preferences without the question are measured, and warned of where they reach much."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.narrative.formats import FORMATS
from storymesh.release import tricks
from storymesh.release.manifest import TrickSummary
from storymesh.release.tricks import MIN_ANSWERS, measure_tricks, trick_warnings

Pair = tuple[str, str]


def measured(folder: Path, format_: str, splits: Mapping[str, list[dict[str, Any]]]) -> TrickSummary:
    files = {}
    for split, rows in splits.items():
        files[split] = [folder / f"{split}.parquet"]
        table = pa.Table.from_pylist([{"id": f"{split}{n}", **row} for n, row in enumerate(rows)])
        pq.write_table(table, files[split][0])
    with open_engine() as engine:
        found = measure_tricks(engine, FORMATS[format_], files)
    assert found is not None
    return found


def pairs(*texts: Pair, question: str = "What now?") -> list[dict[str, Any]]:
    """Pairs of a chosen and a rejected answer; the action is the first word."""
    return [
        {"prompt": question, "chosen": better, "rejected": worse}
        | {"facts": {"option": {"chosen": {"action": better.split()[0]}, "rejected": {"action": worse.split()[0]}}}}
        for better, worse in texts
    ]


def test_each_trick_is_held_against_later_pairs(tmp_path: Path) -> None:
    train = pairs(("fly 9", "wait 1"), ("fly 8", "wait 2"), ("tow 7", "fly 3"))
    test = pairs(
        ("fly 20 times", "wait 5"), ("tow 3", "wait 1 time"), question="Should we wait 5 days or fly 20 times?"
    )
    found = measured(tmp_path, "preference", {"train": train, "test": test})
    assert found.answers == 2
    assert found.right["largest number"] == 1.0
    assert found.right["longest"] == 0.5
    assert found.right["first"] == 0.75  # the opposite: the question has the worse one first, and of one pair neither
    assert found.right["action alone"] == 1.0
    assert found.right["most frequent"] == 1.0


def test_of_many_records_the_same_few_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = pairs(*[("fly", "wait long")] * 9, *[("wait long", "fly")] * 9)
    monkeypatch.setattr(tricks, "SAMPLE", 6)
    found = [measured(tmp_path, "preference", {"train": answers, "test": rows}) for rows in (answers, answers)]
    assert found[0] == found[1]
    assert found[0].answers == 6


def test_a_trick_and_its_opposite_count_as_one(tmp_path: Path) -> None:
    found = measured(tmp_path, "preference", {"train": pairs(("fly", "wait long"), ("tow", "wait longer"))})
    assert found.right["longest"] == 1.0


def test_answers_without_numbers_are_a_tie(tmp_path: Path) -> None:
    found = measured(tmp_path, "preference", {"train": pairs(("fly", "tow"), ("tow", "fly"))})
    assert found.right["largest number"] == found.right["action alone"] == 0.5


def singles(*rows: tuple[str, bool]) -> list[dict[str, Any]]:
    """Answers with their labels; each is its own action."""
    return [
        {"prompt": "?", "completion": text, "label": label, "facts": {"option": {"own": {"action": text}}}}
        for text, label in rows
    ]


def test_labels_are_guessed_by_action_and_by_frequency(tmp_path: Path) -> None:
    train = singles(("fly", True), ("fly", True), ("wait", False), ("tow", True))
    test = singles(("fly", True), ("wait", False), ("rail", True), ("wait", True))
    found = measured(tmp_path, "unpaired_preference", {"train": train, "validation": test})
    assert found.right["action alone"] == 0.75
    assert found.right["most frequent"] == 0.75


def test_of_labels_that_are_as_frequent_the_good_one_is_guessed(tmp_path: Path) -> None:
    train = singles(("fly", True), ("wait", False))
    test = singles(("rail", True), ("rail", True), ("rail", True), ("rail", False))
    found = measured(tmp_path, "unpaired_preference", {"train": train, "validation": test})
    assert found.right["most frequent"] == found.right["action alone"] == 0.75


@pytest.mark.parametrize(
    ("answers", "share", "warned"), [(MIN_ANSWERS, 0.99, True), (MIN_ANSWERS, 0.79, False), (9, 0.99, False)]
)
def test_a_trick_that_reaches_much_is_warned_of(answers: int, share: float, warned: bool) -> None:
    found = {"choice": TrickSummary(answers=answers, right={"longest": 0.5, "largest number": share})}
    warnings = list(trick_warnings(found))
    assert bool(warnings) is warned
    assert all(text.startswith("'choice' can be won by a trick: 'largest number'") for text in warnings)
