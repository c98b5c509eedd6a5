"""Labels of codes in the language of a config: given once for a property, held wherever its codes stand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from storymesh.contract.read import read_contract
from storymesh.errors import DefinitionErrors
from storymesh.language import ast
from storymesh.language.types import Text
from storymesh.narrative.definition import read_narrative
from storymesh.narrative.typed import TypedNarrative, type_narrative
from storymesh.variation.comparison import tree_parts
from tests.support.canal_mesh import MESH

GERMAN = {
    "delay.waterway": {"suez": "Sueskanal", "rhine": "Rhein"},
    "resolution.action": {"WAIT": "warten", "REROUTE": "anders fahren"},
}
STORY = (
    "{{ delay.waterway | label }}: {% for step in resolution %}{{ step.action | label }} {% endfor %}"
    "{% if last_step and last_step.action is not none %}{{ last_step.action | label }}{% endif %}"
    "{% if outcome %}{{ outcome.action | label }}{% endif %}{{ shipment.cargo | label }}"
)
ANSWER = "{% for option in precedents.options %}{{ option.action | label }} {% endfor %}"


def typed(folder: Path, labels: object, language: str = "de") -> TypedNarrative:
    written = (MESH / "narratives/canal_stories/narrative.yaml").read_text(encoding="utf-8").partition("records:")[0]
    records = {
        "report": {"format": "text", "text": "report.jinja", "language": language},
        "advice": {"format": "messages", "user": "ask.jinja", "assistant": "answer.jinja", "language": language},
        "english": {"format": "text", "text": "report.jinja"},
    }
    rest = yaml.safe_dump({"records": records, "labels": labels, "dataset": {"pseudonymise": ["shipment.sender"]}})
    folder = folder / "narratives/canal_stories"
    folder.mkdir(parents=True)
    (folder / "narrative.yaml").write_text(written + rest, encoding="utf-8")
    for name, text in {"report": STORY, "ask": "{{ delay.waterway | label }}?", "answer": ANSWER}.items():
        (folder / f"{name}.jinja").write_text(text, encoding="utf-8")
    narrative = read_narrative(folder / "narrative.yaml", folder.parents[1])
    paths = {role: member.product.replace(".", "/") for role, member in narrative.cast.items()}
    return type_narrative(
        narrative, {role: read_contract(MESH / f"contracts/{path}.odcs.yaml", MESH) for role, path in paths.items()}
    )


def labelled(narrative: TypedNarrative, config: str) -> Iterator[list[str]]:
    """The labels that each call of `label` of a config chooses from, in order."""
    for slot in narrative.records[config].slots.values():
        for part in tree_parts(slot.checked.tree):
            if isinstance(part, ast.FilterCall) and part.name == "label":
                type_ = part.base.typed.type
                assert isinstance(type_, Text)
                yield list(type_.labels.values())


def test_labels_are_those_of_the_language_wherever_the_codes_stand(tmp_path: Path) -> None:
    narrative = typed(tmp_path, {"de": GERMAN})
    steps, waterways = ["warten", "anders fahren"], ["Sueskanal", "Rhein"]
    assert list(labelled(narrative, "report")) == [waterways, steps, steps, steps, ["Grain", "Crude oil"]]
    assert list(labelled(narrative, "advice")) == [waterways, steps]
    english = list(labelled(narrative, "english"))
    assert english[0] == ["Suez Canal", "Rhine"]
    assert "warten" not in str(english)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"xx": GERMAN}, "CLDR has no language 'xx'"),
        ({"de": {"delay.waterwya": {"suez": "Sueskanal"}}}, "'delay.waterwya' has no codes with labels"),
        ({"de": {"delay.remark": {"suez": "Sueskanal"}}}, "'delay.remark' has no codes with labels"),
        ({"de": {"case": {"suez": "Sueskanal"}}}, "'case' has no codes with labels"),
        ({"de": {"delay.waterway": {"suez": "Sueskanal", "rhin": "Rhein"}}}, "has no code 'rhin' (did you mean"),
        ({"de": {"delay.waterway": {"suez": "Sueskanal"}}}, "'delay.waterway' also has rhine"),
        ({"de": {"delay.waterway": ["Sueskanal"]}}, "narrative.yaml"),
    ],
)
def test_wrong_labels_are_findings_in_their_line(tmp_path: Path, labels: object, words: str) -> None:
    with pytest.raises(DefinitionErrors) as error:
        typed(tmp_path, labels)
    assert words in str(error.value)
    assert "narratives/canal_stories/narrative.yaml:" in str(error.value)


def test_a_hint_names_every_property_of_a_role_that_has_labels_and_nothing_else(tmp_path: Path) -> None:
    """The codes of an outcome or a fact are those of a property, for which labels are given."""
    with pytest.raises(DefinitionErrors) as error:
        typed(tmp_path, {"de": {"zzz.qqq": {"suez": "Sueskanal"}}})
    (finding,) = error.value.findings
    assert finding.hint == "known: delay.waterway, resolution.action, shipment.cargo"
