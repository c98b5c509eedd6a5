"""A mesh whose cases, precedents and records Spark makes: the release that DuckDB makes, to the digest."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import pytest

from storymesh.dataset.stages import write_cases
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import EngineFailed
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from tests.support.release_meshes import release_all
from tests.support.roadside import KEY
from tests.support.spark import local_spark
from tests.support.whole_mesh import Ran, locks


def copy_of(published: Path, root: Path, engine: object) -> Mesh:
    shutil.copytree(published, root)
    settings = root / "mesh.yaml"
    before = settings.read_text("utf-8") if settings.is_file() else ""
    settings.write_text(before + f"\nengine: {json.dumps(engine)}\n", encoding="utf-8")
    return load_mesh(root)


def test_a_release_that_spark_made_has_the_digest_of_duckdb(
    plain_files: Ran, published_mesh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = local_spark()
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    engine = {"spark": {"master": address.master, "settings": dict(address.settings)}}
    release = release_all(copy_of(published_mesh, tmp_path / "mesh", engine))
    (first,) = locks(plain_files.mesh, "roadside")
    assert release.manifest.digest == first["digest"]
    assert list((tmp_path / "mesh").rglob(".spark.*")) == []


class Dying:
    """An engine whose cluster dies while it writes the splits, and leaves what a killed process leaves."""

    def __init__(self) -> None:
        self._engine = open_engine()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.__exit__(None, None, None)

    def write_parquet(self, _table: object, path: Path) -> int:
        (path.parent / ".spark.0123456789ab").mkdir()
        raise EngineFailed("Spark failed: the connection was closed")


def test_a_build_goes_on_where_its_cluster_died(
    published_mesh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    mesh = copy_of(published_mesh, tmp_path / "mesh", "duckdb")
    build = pin_build(mesh, mesh.narrative("roadside"))
    opened: list[Engine] = []

    def cluster(*, only: object = None) -> Engine:
        opened.append(open_engine())
        return opened[-1]

    with pytest.raises(EngineFailed, match="the connection was closed"):
        write_cases(replace(build, open_cluster=lambda *, only=None: cast("Engine", Dying())))
    assert not (build.files.folder / "cases.sha256").exists()
    build = replace(build, open_cluster=cluster)
    assert not write_cases(build).unchanged
    assert not list(build.files.folder.rglob(".spark.*"))
    assert write_cases(build).unchanged
    assert len(opened) == 1  # a step that is whole opens no cluster
