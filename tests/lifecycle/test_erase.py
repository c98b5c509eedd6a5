"""A row is followed through every release, and left out of successors and of later cuts; nothing names it any more."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pytest

from storymesh.dataset.build import BUILD_VERSION
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.diff import compare_releases
from storymesh.lifecycle.erase import Erasure
from storymesh.lifecycle.rebuild import rebuild_release, reopen_build
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.trace import Tracer
from storymesh.release.catalog import Release, find_release, list_releases
from storymesh.release.layout import record_files
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.support.planted import files_with
from tests.support.release_meshes import publish_all, release_all, storymesh

TRUCK = "T00"
KEY = r"B\d{3}/R~0\d{3}~1x"


def erasure_in(mesh: Mesh) -> Erasure:
    return Erasure(mesh.warehouse, mesh.releases, open_engine, mesh.contracts)


def with_truck(release: Release, truck: str) -> dict[str, int]:
    """Config -> how many records name the truck among their sources, by a query of the test's own."""
    found = {}
    for config in release.configs:
        files = [str(path) for paths in record_files(release.path, config).values() for path in paths]
        rows = "SELECT id, unnest(sources) AS s FROM read_parquet(?)"
        query = f"SELECT count(DISTINCT id) FROM ({rows}) WHERE s.product = 'fleet.trucks' AND s.key = ?"
        (count,) = duckdb.execute(query, [files, truck]).fetchall()[0]
        found |= {config: count} if count else {}
    return found


def test_every_record_that_used_the_row_is_named(roadside: Mesh) -> None:
    found = erasure_in(roadside).plan("fleet.trucks", TRUCK, most=1_000)
    assert [used.release.version for used in found.affected] == ["1.0.0-r1", "1.0.0-r2"]
    for used in found.affected:
        assert used.records == with_truck(used.release, TRUCK) != {}
        assert len(used.examples) == sum(used.records.values()) + sum(used.quotes.values())
        assert used.cases >= max(used.records.values())
    assert [used.last for used in found.affected] == [False, True]
    assert (len(found.versions), found.current) == (2, True)


def test_nothing_changes_without_confirmation(moved: Mesh) -> None:
    before = sorted(moved.root.rglob("*"))
    code, out, err = storymesh(moved.root, "forget", "--product", "fleet.trucks", "--key", TRUCK)
    assert (code, "nothing was changed: --yes does it" in err) == (0, True)
    assert "report/B000" in out
    assert sorted(moved.root.rglob("*")) == before
    code, _, err = storymesh(moved.root, "forget", "--product", "fleet.trucks", "--key", "T0")
    assert (code, "no version of 'fleet.trucks'" in err, "did you mean" in err) == (2, True, True)


def test_the_successor_is_the_same_release_without_the_cases_of_the_row(moved: Mesh) -> None:
    old = find_release(moved.releases, "roadside")
    erasure = erasure_in(moved)
    found = erasure.plan("fleet.trucks", TRUCK)
    (done,) = erasure.erase([found])
    assert (done.old.version, done.new.version) == ("1.0.0-r2", "1.0.0-r3")
    assert with_truck(done.new, TRUCK) == {}
    assert done.new.drops["case"]["forgotten"] == found.affected[-1].cases
    assert verify_release(done.new.path, open_engine).differences == ()
    report = compare_releases(old, done.new, open_engine).configs[0]
    assert (report.added, report.changed, report.gone) == (0, 0, found.affected[-1].records["report"])
    # What is kept says neither which row nor which cases it was.
    lock = (done.new.path / "release.json").read_text(encoding="utf-8")
    as_word = rf"\b{TRUCK}\b"  # a moment soon after midnight has its letters too
    assert not re.search(as_word, lock)
    assert not re.search(as_word, (moved.store / "forgotten.json").read_text(encoding="utf-8"))
    dropped = duckdb.sql(f"FROM read_parquet('{done.new.path}/drops/case.parquet') WHERE reason = 'forgotten'")
    assert {row[:-1] for row in dropped.fetchall()} == {(None, None, None, None)}
    # Old releases stay, and are made again as they were; the successor too, with what it leaves out.
    assert [release.version for release in list_releases(moved.releases)] == [
        "1.0.0-r1",
        "1.0.0-r2",
        "1.0.0-r3",
    ]
    assert rebuild_release(done.new, moved.warehouse, open_engine).same
    (moved.store / "forgotten.json").unlink()
    with pytest.raises(StorymeshError, match="leaves out what was forgotten"):
        rebuild_release(done.new, moved.warehouse, open_engine)
    assert reopen_build(old, moved.warehouse, open_engine).erased_keys == {}


def test_later_releases_leave_it_out_too_and_old_ones_are_removed_on_request(moved: Mesh) -> None:
    lock = find_release(moved.releases, "roadside").path / "release.json"
    lock.write_text(lock.read_text(encoding="utf-8").replace(BUILD_VERSION, "storymesh-build-9"), encoding="utf-8")
    old = find_release(moved.releases, "roadside")
    forget_truck = ("forget", "--product", "fleet.trucks", "--key", TRUCK, "--yes")
    code, out, _ = storymesh(moved.root, *forget_truck)
    assert code == 0
    assert "roadside 1.0.0-r3 succeeds 1.0.0-r2" in out
    # It was made by newer rules, which is said before, in its lock and on its card.
    assert out.index("since then cases that fall to") < out.index("its successor differs from it by more") < len(out)
    successor = find_release(moved.releases, "roadside")
    assert successor.manifest.succeeds == old.manifest.as_predecessor
    card = " ".join((successor.path / "README.md").read_text(encoding="utf-8").split())
    assert "It succeeds `1.0.0-r2`, which still has what this one leaves out as forgotten. It differs" in card
    assert "cases that fall to" in card
    # Whoever forgets the row once more removes what used it, and not the successor, which does not.
    code, out, _ = storymesh(moved.root, *forget_truck, "--remove-old")
    assert (code, "succeeds" in out, "roadside 1.0.0-r1 is removed" in out) == (0, False, True)
    assert [release.version for release in list_releases(moved.releases)] == ["1.0.0-r3"]
    again = release_all(moved)
    assert (again.version, again.unchanged) == ("1.0.0-r3", True), "the same cut leaves out the same"
    # The anchor's own row: nobody tells that case, and nobody quotes it as a precedent.
    erasure = erasure_in(moved)
    second = erasure.plan("road.breakdowns", "B001")
    assert [(used.cases, used.last) for used in second.affected] == [(1, True)]
    (done,) = erasure.erase([second])
    assert with_truck(done.new, TRUCK) == {}, "what was forgotten before stays so"
    assert set(done.new.manifest.forgotten) == {"fleet.trucks", "road.breakdowns"}
    for path in done.new.path.rglob("*.parquet"):
        assert "B001" not in str(duckdb.read_parquet(str(path)).fetchall())
    assert [release.version for release in erasure.remove_old([second])] == ["1.0.0-r3"]


def test_a_release_that_cannot_be_made_again_stops_it_before_anything_changes(moved: Mesh) -> None:
    lock = moved.releases / "roadside/1.0.0-r2/release.json"
    manifest = json.loads(lock.read_text(encoding="utf-8"))
    manifest["cast"]["depot"]["product_version"] = "0" * 64
    lock.write_text(json.dumps(manifest), encoding="utf-8")
    erasure = erasure_in(moved)
    found = erasure.plan("fleet.trucks", TRUCK)
    assert [release.version for release, _ in found.irreproducible] == ["1.0.0-r2"]
    assert found.affected[-1].records == with_truck(found.affected[-1].release, TRUCK)
    with pytest.raises(StorymeshError, match="so it gets no successor, and nothing was changed"):
        list(erasure.erase([found]))
    assert not (moved.store / "forgotten.json").exists()


def test_a_product_that_was_never_published(moved: Mesh, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="nothing is published"):
        replace(erasure_in(moved), warehouse=Warehouse(tmp_path / "none")).plan("fleet.trucks", TRUCK)


def test_rows_with_a_compound_key_leave_no_file_of_the_successor(moved: Mesh) -> None:
    # The parts of the key are joined with "/", and escaped as in a JSON Pointer (RFC 6901): R~001/x is R~0001~1x.
    contract = moved.root / "contracts/road/repairs.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    text = text.replace("primaryKey: true,", "primaryKey: true, primaryKeyPosition: 2,")
    first = "        name: breakdown_id\n"
    assert text.count(first) == 1
    text = text.replace(first, f"{first}        primaryKey: true\n        primaryKeyPosition: 1\n")
    contract.write_text(text, encoding="utf-8")
    repairs = moved.root / "domains/road/sources/repairs.jsonl"
    rows = repairs.read_text(encoding="utf-8")
    repairs.write_text(re.sub(r'"R(\d{3})"', r'"R~\1/x"', rows), encoding="utf-8")
    mesh = load_mesh(moved.root)
    publish_all(mesh, "road.repairs")
    build = pin_build(mesh, mesh.narrative("roadside"))
    write_all_records(build)
    old = write_release(build, open_tracer=partial(Tracer, build))
    shown = [re.findall(KEY, (old.path / name).read_text(encoding="utf-8")) for name in ("README.md", "report.html")]
    assert all(shown), "samples show such keys"

    for key in {keys[0] for keys in shown}:
        code, out, err = storymesh(mesh.root, "forget", "--product", "road.repairs", "--key", key, "--yes")
        assert code == 0, err
        assert f"road.repairs {key}: in 1 version" in out
    new = find_release(mesh.releases, "roadside")
    assert new.drops["case"]["forgotten"] == len({keys[0] for keys in shown})
    for key in {keys[0] for keys in shown}:
        case, repair = key.split("/")
        for value in (repair, repair.replace("~1", "/").replace("~0", "~"), case):
            assert list(files_with(old.path, value)) or "/" in value
            assert list(files_with(new.path, value)) == [], value
        # Written as people see the parts, it is no key: the nearest one is offered.
        code, _, err = storymesh(mesh.root, "forget", "--product", "road.repairs", "--key", key.replace("~1", "/"))
        assert (code, "did you mean 'B" in err) == (2, True), err
