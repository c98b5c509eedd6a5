"""One PostgreSQL, one S3 and one collector of OpenLineage for all tests here, and two machines that use them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.roadside import keep_two_configs
from tests.support.whole_mesh import Preloaded, Ran, copied, environment

SETTINGS = """\
store:
  warehouse: s3://mesh/${MESH_BRANCH:-main}
  catalog: postgresql+psycopg2://
"""
Event = dict[str, Any]


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    """PG* of a PostgreSQL."""
    from tests.support.servers import postgres

    with postgres() as found:
        yield found


@pytest.fixture(scope="session")
def bucket() -> Iterator[dict[str, str]]:
    """AWS_* of an S3 with the bucket `mesh`."""
    from tests.support.servers import s3

    with s3() as found:
        yield found


def machine(folder: Path) -> Path:
    """A machine with the mesh's files, as a container has them."""
    copied("tests/meshes/plain_files", folder)
    keep_two_configs(folder)
    (folder / "mesh.yaml").write_text(SETTINGS, encoding="utf-8")
    home = folder / ".storymesh/dagster"
    home.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/dagster.yaml", home)
    return folder


@pytest.fixture(scope="session")
def collected() -> list[Event]:
    """What arrived at the collector while the mesh ran on the first machine."""
    return []


@pytest.fixture(scope="session")
def first(
    server: dict[str, str],
    bucket: dict[str, str],
    collected: list[Event],
    preloaded: Preloaded,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A machine on which the whole mesh ran."""
    from tests.support.servers import collector

    mesh = machine(tmp_path_factory.mktemp("first") / "mesh")
    with collector(collected) as address:
        ran = preloaded.run("run", mesh=mesh, **server, **bucket, OPENLINEAGE_URL=address)
    assert ran.code == 0, ran.output
    return mesh


@pytest.fixture(scope="session")
def second(
    first: Path, server: dict[str, str], bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    """Another machine on which Dagster executes the narrative's job; its OpenLineage goes to `lineage.jsonl`."""
    mesh = machine(tmp_path_factory.mktemp("second") / "mesh")
    transport = {"type": "file", "log_file_path": str(mesh / "lineage.jsonl"), "append": True}
    (mesh / "openlineage.yml").write_text(json.dumps({"transport": transport}), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dagster",
            "job",
            "execute",
            "-f",
            "narratives/definitions.py",
            "-j",
            "release_roadside",
        ],
        cwd=mesh,
        env=environment(
            **server,
            **bucket,
            DAGSTER_HOME=str(mesh / ".storymesh/dagster"),
            OPENLINEAGE_CONFIG=str(mesh / "openlineage.yml"),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(mesh, done.returncode, done.stdout if done.returncode == 0 else done.stderr)
