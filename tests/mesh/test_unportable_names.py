"""Names that another system does not have: said before somebody there cannot check the mesh out."""

import shutil
from pathlib import Path

import pytest

from storymesh.mesh.check import check_files
from storymesh.mesh.misplaced import unportable_files
from tests.support.paths import TESTS


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("narratives/x/CON.jinja", "device"),
        ("narratives/x/nul", "device"),
        ("narratives/x/aux.md.jinja", "device"),
        ("narratives/x/lpt9.yaml", "device"),
        ("narratives/x/com¹.yaml", "device"),
        ("narratives/aux/narrative.yaml", "device"),
        ("contracts/con/ports.odcs.yaml", "device"),
        ("narratives/x/conout$", "device"),
        ("narratives/x/prn .txt", "device"),
        ("narratives/x/tail.", "dot or a space"),
        ("narratives/x/tail ", "dot or a space"),
        ("narratives/x./narrative.yaml", "dot or a space"),
        ("narratives/x/a:b.jinja", "character"),
        ("narratives/x/a?.jinja", "character"),
        ("narratives/x/a\\b.jinja", "character"),
        ("narratives/x/" + "ü" * 128, "255 bytes"),
    ],
)
def test_a_name_that_another_system_does_not_have_is_a_warning(path: str, words: str) -> None:
    (finding,) = unportable_files([path])
    assert finding.severity == "warning" and words in finding.message and finding.location.path == path


def test_a_name_may_have_255_bytes() -> None:
    assert list(unportable_files(["narratives/x/" + "ü" * 127 + "x"])) == []


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("narratives/x/Ask.jinja", "narratives/x/ask.jinja"),
        ("narratives/x/stra\u00dfe.jinja", "narratives/x/STRASSE.jinja"),
        ("narratives/x/caf\u00e9.jinja", "narratives/x/cafe\u0301.jinja"),
        ("narratives/x/a.jinja", "narratives/X/b.jinja"),
    ],
)
def test_two_names_that_are_one_elsewhere_are_one_warning(path: str, other: str) -> None:
    (finding,) = unportable_files([path, other, f"{other}.more"])
    assert "are one name" in finding.message


def test_ordinary_names_are_none() -> None:
    names = ["console.jinja", "auxiliary.yaml", "com.jinja", "com10.jinja", "nul-report.jinja", "überblick.jinja"]
    assert list(unportable_files([f"narratives/x/{name}" for name in names])) == []


def test_a_check_says_it_of_files_and_configs(tmp_path: Path) -> None:
    root = Path(shutil.copytree(TESTS / "meshes/plain_files", tmp_path / "mesh"))
    path = root / "narratives/roadside/narrative.yaml"
    path.write_text(path.read_text().replace("records:\n", "records:\n  aux: {format: text, text: AUX.jinja}\n"))
    (root / "narratives/roadside/AUX.jinja").write_text("{{ case.id }}\n")
    found = [str(finding) for finding in check_files(root) if finding.rule == "unportable-name"]
    assert len(found) == 2 and "AUX.jinja" in found[0] and "'aux' for this config" in found[1]
