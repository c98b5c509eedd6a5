"""A mesh on several machines: data files in S3, catalogue and Dagster's memory in PostgreSQL, secrets nowhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.engine.open import open_engine
from storymesh.errors import PublishConflict, StorymeshError, WrongUsage
from storymesh.mesh.mesh import load_mesh
from storymesh.outage import as_unavailable
from storymesh.product.definition import read_product
from storymesh.product.publish import Publication, PublishProgress, publish
from storymesh.product.staging import Staging, open_staging
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from tests.support.release_meshes import storymesh
from tests.support.whole_mesh import Ran, environment, locks, products

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: desk.notes
version: 1.0.0
status: active
schema:
  - name: notes
    customProperties: [{property: timeless, value: true}]
    properties: [{name: id, logicalType: string, primaryKey: true}, {name: text, logicalType: string}]
"""
PRODUCT = "apiVersion: v1.0.0\nkind: DataProduct\nid: desk.notes\nstatus: active\n"


def fetch_rows(server: dict[str, str], query: str) -> list[tuple[Any, ...]]:
    import psycopg2

    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    connection = psycopg2.connect(**{names[name]: value for name, value in server.items()})
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def test_products_are_in_the_bucket_and_their_catalog_in_postgresql(
    first: Path, server: dict[str, str], bucket: dict[str, str]
) -> None:
    rows = fetch_rows(server, "SELECT catalog_name, table_name, metadata_location FROM iceberg_tables ORDER BY 1, 2")
    assert [row[:2] for row in rows] == [
        ("fleet", "depots"),
        ("fleet", "trucks"),
        ("road", "breakdowns"),
        ("road", "repairs"),
    ]
    assert all(row[2].startswith(f"s3://mesh/main/{row[0]}/{row[1]}/metadata/") for row in rows)
    assert not list(first.glob(".storymesh/*/catalog.db"))
    assert not list(first.glob(".storymesh/*/warehouse"))


def test_any_iceberg_reader_can_use_the_catalog(first: Path, server: dict[str, str], bucket: dict[str, str]) -> None:
    """PyIceberg with its own access to files and nothing of ours."""
    program = (
        "from pyiceberg.catalog import load_catalog\n"
        "catalog = load_catalog('road', type='sql', uri='postgresql+psycopg2://')\n"
        "print(catalog.load_table('road.repairs').scan().to_arrow().num_rows)\n"
    )
    known = {
        "PYICEBERG_CATALOG__ROAD__PY_IO_IMPL": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "PYICEBERG_CATALOG__ROAD__S3__ENDPOINT": bucket["AWS_ENDPOINT_URL"],
        "PYICEBERG_CATALOG__ROAD__S3__REGION": bucket["AWS_REGION"],
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(**server, **bucket, **known),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "171", done.stderr


def test_runs_are_stored_in_postgresql(first: Path, server: dict[str, str]) -> None:
    assert ("run", "SUCCESS") in fetch_rows(server, "SELECT pipeline_name, status FROM runs")
    assert not list((first / ".storymesh/dagster").rglob("*.db"))


def test_no_secret_is_written_to_a_file_or_an_event(
    first: Path, server: dict[str, str], bucket: dict[str, str]
) -> None:
    secrets = [server["PGPASSWORD"].encode(), bucket["AWS_SECRET_ACCESS_KEY"].encode()]
    written = [path for path in first.rglob("*") if path.is_file()]
    assert not [path for path in written if any(secret in path.read_bytes() for secret in secrets)]
    events = fetch_rows(server, "SELECT event FROM event_logs")
    assert not [event for (event,) in events if any(secret.decode() in event for secret in secrets)]


def test_another_machine_makes_the_same_release_and_logs_json(first: Path, second: Ran) -> None:
    assert second.code == 0, second.output
    digests = [lock["digest"] for lock in locks(first, "roadside")]
    assert [lock["digest"] for lock in locks(second.mesh, "roadside")] == digests
    lines = [json.loads(line) for line in second.output.splitlines()]
    assert {line["dagster_meta"]["step_key"] for line in lines} >= {"roadside__cases", "roadside__records__report"}


class Desk:
    """One machine's desk, which publishes notes."""

    def __init__(self, folder: Path, name: str) -> None:
        contract, product = folder / "contracts/desk/notes.odcs.yaml", folder / "domains/desk/products/notes.odps.yaml"
        for path, text in ((contract, CONTRACT), (product, PRODUCT)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.contract: Contract = read_contract(contract, folder)
        self.product = read_product(product, folder)
        self.name = name
        self.warehouse = Warehouse(folder / name, f"s3://mesh/{folder.name}", "postgresql+psycopg2://")

    @property
    def store(self) -> ProductStore:
        return ProductStore(self.warehouse, "desk")

    def publish(self, count: int, progress: PublishProgress | None = None, wait_s: float = 60.0) -> Publication:
        rows = pa.table({"id": [f"{n}" for n in range(count)], "text": [f"note {n}" for n in range(count)]})
        run_id = f"{self.name}-{count}"
        with open_engine() as engine:
            return publish(self.product, self.contract, rows.to_reader(), self.store, engine, run_id, progress, wait_s)


@pytest.fixture
def desks(
    server: dict[str, str], bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Desk, Desk]]:
    """Two machines that publish the same product, which nobody has published yet."""
    for name, value in (server | bucket).items():
        monkeypatch.setenv(name, value)
    found = Desk(tmp_path, "here"), Desk(tmp_path, "there")
    yield found
    for name, value in (server | bucket).items():  # which a test may have changed
        monkeypatch.setenv(name, value)
    if (table := found[0].store.load_table("notes")) is not None:
        found[0].store.catalog.drop_table(table.name())


def rows_of(desk: Desk) -> int:
    import pyarrow.parquet as pq

    latest = desk.store.latest_snapshot("notes")
    assert latest is not None
    return sum(pq.read_metadata(file).num_rows for file in latest.files)


def test_two_machines_that_publish_at_once_take_turns(desks: tuple[Desk, Desk]) -> None:
    here, there = desks
    with ThreadPoolExecutor(4) as pool:
        publications = [item.result() for item in [pool.submit(desk.publish, n) for n in (3, 5) for desk in desks]]
    versions = {publication.snapshot.version for publication in publications if publication.snapshot is not None}
    assert len(versions) == 2, "equal content is one version, whoever publishes it"
    assert {snapshot.version for snapshot in here.store.list_snapshots("notes")} == versions
    assert rows_of(here) == rows_of(there) in (3, 5)


def test_a_machine_that_waits_too_long_publishes_nothing(desks: tuple[Desk, Desk]) -> None:
    here, there = desks
    refused: list[PublishConflict] = []

    def publish_meanwhile(phase: str, rows: int) -> None:
        if phase == "publish":
            with pytest.raises(PublishConflict) as raised:
                there.publish(9, wait_s=0.2)
            refused.append(raised.value)

    here.publish(4, publish_meanwhile)
    assert "another run is publishing 'notes'" in refused[0].message
    assert there.publish(9).rows_out == 9


def test_a_commit_fails_when_a_writer_without_the_lock_was_faster(desks: tuple[Desk, Desk]) -> None:
    here, there = desks
    here.publish(2)

    def publish_meanwhile(phase: str, rows: int) -> None:
        if phase == "publish":
            schema = pa.schema([("id", pa.string()), ("text", pa.string())])
            staging = Staging(there.store, "notes", schema)
            written = staging.write_files([pa.table({"id": ["x"], "text": ["y"]}, schema)], lambda path, rows: None)
            summary = {"storymesh.version": "f" * 64, "storymesh.rows": "1"}
            staging.promote(staging.commit_to_branch("audit-there", written, summary), "f" * 64)

    with pytest.raises(PublishConflict, match="was published by somebody else while it was audited"):
        here.publish(7, publish_meanwhile)
    assert rows_of(here) == 1


def test_files_of_a_killed_writer_are_removed_by_the_next_one(desks: tuple[Desk, Desk]) -> None:
    """A writer who was killed leaves files that no snapshot names; the next one, on any machine, removes them."""
    here, there = desks

    def killed(phase: str, rows: int) -> None:
        if phase == "audit":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.publish(6, killed)
    there.publish(8)
    store = there.store
    table = store.load_table("notes")
    assert table is not None
    data = [path for path in store.list_files(table.location()) if path.endswith(".parquet")]
    assert len(data) == 1


def test_an_expired_snapshot_is_removed_from_the_bucket_and_later_from_every_machine(desks: tuple[Desk, Desk]) -> None:
    here, there = desks
    first = here.publish(3).snapshot
    assert first is not None
    assert there.store.find_snapshot("notes", first.version).files[0]
    there.publish(4)
    with open_staging(there.store, "notes", first.schema, 5.0) as staging:
        staging.remove_snapshots([first.snapshot_id])
    table = here.store.load_table("notes")
    assert table is not None
    assert [snapshot.rows for snapshot in here.store.list_snapshots("notes")] == [4]
    left = [path for path in here.store.list_files(table.location()) if path.endswith(".parquet")]
    assert len(left) == 1
    assert len(list(there.warehouse.folder.rglob("*.parquet"))) == 1
    here.publish(5)
    assert len(list(here.warehouse.folder.rglob("*.parquet"))) == 1, (
        "what this machine had fetched is swept by its next publish"
    )


def test_a_file_missing_from_the_bucket_is_named_in_the_error(desks: tuple[Desk, Desk]) -> None:
    here, there = desks
    here.publish(3)
    latest = there.store.latest_snapshot("notes")
    assert latest is not None
    (path,) = [
        path for path in there.store.list_files(there.store.table_location("notes")) if path.endswith(".parquet")
    ]
    there.store.io.delete(path)
    with pytest.raises(StorymeshError, match=f"the store of 'desk' is damaged: there is no {path}"):
        list(latest.files)


@pytest.mark.parametrize(
    ("change", "passing", "words"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, True, "NETWORK_CONNECTION"),
        ({"WHERE": "nobody-made-this"}, False, "the system refuses access"),
    ],
)
def test_an_unreachable_bucket_is_worth_a_retry_and_one_without_access_is_not(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch, change: dict[str, str], passing: bool, words: str
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    here = desks[0]
    here.warehouse = Warehouse(here.warehouse.folder, "s3://${WHERE:-mesh}/refused", "postgresql+psycopg2://")
    with pytest.raises(OSError, match="AWS Error") as raised:
        here.publish(1)
    known = as_unavailable(raised.value)
    assert known is not None
    assert known.transient is passing
    assert words in known.message


def test_a_variable_that_is_not_set_is_an_error(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, "s3://mesh/x", "postgresql+psycopg2://reader:${NOBODY_SET_THIS}@db/mesh")
    with pytest.raises(WrongUsage, match="and NOBODY_SET_THIS is not set"):
        ProductStore(warehouse, "desk").latest_snapshot("notes")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("catalog: postgresql+psycopg2://me:secret@db/mesh", "a password stands in this file"),
        ("catalog: mysql://db/mesh", "is no address that begins with postgresql://"),
        ("warehouse: /data/products", "is no address that begins with s3://"),
        ("warehouse: s3://key:secret@mesh/x", "a password stands in this file"),
        ("bucket: mesh", "unknown field 'bucket'"),
    ],
)
def test_wrong_settings_are_findings(tmp_path: Path, written: str, words: str) -> None:
    for part in ("domains", "contracts", "narratives"):
        (tmp_path / part).mkdir()
    (tmp_path / "mesh.yaml").write_text(f"store: {{{written}}}\n".replace("{", "\n  ", 1).rstrip("}\n") + "\n")
    code, out, _ = storymesh(tmp_path, "check")
    assert code == 1
    assert "mesh.yaml:2:" in out
    assert words in out


def test_a_store_may_be_only_a_folder(tmp_path: Path) -> None:
    for part in ("domains", "contracts", "narratives"):
        (tmp_path / part).mkdir()
    (tmp_path / "mesh.yaml").write_text("store: kept/here\n")
    assert load_mesh(tmp_path).store == tmp_path / "kept/here"
    assert products(tmp_path) == {}
