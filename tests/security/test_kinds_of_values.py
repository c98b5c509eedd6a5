"""Values that YAML reads as another kind than the one wanted: a finding at their place, at every key."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from storymesh.contract.allowed_expectations import faults_of
from storymesh.contract.read import read_contract
from storymesh.dataset.scenario_run import run_scenario
from storymesh.document import Document, parse_document
from storymesh.errors import DefinitionErrors
from storymesh.mesh.mesh import load_mesh
from storymesh.mesh.settings import Domain, Settings
from storymesh.narrative.definition import NarrativeFile
from storymesh.narrative.scenario import Scenario, read_scenarios
from storymesh.narrative.typed import type_narrative
from tests.support.paths import TESTS

NARRATIVE = """
apiVersion: storymesh/v1
kind: Narrative
id: a
version: 1.0.0
title: A
owner: a
license: a
cast: {a: b.c@1}
case:
  anchor: a
  at: a.x
  links:
    l: {expect: one, on: {x: a.y}, within: {after: 0d, before: 1d}}
    k: {expect: any, overlaps: {slack: 1d}}
  precedents: {match: [[a.x]], min: 5, quote: 3}
records:
  r: {format: text, text: a.jinja, length: {min: 1, max: 2}, near_duplicates: {similarity: 0.75, shingle: 5}}
  q:
    from: r
    narrator:
      {model: "openai:m", prompt: a.jinja, parameters: {temperature: 0.25}, attempts: 3, otherwise: keep,
       judge: {model: "openai:j", prompt: a.jinja, accept: 0.75},
       concurrency: 2, timeout: 60.5, price: {input: 1.5, output: 2.5}, budget: {tokens: 5, usd: 1.5}}
dataset:
  split: {validation: 2024-01-01, test: 2024-02-01, embargo: 1d, together: [a.x]}
  dedup: facts
  decontaminate: {against: [x], ngram: 13}
  personal: mask
  phone_regions: [DE]
  pseudonymise: [a.x]
  shard_rows: 10
"""
SETTINGS = """
store: {folder: a}
releases: r
premises: [default]
run_at: default
classifications: {a: public}
models: {hosts: [a.example]}
dbt: {read: [x], env: [A], unconfined: [d]}
schedule: "0 6 * * *"
"""
DOMAIN = "{id: a, title: A, owner: a, premise: default, description: d, schedule: '0 6 * * *'}"
FILES: dict[str, tuple[type[BaseModel], str]] = {
    "narrative.yaml": (NarrativeFile, NARRATIVE),
    "narrative.yaml by chance": (
        NarrativeFile,
        NARRATIVE.replace(
            "{validation: 2024-01-01, test: 2024-02-01, embargo: 1d, together: [a.x]}",
            "{random: {validation: 0.25, test: 0.25, seed: 4}}",
        ),
    ),
    "mesh.yaml": (Settings, SETTINGS),
    "domain.yaml": (Domain, DOMAIN),
}
UNBOUNDED = (float("inf"), float("nan"))
FREE = {"parameters", "match"}  # of any plain kind: what a model takes, and expressions


def leaves(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(below, (*steps, step))
    else:
        yield steps


def kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def accepted(document: Document, model: type[BaseModel], steps: tuple[Any, ...], value: Any) -> bool:
    changed = copy.deepcopy(document.value)
    inner = changed
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    try:
        Document(document.path, changed, document.locations, document.key_locations).parse(model)
    except DefinitionErrors as refused:
        found = refused.findings[0].location
        assert found.line > 1 or document.path == "domain.yaml", "the finding is at its place"
        return False
    return True


@pytest.mark.parametrize("name", FILES)
def test_a_value_of_another_kind_is_a_finding_at_every_key(name: str) -> None:
    model, text = FILES[name]
    document = parse_document(text, name)
    document.parse(model)
    wrong: list[str] = []
    for steps in leaves(document.value):
        if FREE & set(steps):
            continue
        inner = document.value
        for step in steps:
            inner = inner[step]
        for value in (True, False, 0, 7, 1.0, 0.5, *UNBOUNDED, "7", [], {}):
            exact = isinstance(value, float) and isinstance(inner, int)
            # A price may be written as the text of a number; an owner may be called 7.
            as_text = value == "7" and (isinstance(inner, str) or "price" in steps or "usd" in steps)
            same = kind(value) == kind(inner) and not exact and value not in UNBOUNDED
            if not same and not as_text and accepted(document, model, steps, value):
                wrong.append(f"{'.'.join(map(str, steps))}: {value!r}")
    assert wrong == []


@pytest.mark.parametrize("value", UNBOUNDED)
def test_a_parameter_of_a_model_is_a_number_that_json_has(value: float) -> None:
    document = parse_document(NARRATIVE, "narrative.yaml")
    steps = ("records", "q", "narrator", "parameters", "temperature")
    assert not accepted(document, NarrativeFile, steps, value)
    assert all(accepted(document, NarrativeFile, steps, other) for other in (True, 1, 0.5, "a"))


@pytest.mark.parametrize("number", ["1e-400", "-1e-400", "1e400", "-1E+999", "4e-320", "0." + "0" * 400 + "1"])
def test_a_number_that_no_computer_keeps_is_a_finding(number: str) -> None:
    with pytest.raises(DefinitionErrors, match=r"x\.yaml:1:4: error\[too-large\]"):
        parse_document(f"a: {number}\n", "x.yaml")


@pytest.mark.parametrize("number", ["0e-999", "0.000", "-0.0", "2.3e-308", "1e308", ".inf", ".nan"])
def test_a_number_that_one_keeps_is_read(number: str) -> None:
    assert isinstance(parse_document(f"a: {number}\n", "x.yaml").value["a"], float)


CONTRACT: dict[str, Any] = {
    "apiVersion": "v3.2.0",
    "kind": "DataContract",
    "id": "a.b",
    "version": "1.0.0",
    "status": "active",
    "customProperties": [{"property": "quarantineLimit", "value": 0.5}, {"property": "license", "value": "mit"}],
    "schema": [
        {
            "name": "b",
            "customProperties": [{"property": "quarantineLimit", "value": 0.2}],
            "quality": [
                {
                    "type": "custom",
                    "engine": "greatExpectations",
                    "implementation": {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
                }
            ],
            "properties": [
                {"name": "k", "logicalType": "string", "primaryKey": True, "required": True},
                {"name": "o", "logicalType": "object", "properties": [{"name": "x", "logicalType": "string"}]},
            ],
        }
    ],
}
AT: dict[str, tuple[Any, ...]] = {
    "the limit of the contract": ("customProperties", 0, "value"),
    "the limit of the object": ("schema", 0, "customProperties", 0, "value"),
    "its licence": ("customProperties", 1, "value"),
    "arguments": ("schema", 0, "quality", 0, "implementation", "kwargs"),
    "a property": ("schema", 0, "properties", 0, "name"),
    "a property inside another": ("schema", 0, "properties", 1, "properties", 0, "name"),
}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((place, value) for place in list(AT)[:2] for value in (True, "0.1", -1, 2, float("nan"), [], {})),
        *(("its licence", value) for value in (True, 5, [], {})),
        *(("arguments", value) for value in (False, 0, "", [], "x", {"min_value": True}, {"strict_min": 1})),
        *((place, value) for place in list(AT)[4:] for value in ("", " ", "a\0b", 5, None)),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_in_a_contract_is_a_finding(tmp_path: Path, place: str, value: Any) -> None:
    contract = copy.deepcopy(CONTRACT)
    path = tmp_path / "contracts/a/b.odcs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(contract))
    assert read_contract(path, tmp_path).warnings == ()
    inner: Any = contract
    for step in AT[place][:-1]:
        inner = inner[step]
    inner[AT[place][-1]] = value
    path.write_text(json.dumps(contract).replace("NaN", ".nan"))
    try:
        found = list(read_contract(path, tmp_path).warnings)
    except DefinitionErrors as refused:
        found = list(refused.findings)
    assert found


@pytest.mark.parametrize(
    "arguments",
    [
        {"mostly": True}, {"mostly": "0.9"}, {"mostly": 90}, {"mostly": -0.1}, {"min_value": True},
        {"max_value": False}, {"strict_min": "yes"}, {"strict_max": 1}, {"min_value": float("inf")},
    ],
)  # fmt: skip
def test_an_argument_of_an_expectation_has_its_kind(arguments: dict[str, Any]) -> None:
    name = "expect_column_values_to_be_between"
    assert list(faults_of(name, {"column": "k", **arguments}, ["k"]))
    right = {"column": "k", "min_value": 1, "max_value": "2024-01-01", "mostly": 1, "strict_min": True}
    assert not list(faults_of(name, {**right, "strict_max": None}, ["k"]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("expected_hours", ".inf"), ("expected_hours", "true"), ("expected_hours", "[1]"),
        ("expected_hours", "9" * 450),
        ("happened_at", "5"), ("happened_at", "2024-13-01"), ("happened_at", "99999-01-01"), ("breakdown_id", "{a: 1}"),
    ],
)  # fmt: skip
def test_a_value_of_a_scenario_that_no_column_holds_is_a_finding(tmp_path: Path, name: str, value: str) -> None:
    mesh = load_mesh(TESTS / "meshes/plain_files")
    narrative = mesh.narrative("roadside")
    row = {"breakdown_id": "1", "truck_id": "1", "happened_at": "2024-01-01", "fault": "tyre", "expected_hours": "1"}
    written = ", ".join(f"{key}: {written}" for key, written in {**row, name: value}.items())
    (tmp_path / "scenarios").mkdir()
    path = tmp_path / "scenarios/s.yaml"
    path.write_text(f"given: {{breakdown: [{{{written}}}]}}\ncase: '1'\n", encoding="utf-8")
    typed = type_narrative(narrative, mesh.cast_of(narrative))
    with pytest.raises(DefinitionErrors, match=r"s\.yaml:1:.*\[wrong-value\]"):
        read_scenarios(tmp_path, tmp_path, typed)


def test_what_the_type_of_a_column_does_not_hold_is_a_finding_too(tmp_path: Path) -> None:
    """The contract's own types say no more than "a decimal", and a list is a list."""
    mesh = load_mesh(TESTS / "meshes/plain_files")
    typed = type_narrative(mesh.narrative("roadside"), mesh.cast_of(mesh.narrative("roadside")))
    document = parse_document("given: {depot: [{depot_id: x}]}\n", "s.yaml")
    given = {"depot": ({"depot_id": ["x"]},)}
    with pytest.raises(DefinitionErrors, match=r"s\.yaml:1:.*'depot_id' holds what does not fit string"):
        run_scenario(Scenario(tmp_path / "s.yaml", document, "s", given, "1", {}), typed, mesh.open_engine)
