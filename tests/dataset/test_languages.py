"""A config in another language than its neighbour: the same values, each written as its own language writes them."""

import json
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from storymesh.dataset.build import Build
from storymesh.errors import DefinitionErrors
from storymesh.release.catalog import Release
from tests.support.small_build import build_of
from tests.support.small_mesh import Product
from tests.support.small_release import released, rows_of

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: calls
version: 1.0.0
title: Calls
owner: lab
license: cc-by-4.0
cast: {call: mesh.calls@1}
case: {anchor: call, at: call.at}
records:
  report: {format: text, text: report.jinja}
  bericht: {format: text, text: bericht.jinja, language: de}
  erzaehlt: {from: bericht, narrator: {model: "test:none", prompt: report.jinja}}
"""
TOLD = NARRATIVE.replace('  erzaehlt: {from: bericht, narrator: {model: "test:none", prompt: report.jinja}}\n', "")
CALLS = Product(
    "calls",
    {"call": "string", "at": "timestamp", "tons": "integer", "lost": "integer"},
    ("call",),
    "at",
    required=("at", "call", "tons", "lost"),
)
ROWS = [
    {"call": "c1", "at": datetime(2024, 3, 3, 9), "tons": 12_345, "lost": 25},
    {"call": "c2", "at": datetime(2024, 12, 24), "tons": 1, "lost": 1},
]
REPORT = """{{ call.at | date("long") }}: {{ call.tons | number(1) }} t, {{ call.lost | duration("hours") }} lost"""
BERICHT = (
    """{% include 'kopf.jinja' %}: {{ call.tons | number(1) }} t, {{ call.lost | duration("hours") }} verloren """
    """({{ call.lost | plural("Stunde", "Stunden") }})"""
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return released(in_two_languages(tmp_path_factory.mktemp("languages"), TOLD))


def in_two_languages(root: Path, narrative: str) -> Build:
    folder = root / "narratives/calls"
    folder.mkdir(parents=True)
    (folder / "bericht.jinja").write_text(BERICHT, encoding="utf-8")
    (folder / "kopf.jinja").write_text("""{{ call.at | date("long") }}""", encoding="utf-8")
    return build_of(root, narrative, REPORT, {"call": CALLS}, {"call": ROWS})


def test_each_config_is_written_in_its_language(release: Release) -> None:
    assert {case: row["text"] for case, row in rows_of(release, "report").items()} == {
        "c1": "March 3, 2024: 12,345.0 t, 1 day 1 hour lost",
        "c2": "December 24, 2024: 1.0 t, 1 hour lost",
    }
    assert {case: row["text"] for case, row in rows_of(release, "bericht").items()} == {
        "c1": "3. März 2024: 12.345,0 t, 1 Tag und 1 Stunde verloren (25 Stunden)",
        "c2": "24. Dezember 2024: 1,0 t, 1 Stunde verloren (1 Stunde)",
    }


def test_the_documents_say_the_languages(release: Release) -> None:
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["language"] == ["en", "de"]
    assert "| `bericht` | a story in hindsight, for language modelling, in German |" in card
    assert json.loads((release.path / "croissant.json").read_text(encoding="utf-8"))["inLanguage"] == ["en", "de"]


def test_a_retold_record_has_the_language_of_its_original(tmp_path: Path) -> None:
    narrative = in_two_languages(tmp_path, NARRATIVE).typed.narrative
    assert {config: narrative.language_of(config) for config in narrative.records} == {
        "report": "en",
        "bericht": "de",
        "erzaehlt": "de",
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("language: de", "language: xx", "CLDR has no language 'xx'"),
        ("language: de", "language: no_such!", "is no tag of a language"),
        ("language: de", "language: hi", "written in a way that is not printed here"),
        ("{from: bericht,", "{from: bericht, language: fr,", "language from the record that it retells"),
    ],
)
def test_what_is_no_language_of_a_record_is_a_finding(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(DefinitionErrors) as error:
        in_two_languages(tmp_path, NARRATIVE.replace(old, new))
    assert words in str(error.value)
    assert "narratives/calls/narrative.yaml:1" in str(error.value), "at its line"
