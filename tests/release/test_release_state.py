"""Releasing again: nothing is written where the release that would come of it stands there already, and only there."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storymesh.dataset.build import Build
from storymesh.release import assemble, write
from storymesh.release.catalog import read_release
from storymesh.release.release_state import ReleaseState
from tests.support.release_builds import make, sealed, usual


@pytest.fixture(scope="module")
def released_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("released")
    write.write_release(sealed(make(root, usual())))
    return root


@pytest.fixture
def build(released_once: Path, tmp_path: Path) -> Build:
    """A build whose release is there."""
    return sealed(make(shutil.copytree(released_once, tmp_path / "mesh"), usual()))


def release_folder(build: Build) -> Path:
    return build.releases / build.narrative.id / "1.0.0-r1"


def test_nothing_is_assembled_where_the_release_is_there(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "ReleaseAssembly", None)
    assert write.write_release(build) == replace(read_release(release_folder(build)), unchanged=True)


def other_records(build: Build) -> Build:
    """Write one record less, as a model that rewrites them may."""
    return sealed(make(build.releases.parent, usual()[1:]))


def other_evaluation_set(build: Build) -> Build:
    path = build.releases.parent / "items.txt"
    path.write_text("what to do", encoding="utf-8")
    return replace(build, evaluation={"items.txt": path})


def no_release(build: Build) -> Build:
    release_folder(build).rename(build.releases / "moved")
    return build


def another_manifest(build: Build) -> Build:
    path = release_folder(build) / "release.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"created": "2', '"created": "1'), encoding="utf-8")
    return build


def unsealed(build: Build) -> Build:
    (build.files.folder / "records-report.sha256").unlink()
    return build


def damaged_note(build: Build) -> Build:
    (build.files.folder / "released.json").write_text('{"version": 3', encoding="utf-8")
    return build


@pytest.mark.parametrize(
    "change", [other_records, other_evaluation_set, no_release, another_manifest, unsealed, damaged_note]
)
def test_what_shapes_a_release_is_noticed(change: Callable[[Build], Build], build: Build) -> None:
    assert ReleaseState(build).find_unchanged() is not None
    assert ReleaseState(change(build)).find_unchanged() is None


def test_other_software_is_noticed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storymesh.release.release_state.software_digest", lambda: "another")
    assert ReleaseState(build).find_unchanged() is None
