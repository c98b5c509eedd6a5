"""The engine port is whole: nothing outside an engine's own package looks behind it."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from storymesh.engine.duckdb.engine import DuckDBEngine
from storymesh.engine.engine import Engine
from tests.support.paths import ROOT

PACKAGE = ROOT / "platform" / "storymesh"
BEHIND_THE_PORT = re.compile(
    r"\b(?:import duckdb|from duckdb|ibis\.duckdb|storymesh\.engine\.(?:duckdb|spark)|raw_sql|get_backend)\b"
    r"|\b(?:import|from) (?:pyspark|py4j)\b"
    r"|\.con\b|\bengine\.connection\b"
)
OPENS_ENGINES = "engine/open.py"
ENGINES = {PACKAGE / "engine" / name for name in ("duckdb", "spark")}
CALLS: Counter[str] = Counter()


class CountingEngine:
    """An engine that has the members of the port and no others. It counts what it is asked, and hands it on."""

    def __init__(
        self, *, memory: str | None = None, threads: int | None = None, only: Iterable[Path] | None = None
    ) -> None:
        self._engine = DuckDBEngine(memory=memory, threads=threads, only=only)
        self.memory = self._engine.memory

    def __enter__(self) -> "CountingEngine":
        self._engine.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._engine.__exit__(*error)


def counted(name: str) -> Callable[..., Any]:
    def method(self: CountingEngine, *arguments: Any, **named: Any) -> Any:
        CALLS[name] += 1
        return getattr(self._engine, name)(*arguments, **named)

    return method


METHODS = [name for name, member in vars(Engine).items() if callable(member) and not name.startswith("_")]
for _name in METHODS:
    setattr(CountingEngine, _name, counted(_name))


def test_only_an_engine_knows_its_own_package() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if not ENGINES & set(path.parents) and BEHIND_THE_PORT.search(path.read_text("utf-8"))
    }
    assert found == {OPENS_ENGINES}


def test_a_whole_mesh_runs_on_an_engine_that_is_nothing_but_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storymesh.mesh.mesh import load_mesh
    from tests.support.release_meshes import MESH, publish_all, release_all
    from tests.support.roadside import KEY

    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    monkeypatch.setattr("storymesh.engine.duckdb.engine.DuckDBEngine", CountingEngine)
    CALLS.clear()
    mesh = load_mesh(Path(shutil.copytree(MESH, tmp_path / "mesh")))
    publish_all(mesh)
    published = Counter(CALLS)
    assert {"map_batches", "part_digests", "fetch_table"} <= set(published)
    release = release_all(mesh)
    assert set(CALLS - published) >= {"read_parquet", "write_parquet", "materialize"}
    assert sum(1 for _ in release.path.rglob("*.parquet")) > 1
