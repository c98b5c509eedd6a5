"""Narratives that need what may not leave a premise: each is a finding with both places before anything is read, and
the gate refuses what they would take all the same."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from storymesh.errors import Finding
from storymesh.federation.gate import EgressRefused, admit
from storymesh.mesh.extract_requests import extract_requests
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.residency_findings import residency_findings
from storymesh.narrative.definition import read_narrative

HERE = Path(__file__).parent
PLANTED = yaml.load((HERE / "planted.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    return load_mesh(Path(shutil.copytree(HERE / "guarded_mesh", tmp_path_factory.mktemp("good") / "mesh")))


def planted(good: Mesh, folder: Path, edits: list[dict[str, str]]) -> Mesh:
    """The mesh with these edits; where they are of its narrative alone, all else is the good mesh's."""
    root = Path(shutil.copytree(good.root, folder / "mesh"))
    for edit in edits:
        path = root / edit["file"]
        text = path.read_text(encoding="utf-8") if "old" in edit else ""
        assert edit.get("old", "") in text
        path.write_text(text.replace(edit["old"], edit["new"], 1) if "old" in edit else edit["new"], encoding="utf-8")
    if any(not edit["file"].startswith("narratives/") for edit in edits):
        return load_mesh(root)
    narrative = read_narrative(root / "narratives/credit_aml/narrative.yaml", root)
    return replace(good, root=root, narratives={narrative.id: narrative})


def findings(mesh: Mesh) -> list[Finding]:
    return list(residency_findings(mesh.residency, mesh.typed(mesh.narrative("credit-aml"))))


def test_the_mesh_without_violations_has_no_finding(good: Mesh) -> None:
    mesh = good
    assert findings(mesh) == []
    for request in extract_requests(mesh.residency, mesh.typed(mesh.narrative("credit-aml"))).values():
        admit(request, mesh.residency.policy(mesh.contract(request.product)))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in PLANTED])
def test_a_planted_violation_is_found_with_both_places_and_refused_by_the_gate(
    case: dict[str, Any], good: Mesh, tmp_path: Path
) -> None:
    mesh = planted(good, tmp_path, case["edits"])
    found = [finding for finding in findings(mesh) if f"'{case['column']}'" in finding.message]
    assert any(
        str(finding.location).startswith(case["needed_at"]) and f"({case['ruled_at']}" in finding.message
        for finding in found
    ), [str(finding) for finding in findings(mesh)]
    assert {finding.rule for finding in found} == {"leaves"}
    assert len({(finding.location.path, finding.location.line, finding.message) for finding in found}) == len(found)
    assert not (mesh.store / "premises").exists()  # nothing was opened, nothing moved

    # Whoever does not check is refused.
    role, _, column = case["column"].partition(".")
    request = extract_requests(mesh.residency, mesh.typed(mesh.narrative("credit-aml")))[role]
    with pytest.raises(EgressRefused) as error:
        admit(request, mesh.residency.policy(mesh.contract(request.product)))
    assert f"'{column}' is asked for" in error.value.message


def test_more_than_forty_violations_are_planted() -> None:
    assert len({case["case"] for case in PLANTED}) >= 40
