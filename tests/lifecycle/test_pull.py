"""A release copied out of the mesh: whole and verified, or not at all."""

import shutil
from pathlib import Path

import pytest

from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.pull import pull
from storymesh.mesh.mesh import Mesh
from storymesh.release.manifest import files_of, find_release
from tests.support.release_meshes import storymesh


def test_a_copy_is_whole_and_stands_on_its_own(roadside: Mesh, tmp_path: Path) -> None:
    release = find_release(roadside.releases, "roadside@1.0.0-r1")
    into = tmp_path / "some/where"
    assert pull(release, into)
    assert files_of(into) == files_of(release.path)
    assert not pull(release, into), "it is there already"
    (into / "README.md").write_text("mine", encoding="utf-8")
    assert (release.path / "README.md").read_text(encoding="utf-8") != "mine", "a copy is nobody else's file"
    with pytest.raises(StorymeshError, match="holds this release, but not whole"):
        pull(release, into)


def test_what_is_not_whole_is_not_pulled(roadside: Mesh, tmp_path: Path) -> None:
    broken = tmp_path / "roadside" / "1.0.0-r1"
    shutil.copytree(find_release(roadside.releases, "roadside@1.0.0-r1").path, broken)
    (broken / "drops/case.parquet").unlink()
    with pytest.raises(StorymeshError, match=r"is not whole: .*drops/case\.parquet is missing"):
        pull(find_release(tmp_path, "roadside"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["roadside"], "nothing is left behind"


def test_nothing_is_written_over(roadside: Mesh, tmp_path: Path) -> None:
    release = find_release(roadside.releases, "roadside")
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(WrongUsage, match="is not empty"):
        pull(release, tmp_path)
    with pytest.raises(WrongUsage, match="is a file"):
        pull(release, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert pull(release, tmp_path / "empty")


def test_the_command(roadside: Mesh, tmp_path: Path) -> None:
    code, out, _ = storymesh(roadside.root, "pull", "roadside@1.0.0-r1", str(tmp_path / "out"))
    assert (code, out.startswith("roadside 1.0.0-r1 copied and verified")) == (0, True)
    code, _, err = storymesh(roadside.root, "pull", "roadside", str(tmp_path / "out"))
    assert (code, "is not empty" in err) == (2, True)
