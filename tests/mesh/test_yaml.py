"""The quick reader of YAML finds the same nodes in the same places as the one in Python, and survives hostile files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from storymesh import document, yaml_syntax
from storymesh.errors import DefinitionErrors
from tests.support.paths import ROOT

FILES = sorted(
    path
    for folder in ("domains", "contracts", "narratives", "tests/meshes")
    for path in (ROOT / folder).rglob("*.yaml")
)
TEXTS = ['é: "ü"\n😀: [ä, ö]\nnothing:\n', "a: &x [1]\nb: *x\n", "text: |\n  one\n\n  two\nlast: >-\n  three\n"]


def nodes(node: yaml.Node) -> list[Any]:
    place = (type(node), node.tag, node.start_mark.line, node.start_mark.column)
    match node:
        case yaml.MappingNode():
            return [place, *(part for pair in node.value for item in pair for part in nodes(item))]
        case yaml.SequenceNode():
            return [place, *(part for item in node.value for part in nodes(item))]
    return [(*place, node.value)]


@pytest.mark.parametrize("text", [*TEXTS, *(path.read_text(encoding="utf-8") for path in FILES)])
def test_both_readers_find_the_same_nodes(text: str) -> None:
    quick = yaml.compose(text, Loader=yaml_syntax._QuickLoader)
    assert nodes(quick) == nodes(yaml.compose(text, Loader=yaml_syntax._CoreLoader))


def test_very_many_mistakes_are_not_all_said(tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as refused:
        document.parse_document("a: 1\n" * 2_000, "a.yaml")
    assert len(refused.value.findings) <= document.MAX_FINDINGS + 1


@pytest.mark.parametrize("opening", ["[", "- ", "{a: "])
def test_a_deeply_nested_file_is_a_finding(tmp_path: Path, opening: str) -> None:
    with pytest.raises(DefinitionErrors, match="nested deeper"):
        document.parse_document(opening * 50_000, "file.yaml")
