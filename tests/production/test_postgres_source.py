"""Products read from a PostgreSQL: the columns of the contract and no other, whole or not at all, and no password."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import SourceUnreadable
from storymesh.federation.access import ServerAccess
from storymesh.federation.postgres import PostgresTable
from storymesh.federation.relation import Relation
from storymesh.federation.server import servers_of
from storymesh.mesh.mesh import load_mesh
from storymesh.outage import ResourceUnavailable
from storymesh.product.sources.open import open_product_rows, source_digest
from storymesh.product.store import ProductStore
from tests.support.served_mesh import write_mesh
from tests.support.whole_mesh import Preloaded

CANARY = "p4ss-of-the-l3dger"
SERVER = (
    '{server: ledger, type: postgresql, host: "${LEDGER_HOST}", port: "${LEDGER_PORT}", database: books, schema: bank}'
)
QUERY = 'select tx_id, booked_at, \\"Amount\\", ok, note from tx where tx_id <= 10'
SOURCES = {
    "tx": "{server: ledger, table: tx}",
    "first": f'{{server: ledger, query: "{QUERY}"}}',
}
MART = "p4ss-of-the-m4rt"
PROJECT = {
    "mesh.yaml": "dbt: {env: [MART_HOST, MART_PORT, MART_PASSWORD]}\n",
    "domains/bank/dbt_project.yml": "name: bank\nprofile: bank\nmodels: {+materialized: table}\n",
    "domains/bank/profiles.yml": """\
bank:
  target: books
  outputs:
    books:
      type: postgres
      host: "{{ env_var('MART_HOST') }}"
      port: "{{ env_var('MART_PORT') | int }}"
      user: loader
      password: "{{ env_var('MART_PASSWORD') }}"
      dbname: books
      schema: marts
""",
    "domains/bank/models/sources.yml": "sources: [{name: raw, schema: bank, tables: [{name: tx}]}]\n",
    "domains/bank/models/totals.sql": "select ok, count(*) as n from {{ source('raw', 'tx') }} group by 1 order by 1",
    "domains/bank/products/totals.odps.yaml": """\
apiVersion: v1.0.0
kind: DataProduct
id: bank.totals
status: active
""",
    "contracts/bank/totals.odcs.yaml": """\
apiVersion: v3.2.0
kind: DataContract
id: bank.totals
version: 1.0.0
status: active
schema:
  - name: totals
    customProperties: [{property: timeless, value: true}]
    properties:
      - {name: ok, logicalType: boolean, primaryKey: true}
      - {name: n, logicalType: integer}
""",
}
TABLE = r"""
create schema bank;
create table bank.tx (tx_id bigint primary key, "Amount" numeric(12,2), booked_at timestamptz, ok bool, note text,
  iban text, changed timestamptz);
insert into bank.tx select g, g * 1.25, timestamptz '2024-01-01 12:00+02' + g * interval '1 minute', g % 2 = 0,
  case g % 3 when 0 then null when 1 then '' else E'a,"b"\n\u00e9' end, 'DE00' || g, '2024-06-01' from
  generate_series(1, 5000) g;
create role reader login password '{password}';
alter role reader set log_statement = 'all';
create role loader login password '{mart}';
create schema marts authorization loader;
grant usage on schema bank to reader, loader;
grant select on bank.tx to loader;
grant select (tx_id, "Amount", booked_at, ok, note, changed) on bank.tx to reader;
"""


class Ledger:
    """The database of the bank, as its owner has it."""

    def __init__(self, server: dict[str, str], database: str) -> None:
        self._server = server
        self._database = database
        self.variables = {"LEDGER_HOST": server["PGHOST"], "LEDGER_PORT": server["PGPORT"]}
        self.reader = self.variables | {"LEDGER_USER": "reader", "LEDGER_PASSWORD": CANARY}

    def execute(self, statement: str) -> Any:
        import psycopg2

        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
        given = {names[name]: value for name, value in self._server.items() if name in names}
        connection = psycopg2.connect(**given, dbname=self._database)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def wait_for(self, query: str) -> None:
        """Wait until the query gives a row."""
        deadline = time.monotonic() + 600
        while not self.execute(query.replace("SLEEPS", "wait_event = 'PgSleep'")):
            assert time.monotonic() < deadline, query
            time.sleep(0.05)

    def statements(self) -> str:
        """Return what the server has logged, which is what the reader has asked it."""
        (((folder,),)) = self.execute("show data_directory")
        return Path(folder).with_name("log").read_text(encoding="utf-8", errors="replace")


def write_project(root: Path) -> None:
    """Add a dbt project whose models are made in the PostgreSQL, and a product of one of them."""
    for name, text in PROJECT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def ledger(server: dict[str, str]) -> Ledger:
    Ledger(server, "postgres").execute("create database books")
    made = Ledger(server, "books")
    made.execute(TABLE.replace("{password}", CANARY).replace("{mart}", MART))
    return made


@pytest.fixture
def reader(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    for name, value in ledger.reader.items():
        monkeypatch.setenv(name, value)
    return ledger


def rows_of(root: Path, product: str = "bank.tx", idle_timeout_s: float = 30.0) -> Iterator[Any]:
    mesh = load_mesh(root)
    access = ServerAccess(mesh.domain_folder("bank"), idle_timeout_s=idle_timeout_s)
    with (
        open_engine() as engine,
        open_product_rows(
            mesh.product(product), mesh.contract(product), access.folder, root / "no.duckdb", engine, servers=access
        ) as rows,
    ):
        for batch in rows:
            yield from batch.to_pylist()


def test_a_table_and_a_query_are_published_and_no_password_is_left(
    ledger: Ledger, preloaded: Preloaded, tmp_path: Path
) -> None:
    mesh = write_mesh(tmp_path / "m", SERVER, SOURCES)
    write_project(mesh)
    loader = {"MART_HOST": ledger.variables["LEDGER_HOST"], "MART_PORT": ledger.variables["LEDGER_PORT"]}
    ran = preloaded.run("run", mesh=mesh, **ledger.reader, **loader, MART_PASSWORD=MART)
    assert ran.code == 0, ran.output
    totals = ProductStore(load_mesh(mesh).warehouse, "bank").latest_snapshot("totals")
    assert totals is not None
    assert pq.read_table(list(totals.files)).to_pylist() == [{"ok": False, "n": 2500}, {"ok": True, "n": 2500}]
    assert ledger.execute("select count(*) from marts.totals") == [(2,)], "the model stays where it is made"
    snapshot = ProductStore(load_mesh(mesh).warehouse, "bank").latest_snapshot("tx")
    assert snapshot is not None
    rows = pq.read_table(list(snapshot.files)).sort_by("id").to_pylist()
    assert len(rows) == 5000
    first = [{name: str(value) if name in ("at", "amount") else value for name, value in row.items()} for row in rows]
    assert first[:3] == [
        {"id": 1, "at": "2024-01-01 10:01:00", "amount": "1.25", "ok": False, "note": ""},
        {"id": 2, "at": "2024-01-01 10:02:00", "amount": "2.50", "ok": True, "note": 'a,"b"\n\u00e9'},
        {"id": 3, "at": "2024-01-01 10:03:00", "amount": "3.75", "ok": False, "note": None},
    ]
    asked = ledger.statements()
    assert "iban" not in asked
    assert re.search(r"READ ONLY", asked) and "REPEATABLE READ" in asked
    # Another password is a failure of this domain alone, in words, at the line of the contract.
    wrong = preloaded.run(
        "run", "bank.tx", "desk", mesh=mesh, **ledger.variables, LEDGER_USER="reader", LEDGER_PASSWORD="an0ther-canary"
    )
    assert wrong.code == 1
    assert "contracts/bank/tx.odcs.yaml:7:6: the table 'tx' of the server 'ledger'" in " ".join(wrong.output.split())
    assert "password authentication failed" in wrong.output
    assert "Traceback" not in wrong.output
    assert re.search(r"desk\.ports .*unchanged", wrong.output)
    kept = ProductStore(load_mesh(mesh).warehouse, "bank").latest_snapshot("tx")
    assert kept is not None and kept.version == snapshot.version
    for path in (path for path in mesh.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [word for word in (CANARY, MART, "an0ther-canary") if word.encode() in content], path
    assert CANARY not in ran.output and "an0ther-canary" not in wrong.output


def test_a_table_that_says_when_it_changed_is_read_only_when_it_did(reader: Ledger, tmp_path: Path) -> None:
    root = write_mesh(tmp_path / "m", SERVER, {"tx": SOURCES["tx"]}, ", {property: changedAt, value: at}")
    mesh = load_mesh(root)
    access = ServerAccess(mesh.domain_folder("bank"))

    def version() -> str | None:
        return source_digest(mesh.product("bank.tx"), mesh.contract("bank.tx"), access.folder, root, servers=access)

    first = version()
    assert first is not None and version() == first
    reader.execute("create table bank.kept as select * from bank.tx where tx_id = 7")
    try:
        reader.execute("update bank.tx set booked_at = booked_at - interval '1 hour' where tx_id = 7")
        assert version() != first, "also where the change has an older time than the last one"
        reader.execute("delete from bank.tx where tx_id = 7")
        assert version() != first
    finally:
        reader.execute("delete from bank.tx where tx_id = 7; insert into bank.tx select * from bank.kept")
        reader.execute("drop table bank.kept")
    assert version() == first


def test_what_cannot_be_read_is_said_at_the_line_of_the_contract(reader: Ledger, tmp_path: Path) -> None:
    head = 'select tx_id, booked_at, \\"Amount\\", ok'
    cases = {
        "table: txs": "the table 'txs' of the server 'ledger' .* there is no such table .did you mean 'tx'",
        "table: a.b.c.d": "no name of a table",
        'query: "select tx_id from tx"': "there is no column 'booked_at' or 'at'",
        'query: "select nope from tx"': 'column "nope" does not exist .mend the query',
        'query: "select 1; drop table bank.tx"': "the query is not one SELECT",
        'query: "delete from bank.tx"': "the query is not one SELECT",
        'query: "selec 1"': "the query is not",
        'query: "select * from bank.tx"': "permission denied.*GRANT SELECT",
        f'query: "{head}, (1 / (tx_id - 4000))::text as note from tx"': "division by zero",
    }
    for number, (source, words) in enumerate(cases.items()):
        root = write_mesh(tmp_path / str(number), SERVER, {"tx": f"{{server: ledger, {source}}}"})
        with pytest.raises(SourceUnreadable, match=rf"(?s)^contracts/bank/tx\.odcs\.yaml:7:6: .*{words}"):
            list(rows_of(root))
    assert reader.execute("select count(*) from bank.tx") == [(5000,)]


def test_no_error_quotes_a_value_of_a_row(reader: Ledger, tmp_path: Path) -> None:
    for number, failing in enumerate(
        ("note::int", "(note || tx_id)::date", "(tx_id * 1500000000)::int", "note::jsonb")
    ):
        query = f'select tx_id, booked_at, \\"Amount\\", ok, {failing} as note from tx where tx_id = 2'
        root = write_mesh(tmp_path / str(number), SERVER, {"tx": f'{{server: ledger, query: "{query}"}}'})
        with pytest.raises(SourceUnreadable) as error:
            list(rows_of(root))
        assert "3000000000" not in str(error.value) and 'a,"b"' not in str(error.value), error.value
        assert re.search("invalid input|out of range", error.value.message)


def test_a_server_that_hangs_or_dies_midway_gives_no_half_table(reader: Ledger, tmp_path: Path) -> None:
    query = (
        'select g as tx_id, now() as booked_at, 1.5 as \\"Amount\\", true as ok,'
        " (case when g = 60000 then pg_sleep(WAIT)::text else repeat('x', 500) end) as note"
        " from generate_series(1, 70000) g"
    )
    root = write_mesh(tmp_path / "m", SERVER, {"tx": f'{{server: ledger, query: "{query}"}}'.replace("WAIT", "60")})
    with pytest.raises(ResourceUnavailable, match=r"has said nothing for 0\.5 s"):
        list(rows_of(root, idle_timeout_s=0.5))
    reader.wait_for("select 1 where not exists (select from pg_stat_activity where usename = 'reader')")
    rows = rows_of(root)
    next(rows)
    reader.wait_for("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'reader' and SLEEPS")
    with pytest.raises(ResourceUnavailable, match=r"contracts/bank/tx\.odcs\.yaml:7:6: the server 'ledger'") as error:
        list(rows)
    assert error.value.transient


def test_nothing_is_sent_to_a_server_that_is_not_meant(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = write_mesh(tmp_path / "m", SERVER, {"tx": SOURCES["tx"]})
    with pytest.raises(SourceUnreadable, match="variable LEDGER_HOST, which is not set"):
        list(rows_of(root))
    for name, value in {**ledger.variables, "PGPASSWORD": CANARY, "PGUSER": "reader"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceUnreadable, match=r"no password supplied .*LEDGER_USER and LEDGER_PASSWORD"):
        list(rows_of(root))  # the variables of libpq are about another server
    monkeypatch.setenv("DESK__LEDGER_PASSWORD", CANARY)
    with pytest.raises(SourceUnreadable, match="no password supplied"):
        list(rows_of(root))  # it is for the servers of another domain
    monkeypatch.setenv("BANK__LEDGER_PASSWORD", CANARY)
    assert sum(1 for _ in rows_of(root)) == 5000
    monkeypatch.delenv("BANK__LEDGER_PASSWORD")
    monkeypatch.setenv("PGHOST", ledger.variables["LEDGER_HOST"])
    assert sum(1 for _ in rows_of(root)) == 5000
    mesh = load_mesh(root)
    access = ServerAccess(mesh.domain_folder("bank"), hosts=("*.example.com",))
    with open_engine() as engine, pytest.raises(SourceUnreadable, match="not among the hosts"):
        open_product_rows(
            mesh.product("bank.tx"), mesh.contract("bank.tx"), access.folder, root, engine, servers=access
        )


TEXTS = [
    *(
        "",
        None,
        " ",
        ",",
        '"',
        '""',
        "'",
        "\\",
        "\\.",
        "\\N",
        "NULL",
        "null",
        "\n",
        "\r\n",
        "\t",
        "a\n\\.\nb",
        "\u00e9\u4e2d\U0001f600",
    ),
    *("\u2028", "\ufeff", "x" * 300_000, '"a","b"\n', "t", "-", "{}"),
]
ZOO = {
    "'infinity'::date": "infinity",
    "'0044-03-15 BC'::date": "0044-03-15 BC",
    "'NaN'::numeric": "NaN",
    "12345678901234567890.123456789::numeric": "12345678901234567890.123456789",
    "0.1::float8": "0.1",
    "timestamp '2024-01-31 10:00:00.000001'": "2024-01-31 10:00:00.000001",
    "timestamptz '2024-01-31 10:00+02'": "2024-01-31 08:00:00+00",
    "interval '1 day 02:00'": "P1DT2H",
    "array[1, null, 3]": "[1,null,3]",
    "row(1, 'a')": '{"f1":1,"f2":"a"}',
    """'{"b": 1}'::jsonb""": '{"b": 1}',
    "'\\xdeadbeef'::bytea": "\\xdeadbeef",
    "'ab'::char(5)": "ab",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "'10.0.0.1'::inet": "10.0.0.1",
}


def test_every_value_comes_as_the_server_writes_it(reader: Ledger, tmp_path: Path) -> None:
    relation = Relation(
        servers_of(load_mesh(write_mesh(tmp_path / "m", SERVER, SOURCES)).contract("bank.tx"))["ledger"]
    )
    access = ServerAccess(tmp_path)

    def read(query: str) -> list[dict[str, Any]]:
        return PostgresTable(replace(relation, query=query), access).open_rows(list).read_all().to_pylist()

    values = ", ".join(f"({n}, {'null' if t is None else quoted(t)})" for n, t in enumerate(TEXTS))
    rows = read(f"select n, t from (values {values}) v (n, t) order by n")
    assert [row["t"] for row in rows] == TEXTS and [row["n"] for row in rows] == list(range(len(TEXTS)))
    assert [row["t"] for row in read(f"select t from (values {values}) v (n, t) order by n")] == TEXTS
    assert read("select 'a;b' as t -- all of it; really\n;") == [{"t": "a;b"}]
    columns = ", ".join(f"{value} as c{number}" for number, value in enumerate(ZOO))
    (row,) = read(f"select {columns}, null::int as nothing, false as no from generate_series(1, 1)")
    assert row == {**{f"c{number}": text for number, text in enumerate(ZOO.values())}, "nothing": None, "no": False}
    with pytest.raises(SourceUnreadable, match="a row takes more than 8 MiB"):
        read("select repeat('x', 30000000) as t from generate_series(1, 2)")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_the_table_is_an_asset_of_dagster_with_its_place(tmp_path: Path) -> None:
    from storymesh.orchestration.assets.sources import server_table_specs

    mesh = load_mesh(write_mesh(tmp_path / "m", SERVER, SOURCES))
    specs = {"/".join(spec.key.path): spec for spec in server_table_specs(mesh, "bank")}
    assert sorted(specs) == ["bank/sources/ledger.first", "bank/sources/ledger.tx"]
    table = specs["bank/sources/ledger.tx"]
    assert table.metadata["place"] == "${LEDGER_HOST}:${LEDGER_PORT}/books/bank"
    assert (table.metadata["table"], table.kinds) == ("tx", {"postgresql"})
    assert not server_table_specs(mesh, "desk")
