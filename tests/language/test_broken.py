"""Broken templates, each with the exact finding that is printed, and the repaired twin that has none."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from storymesh.errors import DefinitionErrors
from tests.support.canal_mesh import findings

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted((Path(__file__).parent / "broken").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


def found(text: str, case: dict[str, Any]) -> list[str]:
    try:
        return findings(text, case.get("view", "hindsight"), case.get("partials"))
    except DefinitionErrors as refused:
        return [str(finding) for finding in refused.findings]


@pytest.mark.parametrize("case", CASES)
def test_the_finding_says_where_and_what(case: dict[str, Any]) -> None:
    expected = case["finding"] if isinstance(case["finding"], list) else [case["finding"]]
    assert found(case["broken"], case) == expected


@pytest.mark.parametrize("case", CASES)
def test_the_repaired_twin_has_none(case: dict[str, Any]) -> None:
    assert found(case["repaired"], case) == []


@pytest.mark.parametrize("case", CASES)
def test_findings_are_short(case: dict[str, Any]) -> None:
    for finding in found(case["broken"], case):
        assert len(finding) < 230
        assert "None" not in finding
        assert "object at" not in finding
