"""`storymesh.load`: a release by its name, as what `datasets` gives."""

from pathlib import Path

import pytest

import storymesh
from storymesh.errors import WrongUsage
from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import find_release


def test_a_config_of_a_version_and_of_the_latest(roadside: Mesh, tmp_path: Path) -> None:
    first = storymesh.load("roadside", "1.0.0-r1", config="report", mesh=roadside.root, cache_dir=str(tmp_path))
    latest = storymesh.load("roadside", config="report", mesh=roadside.root, cache_dir=str(tmp_path))
    release = find_release(roadside.releases, "roadside@1.0.0-r1")
    assert {split: len(rows) for split, rows in first.items()} == release.configs["report"]
    assert not first["train"][0]["text"].startswith("Seen from here")
    assert latest["train"][0]["text"].startswith("Seen from here")
    some = storymesh.load(str(release.path), config="report", split="train[:3]", cache_dir=str(tmp_path))
    assert len(some) == 3


def test_it_streams(roadside: Mesh) -> None:
    rows = storymesh.load("roadside", config="advice", split="test", streaming=True, mesh=roadside.root)
    assert next(iter(rows))["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": "advise"}, r"has no config 'advise' \(did you mean 'advice'"),
        ({}, r"has 2 configs \(name one: config='report'"),
        ({"config": "advice", "split": "tests"}, r"has no split 'tests' \(it has train, validation, test"),
        ({"config": "advice", "version": "1.0.0-r8"}, r"has no release 1\.0\.0-r8"),
        ({"config": "advice", "mesh": "/nowhere"}, "has no release below"),
    ],
)
def test_unknown_release_config_or_split_is_an_error(roadside: Mesh, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(WrongUsage, match=message):
        storymesh.load("roadside", **{"mesh": roadside.root, **arguments})
