"""The event log of a release: valid OCEL 2.0, of the rows of its cases alone, and without what may not be told."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest

from storymesh.dataset.erasure_list import new_erasure_list, write_erasure_list
from storymesh.engine.open import open_engine
from storymesh.errors import WrongUsage
from storymesh.lifecycle.erase import Erasure
from storymesh.lifecycle.ocel import write_event_log
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.release.catalog import find_release
from tests.support.release_meshes import release_all, storymesh

NAME = {"type": "string"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
VALUE = {"type": ["string", "number", "boolean"]}


def listed(required: list[str], **properties: Any) -> dict[str, Any]:
    item = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "array", "items": item}


# The rules of https://www.ocel-standard.org/specification/formats/json/, in the words of JSON Schema; stricter in that
# nothing else may stand there.
TYPES = listed(
    ["name", "attributes"],
    name=NAME,
    attributes=listed(["name", "type"], name=NAME, type={"enum": ["string", "time", "integer", "float", "boolean"]}),
)
RELATIONSHIPS = listed(["objectId", "qualifier"], objectId=NAME, qualifier=NAME)
OCEL = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "objectTypes": TYPES,
        "eventTypes": TYPES,
        "objects": listed(
            ["id", "type"],
            id=NAME,
            type=NAME,
            attributes=listed(["name", "time", "value"], name=NAME, time=TIME, value=VALUE),
            relationships=RELATIONSHIPS,
        ),
        "events": listed(
            ["id", "type", "time"],
            id=NAME,
            type=NAME,
            time=TIME,
            attributes=listed(["name", "value"], name=NAME, value=VALUE),
            relationships=RELATIONSHIPS,
        ),
    },
    "required": ["objectTypes", "eventTypes", "objects", "events"],
    "additionalProperties": False,
}
KINDS: Mapping[str, Any] = {"string": str, "time": str, "integer": int, "float": float, "boolean": bool}

Log = dict[str, list[dict[str, Any]]]


def exported(mesh: Mesh, name: str, into: Path) -> Log:
    write_event_log(find_release(mesh.releases, name), mesh.warehouse, into, open_engine)
    log: Log = json.loads(into.read_text(encoding="utf-8"))
    refuse_invalid(log)
    return log


def refuse_invalid(log: Log) -> None:
    """The schema, and what the specification asks beyond it."""
    jsonschema.validate(log, OCEL)
    objects = {item["id"] for item in log["objects"]}
    events = {event["id"] for event in log["events"]}
    assert len(objects) == len(log["objects"])
    assert len(events) == len(log["events"])
    assert not objects & events
    for types, those in (("objectTypes", "objects"), ("eventTypes", "events")):
        declared = {item["name"]: {each["name"]: each["type"] for each in item["attributes"]} for item in log[types]}
        for item in log[those]:
            for attribute in item["attributes"]:
                assert isinstance(attribute["value"], KINDS[declared[item["type"]][attribute["name"]]]), item
            assert {each["objectId"] for each in item["relationships"]} <= objects
    assert not {event_type["name"] for event_type in log["eventTypes"]} & {
        object_type["name"] for object_type in log["objectTypes"]
    }


@pytest.fixture(scope="module")
def log(roadside: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Log:
    return exported(roadside, "roadside@1.0.0-r1", tmp_path_factory.mktemp("ocel") / "log.json")


def source(mesh: Mesh, domain: str, name: str) -> list[dict[str, str]]:
    with next((mesh.root / "domains" / domain / "sources").glob(f"{name}.csv")).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_of_a_case_is_an_object_and_every_moment_an_event(roadside: Mesh, log: Log) -> None:
    objects = {item["id"]: item for item in log["objects"]}
    trucks = source(roadside, "fleet", "trucks")
    assert {item["id"] for item in log["objects"] if item["type"] == "fleet.trucks"} <= {
        f"fleet.trucks/{truck['truck_id']}" for truck in trucks
    }
    release = find_release(roadside.releases, "roadside@1.0.0-r1")
    told = duckdb.sql(
        f"SELECT case_id, s.product || '/' || s.key FROM (SELECT case_id, unnest(sources) AS s"
        f" FROM read_parquet('{release.path}/data/report/*.parquet'))"
    ).fetchall()
    assert len(told) > 300
    for case_id, row in told:
        assert row in {relationship["objectId"] for relationship in objects[f"case/{case_id}"]["relationships"]}, (
            "what a record tells"
        )
    # A breakdown: what was known when it happened is of that event, what was known when the truck ran again of another.
    breakdown = objects["road.breakdowns/B000"]
    known = {attribute["name"]: attribute["time"] for attribute in breakdown["attributes"]}
    happened, running = (
        next(event for event in log["events"] if event["id"] == f"road.breakdowns {moment}/B000")
        for moment in ("happened_at", "running_at")
    )
    assert {name for name, time in known.items() if time == running["time"]} == {"running_at", "lost_hours"}
    assert "lost_hours" not in {attribute["name"] for attribute in happened["attributes"]}
    assert [attribute["name"] for attribute in running["attributes"]] == ["lost_hours"]
    assert running["relationships"] == [
        {"objectId": "road.breakdowns/B000", "qualifier": "row"},
        {"objectId": "case/B000", "qualifier": "breakdown"},
    ]
    # What is true at any time has no event; what has not ended has not that one.
    assert not [event for event in log["events"] if event["type"].startswith("fleet.")]
    open_ones = [item["id"] for item in log["objects"] if {"name": "status", "value": "open"}.items() <= _status(item)]
    ended = {event["id"] for event in log["events"] if event["type"] == "road.breakdowns running_at"}
    assert open_ones
    assert not {f"road.breakdowns running_at/{case.partition('/')[2]}" for case in open_ones} & ended


def _status(item: Mapping[str, Any]) -> set[tuple[str, Any]]:
    found = [each for each in item["attributes"] if item["type"] == "case" and each["name"] == "status"]
    return {(name, value) for each in found for name, value in each.items()}


def test_the_log_is_made_from_the_snapshots_of_the_release(roadside: Mesh, log: Log, tmp_path: Path) -> None:
    later = exported(roadside, "roadside@1.0.0-r2", tmp_path / "later.json")
    bodies = [
        {
            item["id"]: {each["name"]: each["value"] for each in item["attributes"]}.get("body")
            for item in told["objects"]
        }
        for told in (log, later)
    ]
    assert [key for key in bodies[0] if bodies[0][key] != bodies[1].get(key)] == ["fleet.trucks/T00"]


def test_restricted_values_are_left_out_and_pseudonyms_replace_values(moved: Mesh, log: Log, tmp_path: Path) -> None:
    narrative = moved.root / "narratives/roadside/narrative.yaml"
    text = narrative.read_text(encoding="utf-8")
    named = "dataset:\n  pseudonymise: [truck.truck_id, depot.city]\n"
    narrative.write_text(text.replace("dataset:\n", named), encoding="utf-8")
    mesh = load_mesh(moved.root)
    release_all(mesh)
    hidden = exported(mesh, "roadside", tmp_path / "log.json")
    drivers = {truck["driver"] for truck in source(mesh, "fleet", "trucks")}
    told = [(item["type"], each["name"], each["value"]) for item in log["objects"] for each in item["attributes"]]
    cities = {value for type_, name, value in told if (type_, name) == ("fleet.depots", "city")}
    trucks_before = {value for _, name, value in told if name == "truck_id"}
    text = (tmp_path / "log.json").read_text(encoding="utf-8")
    assert min(len(drivers), len(cities), len(trucks_before)) > 2
    assert not [value for value in drivers | cities | trucks_before if f'"{value}"' in text], "also where it joins"
    assert '"driver"' not in text
    trucks = [item for item in hidden["objects"] if item["type"] == "fleet.trucks"]
    assert trucks
    for truck in trucks:
        values = {attribute["name"]: attribute["value"] for attribute in truck["attributes"]}
        assert truck["id"] == f"fleet.trucks/{values['truck_id']}"
        assert values["truck_id"].startswith("p-")


def test_a_case_of_a_row_erased_since_is_left_out(moved: Mesh, tmp_path: Path) -> None:
    found = Erasure(moved.warehouse, moved.releases, open_engine, moved.contracts).plan("fleet.trucks", "T00")
    before = exported(moved, "roadside@1.0.0-r1", tmp_path / "before.json")
    assert "fleet.trucks/T00" in {item["id"] for item in before["objects"]}
    # As `forget` begins; the release without the row, which it goes on with, is not looked at here.
    write_erasure_list(moved.store, new_erasure_list().with_keys("fleet.trucks", ["T00"]))
    code, out, err = storymesh(
        moved.root, "export", "roadside@1.0.0-r1", "--to", "ocel", "--into", str(tmp_path / "after.json")
    )
    assert code == 0, err
    count = next(used.cases for used in found.affected if used.release.version == "1.0.0-r1")
    assert f"without {count} cases: forgotten" in out
    text = (tmp_path / "after.json").read_text(encoding="utf-8")
    refuse_invalid(json.loads(text))
    assert '"T00"' not in text
    assert "fleet.trucks/T00" not in text


def test_the_file_is_there_whole_or_not_at_all(roadside: Mesh, tmp_path: Path) -> None:
    (tmp_path / "taken.json").write_text("mine")
    code, _, err = storymesh(
        roadside.root, "export", "roadside", "--to", "ocel", "--into", str(tmp_path / "taken.json")
    )
    assert (code, "is there already" in err) == (2, True)
    assert (tmp_path / "taken.json").read_text() == "mine"
    with pytest.raises(WrongUsage, match="is no folder"):
        write_event_log(
            find_release(roadside.releases, "roadside"), roadside.warehouse, tmp_path / "none" / "log.json", open_engine
        )
    code, _, err = storymesh(roadside.root, "export", "roadside", "--to", "xes", "--into", str(tmp_path / "log.json"))
    assert (code, "ocel" in err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]
