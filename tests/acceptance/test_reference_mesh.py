"""The mesh of the project's root, released once: what comes of it, and where all of it comes from.

`STORYMESH_TRACE_EVERY=1` follows the values of every record back, not of one in so many.
"""

import os
from typing import Any

import pytest

from storymesh.provenance import trace
from tests.support.whole_mesh import KEY, Ran, every, loaded, locks, quarantined, rows_of, untraced

NARRATIVE = "canal-exceptions"
Records = dict[str, dict[str, list[Any]]]
TRACE_EVERY = int(os.environ.get("STORYMESH_TRACE_EVERY", "120"))
FEW = 50  # of each config the test follows more, so that all its cases are read at once


@pytest.fixture(scope="module")
def records(reference_mesh: Ran, tmp_path_factory: pytest.TempPathFactory) -> Records:
    return loaded(reference_mesh.mesh, NARRATIVE, tmp_path_factory.mktemp("cache"))


def test_it_releases_at_least_4000_cases(reference_mesh: Ran, records: Records) -> None:
    (lock,) = locks(reference_mesh.mesh, NARRATIVE)
    assert sum(lock["configs"]["report"].values()) >= 4_000
    assert set(records) == {"report", "bericht", "advice", "follow_up", "lookup", "recall", "choice", "verdict", "eval"}
    assert set(records["eval"]) == {"test"}
    whole = [splits for config, splits in records.items() if config != "eval"]
    assert all(set(splits) == {"train", "validation", "test"} for splits in whole)
    assert set(every(records, "advice")) == set(every(records, "lookup")) > set(every(records, "follow_up"))
    assert set(every(records, "advice")) > set(every(records, "verdict")) > set(every(records, "choice"))


def test_every_value_of_a_record_leads_back(reference_mesh: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    monkeypatch.setattr(trace, "MAX_SELECTED", FEW)
    values, wrong = untraced(reference_mesh.mesh, NARRATIVE, queries=2_000 // TRACE_EVERY, every=TRACE_EVERY)
    assert not wrong
    assert values > 350_000 / TRACE_EVERY


def test_what_carriers_wrote_is_in_the_story_and_in_no_question_what_came_late(
    reference_mesh: Ran, records: Records
) -> None:
    refused = [row["reasons"] for row in quarantined(reference_mesh.mesh, "shipping.carrier_notices")]
    assert sorted(refused) == [["file: wrong type"], ["pattern: shipment_id"]]
    notices = {row["file"]: row for row in rows_of(reference_mesh.mesh, "shipping.carrier_notices")}
    reports, questions = every(records, "report"), every(records, "advice")
    known, late, letters = 0, 0, 0
    for case in reports.keys() & questions.keys():
        report, question = reports[case], questions[case]["prompt"][-1]["content"]
        for key in (source["key"] for source in report["sources"] if source["product"] == "shipping.carrier_notices"):
            said = " ".join(filter(None, (notices[key]["body"], notices[key]["letter"])))
            came_late, lettered = notices[key]["received_at"] > report["at"], notices[key]["letter"] is not None
            assert f'"{said}"' in report["text"]
            assert (said in question) is not came_late
            letters += lettered
            assert not came_late or notices[key]["written_at"] < report["at"], "whatever its sender says of the time"
            known, late = known + (not came_late), late + came_late
    assert known > 100
    assert late > 40
    assert letters > 30
