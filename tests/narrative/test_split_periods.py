"""What the days of a split alone can tell: validation that must stay empty, or almost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.mesh.check import check_files

Edit = Callable[[str, str, str], None]

SPLIT = "split: {validation: 2024-04-01, test: 2024-05-01, embargo: 2d}"
NARRATIVE = "narratives/late_repairs/narrative.yaml"


@pytest.mark.parametrize(
    ("split", "column", "words"),
    [
        (SPLIT, 0, ""),
        ("split: {validation: 2024-04-01, test: 2024-05-01, embargo: 15d}", 0, ""),
        (
            "split: {validation: 2024-04-01, test: 2024-05-01, embargo: 27d}",
            62,
            "only cases that begin and close in the first 3 days of the 30 days of validation are kept",
        ),
        (
            "split: {validation: 2024-04-01, test: 2024-05-01, embargo: 30d}",
            62,
            "no case of validation can be kept: it lasts 30 days, and a case has to close 30 days before test begins",
        ),
        (
            "split: {validation: 2024-05-01, test: 2024-05-01, embargo: 2d}",
            23,
            "no config can have records in validation: it begins when test does",
        ),
        (
            "split: {random: {validation: 0, test: 0.2}}",
            32,
            "no config can have records in validation: its share is 0",
        ),
        ("split: {random: {validation: 0.1, test: 0.2}}", 0, ""),
    ],
)
def test_a_split_that_must_stay_empty(harbour: Path, edit: Edit, split: str, column: int, words: str) -> None:
    edit(NARRATIVE, SPLIT, split)
    found = [str(finding) for finding in check_files(harbour)]
    at = (harbour / NARRATIVE).read_text(encoding="utf-8").splitlines().index(f"  {split}") + 1
    assert len(found) == bool(words), found
    if words:
        assert found[0].startswith(f"{NARRATIVE}:{at}:{column}: warning[empty-split]: {words}"), found
