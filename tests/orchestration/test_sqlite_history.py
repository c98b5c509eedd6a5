"""Dagster's databases while a run lasts: no wait for the disk at each event, and nothing of others is touched."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.instance import dagster_home, open_instance
from storymesh.orchestration.sqlite_history import open_history
from tests.support.unsynced import databases_as_in_life


@pytest.fixture(autouse=True)
def waits() -> Iterator[None]:
    with databases_as_in_life():
        yield


def database(path: Path) -> sa.Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE events (words)")
        connection.commit()
    return sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)


def synchronous(engine: sa.Engine) -> int:
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO events VALUES ('one')"))
        return int(connection.execute(sa.text("PRAGMA synchronous")).scalar_one())


def test_the_log_of_a_database_is_written_back_when_the_history_is_closed(tmp_path: Path) -> None:
    engine = database(tmp_path / "history/runs/index.db")
    log = tmp_path / "history/runs/index.db-wal"
    with open_history(tmp_path):
        assert [synchronous(engine) for _ in range(2)] == [1, 1]
        assert log.stat().st_size > 0
    assert not log.exists()
    assert synchronous(engine) == 2
    with closing(sqlite3.connect(tmp_path / "history/runs/index.db")) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (3,)


def test_a_database_of_somebody_else_waits_for_the_disk_as_before(tmp_path: Path) -> None:
    with open_history(tmp_path / "dagster"):
        for path in ("catalog.db", "dagster/catalog.db"):
            assert synchronous(database(tmp_path / path)) == 2


def test_a_database_is_waited_for_once_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("storymesh.orchestration.sqlite_history.sync_file", synced.append)
    path = tmp_path / "history/runs/one.db"
    path.parent.mkdir(parents=True)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with open_history(tmp_path):
        with engine.begin() as making:
            assert making.execute(sa.text("PRAGMA synchronous")).scalar_one() == 0
            making.execute(sa.text("CREATE TABLE events (words)"))
        assert (synchronous(engine), synced) == (2, []), "one without a log waits at each commit"
        with engine.connect() as making:
            making.execute(sa.text("PRAGMA journal_mode = WAL"))
        assert (synchronous(engine), synced) == (1, [path])


def test_an_instance_keeps_its_databases_open(harbour: Path) -> None:
    mesh = load_mesh(harbour)
    with open_instance(mesh) as instance:
        instance.get_runs()
        instance.all_asset_keys()
        assert {path.name for path in dagster_home(mesh).glob("history/**/*-wal")} == {"runs.db-wal", "index.db-wal"}
    assert not list(dagster_home(mesh).glob("history/**/*-wal"))
