"""A release copied out of the mesh: whole and verified, or not at all."""

import shutil
from pathlib import Path

import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.pull import pull_release
from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import find_release
from storymesh.release.layout import hash_files
from tests.support.release_meshes import storymesh


def test_a_copy_is_whole_and_stands_on_its_own(roadside: Mesh, tmp_path: Path) -> None:
    release = find_release(roadside.releases, "roadside@1.0.0-r1")
    into = tmp_path / "some/where"
    assert pull_release(release, into, open_engine)
    assert hash_files(into) == hash_files(release.path)
    assert not pull_release(release, into, open_engine), "it is there already"
    (into / "README.md").write_text("mine", encoding="utf-8")
    assert (release.path / "README.md").read_text(encoding="utf-8") != "mine", "a copy is nobody else's file"
    with pytest.raises(StorymeshError, match="holds this release, but not whole"):
        pull_release(release, into, open_engine)


def test_a_damaged_release_is_not_pulled(roadside: Mesh, tmp_path: Path) -> None:
    broken = tmp_path / "roadside" / "1.0.0-r1"
    shutil.copytree(find_release(roadside.releases, "roadside@1.0.0-r1").path, broken)
    (broken / "drops/case.parquet").unlink()
    with pytest.raises(StorymeshError, match=r"is not whole: .*drops/case\.parquet is missing"):
        pull_release(find_release(tmp_path, "roadside"), tmp_path / "out", open_engine)
    assert [path.name for path in tmp_path.iterdir()] == ["roadside"], "nothing is left behind"


def test_nothing_is_overwritten(roadside: Mesh, tmp_path: Path) -> None:
    release = find_release(roadside.releases, "roadside")
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(WrongUsage, match="is not empty"):
        pull_release(release, tmp_path, open_engine)
    with pytest.raises(WrongUsage, match="is a file"):
        pull_release(release, tmp_path / "mine", open_engine)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert pull_release(release, tmp_path / "empty", open_engine)


def test_the_command(roadside: Mesh, tmp_path: Path) -> None:
    code, out, _ = storymesh(roadside.root, "pull", "roadside@1.0.0-r1", str(tmp_path / "out"))
    assert (code, out.startswith("roadside 1.0.0-r1 copied and verified")) == (0, True)
    code, _, err = storymesh(roadside.root, "pull", "roadside", str(tmp_path / "out"))
    assert (code, "is not empty" in err) == (2, True)
