"""An outcome told by values that the contracts call known when the question is asked is said by `check`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.mesh.check import check_files

Edit = Callable[[str, str, str], None]

NARRATIVE = "narratives/late_repairs/narrative.yaml"
CONTRACT = "contracts/yard/repairs.odcs.yaml"
LATER = "customProperties: [{property: knownAt, value: done_at}, {property: unit, value: days}]"
AT_ONCE = "customProperties: [{property: unit, value: days}]"


def known_outcomes(root: Path) -> list[str]:
    return [str(finding) for finding in check_files(root) if finding.rule == "outcome-known"]


@pytest.mark.parametrize(
    ("worked", "read"),
    [
        ("repair.saved_days > 0", "'repair.saved_days'"),
        ("gain > 0", "'repair.saved_days'"),
        ("gain > 0 and boat.kind == 'tug'", "'boat.kind', 'repair.saved_days'"),
        ("repair.done_at is not none and gain > 0", ""),
        ("gain > 0 and repair.remedy == 'weld'", ""),
    ],
)
def test_an_outcome_of_what_is_known_from_the_beginning(harbour: Path, edit: Edit, worked: str, read: str) -> None:
    edit(CONTRACT, LATER, AT_ONCE)
    edit(NARRATIVE, "  outcome:", "  facts: {gain: repair.saved_days}\n  outcome:")
    edit(NARRATIVE, "worked: repair.saved_days > 0", f"worked: {worked}")
    found = known_outcomes(harbour)
    assert len(found) == bool(read), found
    if read:
        assert f"warning[outcome-known]: `worked` reads {read}, known when the question is asked" in found[0]


def test_an_outcome_that_comes_later(harbour: Path) -> None:
    assert known_outcomes(harbour) == []


@pytest.mark.parametrize(("days", "found"), [("{after: -9d, before: 0d}", 1), ("{after: 0d, before: 9d}", 0)])
def test_an_outcome_of_a_row_that_may_come_later(harbour: Path, edit: Edit, days: str, found: int) -> None:
    edit(NARRATIVE, "  boat: fleet.boats@1\n", "  boat: fleet.boats@1\n  other: yard.repairs@1\n")
    link = f"other: {{on: {{boat: repair.boat}}, within: {days}, expect: optional}}"
    edit(NARRATIVE, "    boat: {expect: one}\n", f"    boat: {{expect: one}}\n    {link}\n")
    edit(NARRATIVE, "worked: repair.saved_days > 0", "worked: other is not none and other.boat == 'boat-1'")
    assert len(known_outcomes(harbour)) == found
