"""Scores against their definitions, computed the slow way."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.evaluation.scores import Bootstrap, area_under_curve, calibration_error

PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=20)


@given(PAIRS)
def test_the_area_is_the_share_of_pairs_in_order(pairs: list[tuple[float, bool]]) -> None:
    said, worked = np.array([item[0] for item in pairs]), np.array([item[1] for item in pairs])
    compared = [(good > bad) + (good == bad) / 2 for good, bad in product(said[worked], said[~worked])]
    found = area_under_curve(said, worked)
    assert np.isnan(found) if not compared else found == pytest.approx(np.mean(compared))


@given(PAIRS)
def test_calibration_compares_what_is_said_with_what_happened(pairs: list[tuple[float, bool]]) -> None:
    said, worked = np.array([item[0] for item in pairs]), np.array([item[1] for item in pairs])
    bins = np.minimum((said * 10).astype(int), 9)
    expected = sum(abs(said[bins == b].sum() - worked[bins == b].sum()) for b in set(bins)) / len(said)
    assert calibration_error(said, worked) == pytest.approx(expected)


def test_what_belongs_together_is_drawn_together() -> None:
    right = np.array([1.0] * 50 + [0.0] * 50)
    case = np.arange(100)
    alone = Bootstrap(np.arange(100)).ratio(right, np.ones(100), case)
    together = Bootstrap(np.repeat([0, 1], 50)).ratio(right, np.ones(100), case)
    assert alone is not None and together is not None
    assert alone.value == together.value == 0.5
    assert alone.low > 0.3 and (together.low, together.high) == (0.0, 1.0)
    assert Bootstrap(np.arange(3)).ratio(np.zeros(3), np.zeros(3), np.arange(3)) is None
