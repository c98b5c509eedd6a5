"""Whole narratives against the contracts of their cast: no false alarm, and mistakes where they stand."""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from storymesh.contract.read import read_contract
from storymesh.errors import DefinitionErrors
from storymesh.language import ast
from storymesh.language.static_values import StaticValue
from storymesh.narrative.definition import read_narrative
from storymesh.narrative.typed import TypedNarrative, type_narrative
from tests.support.paths import ROOT

RESTRICTED = yaml.safe_load((Path(__file__).parent / "restricted.yaml").read_text(encoding="utf-8"))
CANAL = ROOT / "tests" / "language" / "canal"
MESHES = {
    "canal_exceptions": ROOT,
    "late_lines": ROOT / "tests" / "meshes" / "health_supply",
    "abnormal_passages": ROOT / "tests" / "meshes" / "suez_2021",
    "canal_stories": CANAL,
}
QUESTION = "{{ delay.waterway | label }}: what now?\n"
ANSWER = "It {{ 'worked' if outcome.worked else 'did not work' }}.\n"


def typed(root: Path, name: str) -> TypedNarrative:
    narrative = read_narrative(root / "narratives" / name / "narrative.yaml", root)
    paths = {role: member.product.replace(".", "/") for role, member in narrative.cast.items()}
    contracts = {role: read_contract(root / "contracts" / f"{path}.odcs.yaml", root) for role, path in paths.items()}
    return type_narrative(narrative, contracts)


@pytest.fixture
def canal(tmp_path: Path) -> Path:
    """A copy of the canal mesh whose templates may be written over."""
    root = tmp_path / "canal"
    shutil.copytree(CANAL, root)
    return root


def write(root: Path, **templates: str) -> None:
    for name, text in templates.items():
        (root / "narratives" / "canal_stories" / f"{name}.jinja").write_text(text, encoding="utf-8")


def found(root: Path) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        typed(root, "canal_stories")
    return [str(finding) for finding in caught.value.findings]


@pytest.mark.parametrize("name", MESHES)
def test_no_false_alarm(name: str) -> None:
    assert typed(MESHES[name], name).records


def test_each_template_is_checked_in_its_view(canal: Path) -> None:
    told = "{% if recovered_hours is not none %}{{ recovered_hours }}{% endif %}"
    write(canal, report=told, question=QUESTION, answer=ANSWER)
    assert typed(canal, "canal_stories").records
    write(canal, report=told, question=told, answer=told)
    folder = "narratives/canal_stories"
    words = "'recovered_hours' is not known when the question is asked"
    assert [line.split(": 'delay")[0] for line in found(canal)] == [
        f"{folder}/answer.jinja:1:7: error[out-of-view]: {words}",
        f"{folder}/answer.jinja:1:40: error[out-of-view]: {words}",
        f"{folder}/question.jinja:1:7: error[out-of-view]: {words}",
        f"{folder}/question.jinja:1:40: error[out-of-view]: {words}",
    ]


def test_one_template_of_two_records_has_its_findings_once(canal: Path) -> None:
    write(canal, question="{{ wheather }}")
    assert len(found(canal)) == 1


def test_what_is_printed_through_a_pseudonym_is_no_restricted_fact(canal: Path) -> None:
    told = "{{ shipment.consignee | pseudonym }}{{ shipment.sender | pseudonym }}{{ shipment.carrier | upper }}"
    write(canal, report=told)
    report = typed(canal, "canal_stories").records["report"]
    assert dict(report.prints) == {
        ("shipment", "consignee", "~"): "public",
        ("shipment", "sender"): "public",
        ("shipment", "carrier"): "public",
    }


def test_what_is_printed_in_any_branch_is_a_fact(canal: Path) -> None:
    write(
        canal,
        report="{% if delay.urgent %}{{ delay.ships }}{% else %}{{ delay.remark or shipment.carrier }}{% endif %}",
    )
    report = typed(canal, "canal_stories").records["report"]
    assert set(report.prints) == {("delay", "ships"), ("delay", "remark"), ("shipment", "carrier")}


@pytest.mark.parametrize(
    "template",
    [
        "{% set step = (resolution | first) if delay.urgent else (resolution | last) %}{{ step.crew if step else 0 }}",
        "{% for step in [resolution | first, resolution | last] %}{{ step.crew if step else 0 }}{% endfor %}",
        (
            "{% set step = resolution | first %}{% if delay.urgent %}{% set step = resolution | last %}{% endif %}"
            "{{ step.crew if step else 0 }}"
        ),
    ],
)
def test_of_one_of_two_rows_no_more_is_a_fact_than_what_is_printed(canal: Path, template: str) -> None:
    """All of the rows would be a leak: what is restricted, and what no template asked for."""
    write(canal, report=template)
    assert dict(typed(canal, "canal_stories").records["report"].prints) == {("resolution", "crew"): "public"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ resolution | map(attribute='crew') | length }}",
        "{{ resolution | map(attribute='crew') | unique | length }}",
        "{{ ((resolution | sort(attribute='crew')) if delay.urgent else resolution) | length }}",
    ],
)
def test_a_count_of_rows_is_a_fact_of_their_list(canal: Path, template: str) -> None:
    write(canal, report=template)
    assert dict(typed(canal, "canal_stories").records["report"].prints) == {("resolution", "#"): "public"}


def test_of_rows_that_are_written_out_the_number_is_no_fact(canal: Path) -> None:
    write(canal, report="{{ [resolution | last, resolution | first] | length }}")
    assert dict(typed(canal, "canal_stories").records["report"].prints) == {}


def test_what_is_read_of_a_quoted_row_is_carried_into_its_case(canal: Path) -> None:
    quoted = "{% for one in precedents.options %}{% for told in one.quoted if told.last_step %}"
    write(canal, report=f"{quoted}{{{{ told.last_step.score | number(1) }}}}{{% endfor %}}{{% endfor %}}")
    assert "score" in typed(canal, "canal_stories").columns["resolution"]


def test_roles_behind_facts_are_named(canal: Path) -> None:
    write(canal, report="{% if last_step %}{{ last_step.crew }}{% endif %}")
    assert {"last_step", "resolution"} <= set(typed(canal, "canal_stories").records["report"].roles)


@pytest.mark.parametrize(("left", "findings"), [("choice", 0), ("verdict", 1)])
def test_the_own_action_may_never_have_been_tried(left: str, findings: int, tmp_path: Path) -> None:
    """A pair is made of options that were tried; the action that a verdict is about may be the first of its kind."""
    for folder in ("contracts", "narratives"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    folder = tmp_path / "narratives" / "canal_exceptions"
    path = folder / "narrative.yaml"
    (gone,) = {"choice", "verdict"} - {left}
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(rf"^  {gone}:.*\n(    .*\n)*", "", text, flags=re.MULTILINE), encoding="utf-8")
    (folder / "option.md.jinja").write_text("{{ (10 / option.tried) | number }}\n", encoding="utf-8")
    try:
        found_rules = [str(warning.rule) for warning in typed(tmp_path, "canal_exceptions").warnings]
    except DefinitionErrors as refused:
        found_rules = [finding.rule for finding in refused.findings]
    assert found_rules == ["may-be-zero"] * findings


def test_a_partial_of_two_templates_keeps_each_pseudonym(canal: Path) -> None:
    """`who.jinja` gets a plain value in one record and a replaced one in another."""
    write(
        canal,
        who="{{ who | pseudonym }}",
        report="{% set who = shipment.consignee %}{% include 'who.jinja' %}",
        answer="{% set who = shipment.sender %}{% include 'who.jinja' %}",
    )
    made = typed(canal, "canal_stories")
    printed = [slot.checked.prints for record in made.records.values() for slot in record.slots.values()]
    assert any(("shipment", "consignee", "~") in prints for prints in printed)
    assert any(("shipment", "sender") in prints for prints in printed)


def test_a_partial_of_two_templates_keeps_each_label(canal: Path) -> None:
    """`code.jinja` gets codes with other labels in another record: `suez` is a canal here and crude oil there."""
    write(
        canal,
        code="{{ code | label }}",
        report="{% set code = delay.waterway %}{% include 'code.jinja' %}",
        answer="{% set code = shipment.cargo %}{% include 'code.jinja' %}",
    )
    made = typed(canal, "canal_stories")
    trees = [slot.checked.tree for record in made.records.values() for slot in record.slots.values()]
    labels = [dict(code.typed.type.labels) for tree in trees for code in names_in(tree, "code")]  # type: ignore[union-attr]
    assert len(labels) > 1
    assert labels[0] != labels[-1]


def names_in(part: Any, name: str) -> Iterator[ast.Name]:
    """Yield where a typed tree reads a name."""
    if isinstance(part, tuple):
        for item in part:
            yield from names_in(item, name)
    elif isinstance(part, ast.Name) and part.name == name:
        yield part
    elif is_dataclass(part) and not isinstance(part, StaticValue):
        for inner in vars(part).values():
            yield from names_in(inner, name)


@pytest.mark.parametrize("case", RESTRICTED, ids=[case["name"] for case in RESTRICTED])
def test_what_is_restricted_is_not_printed_by_itself(canal: Path, case: dict[str, Any]) -> None:
    write(canal, report="{{ case.id }}", question="What now?\n", answer="Wait.\n", option="Wait.\n")
    if "property" in case:
        restrict(canal, case["property"])
    amend(canal, case.get("change", {}))
    assert found(canal) == [f"narratives/canal_stories/narrative.yaml:{case['finding']}"]
    amend(canal, case["repair"])
    assert typed(canal, "canal_stories").records


def restrict(root: Path, place: str) -> None:
    product, _, name = place.partition(".")
    path = root / "contracts" / f"{product}.odcs.yaml"
    before, here, behind = path.read_text(encoding="utf-8").partition(f"name: {name}")
    assert here
    behind = behind.replace("classification: public", "classification: restricted", 1)
    path.write_text(before + here + behind, encoding="utf-8")


def amend(root: Path, changes: Mapping[str, str]) -> None:
    path = root / "narratives" / "canal_stories" / "narrative.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("outcome", "template", "words"),
    [
        ("worked: delay.ships > 3", "{% if outcome %}{{ outcome.worked }}{% endif %}", "'outcome.worked'"),
        ("score: delay.ships", "{% if outcome %}{{ outcome.score }}{% endif %}", "'outcome.score'"),
        (
            "score: delay.ships",
            "{% for one in precedents.options %}{{ one.mean_score | number }}{% endfor %}",
            "'one.mean_score'",
        ),
        (
            "score: delay.ships",
            "{% for one in precedents.options %}{{ one.quoted | sum('score') }}{% endfor %}",
            "this",
        ),
        (
            "worked: delay.ships > 3",
            "{% for one in precedents.options %}{% for told in one.quoted %}{{ told.worked }}{% endfor %}{% endfor %}",
            "'told.worked'",
        ),
    ],
)
def test_an_outcome_is_as_restricted_as_what_it_reads(canal: Path, outcome: str, template: str, words: str) -> None:
    write(canal, report=template, question="What now?\n", answer="Wait.\n", option="Wait.\n")
    told = {"score": "score: recovered_hours", "worked": "worked: recovered_hours >= 24"}
    amend(canal, {told[outcome.partition(":")[0]]: outcome})
    assert typed(canal, "canal_stories").records
    restrict(canal, "shipping/delays.ships")
    (finding,) = found(canal)
    assert f"error[restricted]: {words} is restricted (" in finding
