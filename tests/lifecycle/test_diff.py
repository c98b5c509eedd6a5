"""Two releases compared: every record is counted once, what changed is shown in words, and the locks say why."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.diff import ReleaseDiff, compare_releases, diff_words
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.release.catalog import find_release, read_release
from tests.support.release_meshes import release_all, storymesh


@pytest.fixture(scope="module")
def found(roadside: Mesh) -> ReleaseDiff:
    first, second = (find_release(roadside.releases, f"roadside@1.0.0-r{number}") for number in (1, 2))
    return compare_releases(first, second, open_engine, limit=200)


def test_every_record_is_counted_once(found: ReleaseDiff) -> None:
    for config in found.configs:
        before, after = (sum(rows[side] for rows in config.rows.values()) for side in (0, 1))
        both = config.changed + config.renewed + config.same
        assert (before, after) == (both + config.gone, both + config.added)
        assert sum(config.gone_to.values()) == config.gone
        assert sum(config.added_from.values()) == config.added
        assert len(config.samples) == min(200, config.added + config.gone + config.changed)


def test_records_that_are_gone_have_a_reason(found: ReleaseDiff) -> None:
    report = found.configs[0]
    assert (report.config, report.gone, report.gone_to) == ("report", 1, {"embargo": 1})
    assert report.columns["text"] == report.changed == sum(rows[1] for rows in report.rows.values())


def test_what_changed_is_shown_in_words(found: ReleaseDiff) -> None:
    samples = {sample.id: sample for sample in found.configs[0].samples}
    changed = [sample for sample in samples.values() if sample.kind == "changed"]
    other = next(item for item in changed if set(item.columns) == {"text"})
    assert [(run.kind, run.text) for run in other.columns["text"][:1]] == [("new", "Seen from here: ")]
    truck = next(item for item in changed if "facts.truck.body" in item.columns)
    assert [(run.kind, run.text) for run in truck.columns["facts.truck.body"]] == [("old", "box"), ("new", "reefer")]


def test_a_new_version_of_a_product_alone_changes_no_record(found: ReleaseDiff) -> None:
    advice = found.configs[1]
    assert advice.renewed > 0, "trucks were published again, and most records say the same of them"
    assert "sources" not in advice.columns


def test_manifests_and_definitions_give_the_causes(found: ReleaseDiff) -> None:
    causes = {(cause.what, cause.name): (cause.old, cause.new) for cause in found.causes}
    assert causes["narrative", "dataset.split.embargo"] == ("2d", "3d")
    old, new = causes["template", "report.md.jinja"]
    assert new == f"Seen from here: {old}"
    assert causes["drops", "case, embargo"] == ("3", "4")
    assert [name for what, name in causes if what == "product"] == ["fleet.trucks"]
    assert not [name for what, name in causes if what == "contract"]


def test_a_changed_contract_is_reported_by_property(moved: Mesh) -> None:
    path = moved.root / "contracts/fleet/trucks.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("box truck", "closed truck"), encoding="utf-8")
    assert "closed truck" in path.read_text(encoding="utf-8")
    mesh = load_mesh(moved.root)
    new = release_all(mesh)  # the rows are the same, so that nothing is published anew
    causes = compare_releases(find_release(mesh.releases, "roadside@1.0.0-r2"), new, open_engine).causes
    told = [cause for cause in causes if cause.what == "contract"]
    assert any("body" in item.name and "closed truck" in str(item.new) for item in told)
    assert len(told) == 1


@given(st.text("ab c.\n"), st.text("ab c.\n"))
def test_the_runs_of_words_give_both_texts_again(old: str, new: str) -> None:
    runs = diff_words(old, new)
    assert "".join(run.text for run in runs if run.kind != "new") == old
    assert "".join(run.text for run in runs if run.kind != "old") == new
    assert (old == new) == ({run.kind for run in runs} <= {"same"})


def test_the_same_release_is_the_same(roadside: Mesh) -> None:
    release = find_release(roadside.releases, "roadside")
    found = compare_releases(release, release, open_engine)
    assert (found.same, found.causes, found.configs) == (True, (), ())
    with pytest.raises(WrongUsage, match="neither release has a config 'advise'"):
        compare_releases(release, release, open_engine, only="advise")


def test_a_damaged_file_is_reported(roadside: Mesh, tmp_path: Path) -> None:
    first, second = (find_release(roadside.releases, f"roadside@1.0.0-r{number}") for number in (1, 2))
    copy = Path(shutil.copytree(second.path, tmp_path / "copy"))
    (copy / "data/advice/test-00000-of-00001.parquet").write_bytes(b"PAR1 not at all PAR1")
    with pytest.raises(StorymeshError, match=r"1\.0\.0-r2 is not as its lock says: .*advice/test-00000"):
        compare_releases(first, read_release(copy), open_engine)


def test_the_command_in_a_pipe_and_for_machines(roadside: Mesh) -> None:
    code, out, _ = storymesh(roadside.root, "diff", "roadside@1.0.0-r1", "--limit", "1")
    assert code == 0
    assert "\x1b" not in out
    assert "roadside 1.0.0-r1 → roadside 1.0.0-r2" in out
    assert "narrative dataset.split.embargo: 2d → 3d" in out
    assert "{+Seen from here: +}" in out
    code, out, _ = storymesh(
        roadside.root, "diff", "roadside@1.0.0-r1", "roadside", "--config", "advice", "--format", "json"
    )
    told = json.loads(out)
    assert [config["config"] for config in told["configs"]] == ["advice"]
    assert told["new"]["version"] == "1.0.0-r2"
    code, _, err = storymesh(roadside.root, "diff", "roadside")
    assert (code, "is the last release" in err) == (2, True)
