"""What a contract may say, and how it is told that it is wrong: file, line, column, rule and words."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.document import parse_document
from storymesh.errors import DefinitionErrors
from storymesh.language.types import (
    Array,
    Date,
    Decimal,
    Field,
    Float,
    Integer,
    Json,
    Struct,
    Text,
    Time,
    Timestamp,
    Type,
)
from storymesh.standards.odcs import odcs_schema, validate_contract
from storymesh.standards.validate import unknown_keywords

HERE = Path(__file__).parent
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
GOOD = (HERE / "delays.odcs.yaml").read_text()
BROKEN = yaml.safe_load((HERE / "broken.yaml").read_text())
WARNED = yaml.safe_load((HERE / "warned.yaml").read_text())


def read(text: str, root: Path, name: str = "shipping/delays") -> Contract:
    path = root / "contracts" / f"{name}.odcs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return read_contract(path, root)


@pytest.mark.parametrize("case", BROKEN, ids=[case["case"] for case in BROKEN])
def test_what_is_wrong_is_told_at_its_place(case: dict[str, str], tmp_path: Path) -> None:
    assert GOOD.count(case["change"]) == 1, "the case has to change one place"
    with pytest.raises(DefinitionErrors) as refused:
        read(GOOD.replace(case["change"], case["into"]), tmp_path)
    told = [str(finding) for finding in refused.value.findings]
    assert any(item.startswith(f"contracts/shipping/delays.odcs.yaml:{case['finding']}") for item in told), told


@pytest.mark.parametrize("case", WARNED, ids=[case["case"] for case in WARNED])
def test_what_the_standard_allows_is_read_with_a_warning(case: dict[str, str], tmp_path: Path) -> None:
    assert GOOD.count(case["change"]) == 1, "the case has to change one place"
    found = [str(finding) for finding in read(GOOD.replace(case["change"], case["into"]), tmp_path).warnings]
    assert any(line.startswith(f"contracts/shipping/delays.odcs.yaml:{case['finding']}") for line in found), found


def test_a_contract_says_what_it_promises(tmp_path: Path) -> None:
    contract = read(GOOD, tmp_path)
    assert (contract.id, contract.major, contract.owner) == ("shipping.delays", 2, "desk@example.com")
    assert contract.license == "cc-by-4.0"
    assert contract.key == ("delay_id",)
    assert contract.quarantine_limit == 0.2
    assert not contract.hindsight
    assert contract.warnings == ()
    fields = contract.struct.fields
    assert list(fields) == list(contract.properties)
    assert fields["delay_id"] == Field(Text(), nullable=False, classification="public")
    assert fields["hours"] == Field(Decimal(9, 2), nullable=True, classification="internal", unit="hours")
    legs = Struct({"place": Field(Text(), False, "internal"), "day": Field(Date(), True, "internal")})
    assert fields["legs"] == Field(Array(Field(legs, True, "internal")), True, "internal")
    code = contract.properties["code"]
    assert isinstance(code.type, Text)
    assert code.type.labels == {"W": "Weather", "C": "Closure"}


def test_when_a_value_is_known(tmp_path: Path) -> None:
    contract = read(GOOD, tmp_path)
    assert contract.known_at_of("code") == "recorded_at", "the object's knownAt"
    assert contract.known_at_of("hours") == "arrived_at", "the property's own"
    assert contract.known_at_of("arrived_at") == "arrived_at", "endTime is known when it comes"
    plain = read(GOOD.replace("      - {property: knownAt, value: recorded_at}\n", ""), tmp_path)
    assert plain.known_at_of("code") == "detected_at", "the row's eventTime"


def test_a_product_without_a_clock_is_hindsight_unless_it_is_timeless(tmp_path: Path) -> None:
    clocks = GOOD[GOOD.index("      - {property: eventTime") : GOOD.index("      - {property: knownAt, value: rec")]
    assert read(GOOD.replace(clocks, "").replace("freshness", "retention"), tmp_path).hindsight
    timeless = GOOD.replace(clocks, "      - {property: timeless, value: true}\n").replace("freshness", "retention")
    assert not read(timeless, tmp_path).hindsight


@pytest.mark.parametrize(
    ("written", "contract", "columns"),
    [
        ("shipping/shipments.odcs.yaml#/schema/shipments/properties/sid", "shipping.shipments", ("sid",)),
        ("../canal/transits.odcs.yaml#schema/transits/properties/sid", "canal.transits", ("sid",)),
        ("contracts/canal/transits.odcs.yaml#/schema/transits/properties/sid", "canal.transits", ("sid",)),
        ("shipments.odcs.yaml#/schema/shipments/properties/sid", "shipping.shipments", ("sid",)),
        ("shipments.sid", "shipping.shipments", ("sid",)),
        ("schema/shipments/properties/sid", "shipping.shipments", ("sid",)),
        ("delays.delay_id", "shipping.delays", ("delay_id",)),
    ],
)
def test_relationships_name_a_contract_and_its_columns(
    written: str, contract: str, columns: tuple[str, ...], tmp_path: Path
) -> None:
    old = "shipping/shipments.odcs.yaml#/schema/shipments/properties/shipment_id"
    (found,) = read(GOOD.replace(old, written), tmp_path).relationships
    assert (found.columns, found.to_contract, found.to_columns) == (("shipment_id",), contract, columns)
    assert (found.location.line, found.location.column) == (27, 17)


def test_a_relationship_of_several_columns(tmp_path: Path) -> None:
    several = """    relationships:
      - from: [delays.shipment_id, delays.code]
        to: [legs.shipment, legs.code]
    quality:
"""
    found = read(GOOD.replace("    quality:\n      - {metric: rowC", several + "      - {metric: rowC"), tmp_path)
    assert found.relationships[0].columns == ("shipment_id", "code")
    assert found.relationships[0].to_columns == ("shipment", "code")


def test_equal_values_mean_one_row_when_they_cover_a_key(tmp_path: Path) -> None:
    contract = read(GOOD.replace("      - name: code\n", "      - name: code\n        unique: true\n"), tmp_path)
    assert contract.is_unique({"delay_id", "hours"})
    assert contract.is_unique({"code"})
    assert not contract.is_unique({"shipment_id"})


def test_a_rule_for_another_engine_is_a_warning(tmp_path: Path) -> None:
    rule = "{type: custom, engine: soda, implementation: 'x'}"
    contract = read(GOOD.replace("{metric: rowCount, mustBeGreaterThan: 0}", rule), tmp_path)
    (warning,) = contract.warnings
    assert str(warning).startswith("contracts/shipping/delays.odcs.yaml:17:32: warning[not-run]: the rule is not run")
    assert contract.quality == ()


def test_the_digest_is_of_values_not_of_layout(tmp_path: Path) -> None:
    assert (
        read(GOOD, tmp_path).digest
        == read("# a remark\n" + GOOD.replace("status: active", "status:   'active'"), tmp_path).digest
    )
    assert read(GOOD, tmp_path).digest != read(GOOD.replace("maximum: 999", "maximum: 998"), tmp_path).digest


def test_numbers_and_moments_have_their_types(tmp_path: Path) -> None:
    types = {name: item.type for name, item in read(GOOD, tmp_path).properties.items()}
    assert types["hours"] == Decimal(9, 2)
    assert types["detected_at"] == Timestamp()
    assert read(GOOD.replace("decimal(9,2)", "double"), tmp_path).properties["hours"].type == Float()
    assert (
        read(GOOD.replace("logicalType: number", "logicalType: integer"), tmp_path).properties["hours"].type
        == Integer()
    )


@pytest.mark.parametrize(
    ("physical", "kind"),
    [
        ("bigint", Integer()),
        ("BIGINT UNSIGNED", Decimal(20, 0)),
        ("int(11)", Integer()),
        ("serial", Integer()),
        ("hugeint", Decimal(38, 0)),
        ("DEC(18,2)", Decimal(18, 2)),
        ("numeric", Decimal(38, 9)),
        ("NUMERIC ( 10 , 2 )", Decimal(10, 2)),
        ("NUMBER(10)", Decimal(10, 0)),
        ("NUMBER(5,-2)", Decimal(7, 0)),
        ("numeric(2,5)", Decimal(5, 5)),
        ("Decimal64(3)", Decimal(18, 3)),
        ("money", Decimal(19, 4)),
        ("float", Float()),
        ("FLOAT(53)", Float()),
        ("double precision", Float()),
        ("NUMBER", Float()),
    ],
)
def test_the_physical_type_says_what_numbers_are(physical: str, kind: Type, tmp_path: Path) -> None:
    contract = read(GOOD.replace("decimal(9,2)", f"'{physical}'"), tmp_path)
    assert contract.properties["hours"].type == kind
    assert contract.warnings == ()


@pytest.mark.parametrize("physical", ["decimal(12.2)", "numeric(0)", "decimal(x)"])
def test_a_decimal_that_is_none_is_a_finding(physical: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as refused:
        read(GOOD.replace("decimal(9,2)", f"'{physical}'"), tmp_path)
    assert f":33:23: error[wrong-value]: {physical} is no decimal" in str(refused.value)


def test_a_key_is_in_the_order_of_its_positions_or_of_the_file(tmp_path: Path) -> None:
    def key(first: str, second: str) -> tuple[str, ...]:
        text = GOOD.replace("        primaryKey: true\n", f"        {first}\n")
        return read(text.replace("detected_at, logicalType", f"detected_at, {second}, logicalType"), tmp_path).key

    assert key("primaryKey: true", "primaryKey: true") == ("delay_id", "detected_at")
    second = "primaryKey: true, primaryKeyPosition: 1"
    assert key("primaryKey: true\n        primaryKeyPosition: 2", second) == ("detected_at", "delay_id")
    assert key("primaryKey: true", second) == ("detected_at", "delay_id"), "what has no position comes after"


@pytest.mark.parametrize(
    ("written", "ages"),
    [
        ("{property: freshness, value: 24, unit: h}", [("detected_at", "1 day")]),
        ("{property: freshness, value: '24', unit: hours}", [("detected_at", "1 day")]),
        ("{property: freshness, value: 1}", [("detected_at", "1 day")]),
        ("{property: freshness, value: P1DT12H}", [("detected_at", "36 hours")]),
        ("{property: latency, value: 4000, unit: ms}", [("detected_at", "4 seconds")]),
        ("{property: latency, value: 4h}", [("detected_at", "4 hours")]),
        ("{property: ly, value: 1, unit: P1D, element: delays.arrived_at}", [("arrived_at", "1 day")]),
        ("{property: freshness, value: 1, element: 'delays.arrived_at, detected_at'}",
         [("arrived_at", "1 day"), ("detected_at", "1 day")]),
        ("{property: freshness, value: 1, element: delays}", [("detected_at", "1 day")]),
        ("{property: freshness, value: 9, unit: d}, {property: freshness, value: 1, element: arrived_at}",
         [("detected_at", "9 days"), ("arrived_at", "1 day")]),
        ("{property: retention, value: 3, unit: y}, {property: availability, value: 99.9, element: elsewhere.x}", []),
    ],
)  # fmt: skip
def test_every_promise_of_freshness_counts(written: str, ages: list[tuple[str, str]], tmp_path: Path) -> None:
    text = GOOD.replace("\n  - {property: freshness, value: 24, unit: h}", f" [{written}]")
    contract = read(text, tmp_path)
    assert [(promise.property, promise.longest) for promise in contract.freshness] == ages
    assert contract.warnings == ()


def test_freshness_is_of_the_default_element_where_none_is_named(tmp_path: Path) -> None:
    assert read(GOOD + "slaDefaultElement: delays.arrived_at\n", tmp_path).freshness[0].property == "arrived_at"


def test_a_mesh_says_what_a_word_for_a_classification_means(tmp_path: Path) -> None:
    text = GOOD.replace("classification: public", "classification: open data")
    assert read(text, tmp_path).properties["delay_id"].classification == "restricted"
    path = tmp_path / "contracts/shipping/delays.odcs.yaml"
    mapped = read_contract(path, tmp_path, {"open data": "public"})
    assert (mapped.properties["delay_id"].classification, mapped.warnings) == ("public", ())
    assert mapped.digest == read(GOOD, tmp_path).digest, "what it says here is the same"


def test_what_is_in_an_object_nobody_has_to_say(tmp_path: Path) -> None:
    legs = GOOD[GOOD.index("        logicalType: array\n") : GOOD.index("slaProperties")]
    types = [
        ("logicalType: array", Json()),
        ("logicalType: object", Json()),
        ("logicalType: array; items: {logicalType: object}", Array(Field(Json(), True, "internal"))),
        ("logicalType: map; map: {key: {logicalType: string}, value: {logicalType: number}}", Json()),
        ("logicalType: vector; logicalTypeOptions: {dimensions: 3}", Array(Field(Float(), False, "internal"))),
        ("logicalType: time", Time()),
    ]
    for written, kind in types:
        contract = read(GOOD.replace(legs, f"        {written.replace('; ', chr(10) + 8 * ' ')}\n"), tmp_path)
        assert (contract.properties["legs"].type, contract.warnings) == (kind, ())


def test_a_map_is_as_secret_as_what_is_in_it(tmp_path: Path) -> None:
    legs = GOOD[GOOD.index("        logicalType: array\n") : GOOD.index("slaProperties")]
    value = "value: {logicalType: object, properties: [{name: x, logicalType: string, classification: restricted}]}"
    written = f"        logicalType: map\n        map: {{key: {{logicalType: string}}, {value}}}\n"
    assert read(GOOD.replace(legs, written), tmp_path).properties["legs"].classification == "restricted"


def test_the_standard_has_no_keyword_that_is_passed_over() -> None:
    assert unknown_keywords(odcs_schema()) == set()


def _paths(value: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [steps] + [path for key, below in items for path in _paths(below, (*steps, key))]


ANYTHING = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "x", [], {}, ["x", "x"], {"x": 1}, {"property": "p", "value": 1}]
)


@pytest.mark.slow
@settings(max_examples=2_000 if DEEP else 30, deadline=None)
@given(st.data())
def test_the_verdict_is_that_of_jsonschema(data: st.DataObject) -> None:
    from jsonschema import Draft201909Validator

    value = json.loads(json.dumps(parse_document(GOOD, "x").value))
    path = data.draw(st.sampled_from(_paths(value)[1:]))
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "replace":
        holder[path[-1]] = data.draw(ANYTHING)
    elif action == "remove":
        del holder[path[-1]]
    elif isinstance(holder, dict):
        holder[
            data.draw(st.sampled_from(["mustBe", "type", "metric", "query", "from", "to", "enum", "id", "items", "zz"]))
        ] = data.draw(ANYTHING)
    document = parse_document(json.dumps(value), "x")
    valid = Draft201909Validator(dict(odcs_schema())).is_valid(value)
    assert (validate_contract(document) == []) == valid


def test_reading_stays_light(tmp_path: Path) -> None:
    """`check` reads every contract; none of the libraries that audits and stores need may come with them."""
    read(GOOD, tmp_path)
    code = f"""
import sys
from pathlib import Path
from storymesh.contract.read import read_contract
import storymesh.product.definition
read_contract(Path({str(tmp_path / "contracts/shipping/delays.odcs.yaml")!r}), Path({str(tmp_path)!r}))
heavy = {{"great_expectations", "pyiceberg", "pandas", "duckdb", "dbt", "ibis", "pyarrow", "jsonschema", "numpy"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
