"""Every kind of server that can be run here gives the same rows of the same table, and is known by its version."""

import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from storymesh.contract.cast import plan_cast
from storymesh.engine.open import open_engine
from storymesh.errors import SourceUnreadable
from storymesh.federation.access import ServerAccess
from storymesh.federation.relation import ForeignKey
from storymesh.mesh.mesh import load_mesh
from storymesh.outage import ResourceUnavailable
from storymesh.product.sources.open import open_product_rows, source_digest
from storymesh.scaffold.server_table import find_table
from tests.support.served_mesh import write_mesh

CANARY = "p4ss-of-the-l4ke"
ROWS = 300
TABLE = pa.table(
    {
        "tx_id": pa.array(range(1, ROWS + 1), pa.int64()),
        "booked_at": pa.array([datetime(2024, 1, 1, n % 24) for n in range(ROWS)], pa.timestamp("us")),
        "Amount": pa.array([f"{n}.25" for n in range(ROWS)]).cast(pa.decimal128(12, 2)),
        "ok": pa.array([n % 2 == 0 for n in range(ROWS)]),
        "note": pa.array([None if n % 3 == 0 else 'a,"b"\n\u00e9' for n in range(ROWS)]),
        "iban": pa.array([f"DE{n}" for n in range(ROWS)]),
    }
)
SQL = "create table tx (tx_id bigint, booked_at {}, {}Amount{} decimal(12,2), ok {}, note text, iban text)"


@dataclass(frozen=True)
class Place:
    """A server as a contract names it, the source of a product, and how to add a row to its table."""

    server: str
    source: str
    add: Callable[[], None]
    env: Mapping[str, str]
    known: bool = True


Place_of = Callable[[Path, dict[str, str]], Place]
MORE = TABLE.slice(0, 1).set_column(0, "tx_id", pa.array([9_999], pa.int64()))


def sql_rows() -> list[tuple[Any, ...]]:
    texts = TABLE.set_column(1, "booked_at", TABLE["booked_at"].cast(pa.string()))
    texts = texts.set_column(2, "Amount", texts["Amount"].cast(pa.string()))
    return [tuple(row.values()) for row in texts.to_pylist()]


def a_sqlite(lake: Path, _: dict[str, str]) -> Place:
    with sqlite3.connect(lake / "books.db") as connection:
        connection.execute(SQL.format("text", '"', '"', "int"))
        connection.executemany("insert into tx values (?, ?, ?, ?, ?, ?)", sql_rows())

    def add() -> None:
        with sqlite3.connect(lake / "books.db") as connection:
            connection.execute("insert into tx (tx_id, booked_at) values (9999, '2024-01-01')")

    server = "{server: lake, type: custom, format: sqlite, database: ../../../lake/books.db}"
    return Place(server, "{server: lake, table: tx}", add, {})


def a_duckdb(lake: Path, _: dict[str, str]) -> Place:
    import duckdb

    with duckdb.connect(str(lake / "books.duckdb")) as connection:
        connection.register("given", TABLE)
        connection.execute("create schema bank; create table bank.tx as select * from given")

    def add() -> None:
        with duckdb.connect(str(lake / "books.duckdb")) as connection:
            connection.execute("insert into bank.tx (tx_id, booked_at) values (9999, '2024-01-01')")

    server = "{server: lake, type: duckdb, database: ../../../lake/books.duckdb, schema: bank}"
    return Place(server, '{server: lake, query: "select * from bank.tx -- all"}', add, {})


def files_on_disk(lake: Path, _: dict[str, str]) -> Place:
    for number in range(3):
        part = TABLE.slice(number * 100, 100)
        (lake / f"tx/half={number % 2}").mkdir(parents=True, exist_ok=True)
        pq.write_table(part, lake / f"tx/half={number % 2}/{number}.parquet")
    (lake / "tx/_SUCCESS").write_text("")

    def add() -> None:
        pq.write_table(MORE, lake / "tx/half=1/more.parquet")

    return Place("{server: lake, type: local, path: ../../../lake/tx, format: parquet}", "{server: lake}", add, {})


def in_bucket(bucket: dict[str, str]) -> dict[str, str]:
    return {
        "LAKE_ACCESS_KEY_ID": bucket["AWS_ACCESS_KEY_ID"],
        "LAKE_SECRET_ACCESS_KEY": bucket["AWS_SECRET_ACCESS_KEY"],
        "LAKE_ENDPOINT": bucket["AWS_ENDPOINT_URL"],
        "AWS_REGION": bucket["AWS_REGION"],
    }


def put(bucket: dict[str, str], name: str, content: bytes) -> None:
    from pyarrow.fs import S3FileSystem

    endpoint = bucket["AWS_ENDPOINT_URL"].removeprefix("http://")
    keys = {"access_key": bucket["AWS_ACCESS_KEY_ID"], "secret_key": bucket["AWS_SECRET_ACCESS_KEY"]}
    system = S3FileSystem(**keys, endpoint_override=endpoint, scheme="http", region=bucket["AWS_REGION"])
    with system.open_output_stream(f"mesh/{name}") as out:
        out.write(content)


def as_parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


S3 = '{{server: lake, type: s3, location: "s3://mesh/{}", endpointUrl: "${{LAKE_ENDPOINT}}", format: {}}}'


def parquet_in_a_bucket(_: Path, bucket: dict[str, str]) -> Place:
    put(bucket, "tx/a.parquet", as_parquet(TABLE.slice(0, 200)))
    put(bucket, "tx/b.parquet", as_parquet(TABLE.slice(200)))
    put(bucket, "tx/b.txt", b"else")
    add = lambda: put(bucket, "tx/c.parquet", as_parquet(MORE))  # noqa: E731
    return Place(S3.format("tx/*.parquet", "parquet"), "{server: lake}", add, in_bucket(bucket))


def csv_in_a_bucket(_: Path, bucket: dict[str, str]) -> Place:
    out = pa.BufferOutputStream()
    pa.csv.write_csv(TABLE, out, pa.csv.WriteOptions(delimiter=";"))
    put(bucket, "csv/tx.csv.gz", pa.compress(out.getvalue(), codec="gzip", asbytes=True))
    more = b"tx_id;booked_at;Amount;ok;note\n9999;2024-01-01;;;\n"
    add = lambda: put(bucket, "csv/tx/more.csv", more)  # noqa: E731
    put(bucket, "csv/tx/first.csv", out.getvalue().to_pybytes())
    return Place(
        S3.format("csv/{model}/*.csv", "csv"),
        "{server: lake, table: tx, delimiter: semicolon}",
        add,
        in_bucket(bucket),
    )


def json_on_disk(lake: Path, _: dict[str, str]) -> Place:
    import json

    def write(table: pa.Table, name: str) -> None:
        lines = [json.dumps(row, default=str) for row in table.to_pylist()]
        (lake / "json").mkdir(exist_ok=True)
        (lake / "json" / name).write_text("\n".join(lines))

    write(TABLE, "tx.json")
    server = '{server: lake, type: local, path: "../../../lake/json/*.json", format: json}'
    return Place(server, "{server: lake}", lambda: write(MORE, "more.json"), {})


def delta_in_a_bucket(_: Path, bucket: dict[str, str]) -> Place:
    from deltalake import write_deltalake

    options = {
        "AWS_ENDPOINT_URL": bucket["AWS_ENDPOINT_URL"],
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": bucket["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": bucket["AWS_SECRET_ACCESS_KEY"],
        "AWS_REGION": bucket["AWS_REGION"],
    }
    write_deltalake("s3://mesh/delta/tx", TABLE, storage_options=options)
    add = lambda: write_deltalake("s3://mesh/delta/tx", MORE, mode="append", storage_options=options)  # noqa: E731
    return Place(S3.format("delta", "delta"), "{server: lake, table: tx}", add, in_bucket(bucket))


def delta_on_disk(lake: Path, _: dict[str, str]) -> Place:
    from deltalake import write_deltalake

    write_deltalake(str(lake / "delta"), TABLE.slice(0, 100))
    write_deltalake(str(lake / "delta"), TABLE.slice(100), mode="append")
    add = lambda: write_deltalake(str(lake / "delta"), MORE, mode="append")  # noqa: E731
    return Place("{server: lake, type: local, path: ../../../lake/delta, format: delta}", "{server: lake}", add, {})


def an_iceberg(lake: Path, _: dict[str, str]) -> Place:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("books", uri=f"sqlite:///{lake / 'catalog.db'}", warehouse=f"file://{lake / 'iceberg'}")
    catalog.create_namespace("bank")
    table = catalog.create_table("bank.tx", TABLE.schema)
    table.append(TABLE)
    address = "sqlite:///../../../lake/catalog.db"
    server = f'{{server: lake, type: iceberg, catalog: books, catalogUrl: "{address}", namespace: bank}}'
    return Place(server, "{server: lake, table: tx}", lambda: table.append(MORE.cast(TABLE.schema)), {})


def a_mariadb(_: Path, server: dict[str, str]) -> Place:
    maria(server, "drop database if exists books", "create database books", "use books", *MARIA_TABLE)
    placed = "{server: lake, type: mysql, host: HOST, port: PORT, database: books}"
    placed = placed.replace("HOST", server["host"]).replace("PORT", server["port"])
    env = {"LAKE_USER": "reader", "LAKE_PASSWORD": CANARY}
    add = lambda: maria(server, "insert into books.tx (tx_id, booked_at) values (9999, '2024-01-01')")  # noqa: E731
    return Place(placed, "{server: lake, table: tx}", add, env)


MARIA_TABLE = (
    SQL.format("datetime(6)", "`", "`", "bool") + " character set utf8mb4",
    "create or replace user reader@localhost identified by '" + CANARY + "'",
    "grant select (tx_id, booked_at, Amount, ok, note) on books.tx to reader@localhost",
    "ROWS",
)


def maria(server: dict[str, str], *statements: str) -> None:
    import pymysql

    connection = pymysql.connect(host=server["host"], port=int(server["port"]), user="root", autocommit=True)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                if statement == "ROWS":
                    cursor.executemany("insert into tx values (%s, %s, %s, %s, %s, %s)", sql_rows())
                else:
                    cursor.execute(statement)
    finally:
        connection.close()


KINDS: dict[str, Place_of] = {
    kind.__name__: kind
    for kind in (
        *(a_sqlite, a_duckdb, files_on_disk, parquet_in_a_bucket, csv_in_a_bucket, json_on_disk),
        *(delta_in_a_bucket, delta_on_disk, an_iceberg),
    )
}


class Reader:
    """A mesh whose product is read from a place."""

    def __init__(self, root: Path, place: Place, more: str = "") -> None:
        write_mesh(root, place.server, {"tx": place.source}, more)
        (root / "mesh.yaml").write_text("servers: {read: [../lake]}\n")
        self.mesh = load_mesh(root)
        self.access = self.mesh.server_access("bank")

    def rows(self) -> list[dict[str, Any]]:
        product, contract = self.mesh.product("bank.tx"), self.mesh.contract("bank.tx")
        with (
            open_engine() as engine,
            open_product_rows(product, contract, self.access.folder, Path("no"), engine, servers=self.access) as rows,
        ):
            columns = dict(zip(contract.properties, rows.schema.names, strict=True))
            plan = plan_cast(contract, rows.schema, columns, product.layout.forms)
            batches = list(engine.map_batches(rows, rows.schema, plan.select))
        names = list(contract.properties)
        return sorted(
            ({name: row[name] for name in names} for batch in batches for row in batch.to_pylist()),
            key=lambda row: row["id"],
        )

    def version(self) -> str | None:
        product, contract = self.mesh.product("bank.tx"), self.mesh.contract("bank.tx")
        return source_digest(product, contract, self.access.folder, Path("no"), servers=self.access)


EXPECTED = [
    dict(zip(("id", "at", "amount", "ok", "note"), list(row.values())[:5], strict=True)) for row in TABLE.to_pylist()
]


@pytest.fixture(scope="module")
def mariadb_server() -> Iterator[dict[str, str]]:
    """Host and port of a MariaDB."""
    from tests.support.servers import mariadb

    with mariadb() as found:
        yield found


def assert_same(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == ROWS
    for row, expected in zip(rows, EXPECTED, strict=True):
        assert {**row, "at": row["at"].replace(tzinfo=None)} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_server_gives_its_rows_and_is_known_by_a_version(
    kind: str, bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lake").mkdir()
    place = KINDS[kind](tmp_path / "lake", bucket)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("storymesh.federation.file_times.time.time", lambda: 4e9)  # long after they were written
    reader = Reader(tmp_path / "m", place)
    assert_same(reader.rows())
    version = reader.version()
    assert version is not None and reader.version() == version
    place.add()
    assert reader.version() not in (None, version)
    assert len(reader.rows()) == ROWS + 1


def test_a_mariadb_gives_its_rows_and_says_what_is_wrong(
    mariadb_server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = a_mariadb(tmp_path, mariadb_server)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    reader = Reader(tmp_path / "m", place, ", {property: changedAt, value: at}")
    assert_same(reader.rows())
    version = reader.version()
    assert version is not None and reader.version() == version
    place.add()
    assert reader.version() not in (None, version)
    head = "select tx_id, booked_at, Amount, ok"
    wrong = {
        "table: txs": "there is no such table .did you mean 'tx'",
        'query: "select nope from tx"': "mend the query",
        'query: "select iban from tx"': "GRANT SELECT",
        'query: "delete from tx"': "not one SELECT",
    }
    for number, (source, words) in enumerate(wrong.items()):
        place = Place(place.server, f"{{server: lake, {source}}}", place.add, {})
        with pytest.raises(SourceUnreadable, match=rf"^contracts/bank/tx\.odcs\.yaml:7:6: .*{words}"):
            Reader(tmp_path / str(number), place).rows()
    hangs = f"{{server: lake, query: '{head}, sleep(if(tx_id = 250, 60, 0)) as note from tx'}}"
    reader = Reader(tmp_path / "hangs", Place(place.server, hangs, place.add, {}))
    reader.access = ServerAccess(reader.access.folder, idle_timeout_s=0.5)
    with pytest.raises(ResourceUnavailable, match=r"it has said nothing for 0\.5 s"):
        reader.rows()
    heads = "create table heads (a int, b int, primary key (b, a))"
    lines = "create table `lines` (id int primary key, y int, x int, foreign key (y, x) references heads (b, a))"
    maria(mariadb_server, "use books", heads, lines)
    address = f"mysql://root@{mariadb_server['host']}:{mariadb_server['port']}/books"
    found = find_table(address, "lines", tmp_path)
    assert (found.key, found.foreign_keys) == (("id",), (ForeignKey(("y", "x"), "books", "heads", ("b", "a")),))
    monkeypatch.setenv("LAKE_PASSWORD", "wr0ng-canary")
    with pytest.raises(SourceUnreadable, match=r"it lets nobody in: Access denied .*LAKE_PASSWORD") as error:
        reader.rows()
    assert "wr0ng-canary" not in str(error.value)


LAKE = "{server: lake, type: local, path: PATH, format: FORMAT}"
NOWHERE = '{server: lake, type: s3, location: "s3://mesh/x", endpointUrl: "http://127.0.0.1:9", format: FORMAT}'
WRONG: dict[str, tuple[str, str, type[Exception], str]] = {
    "no file": (LAKE, "{server: lake}", SourceUnreadable, "there is no such file"),
    "no format": (LAKE.replace("PATH", "sources").replace("FORMAT", "avro"), "{server: lake}", SourceUnreadable,
                  "the format avro is not read"),
    "out of the domain": (LAKE.replace("PATH", "../../../x"), "{server: lake}", SourceUnreadable,
                          "leads out of the domain's folder .let it be read: servers: {read: "),
    "out of the server": (NOWHERE, "{server: lake, table: ../y}", SourceUnreadable, "leads out of the server's own"),
    "no delta": (LAKE.replace("PATH", "sources").replace("FORMAT", "delta"), "{server: lake}", SourceUnreadable,
                 "there is no Delta table"),
    "no address": (NOWHERE.replace("s3://mesh", "mesh"), "{server: lake}", SourceUnreadable, "no address of a bucket"),
    "no bucket there": (NOWHERE, "{server: lake}", ResourceUnavailable, "the server 'lake'"),
    "no delta there": (NOWHERE.replace("FORMAT", "delta"), "{server: lake}", ResourceUnavailable, "the server 'lake'"),
    "no sqlite": ("{server: lake, type: custom, format: sqlite, database: x.db}", "{server: lake}", SourceUnreadable,
                  "there is no such file"),
    "no duckdb": ("{server: lake, type: duckdb, database: sources/ports.csv}", "{server: lake}", SourceUnreadable,
                  "the table 'tx' of the server 'lake'"),
    "no catalogue": ('{server: lake, type: iceberg, catalog: c, catalogUrl: "sqlite:///x.db"}', "{server: lake}",
                     SourceUnreadable, "there is no such catalogue"),
    "no catalogue there": ('{server: lake, type: iceberg, catalog: c, catalogUrl: "http://127.0.0.1:9"}',
                           "{server: lake}", ResourceUnavailable, "the server 'lake'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_place_is_said_in_words(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, source, kind, words = WRONG[case]
    monkeypatch.setenv("LAKE_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("LAKE_ACCESS_KEY_ID", "an-id")
    server = server.replace("PATH", "x.parquet").replace("FORMAT", "parquet")
    reader = Reader(tmp_path / "m", Place(server, source, lambda: None, {}))
    with pytest.raises(kind, match=rf"(?s)^contracts/bank/tx\.odcs\.yaml:7:6: .*({words})") as error:
        reader.rows()
    assert CANARY not in str(error.value)


def test_keys_of_the_environment_are_for_its_own_bucket_alone(
    bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract may name any endpoint; only that of the environment, or Amazon's, gets the environment's keys."""
    from storymesh.federation.object_store import ObjectStore
    from storymesh.federation.relation import Relation
    from storymesh.federation.server import servers_of

    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    server = "{server: lake, type: s3, location: s3://mesh/x, ENDPOINT format: parquet}"

    def store(endpoint: str, number: int) -> ObjectStore:
        place = Place(server.replace("ENDPOINT", endpoint), "{server: lake}", lambda: None, {})
        reader = Reader(tmp_path / str(number), place)
        return ObjectStore(Relation(servers_of(reader.mesh.contract("bank.tx"))["lake"]), reader.access)

    assert store("", 0).uses_environment
    assert store('endpointUrl: "${AWS_ENDPOINT_URL}",', 1).uses_environment
    elsewhere = store('endpointUrl: "http://127.0.0.1:9",', 2)
    assert not elsewhere.uses_environment and not elsewhere.s3_keys


HANGING = {
    "postgresql": "{server: lake, type: postgresql, host: 127.0.0.1, port: PORT, database: books, schema: bank}",
    "mysql": "{server: lake, type: mysql, host: 127.0.0.1, port: PORT, database: books}",
    "s3": NOWHERE.replace(":9", ":PORT").replace("FORMAT", "parquet"),
    "delta": NOWHERE.replace(":9", ":PORT").replace("FORMAT", "delta"),
    "iceberg": '{server: lake, type: iceberg, catalog: c, catalogUrl: "http://127.0.0.1:PORT"}',
}


@pytest.mark.parametrize("kind", HANGING)
def test_a_server_that_never_answers_is_left(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("postgres", "mysql", "object_store", "delta"):
        monkeypatch.setattr(f"storymesh.federation.{module}.CONNECT_S", 1)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "USER", "PASSWORD"):
        monkeypatch.setenv(f"LAKE_{name}", CANARY)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = str(silent.getsockname()[1])
        reader = Reader(tmp_path / "m", Place(HANGING[kind].replace("PORT", port), "{server: lake}", lambda: None, {}))
        reader.access = ServerAccess(reader.access.folder, idle_timeout_s=0.5)
        with pytest.raises(ResourceUnavailable, match="the server 'lake'") as error:
            reader.rows()
    assert error.value.transient and CANARY not in str(error.value)
