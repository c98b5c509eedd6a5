"""The mesh of the project's root, as a fresh clone has it: released, broken in one domain, killed in another folder."""

import json
from pathlib import Path

from conftest import Reference
from whole_mesh import Ran, every, loaded, locks, products, quarantined, red_checks

NARRATIVE = "canal-exceptions"


def test_it_releases_at_least_4000_cases(reference_mesh: Reference, tmp_path: Path) -> None:
    assert reference_mesh.first.code == 0, reference_mesh.first.said
    lock = json.loads(reference_mesh.releases["1.0.0-r1"])
    assert sum(lock["configs"]["report"].values()) >= 4_000
    records = loaded(reference_mesh.first.mesh, NARRATIVE, tmp_path)
    assert set(records) == {"report", "advice", "choice", "verdict"}
    assert all(set(splits) == {"train", "validation", "test"} for splits in records.values())
    assert set(every(records, "advice")) == set(every(records, "verdict")) > set(every(records, "choice"))


def test_a_kill_and_another_folder_change_nothing(reference_mesh: Reference, reference_after_a_kill: Ran) -> None:
    assert reference_after_a_kill.code == 0, reference_after_a_kill.said
    (other,) = locks(reference_after_a_kill.mesh, NARRATIVE)
    lock = json.loads(reference_mesh.releases["1.0.0-r1"])
    assert (other["digest"], other["configs"], other["drops"]) == (lock["digest"], lock["configs"], lock["drops"])


def test_a_null_key_stops_neither_its_domain_nor_the_others(
    reference_mesh: Reference, reference_after_a_kill: Ran
) -> None:
    broken = reference_mesh.broken
    assert broken.code == 0, broken.said
    assert [
        row["note"] for row in quarantined(broken.mesh, "resolutions.resolutions") if row["resolution_id"] is None
    ] == ["a number is missing"]
    assert any(check.startswith("resolutions/resolutions: resolution_id") for check in red_checks(broken.mesh))
    assert products(broken.mesh) == products(reference_after_a_kill.mesh), "readers see the last good snapshot"


def test_what_readers_see_is_unchanged_so_there_is_no_second_release(reference_mesh: Reference) -> None:
    assert reference_mesh.broken.code == 0, reference_mesh.broken.said
    (lock,) = locks(reference_mesh.broken.mesh, NARRATIVE)
    assert lock == json.loads(reference_mesh.releases["1.0.0-r1"])
