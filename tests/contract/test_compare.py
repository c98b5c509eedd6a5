"""What a difference between two versions of a contract means for readers and publishers."""

import copy
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.contract.compare import compare_contracts, renamed_properties
from storymesh.contract.compare_types import compare_options
from storymesh.contract.definition import Contract
from storymesh.contract.read import ContractFile
from storymesh.document import parse_document

Fields = dict[str, Any]
BOATS: Fields = {
    "apiVersion": "v3.2.0", "kind": "DataContract", "id": "fleet.boats", "version": "1.0.0", "status": "active",
    "name": "Boats", "description": {"purpose": "Boats.", "limitations": "For research."},
    "customProperties": [{"property": "quarantineLimit", "value": 0.2}, {"property": "license", "value": "mit"}],
    "slaProperties": [{"property": "freshness", "value": 2, "unit": "d", "element": "boats.built_at"}],
    "schema": [{
        "id": "boats", "name": "boats", "logicalType": "object",
        "customProperties": [{"property": "eventTime", "value": "built_at"}],
        "relationships": [{"from": "boats.yard", "to": "../fleet/yards.odcs.yaml#/schema/yards/properties/yard"}],
        "properties": [
            {"name": "boat", "logicalType": "string", "primaryKey": True, "required": True},
            {"name": "kind", "logicalType": "string", "required": True, "classification": "public",
             "enum": [{"value": "tug", "label": "tug boat"}, {"value": "ferry"}]},
            {"name": "length", "logicalType": "integer", "logicalTypeOptions": {"minimum": 1, "maximum": 90},
             "customProperties": [{"property": "unit", "value": "metres"}],
             "quality": [{"name": "no odd", "type": "library", "metric": "nullValues", "mustBe": 0}]},
            {"name": "price", "logicalType": "number", "physicalType": "decimal(12,2)", "unique": True},
            {"name": "yard", "logicalType": "string"},
            {"name": "built_at", "logicalType": "timestamp", "required": True},
            {"name": "sold_at", "logicalType": "timestamp",
             "customProperties": [{"property": "knownAt", "value": "sold_at"}]},
            {"name": "address", "logicalType": "object", "properties": [
                {"name": "street", "logicalType": "string", "required": True},
                {"name": "number", "logicalType": "integer"}]},
        ],
        "quality": [{"name": "enough", "type": "library", "metric": "rowCount", "mustBeGreaterThan": 5}],
    }],
}  # fmt: skip


@cache
def _read(text: str) -> Contract:
    return ContractFile("fleet.boats", parse_document(text, "contracts/fleet/boats.odcs.yaml")).contract()


def read(fields: Fields) -> Contract:
    return _read(json.dumps(fields, indent=1))


def schema(fields: Fields) -> Fields:
    found: Fields = fields["schema"][0]
    return found


def prop(fields: Fields, name: str) -> Fields:
    found: Fields = next(item for item in schema(fields)["properties"] if item["name"] == name)
    return found


def put(name: str, /, **values: Any) -> Callable[[Fields], object]:
    return lambda fields: prop(fields, name).update(values)


def drop(name: str) -> Callable[[Fields], object]:
    return lambda fields: schema(fields)["properties"].remove(prop(fields, name))


def inside(name: str, below: str, /, **values: Any) -> Callable[[Fields], object]:
    return lambda fields: next(i for i in prop(fields, name)["properties"] if i["name"] == below).update(values)


def add(**item: Any) -> Callable[[Fields], object]:
    return lambda fields: schema(fields)["properties"].append(item)


def custom(**values: Any) -> list[Fields]:
    return [{"property": name, "value": value} for name, value in values.items()]


def rule(**values: Any) -> Callable[[Fields], object]:
    return lambda fields: schema(fields)["quality"][0].update(values)


TUG, FERRY = {"value": "tug", "label": "tug boat"}, {"value": "ferry"}
# edit, and of each change: its kind, the property, the step of the version, and whether rows may be refused.
CHANGES: list[tuple[Callable[[Fields], object], list[str]]] = [
    (lambda fields: None, []),
    (put("yard", description="Where it was built."), ["words - patch"]),
    (drop("address"), ["property-removed address major"]),
    (add(name="flag", logicalType="string"), ["property-added flag minor"]),
    (add(name="flag", logicalType="string", required=True), ["property-added flag minor refuses"]),
    (put("kind", name="type"), ["property-renamed kind major"]),
    (put("yard", logicalType="integer"), ["type-changed yard major refuses"]),
    (put("length", logicalType="number"), ["type-widened length major"]),
    (put("price", physicalType="decimal(14,2)"), ["type-widened price major"]),
    (put("price", physicalType="decimal(11,1)"), ["type-narrowed price minor refuses"]),
    (put("price", physicalType="decimal(12,4)"), ["type-changed price major refuses"]),
    (put("built_at", logicalType="date"), ["type-changed built_at major refuses"]),
    (put("kind", required=False), ["required kind major"]),
    (put("yard", required=True), ["required yard minor refuses"]),
    (put("price", unique=False), ["unique price major"]),
    (put("boat", unique=True), ["unique boat minor refuses"]),
    (put("kind", enum=[TUG]), ["enum-value-removed kind minor refuses"]),
    (put("kind", enum=[TUG, FERRY, {"value": "yacht"}]), ["enum-value-added kind major"]),
    (put("kind", enum=[{"value": "tug", "label": "tug"}, FERRY]), ["enum-label kind minor"]),
    (put("kind", enum=[]), ["enum-removed kind major"]),
    (put("yard", enum=[{"value": "Kiel"}]), ["enum-added yard minor refuses"]),
    (put("length", customProperties=custom(unit="feet")), ["unit length major"]),
    (put("price", customProperties=custom(unit="eur")), ["unit price minor"]),
    (put("kind", classification="restricted"), ["classification kind major"]),
    (put("yard", classification="public"), ["classification yard minor"]),
    (put("sold_at", customProperties=[]), ["known-at sold_at major"]),
    (put("length", logicalTypeOptions={"minimum": 1, "maximum": 80}), ["options length minor refuses"]),
    (put("length", logicalTypeOptions={"maximum": 90}), ["options length major"]),
    (put("yard", logicalTypeOptions={"pattern": "^K"}), ["options yard minor refuses"]),
    (put("yard", physicalName="shipyard"), ["source-column yard patch refuses"]),
    (put("yard", deprecated=True), ["deprecated yard minor"]),
    (put("yard", primaryKey=True, primaryKeyPosition=2), ["key boat major refuses"]),
    (inside("address", "street", name="road"),
     ["property-added address minor refuses", "property-removed address major"]),
    (inside("address", "number", logicalType="number"), ["type-widened address major"]),
    (inside("address", "street", required=False), ["required address major"]),
    (lambda fields: schema(fields).update(customProperties=custom(eventTime="sold_at")), ["event-time built_at major"]),
    (lambda fields: schema(fields).update(customProperties=custom(eventTime="built_at", endTime="sold_at")),
     ["end-time - minor"]),
    (lambda fields: schema(fields).update(customProperties=custom(timeless=True)),
     ["event-time built_at major", "timeless - minor"]),
    (lambda fields: schema(fields).pop("relationships"), ["relationship - major"]),
    (rule(mustBeGreaterThan=9), ["quality - minor refuses"]),
    (rule(mustBeGreaterThan=2), ["quality - minor"]),
    (rule(severity="warning"), ["quality - minor"]),
    (lambda fields: schema(fields).pop("quality"), ["quality - minor"]),
    (lambda fields: prop(fields, "length").pop("quality"), ["quality length major"]),
    (put("boat", quality=[{"name": "known", "type": "library", "metric": "nullValues", "mustBe": 0}]),
     ["quality boat minor refuses"]),
    (lambda fields: fields.update(customProperties=custom(quarantineLimit=0.1, license="mit")),
     ["quarantine-limit - minor refuses"]),
    (lambda fields: fields.update(customProperties=custom(quarantineLimit=0.5, license="mit")),
     ["quarantine-limit - minor"]),
    (lambda fields: fields.update(customProperties=custom(quarantineLimit=0.2, license="gpl")), ["license - major"]),
    (lambda fields: fields["description"].update(limitations="For nobody."), ["terms - minor"]),
    (lambda fields: fields["slaProperties"][0].update(value=5), ["freshness - minor"]),
    (lambda fields: fields.update(status="deprecated"), ["deprecated - minor"]),
    (put("kind", partitioned=True), ["partitions - patch"]),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "expected"), CHANGES)
def test_a_change_is_what_it_means(edit: Callable[[Fields], object], expected: list[str]) -> None:
    fields = copy.deepcopy(BOATS)
    edit(fields)
    changes = compare_contracts(read(BOATS), read(fields))
    found = [f"{one.rule} {one.property or '-'} {one.step}{' refuses' if one.refuses else ''}" for one in changes]
    assert sorted(set(found)) == sorted(expected), [one.words for one in changes]
    lines = json.dumps(fields, indent=1).count("\n") + 1
    assert all(1 < one.location.line <= lines for one in changes)
    assert all(one.words and one.location.path == "contracts/fleet/boats.odcs.yaml" for one in changes)


def test_a_property_is_renamed_by_its_id_its_source_or_where_it_stands() -> None:
    old = copy.deepcopy(BOATS)
    prop(old, "yard")["id"] = "p5"
    new = copy.deepcopy(old)
    schema(new)["properties"].insert(0, {"name": "flag", "logicalType": "string"})
    prop(new, "yard")["name"] = "shipyard"
    prop(new, "price").update(name="cost", physicalName="price")
    schema(new)["relationships"][0]["from"] = "boats.shipyard"
    assert {change.rule for change in compare_contracts(read(old), read(new))} == {
        "property-added", "property-renamed", "source-column"
    }  # fmt: skip
    assert renamed_properties(read(old), read(new)) == {"yard": "shipyard", "price": "cost"}
    prop(new, "kind")["name"] = "length_class"
    assert "kind" not in renamed_properties(read(old), read(new)), "two are new, and nothing says which it is"


def test_what_a_release_keeps_is_compared_without_rules_and_service_levels() -> None:
    kept = copy.deepcopy(BOATS)
    del kept["slaProperties"], kept["customProperties"], schema(kept)["quality"], prop(kept, "length")["quality"]
    assert compare_contracts(read(kept), read(BOATS), kept_only=True) == ()


BOUNDS = st.fixed_dictionaries(
    {},
    optional={name: st.integers(-4, 12) for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")},
)


def allowed(options: Mapping[str, int], name: str) -> set[int]:
    bound = options.get(name)
    holds: dict[str, Callable[[int, int], bool]] = {
        "minimum": int.__ge__, "exclusiveMinimum": int.__gt__, "maximum": int.__le__, "exclusiveMaximum": int.__lt__,
    }  # fmt: skip
    return {n for n in range(-6, 15) if bound is None or holds[name](n, bound)}


@given(BOUNDS, BOUNDS)
def test_a_bound_is_tighter_where_it_lets_fewer_values_through(old: dict[str, int], new: dict[str, int]) -> None:
    found = {change.name: change.tightness for change in compare_options("n", old, new)}
    for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        before, after = allowed(old, name), allowed(new, name)
        expected = "tighter" if after < before else "looser" if before < after else None
        assert found.get(name) == expected
