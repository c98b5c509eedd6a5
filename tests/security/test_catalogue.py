"""A catalogue and the metadata of its tables choose neither code nor place: a store may have come with a mesh."""

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from storymesh.errors import StorymeshError
from storymesh.product.iceberg_io import BUCKET, FOLDER, RelativeFileIO, StoreCatalog
from storymesh.product.store import ProductStore
from storymesh.product.store_location import LocationRefused, resolve_location
from storymesh.product.warehouse import Warehouse
from tests.support.built_once import built_once

SCHEMA = pa.schema([("key", pa.string()), ("value", pa.int64())])
CODE = "attacker_of_catalogues"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one table that has one snapshot, as storymesh writes it."""

    def build(root: Path) -> None:
        from storymesh.product.staging import open_staging

        store = ProductStore(Warehouse(root), "desk")
        with open_staging(store, "berths", SCHEMA, 5) as staging:
            written = staging.write_files([pa.table({"key": ["a"], "value": [1]}, SCHEMA)], lambda path, rows: None)
            summary = {"storymesh.version": "0" * 64, "storymesh.rows": "1"}
            staging.promote(staging.commit_to_branch("audit-1", written, summary), "0" * 64)

    return built_once(tmp_path_factory, "one-table-store", build)


@pytest.fixture
def store(honest: Path, tmp_path: Path) -> ProductStore:
    shutil.copytree(honest, tmp_path / "store")
    return ProductStore(Warehouse(tmp_path / "store"), "desk")


def metadata_file(store: ProductStore) -> Path:
    with sqlite3.connect(store.folder / "catalog.db") as catalog:
        ((location,),) = catalog.execute("SELECT metadata_location FROM iceberg_tables")
    return store.folder / str(location)


def edit_metadata(store: ProductStore, change: Callable[[dict[str, Any]], None]) -> None:
    path = metadata_file(store)
    metadata = json.loads(path.read_text(encoding="utf-8"))
    change(metadata)
    path.write_text(json.dumps(metadata), encoding="utf-8")


def test_an_honest_store_is_read(store: ProductStore) -> None:
    (snapshot,) = store.list_snapshots("desk.berths")
    assert (snapshot.rows, len(snapshot.files)) == (1, 1)
    assert Path(snapshot.files[0]).is_relative_to(store.folder)


@pytest.mark.parametrize(
    "properties",
    [
        {"py-io-impl": f"{CODE}.FileIO"},
        {"py-catalog-impl": f"{CODE}.Catalog"},
        {"write.py-location-provider.impl": f"{CODE}.Provider"},
        {"auth.impl": f"{CODE}.Auth", "auth.type": "custom"},
        {"storymesh.folder": "/etc"},
        {"storymesh.bucket": "file:///"},
        {"warehouse": "/etc"},
        {"s3.endpoint": "http://127.0.0.1:1", "s3.access-key-id": "a", "s3.secret-access-key": "b"},
        {"s3.proxy-uri": "http://127.0.0.1:1", "s3.signer": "S3V4RestSigner", "s3.signer.uri": "http://127.0.0.1:1"},
        {"write.data.path": "/tmp/elsewhere", "write.metadata.path": "/tmp/elsewhere"},
        {"write.object-storage.enabled": "true"},
        {"write.parquet.row-group-limit": "minus one"},
        {"history.expire.max-snapshot-age-ms": "9" * 5_000},
    ],
    ids=lambda properties: next(iter(properties)),
)
def test_a_table_property_chooses_neither_code_nor_place(store: ProductStore, properties: dict[str, str]) -> None:
    edit_metadata(store, lambda metadata: metadata["properties"].update(properties))
    table = store.load_table("desk.berths")
    assert table is not None
    assert not set(properties) & set(table.properties)
    assert isinstance(table.io, RelativeFileIO)
    assert (table.io.properties[FOLDER], table.io.properties.get(BUCKET)) == (str(store.folder), None)
    assert CODE not in sys.modules
    assert store.list_snapshots("desk.berths")[0].rows == 1


def test_a_property_that_chooses_code_is_dropped_by_a_commit_too(store: ProductStore) -> None:
    edit_metadata(store, lambda metadata: metadata["properties"].update({"py-io-impl": f"{CODE}.FileIO"}))
    table = store.load_table("desk.berths")
    assert table is not None
    store.catalog.commit_table(table, (), ())
    assert isinstance(store.catalog, StoreCatalog)
    assert "py-io-impl" not in (store.load_table("desk.berths") or table).properties


OUTSIDE = [
    "/etc/passwd",
    "../outside.json",
    "warehouse/../../outside.json",
    "warehouse/./berths/x.json",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file:warehouse/x.json",
    "s3://elsewhere/x.json",
    "http://127.0.0.1:1/x.json",
    "https://127.0.0.1:1/x.json",
    "hdfs://127.0.0.1/x.json",
    "gs://elsewhere/x.json",
    "memory://x.json",
    "warehouse\\..\\..\\x.json",
    "warehouse/x\0.json",
    "warehouse/x\n.json",
    "link/outside.json",
]


@pytest.mark.parametrize("location", OUTSIDE)
def test_a_path_that_leads_out_of_the_store_is_neither_read_nor_written(tmp_path: Path, location: str) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "outside.json").write_text("{}", encoding="utf-8")
    (tmp_path / "store" / "link").symlink_to(tmp_path)
    access = RelativeFileIO({FOLDER: str(tmp_path / "store")})
    for use in (access.new_input, access.new_output, access.delete):
        with pytest.raises(LocationRefused, match="is no file of it"):
            use(location)
    assert (tmp_path / "outside.json").exists()


@pytest.mark.parametrize(
    "address",
    [
        "s3://elsewhere/desk/x.parquet",
        "s3://bucket/other/x.parquet",
        "s3://bucket/desk",
        "s3://bucket/desk2/x.parquet",
        "s3://bucket/desk/../other/x.parquet",
        "s3a://bucket/desk/x.parquet",
        "s3://key:secret@bucket/desk/x.parquet",
        "s3://bucket/desk/x.parquet?endpoint_override=127.0.0.1",
        "file:///bucket/desk/x.parquet",
    ],
)
def test_an_address_out_of_the_bucket_of_the_domain_is_refused(tmp_path: Path, address: str) -> None:
    own = "s3://bucket/desk/berths/x.parquet"
    assert resolve_location(own, tmp_path, "s3://bucket/desk") == own
    with pytest.raises(LocationRefused):
        RelativeFileIO({FOLDER: str(tmp_path), BUCKET: "s3://bucket/desk"}).new_input(address)


@pytest.mark.parametrize("location", ["../../outside.json", "/etc/hostname", "file:///etc/hostname", "s3://b/x.json"])
def test_the_location_of_metadata_stays_in_the_store(store: ProductStore, location: str) -> None:
    with sqlite3.connect(store.folder / "catalog.db") as catalog:
        catalog.execute("UPDATE iceberg_tables SET metadata_location = ?", [location])
    with pytest.raises(StorymeshError, match="is no file of it"):
        store.list_snapshots("desk.berths")


@pytest.mark.parametrize("list_", ["/etc/passwd", "../../x.avro", "file:///etc/passwd", "s3://elsewhere/x.avro"])
def test_the_lists_of_a_snapshot_stay_in_the_store(store: ProductStore, list_: str) -> None:
    edit_metadata(store, lambda metadata: metadata["snapshots"][-1].update({"manifest-list": list_}))
    with pytest.raises(StorymeshError, match="is no file of it"):
        store.list_snapshots("desk.berths")


@pytest.mark.parametrize("location", ["", ".", "/", "..", "warehouse", "warehouse/other", "file:///tmp", "s3://b/desk"])
def test_a_table_of_another_place_is_refused_before_its_files_are_listed(store: ProductStore, location: str) -> None:
    edit_metadata(store, lambda metadata: metadata.update(location=location))
    with pytest.raises(StorymeshError, match=r"storymesh keeps it at warehouse/berths|cannot be read"):
        store.load_table("desk.berths")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../secret.parquet", "file:///etc/passwd"])
def test_data_files_out_of_the_store_are_not_read(store: ProductStore, path: str) -> None:
    with pytest.raises(LocationRefused):
        store.fetch_file(path)


def test_a_pipe_as_metadata_is_not_waited_for(store: ProductStore) -> None:
    path = metadata_file(store)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorymeshError, match="is no file of it"):
        store.load_table("desk.berths")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format-version": 99}', b'{"format-version": 1e400}', b"[" * 100_000],
    ids=["empty", "cut off", "a list", "null", "no UTF-8", "another version", "infinite", "deep"],
)
def test_malformed_metadata_is_explained(store: ProductStore, content: bytes) -> None:
    metadata_file(store).write_bytes(content)
    with pytest.raises(StorymeshError, match=r"the table of 'desk\.berths' cannot be read"):
        store.load_table("desk.berths")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("storymesh.version", "../../x"),
        ("storymesh.version", "0" * 63 + "\n"),
        ("storymesh.version", ""),
        ("storymesh.rows", "9" * 5_000),
        ("storymesh.rows", "many"),
    ],
)
def test_a_summary_that_storymesh_did_not_write_is_explained(store: ProductStore, name: str, value: str) -> None:
    edit_metadata(store, lambda metadata: metadata["snapshots"][-1]["summary"].update({name: value}))
    with pytest.raises(StorymeshError, match=r"was not published by storymesh|cannot be read"):
        store.list_snapshots("desk.berths")


@pytest.mark.parametrize("content", [b"", b"Obj\x01", b"Obj\x01" + b"\xff" * 200, b"no avro at all"])
def test_a_malformed_list_of_files_is_explained(store: ProductStore, content: bytes) -> None:
    for path in metadata_file(store).parent.glob("*.avro"):
        path.write_bytes(content)
    with pytest.raises(StorymeshError, match=r"cannot be read|damaged"):
        store.list_snapshots("desk.berths")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER UPDATE ON iceberg_tables BEGIN DELETE FROM iceberg_tables; END",
        "CREATE VIEW v AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
        "CREATE TABLE other (x)",
        "ALTER TABLE iceberg_tables RENAME TO iceberg_tables_2",
    ],
)
def test_a_catalog_that_would_run_something_is_refused(store: ProductStore, statement: str) -> None:
    with sqlite3.connect(store.folder / "catalog.db") as catalog:
        catalog.execute(statement)
    with pytest.raises(StorymeshError, match="which storymesh did not put there"):
        store.load_table("desk.berths")


@pytest.mark.parametrize("kind", ["link", "pipe", "text"])
def test_a_catalog_that_is_no_database_of_its_own_is_refused(store: ProductStore, kind: str) -> None:
    database = store.folder / "catalog.db"
    moved = database.rename(store.folder.parent / "moved.db")
    match kind:
        case "link":
            database.symlink_to(moved)
        case "pipe":
            os.mkfifo(database)
        case _:
            database.write_bytes(b"no database at all, but a text longer than the header of one. " * 9)
    with pytest.raises(StorymeshError, match="the catalog"):
        store.load_table("desk.berths")
