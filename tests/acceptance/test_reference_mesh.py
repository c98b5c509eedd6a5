"""The mesh of the project's root as a fresh clone has it, and in another folder, where it is killed and broken."""

from pathlib import Path

import pytest
from whole_mesh import KEY, Ran, every, loaded, locks, products, quarantined, red_checks, untraced

NARRATIVE = "canal-exceptions"


def test_it_releases_at_least_4000_cases(reference_mesh: Ran, tmp_path: Path) -> None:
    assert reference_mesh.code == 0, reference_mesh.said
    (lock,) = locks(reference_mesh.mesh, NARRATIVE)
    assert sum(lock["configs"]["report"].values()) >= 4_000
    records = loaded(reference_mesh.mesh, NARRATIVE, tmp_path)
    assert set(records) == {"report", "advice", "choice", "verdict"}
    assert all(set(splits) == {"train", "validation", "test"} for splits in records.values())
    assert set(every(records, "advice")) == set(every(records, "verdict")) > set(every(records, "choice"))


def test_every_value_of_every_record_leads_back(reference_mesh: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reference_mesh.code == 0, reference_mesh.said
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    values, wrong = untraced(reference_mesh.mesh, NARRATIVE, queries=200)
    assert not wrong
    assert values > 400_000


def test_a_null_key_stops_neither_its_domain_nor_the_others(disturbed_reference_mesh: Ran) -> None:
    assert disturbed_reference_mesh.code == 0, disturbed_reference_mesh.said
    mesh = disturbed_reference_mesh.mesh
    refused = [row for row in quarantined(mesh, "resolutions.resolutions") if row["resolution_id"] is None]
    assert [row["note"] for row in refused] == ["a number is missing"]
    assert any(check.startswith("resolutions/resolutions: resolution_id") for check in red_checks(mesh))


def test_a_kill_another_folder_and_a_refused_row_change_nothing(
    reference_mesh: Ran, disturbed_reference_mesh: Ran
) -> None:
    assert disturbed_reference_mesh.code == 0, disturbed_reference_mesh.said
    assert products(disturbed_reference_mesh.mesh) == products(reference_mesh.mesh)
    (one,), (other,) = (locks(ran.mesh, NARRATIVE) for ran in (reference_mesh, disturbed_reference_mesh))
    assert other["digest"] == one["digest"]
    assert (other["version"], other["configs"], other["drops"]) == (one["version"], one["configs"], one["drops"])
