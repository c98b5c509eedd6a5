"""Passages for retrieval: the flat metadata beside their text, as vector stores take it."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from storymesh.dataset.preview import preview_records
from storymesh.release.catalog import Release
from tests.support.small_build import build_of
from tests.support.small_mesh import Product
from tests.support.small_release import released, rows_of

NARRATIVE = """
apiVersion: storymesh/v1
kind: Narrative
id: late-calls
version: 1.0.0
title: Calls that ran late
owner: quay@example.com
license: mit
cast: {call: quay.calls@1, boat: quay.boats@1, note: quay.notes@1}
case:
  anchor: call
  at: call.came
  closes: call.went
  links:
    boat: {on: {id: call.boat}, expect: optional}
    note: {on: {call: call.id}, within: {after: -1d, before: 9d}, expect: any}
  facts: {twice: call.hours * 2}
  outcome: {action: call.action, score: call.hours, worked: call.hours >= 4}
records:
  passage: {format: retrieval, text: report.jinja}
"""
REPORT = (
    "{{ call.quay }} {{ call.hours | number(1) }} {{ twice | number(1) }} {{ call.due | date }} {{ case.at | date }} "
    "{{ boat.name if boat else 'no boat' }} {{ call.captain | pseudonym }} {{ note | length }} "
    "{% for one in note %}{{ one.text }} {% endfor %}{{ call.towed }}"
)
CALL = Product(
    "calls",
    {
        "id": "string",
        "quay": "string",
        "boat": "string",
        "captain": "string",
        "hours": "decimal(9,2)",
        "towed": "boolean",
        "due": "date",
        "came": "timestamp",
        "went": "timestamp",
        "action": "string",
    },
    event="came",
    required=("quay", "captain", "hours", "towed", "due", "came"),
    restricted=("captain",),
    known_of={"action": "went", "hours": "went"},
)
CAST = {
    "call": CALL,
    "boat": Product("boats", {"id": "string", "name": "string"}, timeless=True, required=("name",)),
    "note": Product(
        "notes",
        {"id": "string", "call": "string", "text": "string", "noted": "timestamp"},
        event="noted",
        required=("text",),
    ),
}


def call(name: str, **more: Any) -> dict[str, Any]:
    came = datetime(2024, 3, 1, 10, 30)
    row: dict[str, Any] = {"id": name, "quay": "Kai 4", "boat": "b1", "captain": "Ann", "hours": Decimal("4.50")}
    row |= {"towed": True, "due": date(2024, 2, 29), "came": came, "went": datetime(2024, 3, 2), "action": "wait"}
    return {**row, **more}


ROWS: Mapping[str, list[dict[str, Any]]] = {
    "call": [call("c1"), call("c2", boat=None, went=None)],
    "boat": [{"id": "b1", "name": "Möwe"}],
    "note": [{"id": "n1", "call": "c1", "text": "fog", "noted": datetime(2024, 3, 1, 12)}],
}


@pytest.fixture(scope="module")
def passages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, dict[str, dict[str, Any]]]:
    """Return the release, and its passages as the interpreter renders them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
        build = build_of(tmp_path_factory.mktemp("passages"), NARRATIVE, REPORT, CAST, ROWS)
        release = released(build)
        return release, {row["case_id"]: row for row in preview_records(build, "passage", sample=9)}


def test_metadata_is_flat_and_of_types_that_stores_take(passages: tuple[Release, Any]) -> None:
    row = rows_of(passages[0], "passage")["c1"]
    assert list(row) == ["id", "case_id", "text", "metadata", "at", "facts", "sources", "split"]
    pseudonym = row["metadata"].pop("call_captain")
    assert pseudonym.startswith("p-") and pseudonym in row["text"]
    assert row["metadata"] == {
        "case_at": "2024-03-01T10:30:00Z",
        "case_closes": "2024-03-02T00:00:00Z",
        "action": "wait",
        "worked": True,
        "boat_name": "Möwe",
        "call_due": "2024-02-29",
        "call_hours": 4.5,
        "call_quay": "Kai 4",
        "call_towed": True,
        "twice": 9.0,
    }


def test_metadata_is_null_for_open_cases_and_missing_rows(passages: tuple[Release, Any]) -> None:
    open_ = rows_of(passages[0], "passage")["c2"]["metadata"]
    assert [open_[name] for name in ("case_closes", "action", "worked", "boat_name")] == [None] * 4


def test_the_interpreter_returns_the_same_metadata(passages: tuple[Release, dict[str, dict[str, Any]]]) -> None:
    release, previews = passages
    for case_id, row in rows_of(release, "passage").items():
        assert {name: previews[case_id][name] for name in row} == row


def test_one_line_turns_passages_into_documents(passages: tuple[Release, Any]) -> None:
    from datasets import load_dataset
    from langchain_core.documents import Document

    rows = load_dataset(str(passages[0].path), "passage", split="train")
    documents = [
        Document(row["text"], id=row["id"], metadata={k: v for k, v in row["metadata"].items() if v is not None})
        for row in rows
    ]
    assert [document.id for document in documents] == ["passage/c1", "passage/c2"]
    assert documents[0].metadata["action"] == "wait"
    assert "action" not in documents[1].metadata
    assert all(
        isinstance(value, str | int | float | bool) for document in documents for value in document.metadata.values()
    )


def test_card_and_croissant_describe_the_metadata(passages: tuple[Release, Any]) -> None:
    page = (passages[0].path / "README.md").read_text()
    (header,) = yaml.safe_load_all(page.split("---\n")[1])
    features = {feature["name"]: feature for feature in header["dataset_info"][0]["features"]}
    assert {"name": "worked", "dtype": "bool"} in features["metadata"]["struct"]
    assert header["task_categories"] == ["text-retrieval"]
    assert "outcome.action" in page[page.index("Classification") :][:600]
    (passage,) = [
        part
        for part in json.loads((passages[0].path / "croissant.json").read_text())["recordSet"]
        if part["@id"] == "passage"
    ]
    (metadata,) = [part for part in passage["field"] if part["name"] == "metadata"]
    assert {(part["name"], part["dataType"]) for part in metadata["subField"]} >= {
        ("case_at", "sc:Text"),
        ("worked", "sc:Boolean"),
        ("call_hours", "cr:Float64"),
    }


def test_the_row_behind_the_action_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
    build = build_of(tmp_path, NARRATIVE, "words alone", CAST, ROWS)
    row = rows_of(released(build), "passage")["c1"]
    assert [source["product"] for source in row["sources"]] == ["mesh.calls"]
    assert list(row["metadata"]) == ["case_at", "case_closes", "action", "worked", "case_id"]


@pytest.mark.parametrize(("text", "products"), [("words", []), ("{{ 'yes' if outcome else 'no' }}", ["mesh.calls"])])
def test_a_text_that_decides_by_the_outcome_has_its_row(
    text: str, products: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
    build = build_of(tmp_path, NARRATIVE.replace("format: retrieval", "format: text"), text, CAST, ROWS)
    row = rows_of(released(build), "passage")["c1"]
    assert [source["product"] for source in row["sources"]] == products
