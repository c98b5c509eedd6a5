"""What a product may say, and how it is told that it is wrong."""

import json
from pathlib import Path

import pytest

from storymesh.document import parse_document
from storymesh.errors import DefinitionErrors
from storymesh.product.definition import Product, read_product
from storymesh.standards.odps import odps_schema, validate_product
from storymesh.standards.validate import unknown_keywords

GOOD = """\
apiVersion: v1.0.0
kind: DataProduct
id: shipping.delays
name: Delays
status: active
description: {purpose: What ran late}
tags: [logistics]
customProperties:
  - {property: source, value: sources/delays.csv}
inputPorts:
  - {name: disruptions, version: 1.0.0, contractId: canal.disruptions}
outputPorts:
  - {name: delays, version: 1.0.0, contractId: shipping.delays}
team:
  - {username: desk@example.com, role: owner}
"""


def read(text: str, root: Path) -> Product:
    path = root / "domains/shipping/products/delays.odps.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return read_product(path, root)


def test_a_product_says_what_it_reads_and_publishes(tmp_path: Path) -> None:
    product = read(GOOD, tmp_path)
    assert (product.id, product.domain, product.name, product.title) == (
        "shipping.delays",
        "shipping",
        "delays",
        "Delays",
    )
    assert (product.owner, product.source, product.tags) == ("desk@example.com", "sources/delays.csv", ("logistics",))
    assert [(port.contract_id, port.location.line) for port in product.inputs] == [("canal.disruptions", 11)]
    assert [port.contract_id for port in product.outputs] == ["shipping.delays"]


def test_without_output_ports_there_is_one_of_its_own_name(tmp_path: Path) -> None:
    text = GOOD.replace("outputPorts:\n  - {name: delays, version: 1.0.0, contractId: shipping.delays}\n", "")
    (port,) = read(text, tmp_path).outputs
    assert (port.name, port.contract_id) == ("delays", "shipping.delays")


def test_a_team_is_written_as_the_standard_has_it(tmp_path: Path) -> None:
    team = "team:\n  name: desk\n  members:\n  - {username: other@example.com, role: Owner}\n"
    assert read(GOOD[: GOOD.index("team:")] + team, tmp_path).owner == "other@example.com"


def test_the_standard_has_no_keyword_that_is_passed_over() -> None:
    assert unknown_keywords(odps_schema()) == set()


@pytest.mark.parametrize("step", ["id", "status", "tags", "team", "inputPorts", "description"])
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, ["x"], [{"name": "x"}], {"members": [{}]}, {"purpose": 1}])
def test_the_verdict_is_that_of_jsonschema(step: str, value: object) -> None:
    from jsonschema import Draft201909Validator

    product = {**parse_document(GOOD, "x").value, "team": {"members": [{"username": "x"}]}, step: value}
    valid = Draft201909Validator(dict(odps_schema())).is_valid(product)
    found = validate_product(parse_document(json.dumps(product), "x"))
    assert (found == []) == (valid or (step == "team" and value == [])), "a list of members is that of 0.9"


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("status:", "staus:", "5:1: error[unknown-field]: unknown field 'staus' (did you mean 'status'?)"),
        ("kind: DataProduct", "kind: Product", "2:7: error[wrong-value]"),
        ("id: shipping.delays", "id: delays", "3:5: error[id]"),
        ("id: shipping.delays", "id: shipping.delay", "3:5: error[id-and-place]"),
        ("contractId: canal.disruptions", "contract: canal.disruptions", "11:41: error[unknown-field]"),
        ("contractId: canal.disruptions", "contractId: shipping.delays", "11:53: error[own-input]"),
        ("property: source", "property: sorce", "9:16: error[unknown-field]: unknown custom property 'sorce'"),
        ("value: sources/delays.csv", "value: 3", "9:31: error[wrong-value]: source names a file"),
        ("value: sources/delays.csv", "value: /etc/passwd",
         "9:31: error[wrong-value]: source '/etc/passwd': the path has to be relative to the domain's folder (a mesh"),
        ("value: sources/delays.csv", "value: ~/x.csv", "9:31: error[wrong-value]: source '~/x.csv': the path has to"),
        ("value: sources/delays.csv", "value: 'C:\\x.csv'", "9:31: error[wrong-value]: source 'C:\\x.csv':"),
        ("value: sources/delays.csv", "value: https://example.com/x.csv", "9:31: error[wrong-value]: source 'https"),
        ("version: 1.0.0, contractId: canal", "version: 1, contractId: canal", "11:34: error[wrong-value]"),
        ("team:\n", "team: desk\nx:\n", "14:7: error[wrong-value]: 'team' is 'desk', fields or a list is wanted"),
        ("{username: desk", "{name: desk", "15:5: error[missing-field]: field 'username' is missing"),
        ("status: active\n", "", "1:1: error[missing-field]: field 'status' is missing (for instance active)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(old: str, new: str, finding: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as raised:
        read(GOOD.replace(old, new, 1), tmp_path)
    told = [str(one) for one in raised.value.findings]
    assert any(one.startswith(f"domains/shipping/products/delays.odps.yaml:{finding}") for one in told), told
