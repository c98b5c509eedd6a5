"""What a product may say, and how it is told that it is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from storymesh.document import parse_document
from storymesh.errors import DefinitionErrors
from storymesh.product.definition import Product, read_product
from storymesh.standards.odps import odps_schema, validate_product
from storymesh.standards.validate import unknown_keywords
from tests.support.needs import needs
from tests.support.paths import ROOT

PUBLISHED = ROOT.parent / "shared/standards/odps"  # the standard's own schema and examples, read where they lie
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
  members:
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


def spelled_out(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with its references filled in, without annotations and in one order."""
    if isinstance(schema, list):
        return sorted(schema)
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return spelled_out(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    shape = {name: value for name, value in schema.items() if name in ("type", "enum", "required", "items")}
    shape = {name: spelled_out(value, definitions) for name, value in shape.items()}
    if "properties" in schema:
        shape["closed"] = schema.get("additionalProperties") is False
        shape["properties"] = {name: spelled_out(below, definitions) for name, below in schema["properties"].items()}
    return shape


def test_the_schema_has_the_shape_of_the_published_one() -> None:
    path = needs(PUBLISHED / "odps-json-schema-v1.0.0.json", how="the standard's files lie beside the project")
    published, ours = json.loads(path.read_text(encoding="utf-8")), odps_schema()
    assert spelled_out(ours, ours["$defs"]) == spelled_out(published, published["$defs"])


PRODUCTS = sorted(path for folder in ("domains", "tests", "docs") for path in (ROOT / folder).rglob("*.odps.yaml"))


@pytest.mark.parametrize("path", PRODUCTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_products_of_the_project_keep_to_the_published_schema(path: Path) -> None:
    from jsonschema import Draft201909Validator

    schema = needs(PUBLISHED / "odps-json-schema-v1.0.0.json", how="the standard's files lie beside the project")
    validator = Draft201909Validator(json.loads(schema.read_text(encoding="utf-8")))
    value = parse_document(path.read_text(encoding="utf-8"), path.name).value
    assert [error.message for error in validator.iter_errors(value)] == []


def test_a_team_in_the_older_form_is_read_with_a_warning(tmp_path: Path) -> None:
    assert read(GOOD, tmp_path).warnings == ()
    older = read(GOOD.replace("  members:\n    - {", "  - {"), tmp_path)
    assert older.owner == "desk@example.com"
    (warning,) = older.warnings
    assert str(warning).endswith(
        "delays.odps.yaml:15:3: warning[old-form]: 'team' is a list of members, as it was before the standard's version"
        " 1.0 (write team: {members: […]})"
    )


@pytest.mark.parametrize("example", ["simple", "customer"])
def test_the_examples_of_the_standard_are_read(example: str, tmp_path: Path) -> None:
    path = needs(PUBLISHED / f"{example}-data-product.odps.yaml", how="the standard's files lie beside the project")
    text = path.read_text(encoding="utf-8")
    assert validate_product(parse_document(text, path.name)) == []
    id_ = re.search(r"(?m)^id: .*$", text)
    assert id_ is not None
    product = read(text.replace(id_[0], "id: shipping.delays"), tmp_path)
    assert (product.warnings, bool(product.inputs), bool(product.outputs)) == ((), True, True)


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
         "9:31: error[wrong-value]: source '/etc/passwd': the path has to be relative to the domain's folder"),
        ("value: sources/delays.csv", "value: ~/x.csv", "9:31: error[wrong-value]: source '~/x.csv': the path has to"),
        ("value: sources/delays.csv", "value: 'C:\\x.csv'", "9:31: error[wrong-value]: source 'C:\\x.csv':"),
        ("value: sources/delays.csv", "value: https://example.com/x.csv", "9:31: error[wrong-value]: source 'https"),
        ("version: 1.0.0, contractId: canal", "version: 1, contractId: canal", "11:34: error[wrong-value]"),
        ("team:\n  members:\n    - {", "team: desk\nx:\n    - {",
         "14:7: error[wrong-value]: 'team' is 'desk', fields or a list is wanted"),
        ("{username: desk", "{name: desk", "16:7: error[missing-field]: field 'username' is missing"),
        ("status: active\n", "", "1:1: error[missing-field]: field 'status' is missing (for instance active)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(old: str, new: str, finding: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as raised:
        read(GOOD.replace(old, new, 1), tmp_path)
    told = [str(finding) for finding in raised.value.findings]
    assert any(item.startswith(f"domains/shipping/products/delays.odps.yaml:{finding}") for item in told), told
