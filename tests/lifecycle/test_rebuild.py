"""Law 3: a release is made again from its lock, row for row, whatever was published and written since."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from storymesh.dataset.build import BUILD_VERSION
from storymesh.engine.open import open_engine
from storymesh.errors import NotPublished, WrongUsage
from storymesh.lifecycle.rebuild import RebuildResult, rebuild_release
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import Mesh
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import find_release
from storymesh.release.layout import hash_files
from storymesh.release.manifest import read_manifest
from tests.support.release_meshes import storymesh


def test_an_earlier_release_gives_the_same_digest(moved: Mesh, tmp_path: Path) -> None:
    shutil.rmtree(moved.store / "narratives")  # what earlier cuts left is not looked at
    first = find_release(moved.releases, "roadside@1.0.0-r1")
    before = hash_files(moved.releases)
    code, out, _ = storymesh(moved.root, "rebuild", "roadside@1.0.0-r1", "--into", str(tmp_path / "again"))
    assert (code, "made again from its lock, the same digest" in out) == (0, True)
    assert hash_files(moved.releases) == before, "no release was touched"
    assert not list(moved.store.glob(".rebuilding-*"))
    again = verify_release(tmp_path / "again", open_engine)
    assert again.differences == ()
    assert (again.release.version, again.digest) == (first.version, first.digest)
    assert read_manifest(tmp_path / "again").cast == first.manifest.cast
    with pytest.raises(WrongUsage, match="is there already"):
        rebuild_release(first, moved.warehouse, open_engine, tmp_path / "again")


def test_with_another_key_it_says_what_differs_and_writes_nothing(
    moved: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "another key")
    code, out, err = storymesh(moved.root, "rebuild", "roadside", "--into", str(tmp_path / "again"))
    assert code == 1
    assert "another digest" in err
    assert "another pseudonym key" in out
    assert not (tmp_path / "again").exists()


def test_a_release_of_older_rules_is_no_puzzle(moved: Mesh, tmp_path: Path) -> None:
    first = find_release(moved.releases, "roadside@1.0.0-r1")
    assert first.manifest.rules == BUILD_VERSION
    found = RebuildResult(first, first.digest, None)
    assert found.rule_changes is None
    older = replace(first, manifest=first.manifest.model_copy(update={"rules": None, "storymesh": "0.9"}))
    words = RebuildResult(older, "0" * 64, None).rule_changes
    assert words is not None
    assert "made by rules that it does not name (storymesh 0.9)" in words
    assert f"makes records by {BUILD_VERSION}: since then " in words
    assert "cases that fall to `embargo` or `straddles` count as precedents" in words


def test_an_expired_snapshot_is_reported(moved: Mesh, tmp_path: Path) -> None:
    first = find_release(moved.releases, "roadside@1.0.0-r1")
    with pytest.raises(NotPublished, match=r"1\.0\.0-r1 cannot be made again: .* has expired or"):
        rebuild_release(first, Warehouse(tmp_path), open_engine)
    for file in (moved.store / "fleet").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(NotPublished, match=r"cannot be made again: fleet\.\w+ \w{12}: .* is missing"):
        rebuild_release(first, moved.warehouse, open_engine)
