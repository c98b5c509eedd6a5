"""What a contract may say, and how it is told that it is wrong: file, line, column, rule and words."""

import json
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
from storymesh.language.types import Array, Date, Decimal, Field, Float, Integer, Struct, Text, Timestamp
from storymesh.standards.odcs import odcs_schema, validate_contract
from storymesh.standards.validate import unknown_keywords

HERE = Path(__file__).parent
GOOD = (HERE / "delays.odcs.yaml").read_text()
BROKEN = yaml.safe_load((HERE / "broken.yaml").read_text())


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
    assert any(one.startswith(f"contracts/shipping/delays.odcs.yaml:{case['finding']}") for one in told), told


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


def test_the_standard_has_no_keyword_that_is_passed_over() -> None:
    assert unknown_keywords(odcs_schema()) == set()


def _paths(value: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [steps] + [path for key, below in items for path in _paths(below, (*steps, key))]


ANYTHING = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "x", [], {}, ["x", "x"], {"x": 1}, {"property": "p", "value": 1}]
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
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
