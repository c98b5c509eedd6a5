"""What free answers are read as: the action, a share, a verdict, or that there are too few cases."""

import numpy as np
import pyarrow as pa
import pytest

from storymesh.evaluation.parsed_answers import ParsedAnswers, parse_answers

ACTIONS = {"WAIT": "wait for the passage", "SLOT": "buy a priority slot", "AIR": "move the urgent part by air"}
CODES = [*ACTIONS]


def read(text: str | None) -> ParsedAnswers:
    return parse_answers(pa.array([text], pa.string()), ACTIONS)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("What worked best was to buy a priority slot.", "SLOT"),
        ("Do not wait for the passage; BUY a **priority slot**!", "SLOT"),
        ("- Wait for the passage: 3 of 10.\n- Buy a priority slot: 8 of 10.\nBest: buy a priority slot.", "SLOT"),
        ("What mostly did not work was to wait for the passage.\nMove the urgent part by air.", "AIR"),
        ("AIR", "AIR"),
        ("They wait, and the air is clear.", None),
        ("buy a priority slots", None),
        ("", None),
        ("x" * 300_000, None),
    ],
)
def test_the_action_that_is_called_best_is_read(text: str, action: str | None) -> None:
    assert int(read(text).choice[0]) == (CODES.index(action) if action else -1)


@pytest.mark.parametrize(
    ("text", "abstains"),
    [
        ("There are too few closed cases like this one to say what works.", True),
        ("I don’t know.", True),
        ("Too few cases. Perhaps buy a priority slot.", True),
        ("Buy a priority slot; too few cases speak for the rest.", False),
        ("Wait for the passage.", False),
    ],
)
def test_that_there_are_too_few_cases_is_read(text: str, abstains: bool) -> None:
    assert bool(read(text).abstains[0]) is abstains


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("80 %", 0.8),
        ("It worked in 12.5% of cases", 0.125),
        ("7 out of 9", 7 / 9),
        ("It has worked about 8 times in 10.", 0.8),
        ("probability 0.35", 0.35),
        ("eighty percent", None),
        ("250 %", None),
        ("3 of 0", None),
    ],
)
def test_a_share_is_read(text: str, share: float | None) -> None:
    found = float(read(text).share[0])
    assert np.isnan(found) if share is None else found == pytest.approx(share)


def test_a_verdict_is_read_from_words_or_a_share() -> None:
    said = ["Yes.", "No, it won't.", "It will fail", "30 %", "Perhaps", "Too few cases to say that it worked"]
    found = [float(read(text).verdict[0]) for text in said]
    assert found[:4] == [1.0, 0.0, 0.0, 0.3] and np.isnan(found[4:]).all()


def test_what_tells_the_case_s_own_end_foretells() -> None:
    assert read("In this case the last step was to wait. It worked.").foretells[0]
    assert read("In the end it did not work").foretells[0]
    assert read("We switched the drug, and this time it healed.").foretells[0]
    assert read("It was moved by rail. In the end it arrived.").foretells[0]
    assert not read("In this case I would buy a slot: it worked in 3 of 10 earlier cases.").foretells[0]


def test_no_answer_says_nothing() -> None:
    none = read(None)
    assert not none.answered[0] and none.choice[0] == -1 and not none.abstains[0]
