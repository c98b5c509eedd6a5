"""The mesh of the project's root, released once: what comes of it, and where all of it comes from.

`STORYMESH_TRACE_EVERY=1` follows the values of every record back, not of one in so many.
"""

import os
from pathlib import Path

import pytest

from storymesh.provenance import trace
from tests.support.whole_mesh import KEY, Ran, every, loaded, locks, untraced

NARRATIVE = "canal-exceptions"
TRACE_EVERY = int(os.environ.get("STORYMESH_TRACE_EVERY", "60"))
FEW = 50  # of each config the test follows more, so that all its cases are read at once


def test_it_releases_at_least_4000_cases(reference_mesh: Ran, tmp_path: Path) -> None:
    (lock,) = locks(reference_mesh.mesh, NARRATIVE)
    assert sum(lock["configs"]["report"].values()) >= 4_000
    records = loaded(reference_mesh.mesh, NARRATIVE, tmp_path)
    assert set(records) == {"report", "bericht", "advice", "follow_up", "lookup", "recall", "choice", "verdict", "eval"}
    assert set(records.pop("eval")) == {"test"}
    assert all(set(splits) == {"train", "validation", "test"} for splits in records.values())
    assert set(every(records, "advice")) == set(every(records, "lookup")) > set(every(records, "follow_up"))
    assert set(every(records, "advice")) > set(every(records, "verdict")) > set(every(records, "choice"))


def test_every_value_of_a_record_leads_back(reference_mesh: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    monkeypatch.setattr(trace, "MAX_SELECTED", FEW)
    values, wrong = untraced(reference_mesh.mesh, NARRATIVE, queries=2_000 // TRACE_EVERY, every=TRACE_EVERY)
    assert not wrong
    assert values > 350_000 / TRACE_EVERY
