"""A value in another form than the expected one is found, with the expected form."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.mesh.check import check_files

NARRATIVE = "narratives/late_repairs/narrative.yaml"
BOATS = "contracts/fleet/boats.odcs.yaml"
MATCH, ENUM = "match: [[boat.kind]]", "enum: [{value: tug, label: tug boat}, {value: ferry, label: ferry}]"


@pytest.mark.parametrize(
    ("path", "old", "new", "line"),
    [
        (NARRATIVE, MATCH, "match: [boat.kind]",
         "21:13: error[wrong-value]: 'match' holds 'boat.kind', a list is wanted (a list of lists: [[boat.kind]])"),
        (NARRATIVE, MATCH, "match: boat.kind",
         "21:12: error[wrong-value]: 'match' is 'boat.kind', a list is wanted (a list: [boat.kind])"),
        (NARRATIVE, MATCH, "match: []", "21:12: error[wrong-value]: 'match' is empty, at least 1 is wanted"),
        (NARRATIVE, "embargo: 2d", "embargo: 2d, together: boat.kind",
         "30:76: error[wrong-value]: 'together' is 'boat.kind', a list is wanted (a list: [boat.kind])"),
        (NARRATIVE, "2024-04-01", "01.04.2024",
         "30:23: error[wrong-value]: 'validation' is '01.04.2024', a date is wanted (write 2024-01-01)"),
        (NARRATIVE, "boat: {expect: one}", "boat: {}",
         "18:11: error[missing-field]: field 'expect' is missing (one of one, optional, some, any)"),
        (NARRATIVE, "links:\n    boat: {expect: one}", "links:\n    boat: one",
         "18:11: error[wrong-value]: 'boat' is 'one', fields are wanted (known: expect, on, within, overlaps, as_of)"),
        (NARRATIVE, "outcome: {", "facts: [1]\n  outcome: {",
         "19:10: error[wrong-value]: 'facts' is a list, fields are wanted (name: value)"),
        (BOATS, ENUM, "enum: [tug]",
         "19:17: error[wrong-value]: 'enum' holds 'tug', fields are wanted (write {value: tug, label: …})"),
    ],
)  # fmt: skip
def test_finding_shows_the_expected_form(
    harbour: Path, edit: Callable[[str, str, str], None], path: str, old: str, new: str, line: str
) -> None:
    edit(path, old, new)
    assert [str(finding) for finding in check_files(harbour)] == [f"{path}:{line}"]
