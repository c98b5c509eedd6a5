"""Meshes whose cases, precedents and records Spark makes: the releases that DuckDB makes, to the digest.

`python -m benchmarks.spark` compares others, and larger ones.
"""

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from storymesh.dataset.stages import write_cases
from storymesh.engine.engine import EngineUnreachable, OpenEngine
from storymesh.engine.open import open_spark
from storymesh.engine.spark import session
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.support.evaluation_mesh import EVALUATION, evaluation_build
from tests.support.paths import MESHES
from tests.support.release_meshes import publish_all, release_all
from tests.support.roadside import KEY
from tests.support.spark import ConnectServer, connect_server, local_spark, speaking_to_servers
from tests.support.whole_mesh import Ran, locks


def copy_of(published: Path, root: Path, engine: object) -> Mesh:
    shutil.copytree(published, root)
    settings = root / "mesh.yaml"
    before = settings.read_text("utf-8") if settings.is_file() else ""
    settings.write_text(before + f"\nengine: {json.dumps(engine)}\n", encoding="utf-8")
    return load_mesh(root)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)


@pytest.fixture
def shift_book(tmp_path: Path) -> Path:
    """A small mesh whose products are published."""
    published = Path(shutil.copytree(MESHES / "shift_book", tmp_path / "published"))
    publish_all(load_mesh(published))
    return published


def test_spark_in_this_process_makes_the_release_of_duckdb(
    plain_files: Ran, published_mesh: Path, tmp_path: Path
) -> None:
    address = local_spark()
    engine = {"spark": {"master": address.master, "settings": dict(address.settings)}}
    release = release_all(copy_of(published_mesh, tmp_path / "mesh", engine))
    (first,) = locks(plain_files.mesh, "roadside")
    assert release.manifest.digest == first["digest"]
    assert list((tmp_path / "mesh").rglob(".spark.*")) == []


def test_a_server_makes_the_release_of_duckdb(shift_book: Path, tmp_path: Path, server: ConnectServer) -> None:
    wanted = release_all(copy_of(shift_book, tmp_path / "duckdb", "duckdb"), "late-jobs")
    mesh = copy_of(shift_book, tmp_path / "spark", {"spark": {"remote": server.address.remote}})
    with speaking_to_servers():
        assert release_all(mesh, "late-jobs").manifest.digest == wanted.manifest.digest


VARIED = "  varied: {format: text, text: report.jinja, variants: true}\n"
TASKS = "{best: ask.jinja, rate: rate.jinja, verdict: verdict.jinja, abstain: true}"
ASKED = VARIED + EVALUATION.replace(TASKS, "{best: ask.jinja, verdict: verdict.jinja}")


def test_variants_and_questions_with_answers_are_those_of_duckdb(tmp_path: Path, server: ConnectServer) -> None:
    digests = []
    for place in ("duckdb", "spark"):
        variants = tmp_path / place / "narratives/delays/variants/varied"
        variants.mkdir(parents=True)
        (variants / "01.jinja").write_text("At {{ delay.waterway }} was {{ delay.ship }}.", encoding="utf-8")
        build = evaluation_build(tmp_path / place, ASKED, precedents=", since: 40d")
        if place == "spark":
            build = replace(build, open_cluster=cluster_at(server))
        with speaking_to_servers():
            write_all_records(build)
        digests.append(write_release(build).manifest.digest)
    assert {"eval", "varied"} <= set(build.configs)
    assert len(set(digests)) == 1


def test_a_build_goes_on_where_its_server_died(
    shift_book: Path, tmp_path: Path, server: ConnectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RETRIES", 3)  # each waits four times as long as the one before
    build = pin_build(copy_of(shift_book, tmp_path / "mesh", "duckdb"), load_mesh(shift_book).narrative("late-jobs"))
    with speaking_to_servers(), connect_server() as dying:
        killing = threading.Thread(target=_kill_once_it_writes, args=[dying, build.files.folder])
        killing.start()
        with pytest.raises(EngineUnreachable, match=r"Spark failed.*: no answer: "):
            write_cases(replace(build, open_cluster=cluster_at(dying)))
        killing.join()
    assert not list(build.files.folder.glob("*.sha256"))
    assert not list(build.files.folder.rglob(".spark.*"))
    with speaking_to_servers():
        assert not write_cases(replace(build, open_cluster=cluster_at(server))).unchanged
    assert not list(build.files.folder.rglob(".spark.*"))
    assert write_cases(replace(build, open_cluster=cluster_at(dying))).unchanged  # a step that is whole opens no Spark


def cluster_at(server: ConnectServer) -> OpenEngine:
    return open_spark(remote=server.address.remote, master=None, settings={})


def _kill_once_it_writes(server: ConnectServer, folder: Path) -> None:
    until = time.monotonic() + 600
    while not list(folder.rglob(".spark.*")) and time.monotonic() < until:
        time.sleep(0.01)
    server.kill()
