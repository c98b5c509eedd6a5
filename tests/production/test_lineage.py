"""What OpenLineage is told of the runs of two machines: one that posts to a collector, one that writes to a file."""

import json
import uuid
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from storymesh.orchestration import openlineage as lineage
from storymesh.orchestration.run_monitor import executor
from tests.support.whole_mesh import Ran, locks

Event = dict[str, Any]

TEXT, ADDRESS = {"type": "string"}, {"type": "string", "format": "uri", "pattern": "^(https://|pkg:)"}
FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {"_producer": ADDRESS, "_schemaURL": ADDRESS},
    },
}
NAMED = {"required": ["namespace", "name"], "properties": {"namespace": TEXT, "name": TEXT, "facets": FACETS}}
DATASETS = {"type": "array", "items": {**NAMED, "properties": {**NAMED["properties"], "outputFacets": FACETS}}}
RUN_EVENT = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": ADDRESS,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": {"required": ["runId"], "properties": {"runId": {"format": "uuid"}, "facets": FACETS}},
        "job": NAMED,
        "inputs": DATASETS,
        "outputs": DATASETS,
    },
}
"""What the specification, version 2-0-2, asks of a run's event; what it asks of a facet the client's classes hold."""


@pytest.fixture(scope="module")
def from_file(second: Ran) -> list[Event]:
    assert second.code == 0, second.output
    lines = (second.mesh / "lineage.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def dataset_names(datasets: list[Event]) -> set[str]:
    return {dataset["name"] for dataset in datasets}


def find_event(events: list[Event], job: str, state: str) -> Event:
    (found,) = [event for event in events if event["job"]["name"] == job and event["eventType"] == state]
    return found


def test_every_asset_starts_and_completes_once(first: Path, collected: list[Event]) -> None:
    states = defaultdict(list)
    for event in collected:
        states[event["job"]["name"]].append(event["eventType"])
    assert set(states) == {
        *("fleet/trucks", "fleet/depots", "road/breakdowns", "road/repairs"),
        *("roadside/cases", "roadside/precedents", "roadside/release"),
        *(f"roadside/records/{config}" for config in ("report", "advice")),
    }
    assert set(map(tuple, states.values())) == {("START", "COMPLETE")}


def test_events_match_the_openlineage_specification(
    first: Path, collected: list[Event], from_file: list[Event]
) -> None:
    form = Draft202012Validator(RUN_EVENT, format_checker=FormatChecker())
    for event in [*collected, *from_file]:
        form.validate(event)
        uuid.UUID(event["run"]["runId"])
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        assert event["job"]["namespace"] == "storymesh"


def test_datasets_of_both_machines_form_one_graph(collected: list[Event], from_file: list[Event]) -> None:
    assert dataset_names(find_event(collected, "road/repairs", "COMPLETE")["inputs"]) == {"road/sources/repairs.jsonl"}
    cases = find_event(from_file, "roadside/cases", "COMPLETE")
    assert dataset_names(cases["inputs"]) == {"road/breakdowns", "road/repairs", "fleet/trucks", "fleet/depots"}
    assert dataset_names(cases["outputs"]) <= dataset_names(
        find_event(from_file, "roadside/precedents", "START")["inputs"]
    )
    release = find_event(from_file, "roadside/release", "COMPLETE")
    assert len(dataset_names(release["inputs"])) == 2, "the records of each config"


def test_outputs_have_columns_row_counts_and_versions(first: Path, collected: list[Event]) -> None:
    (made,) = find_event(collected, "road/repairs", "COMPLETE")["outputs"]
    fields = {field["name"]: field["type"] for field in made["facets"]["schema"]["fields"]}
    assert fields == {"repair_id": "text", "breakdown_id": "text", "decided_at": "timestamp", "remedy": "text"}
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 171
    (origin,) = made["facets"]["columnLineage"]["fields"]["remedy"]["inputFields"]
    assert (origin["name"], origin["field"]) == ("road/sources/repairs.jsonl", "remedy")
    (release,) = find_event(collected, "roadside/release", "COMPLETE")["outputs"]
    assert release["facets"]["version"]["datasetVersion"] == locks(first, "roadside")[0]["digest"]


def test_the_run_of_an_asset_has_the_dagster_run_as_parent(collected: list[Event], from_file: list[Event]) -> None:
    parents = {event["run"]["facets"]["parent"]["job"]["name"] for event in collected}
    assert parents == {"run"}
    assert {event["run"]["facets"]["parent"]["job"]["name"] for event in from_file} == {"release_roadside"}


@pytest.fixture
def job() -> dg.JobDefinition:
    """One asset that is made, and one on top of it that fails."""

    @dg.asset
    def made() -> None:
        pass

    @dg.asset(deps=[made])
    def refused() -> None:
        raise dg.Failure("the rows break the contract", allow_retries=False)

    both = dg.define_asset_job("both", selection=[made, refused])
    return dg.Definitions([made, refused], jobs=[both], executor=executor).resolve_job_def("both")


def run_job(job: dg.JobDefinition) -> bool:
    """Execute the job with a lineage listener. Return True when it had events."""
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = str(uuid.uuid4())
        hear = lineage.lineage_listener(job, run_id)
        instance.add_event_listener(run_id, lambda entry: entry.dagster_event and hear(entry.dagster_event))
        return job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False).all_events != []


def test_a_failure_event_has_the_error_message(job: dg.JobDefinition, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.servers import collector

    events: list[Event] = []
    with collector(events) as address:
        monkeypatch.setenv("OPENLINEAGE_URL", address)
        run_job(job)
    monkeypatch.undo()
    assert not lineage.is_lineage_enabled(), "what the client noted for itself is gone"
    assert [(event["job"]["name"], event["eventType"]) for event in events] == [
        ("made", "START"),
        ("made", "COMPLETE"),
        ("refused", "START"),
        ("refused", "FAIL"),
    ]
    assert events[-1]["run"]["facets"]["errorMessage"]["message"] == "the rows break the contract"
    assert dataset_names(events[-1]["inputs"]) == {"made"}


def test_a_collector_that_fails_gets_no_more_events_and_the_run_continues(
    job: dg.JobDefinition, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.support.servers import collector

    events: list[Event] = []
    with collector(events, status=400) as address:
        monkeypatch.setenv("OPENLINEAGE_URL", address)
        assert run_job(job)
    assert len(events) == 1
    (record,) = [record for record in caplog.records if record.name == lineage.__name__]
    assert "OpenLineage is told nothing more of run" in record.getMessage()


def test_no_events_are_sent_without_a_collector(job: dg.JobDefinition, monkeypatch: pytest.MonkeyPatch) -> None:
    from openlineage.client import OpenLineageClient

    monkeypatch.setattr(OpenLineageClient, "emit", lambda *_: pytest.fail("something was told"))
    assert not lineage.is_lineage_enabled({"OPENLINEAGE_URL": "", "OPENLINEAGE_NAMESPACE": "x"})
    assert not lineage.is_lineage_enabled({"OPENLINEAGE_URL": "http://x", "OPENLINEAGE_DISABLED": "true"})
    assert lineage.is_lineage_enabled({"OPENLINEAGE__TRANSPORT__TYPE": "console"})
    assert run_job(job)
