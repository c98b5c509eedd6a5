"""A contract from a stranger: nothing in it runs, is fetched or never ends; what is refused is a finding."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from storymesh.contract.allowed_expectations import allowed_arguments
from storymesh.contract.audit import audit_rows
from storymesh.contract.audited_files import AuditedFile
from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.engine.patterns import pattern_fault
from storymesh.errors import DefinitionErrors

HEAD = """\
apiVersion: v3.2.0
kind: DataContract
id: shipping.delays
version: 1.0.0
status: active
schema:
  - name: delays
"""
SLOW_PATTERN = "^(?=x)(x+x+)+y$"


def read(tmp_path: Path, *, quality: str = "[]", properties: str = "", text: str = "") -> Contract:
    path = tmp_path / "contracts/shipping/delays.odcs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = f"    quality: {quality}\n    properties:\n      - {{name: id, logicalType: string, primaryKey: true}}\n"
    rest += "      - {name: driver, logicalType: string, classification: restricted}\n"
    rest += "      - {name: hours, logicalType: integer}\n" + properties
    path.write_bytes((text or HEAD + rest).encode())
    return read_contract(path, tmp_path)


def findings(tmp_path: Path, **parts: str) -> list[str]:
    """Return the findings of a contract, each of which has to have a line and a column."""
    with pytest.raises(DefinitionErrors) as refused:
        read(tmp_path, **parts)
    assert all(finding.location.line and finding.location.column for finding in refused.value.findings)
    return [str(finding) for finding in refused.value.findings]


def expectation(name: str, arguments: dict[str, Any]) -> str:
    rule = {"type": "custom", "engine": "greatExpectations", "implementation": {"type": name, "kwargs": arguments}}
    return json.dumps([rule]).replace("Infinity", ".inf")


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a condition that pandas evaluates": (
        "expect_column_values_to_not_be_null",
        {"column": "id", "row_condition": "@pd.io.common.os.system('id')==0", "condition_parser": "pandas"},
    ),
    "a condition without a parser": ("expect_column_values_to_be_unique", {"column": "id", "row_condition": "hours>1"}),
    "a condition in camel case": ("expect_column_values_to_be_unique", {"column": "id", "rowCondition": "hours > 1"}),
    "a parser of conditions": ("expect_column_mean_to_be_between", {"column": "hours", "conditionParser": "spark"}),
    "a condition of a table": ("expect_table_row_count_to_equal", {"value": 1, "row_condition": "hours > 1"}),
    "a schema that is fetched": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "json_schema": {"$ref": "http://127.0.0.1:9/schema.json"}},
    ),
    "a schema of this machine": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "json_schema": {"properties": {"a": {"items": {"$ref": "file:///etc/passwd"}}}}},
    ),
    "a schema that refers to itself": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "json_schema": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}},
    ),
    "a schema with a base address": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "json_schema": {"$id": "http://example.com/x", "not": {"$dynamicRef": "y"}}},
    ),
    "a schema with a pattern": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "json_schema": {"pattern": SLOW_PATTERN}},
    ),
    "a schema with names by pattern": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "json_schema": {"patternProperties": {SLOW_PATTERN: {}}}},
    ),
    "a schema of another dialect": (
        "expect_column_values_to_match_json_schema",
        {"column": "id", "jsonSchema": {"$schema": "http://127.0.0.1:9/meta"}},
    ),
    "a parameter that is looked up": (
        "expect_column_values_to_be_in_set",
        {"column": "id", "value_set": {"$PARAMETER": "x"}},
    ),
    "a parameter in a bound": (
        "expect_column_max_to_be_between",
        {"column": "hours", "max_value": {"$PARAMETER": "now() - timedelta(1)"}},
    ),
    "a parameter among values": (
        "expect_column_values_to_be_in_set",
        {"column": "id", "value_set": ["a", {"$PARAMETER": "x"}]},
    ),
    "a share that is looked up": (
        "expect_column_values_to_be_unique",
        {"column": "id", "mostly": {"$PARAMETER": "x"}},
    ),
    "a query of a data source": (
        "expect_query_results_to_match_comparison",
        {"base_query": "select 1", "comparison_data_source_name": "x", "comparison_query": "select 1"},
    ),
    "another table": ("expect_table_row_count_to_equal_other_table", {"other_table_name": "x"}),
    "rows by a query": ("unexpected_rows_expectation", {"unexpected_rows_query": "select 1"}),
    "a class that is not an expectation": ("ExpectColumnValuesToBeOwned", {"column": "id"}),
    "an attribute of the module": ("__class__", {}),
    "a type whose name is called": ("expect_column_values_to_be_of_type", {"column": "id", "type_": "show_versions"}),
    "a type that runs a test suite": (
        "expect_column_values_to_be_in_type_list",
        {"column": "id", "type_list": ["test"]},
    ),
    "a result in another form": (
        "expect_column_values_to_be_unique",
        {"column": "id", "result_format": {"result_format": "COMPLETE", "include_unexpected_rows": True}},
    ),
    "metadata": ("expect_column_values_to_be_unique", {"column": "id", "meta": {"position": 0}}),
    "a batch": ("expect_column_values_to_be_unique", {"column": "id", "batch_id": "x"}),
    "a window": ("expect_column_max_to_be_between", {"column": "hours", "windows": [{"parameter_name": "x"}]}),
    "swallowed exceptions": ("expect_column_values_to_be_unique", {"column": "id", "catch_exceptions": True}),
    "a pattern that goes back": ("expect_column_values_to_match_regex", {"column": "id", "regex": SLOW_PATTERN}),
    "a pattern that refers back": ("expect_column_values_to_not_match_regex", {"column": "id", "regex": r"(a)\1"}),
    "a pattern among patterns": (
        "expect_column_values_to_match_regex_list",
        {"column": "id", "regex_list": ["a", "(?<=x)y"]},
    ),
    "a column of nobody": ("expect_column_values_to_be_unique", {"column": "nope"}),
    "a column that is a list": ("expect_column_values_to_be_unique", {"column": ["id"]}),
    "a bound that is no number": ("expect_column_max_to_be_between", {"column": "hours", "max_value": float("inf")}),
    "no pattern at all": ("expect_column_values_to_match_regex", {"column": "id"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_expectation_that_is_not_known_to_be_data_is_a_finding(case: str, tmp_path: Path) -> None:
    for found in findings(tmp_path, quality=expectation(*REFUSED[case])):
        assert found.startswith("contracts/shipping/delays.odcs.yaml:8:") and "error[quality-rule]" in found


@pytest.mark.parametrize("written", ["JSON", "YAML"])
def test_an_expectation_that_is_written_as_a_text_is_read_like_any_other(written: str, tmp_path: Path) -> None:
    name, arguments = REFUSED["a condition that pandas evaluates"]
    value = {"type": name, "kwargs": arguments}
    text = json.dumps(value) if written == "JSON" else f"type: {name}\nkwargs: {{column: id, row_condition: 'x'}}"
    rule = {"type": "custom", "engine": "great-expectations", "implementation": text}
    assert any("row_condition" in found for found in findings(tmp_path, quality=json.dumps([rule])))


def test_an_implementation_that_is_nested_without_end_is_a_finding(tmp_path: Path) -> None:
    rule = {"type": "custom", "engine": "greatExpectations", "implementation": "[" * 200_000}
    assert "neither JSON nor YAML" in findings(tmp_path, quality=json.dumps([rule]))[0]


def test_every_argument_that_is_allowed_is_one_of_great_expectations() -> None:
    import great_expectations.expectations as gxe

    classes = [getattr(gxe, name) for name in dir(gxe) if name.startswith("Expect") and name != "Expectation"]
    known = {
        item.expectation_type: set(item.schema()["properties"]) for item in classes if hasattr(item, "expectation_type")
    }
    allowed = {name: allowed_arguments(name) for name in known}
    assert sum(arguments is not None for arguments in allowed.values()) > 40
    for name, arguments in allowed.items():
        assert set(arguments or ()) <= known[name], name
        assert not {"row_condition", "condition_parser", "meta", "batch_id", "windows"} & set(arguments or ()), name


PATTERNS = [SLOW_PATTERN, "^(?!x).*", "(?<=a)b", r"(a|b)\1", "(?>a+)b", "a{1,100000}", "(", "x" * 5_000, r"\ud800"]


@pytest.mark.parametrize("pattern", PATTERNS, ids=range(len(PATTERNS)))
@pytest.mark.parametrize("place", ["logicalTypeOptions", "invalidValues"])
def test_a_pattern_that_could_go_back_is_a_finding_in_words(pattern: str, place: str, tmp_path: Path) -> None:
    quoted = json.dumps(pattern)
    options = f"logicalTypeOptions: {{pattern: {quoted}}}"
    rule = f"quality: [{{metric: invalidValues, arguments: {{pattern: {quoted}}}, mustBe: 0}}]"
    written = options if place == "logicalTypeOptions" else rule
    found = findings(tmp_path, properties=f"      - {{name: code, logicalType: string, {written}}}\n")
    assert any("the pattern cannot be run" in item and "RE2" in item for item in found), found


@pytest.mark.parametrize("pattern", [r"^[A-Z]{3}\d+$", "(a+)+$", "(x+x+)+y", "(?i)port", r"\p{L}+", "a|b|"])
def test_a_pattern_of_linear_time_runs(pattern: str) -> None:
    assert pattern_fault(pattern) is None


def check_texts(tmp_path: Path, written: str, values: list[str | None]) -> list[str | None]:
    """Return the texts of the property `code` that the audit lets pass."""
    contract = read(tmp_path, properties=f"      - {{name: code, logicalType: string, {written}}}\n")
    file = tmp_path / "rows.parquet"
    rows = {"id": [str(number) for number in range(len(values))], "driver": "x", "hours": 1, "code": values}
    pd.DataFrame(rows).to_parquet(file)
    with open_engine() as engine:
        audit = audit_rows(engine, contract, [AuditedFile(str(file), len(values))], {})
    failed = {int(row) for rows in audit.failures.values() for row in rows}
    return [value for number, value in enumerate(values) if number not in failed]


def test_a_pattern_over_a_long_text_ends_at_once(tmp_path: Path) -> None:
    passed = check_texts(tmp_path, "logicalTypeOptions: {pattern: '^(x+x+)+y$'}", ["x" * 100_000, "xxy", None])
    assert passed == ["xxy", None]


def test_expectations_about_patterns_are_run_in_linear_time(tmp_path: Path) -> None:
    rule = {
        "type": "custom",
        "engine": "greatExpectations",
        "implementation": {"type": "expect_column_values_to_match_regex", "kwargs": {"regex": "^(x+x+)+y$"}},
    }
    assert check_texts(tmp_path, f"quality: {json.dumps([rule])}", ["x" * 50_000, "xxy", None]) == ["xxy", None]


@pytest.mark.parametrize(
    ("written", "good", "bad"),
    [
        ("hostname", ["a.example.com", "x", "a-b.c"], ["-a.b", "a..b", ".".join(["a" * 60] * 5), ""]),
        ("ipv4", ["127.0.0.1", "255.255.255.255"], ["256.1.1.1", "1.2.3", "1.2.3.4.", "1.2.3.4.5"]),
        ("ipv6", ["::1", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4"], ["1234", ":", "x::1", "1:" * 30]),
    ],
)
def test_formats_of_texts_mean_what_they_did_with_patterns_that_went_back(
    written: str, good: list[str], bad: list[str], tmp_path: Path
) -> None:
    assert check_texts(tmp_path, f"logicalTypeOptions: {{format: {written}}}", [*good, *bad]) == good


NUMBERS = {
    "an infinite minimum": "{name: x, logicalType: number, logicalTypeOptions: {minimum: .inf}}",
    "a minimum that is no number": "{name: x, logicalType: integer, logicalTypeOptions: {minimum: .nan}}",
    "a maximum of 300 digits": f"{{name: x, logicalType: integer, logicalTypeOptions: {{maximum: {'9' * 300}}}}}",
    "a maximum of 5,000 digits": f"{{name: x, logicalType: integer, logicalTypeOptions: {{maximum: {'9' * 5000}}}}}",
    "a bound beyond all floats": "{name: x, logicalType: number, logicalTypeOptions: {exclusiveMaximum: 1e999}}",
    "an infinite step": "{name: x, logicalType: number, logicalTypeOptions: {multipleOf: .inf}}",
    "a length of 300 digits": f"{{name: x, logicalType: string, logicalTypeOptions: {{maxLength: {'9' * 300}}}}}",
    "a count of 300 digits": f"{{name: x, logicalType: array, items: {{logicalType: string}}, "
    f"logicalTypeOptions: {{minItems: {'9' * 300}}}}}",
    "a decimal of 5,000 digits": f"{{name: x, logicalType: number, physicalType: 'decimal({'9' * 5000})'}}",
    "a scale of 5,000 digits": f"{{name: x, logicalType: number, physicalType: 'decimal(9,{'1' * 5000})'}}",
    "an infinite value of an enum": "{name: x, logicalType: number, enum: [{value: .inf}]}",
    "a value of an enum that no column holds": f"{{name: x, logicalType: integer, enum: [{{value: {'9' * 40}}}]}}",
    "a bound of a rule that is no number": "{name: x, logicalType: string, quality: [{metric: nullValues, "
    "mustBeLessThan: .nan}]}",
    "half a character in a name": r'{name: "\ud800", logicalType: string}',
    "half a character in a key": r'{name: x, logicalType: string, "\udfff": 1}',
    "a name that is nothing": r'{name: "\0", logicalType: string}',
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_or_name_that_no_column_holds_is_a_finding(case: str, tmp_path: Path) -> None:
    assert findings(tmp_path, properties=f"      - {NUMBERS[case]}\n")


BIG = "{{name: p{0}, logicalType: string}}"
WHOLE = {
    "a version of 5,000 digits": HEAD.replace("1.0.0", "9" * 5_000) + "    properties: []\n",
    "a freshness without end": HEAD + "    properties: []\nslaProperties: [{property: freshness, value: .inf}]\n",
    "a freshness of 300 digits": HEAD
    + f"    properties: []\nslaProperties: [{{property: freshness, value: {'9' * 300}}}]\n",
    "6,000 properties": HEAD + "    properties: [" + ", ".join(BIG.format(n) for n in range(6_000)) + "]\n",
    "a million properties": HEAD + "    properties: [" + "{name: a}," * 1_000_000 + "]\n",
    "21,000 values of an enum": HEAD
    + "    properties: [{name: a, logicalType: integer, enum: ["
    + ", ".join(f"{{value: {n}}}" for n in range(21_000))
    + "]}]\n",
    "an alias that doubles thirty times": HEAD
    + "x0: &x0 [1, 1]\n"
    + "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 31)),
    "an alias of itself": HEAD + "x: &x [*x]\n",
    "100,000 levels": HEAD + "x: " + "[" * 100_000 + "\n",
    "a tag of Python": HEAD + "x: !!python/object/apply:os.system ['id']\n",
    "many unknown fields": HEAD + "".join(f"unknown{n}: 1\n" for n in range(5_000)),
    "a name of a megabyte": HEAD + f"    properties: [{{name: {'a' * 2**20}, logicalType: strin}}]\n",
    "5 MB": HEAD + "# " + "x" * 5 * 2**20,
    "bytes": "\x00\x01",
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_contract_that_is_made_to_be_too_large_is_answered_in_words(case: str, tmp_path: Path) -> None:
    assert findings(tmp_path, text=WHOLE[case])


@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a link out of the mesh", "a folder"])
def test_a_contract_that_is_no_file_of_the_mesh_is_not_opened(kind: str, tmp_path: Path) -> None:
    mesh = tmp_path / "mesh"
    path = mesh / "contracts/shipping/delays.odcs.yaml"
    path.parent.mkdir(parents=True)
    match kind:
        case "a named pipe":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case "a link out of the mesh":
            (tmp_path / "other.odcs.yaml").write_text(HEAD)
            path.symlink_to(tmp_path / "other.odcs.yaml")
        case _:
            path.mkdir()
    with pytest.raises(DefinitionErrors, match="the file "):
        read_contract(path, mesh)


ADDRESSES = "authoritativeDefinitions: [{type: x, url: 'http://127.0.0.1:9/x'}, {type: y, url: 'file:///etc/passwd'}]\n"


def test_addresses_in_a_contract_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a contract was followed"))
    assert read(tmp_path, properties=ADDRESSES).name == "delays"


def test_addresses_in_a_product_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from storymesh.product.definition import read_product

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a product was followed"))
    path = tmp_path / "domains/shipping/products/delays.odps.yaml"
    path.parent.mkdir(parents=True)
    port = "{name: delays, version: 1.0.0, sbom: [{url: 'http://127.0.0.1:9/sbom'}]}"
    path.write_text(
        "apiVersion: v1.0.0\nkind: DataProduct\nid: shipping.delays\nstatus: active\n"
        f"{ADDRESSES}outputPorts: [{port}]\nsupport: [{{channel: x, url: 'file:///etc/passwd'}}]\n"
    )
    assert read_product(path, tmp_path).name == "delays"


@pytest.fixture
def engine() -> Any:
    with open_engine() as opened:
        yield opened


def test_an_expectation_sees_the_columns_that_it_names_and_no_others(tmp_path: Path, engine: Engine) -> None:
    from storymesh.contract import audit

    rule = ("expect_column_values_to_be_in_set", {"column": "id", "value_set": ["1"]})
    contract = read(tmp_path, quality=expectation(*rule))
    checks = [check for check in audit.checks_of(contract) if check.location.line == 8 and check.name != "primaryKey"]
    assert [list(audit._columns_read(check, contract)) for check in checks if "quality" in check.name] == [["id"]]
