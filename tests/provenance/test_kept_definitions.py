"""A release is traced by what it keeps, whatever has become of the mesh; and it says what it does not have."""

import shutil
from pathlib import Path

import pytest

from storymesh.cli.output.trace import trace_as_json
from storymesh.engine.open import open_engine
from storymesh.errors import NotPublished, StorymeshError, WrongUsage
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import Release, find_release_of_record, read_record, read_release
from storymesh.release.definition_snapshot import open_released_build, read_definition_snapshot
from storymesh.release.layout import DEFINITION_FOLDER
from tests.support.traced_mesh import FOLDER, published, records_of, released, traced


def test_a_record_is_traced_after_products_narrative_and_builds_have_changed(release: Release, copied: Path) -> None:
    (record, *_) = records_of(release, "report")
    before = traced(release, load_mesh(copied).warehouse, record["id"])
    trucks = copied / "domains/fleet/sources/trucks.csv"
    trucks.write_text(trucks.read_text(encoding="utf-8").replace("reefer", "box"), encoding="utf-8")
    template = copied / FOLDER / "report.md.jinja"
    template.write_text("Nothing but {{ case.id }}.\n", encoding="utf-8")
    contract = copied / "contracts/fleet/trucks.odcs.yaml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("box truck", "closed truck"), encoding="utf-8")
    mesh = published(copied)
    assert released(mesh).version == "1.0.0-r2"
    shutil.rmtree(mesh.store / "narratives")
    first = find_release_of_record(mesh.releases, record["id"], version="1.0.0-r1")
    after = traced(first, mesh.warehouse, record["id"])
    assert not after.mistakes
    assert trace_as_json(after, "", "", "") == trace_as_json(before, "", "", "")
    second = traced(find_release_of_record(mesh.releases, record["id"]), mesh.warehouse, record["id"])
    assert second.columns[0].text == f"Nothing but {record['case_id']}."
    assert not second.mistakes


def test_a_release_keeps_what_types_its_cast_and_nothing_of_whom_to_ask(mesh: Mesh, release: Release) -> None:
    typed = read_definition_snapshot(release)
    assert typed.fingerprint == release.manifest.fingerprint
    now = pin_build(mesh, mesh.narrative("roadside"))
    build = open_released_build(release, mesh.warehouse, open_engine, mesh.contracts)
    assert build.key == now.key, "the cases are made once"
    kept = (release.path / DEFINITION_FOLDER / "contracts/fleet/trucks.odcs.yaml").read_text(encoding="utf-8")
    assert "restricted" in kept
    assert "rowCount" not in kept


def test_a_definition_that_somebody_changed_is_refused(release: Release, tmp_path: Path) -> None:
    copy = tmp_path / "releases" / "roadside" / release.version
    shutil.copytree(release.path, copy)
    template = copy / DEFINITION_FOLDER / FOLDER / "system.jinja"
    template.write_text("You know all.", encoding="utf-8")
    with pytest.raises(StorymeshError, match="is not the definition"):
        read_definition_snapshot(read_release(copy))
    shutil.rmtree(copy / DEFINITION_FOLDER)
    with pytest.raises(StorymeshError, match="does not keep the definition"):
        read_definition_snapshot(read_release(copy))


def test_a_missing_snapshot_is_reported(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    with pytest.raises(NotPublished, match=r"fleet\.|road\."):
        open_released_build(release, Warehouse(tmp_path / "empty"), open_engine)


def test_another_pseudonym_key_is_named_as_the_cause(
    mesh: Mesh, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record, *_) = records_of(release, "report")
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "another key")
    trace = traced(release, mesh.warehouse, record["id"])
    assert "pseudonyms" in trace.mistakes[-1]


def test_a_missing_record_is_refused_with_the_reason(mesh: Mesh, release: Release) -> None:
    advised = {record["case_id"] for record in records_of(release, "advice")}
    dropped = next(record for record in records_of(release, "report") if record["case_id"] not in advised)
    with pytest.raises(StorymeshError, match=r"it was dropped, (unjudged|open)"):
        read_record(release, f"advice/{dropped['case_id']}")
    with pytest.raises(WrongUsage, match="names no record"):
        read_record(release, "reprot/B-1")
    with pytest.raises(WrongUsage, match="has no record report/B-none"):
        read_record(release, "report/B-none")
    with pytest.raises(WrongUsage, match=r"has no release 1\.0\.0-r9"):
        find_release_of_record(mesh.releases, "report/x", "roadside", "1.0.0-r9")
    with pytest.raises(WrongUsage, match="no narratives have released a config 'nothing'"):
        find_release_of_record(mesh.releases, "nothing/x")
