"""CODEOWNERS from the owners of a mesh: a part of its own in the file, and a warning where it is stale."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from storymesh.mesh.check import check_files

Command = Callable[..., Any]


def stale(root: Path) -> list[str]:
    return [str(finding) for finding in check_files(root) if finding.rule == "stale-owners"]


def test_the_owners_stand_in_a_part_of_their_own(
    harbour: Path, storymesh: Command, edit: Callable[[str, str, str], None]
) -> None:
    top = harbour.parent
    (top / ".git").mkdir()
    file = top / ".github/CODEOWNERS"
    file.parent.mkdir()
    file.write_text("* @everybody\n", encoding="utf-8")
    assert stale(harbour) == [], "without a part of ours nobody asked for it"
    assert storymesh(harbour, "new", "codeowners").code == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "* @everybody"
    assert "/harbour/domains/fleet/ fleet@example.com" in lines
    assert "/harbour/contracts/fleet/ fleet@example.com" in lines
    assert "# /harbour/narratives/late_repairs/ is of 'harbour-lab', who is neither an address nor a @name" in lines
    assert stale(harbour) == []

    edit("domains/fleet/domain.yaml", "fleet@example.com", "'@sea/fleet'")
    edit("narratives/late_repairs/narrative.yaml", "owner: harbour-lab", 'owner: "@lab"')
    (found,) = stale(harbour)
    assert found.startswith("../.github/CODEOWNERS:3:1: warning[stale-owners]")
    file.write_text(file.read_text(encoding="utf-8") + "# the end\n", encoding="utf-8")
    assert storymesh(harbour, "new", "codeowners").code == 0
    text = file.read_text(encoding="utf-8")
    assert text.startswith("* @everybody\n") and text.endswith("# the end\n")
    assert "/harbour/domains/fleet/ @sea/fleet\n" in text
    assert "/harbour/contracts/fleet/boats.odcs.yaml fleet@example.com\n" in text, "its own owner comes later"
    assert "/harbour/narratives/late_repairs/ @lab\n" in text
    assert text.count("begin storymesh") == 1
    assert stale(harbour) == []
