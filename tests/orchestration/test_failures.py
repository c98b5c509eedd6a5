"""What happens when the ground gives way: what passes is tried again, what does not fails once and in words, and the
rest of the mesh goes on."""

import errno
import os
import socket
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from dagster._utils.error import SerializableErrorInfo

from storymesh.engine.engine import ClusterFailed, EngineUnreachable
from storymesh.errors import PublishConflict, SourceUnreadable, TransformFailed
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration import failures
from storymesh.orchestration.assets import products
from storymesh.orchestration.failures import RETRIES, dagster_failures, message_of_cause
from storymesh.orchestration.instance import open_instance, prepare_dagster_home
from storymesh.orchestration.run.events import RunEvent, StepRetry
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run.outcome import RunOutcome
from storymesh.outage import ResourceUnavailable, as_unavailable, is_transient
from storymesh.product.staging import Staging
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from tests.support.servers import free_port


def error_of(act: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


def locked_sqlite(folder: Path) -> BaseException:
    path = folder / "catalog.db"
    with sqlite3.connect(path, isolation_level=None) as holder, sqlite3.connect(path, timeout=0) as other:
        holder.execute("BEGIN EXCLUSIVE")
        return error_of(lambda: other.execute("CREATE TABLE one (x)"))


def refused_connection(folder: Path) -> BaseException:
    return error_of(lambda: socket.create_connection(("127.0.0.1", free_port())))


@pytest.mark.parametrize("make", [locked_sqlite, refused_connection])
def test_locks_and_connections_are_transient(make: Callable[[Path], BaseException], tmp_path: Path) -> None:
    error = make(tmp_path)
    assert is_transient(error)
    known = as_unavailable(error)
    assert known is not None
    assert known.transient


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("no answer"),
        OSError(errno.ESTALE, "Stale file handle"),
        duckdb.IOException('IO Error: Could not set lock on file "x.duckdb": Conflicting lock is held in dbt (PID 7)'),
        PublishConflict("another run is publishing 'boats'"),
        TransformFailed("the dbt project of 'desk' did not build: Connection refused"),
    ],
)
def test_transient_error_is_retried_after_growing_waits(error: Exception) -> None:
    waits: list[float] = []
    for attempt in range(RETRIES):
        with pytest.raises(dg.RetryRequested) as asked, dagster_failures(attempt):
            raise error
        assert asked.value.max_retries == RETRIES
        assert isinstance(asked.value.__cause__, dg.Failure), "the words of the last attempt are those of a failure"
        waits.append(asked.value.seconds_to_wait or 0.0)
    assert waits == sorted(set(waits))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "part.parquet"), "no room"),
        (sqlite3.OperationalError("database or disk is full"), "no room"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "(TMPDIR), whichever is full, and run again"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), "memory ran out: malloc of size 9 failed (give it more"),
        (MemoryError(), "memory ran out (give it more"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "catalog.db"), "refuses access"),
        (duckdb.IOException('IO Error: Cannot open file "x": Permission denied'), "refuses access"),
        (sqlite3.DatabaseError("database disk image is malformed"), "damaged"),
        (SourceUnreadable("the file is empty", "a CSV begins with a line of column names"), "the file is empty"),
        (TransformFailed("the dbt project of 'desk' did not build: Binder Error"), "Binder Error"),
        (EngineUnreachable("Spark at sc://a cannot be reached: refused", "start it"), "be reached: refused (start it)"),
        (ClusterFailed("Spark failed, since a disk is full", "make room"), "a disk is full (make room)"),
    ],
)
def test_error_that_a_person_has_to_mend_fails_once_with_an_explanation(error: Exception, words: str) -> None:
    with pytest.raises(dg.Failure) as failed, dagster_failures(0):
        raise error
    assert not failed.value.allow_retries
    assert words in str(failed.value.description)


def test_words_of_a_defect_are_those_of_the_innermost_cause_or_of_the_engine() -> None:
    inner = SerializableErrorInfo("ValueError: a page\n  of Java", [], "ValueError")
    engine = SerializableErrorInfo("storymesh.errors.EngineFailed: Spark failed: no column", [], "EngineFailed", inner)
    for cause, words in ((inner, "ValueError: a page of Java"), (engine, "Spark failed: no column")):
        assert message_of_cause(SerializableErrorInfo("a step failed", [], "StepError", cause)) == words


def test_defect_keeps_its_own_type() -> None:
    with pytest.raises(ZeroDivisionError), dagster_failures(0):
        raise ZeroDivisionError


def run(root: Path) -> tuple[RunOutcome, list[RunEvent]]:
    events: list[RunEvent] = []
    return execute_run(load_mesh(root), [], events.append, root / "run.log"), events


def test_step_with_a_reset_connection_succeeds_at_the_next_attempt(
    harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, attempts = products.open_product_rows, []

    def flaky(product: Any, *more: Any) -> Any:
        attempts.append(product.id)
        if attempts.count("fleet.boats") == 1 and product.id == "fleet.boats":
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return opened(product, *more)

    monkeypatch.setattr(products, "open_product_rows", flaky)
    monkeypatch.setattr(failures, "FIRST_WAIT_S", 0.01)
    outcome, events = run(harbour)
    assert outcome.success
    assert attempts == ["fleet.boats", "fleet.boats", "yard.repairs"]
    (again,) = [event for event in events if isinstance(event, StepRetry)]
    assert again.step == "fleet.boats"
    assert "reset" in again.message
    assert "dagster" not in again.message


def test_full_disk_fails_the_product_and_keeps_its_snapshot(
    released_harbour: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[str, str, str], None]
) -> None:
    harbour = released_harbour
    boats = ProductStore(Warehouse(harbour / ".storymesh"), "fleet")
    before = [snapshot.version for snapshot in boats.list_snapshots("boats")]
    edit("domains/fleet/sources/boats.csv", ",11,", ",12,")

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "part.parquet")

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "_write_file", full)
        outcome, events = run(harbour)
    assert {product.product: product.state for product in outcome.products} == {
        "fleet.boats": "refused",
        "yard.repairs": "left out",
    }
    assert "no room" in outcome.products[0].reason
    assert "make room" in outcome.products[0].reason
    words = [str(value.value) for value in only_note(harbour, "fleet", "boats").values()]
    assert " ".join(words).count("make room") == 1, "what to do is said once"
    assert "fleet/boats was not made: " in last_note(harbour, "yard", "repairs")
    assert "make room" in last_note(harbour, "late_repairs", "release")
    assert not [event for event in events if isinstance(event, StepRetry)]
    assert [snapshot.version for snapshot in boats.list_snapshots("boats")] == before
    mended, _ = run(harbour)
    assert mended.success
    assert mended.narratives[0].version == "1.0.0-r2"
    with open_instance(load_mesh(harbour)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["late_repairs", "release"]))
        assert event is not None
        assert event.asset_materialization is not None
        since = str(event.asset_materialization.metadata["since_the_last"].value)
    assert "1.0.0-r1 → 1.0.0-r2" in since
    assert "| product | fleet.boats |" in since, "what it was cut from that is new"


def last_note(root: Path, *key: str) -> str:
    """Return why an asset was left out, as its page shows it."""
    return str(only_note(root, *key)[failures.LEFT_OUT].value)


def only_note(root: Path, *key: str) -> Mapping[str, dg.MetadataValue]:
    """Return what an asset has of the one run that did not make it: its page lists each note."""
    with open_instance(load_mesh(root)) as instance:
        (record,) = instance.fetch_observations(dg.AssetKey(key), limit=9).records
    assert record.asset_observation is not None
    return record.asset_observation.metadata


def test_unreachable_database_of_dagster_is_explained(harbour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr("dagster_postgres.utils.calculate_delay", lambda **_: 0.0)  # what it waits between its tries
    home = prepare_dagster_home(load_mesh(harbour))
    url = f"postgresql+psycopg2://nobody:secret@127.0.0.1:{port}/none"
    (home / "dagster.yaml").write_text(f"storage: {{postgres: {{postgres_url: '{url}'}}}}\n", encoding="utf-8")
    with pytest.raises(ResourceUnavailable) as raised:
        run(harbour)
    assert "what Dagster remembers" in raised.value.message
    assert "refused" in raised.value.message
    assert "secret" not in str(raised.value)
