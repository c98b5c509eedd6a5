"""The rules of a contract held at a PostgreSQL: what they say there is what the audit of a copy says."""

import random
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storymesh.contract.definition import Contract
from storymesh.contract.egress_rules import AggregationThreshold
from storymesh.contract.read import read_contract
from storymesh.engine.open import open_engine
from storymesh.errors import AuditRefused
from storymesh.federation.access import ServerAccess
from storymesh.federation.postgres import PostgresTable
from storymesh.federation.relation import Relation
from storymesh.federation.selection import EVERY_ROW, RowSelection, TimeBounds
from storymesh.federation.server import servers_of
from storymesh.federation.source_rules import SourceAudit, SourceRules, pattern_for_server
from storymesh.product.definition import Product, read_product
from storymesh.product.in_place import Extract, Fetching, fetch_extract
from storymesh.product.publication import Publication, PublicationRefused
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: bank.tx
version: 1.0.0
status: active
servers:
  - {server: ledger, type: postgresql, host: "${LEDGER_HOST}", port: "${LEDGER_PORT}", database: rules, schema: public}
schema:
  - name: tx
    customProperties:
      - {property: eventTime, value: at}
      - {property: quarantineLimit, value: 1}
    quality:
      - {id: enough, type: library, metric: rowCount, mustBeGreaterThan: 2}
      - {id: few_twins, type: library, metric: duplicateValues, mustBeLessThan: 2,
         arguments: {properties: [account, at]}}
      - {id: dear, type: sql, query: "select max(amount) / 2 from ${object} where kind = 'in'", mustBeLessThan: 49.5}
    properties:
      - {name: id, logicalType: string, primaryKey: true, physicalName: tx_id,
         logicalTypeOptions: {pattern: '^P-\\d+$'}}
      - {name: account, logicalType: string, required: true, logicalTypeOptions: {minLength: 2, maxLength: 4}}
      - {name: at, logicalType: timestamp, required: true, physicalName: At,
         logicalTypeOptions: {minimum: '2020-01-02T00:00:00Z'}}
      - {name: amount, logicalType: number, physicalType: "decimal(4,2)", logicalTypeOptions: {exclusiveMinimum: 0}}
      - {name: kind, logicalType: string, enum: [{value: in}, {value: out}],
         quality: [{id: no_null_kind, type: library, metric: nullValues, mustBe: 0, severity: warning}]}
      - {name: parts, logicalType: integer, logicalTypeOptions: {multipleOf: 5, maximum: 50}, unique: true}
      - {name: rate, logicalType: number, logicalTypeOptions: {maximum: 1}}
      - {name: day, logicalType: date, logicalTypeOptions: {maximum: '2024-12-31'}}
      - {name: ok, logicalType: boolean, required: true}
"""
PRODUCT = """\
apiVersion: v1.0.0
kind: DataProduct
id: bank.tx
status: active
customProperties: [{property: source, value: {server: ledger, table: tx}}]
"""
TABLE = """
create table tx (tx_id char(6), account text, "At" timestamptz, amount numeric, kind varchar(9), parts integer,
  rate float8, day date, ok boolean)"""
NAMES = ("tx_id", "account", '"At"', "amount", "kind", "parts", "rate", "day", "ok")
VALUES: tuple[tuple[Any, ...], ...] = (
    ("P-1", "P-2", "P-3", "P-44", "P-5", "P-66", "p-1", "P-x", None),
    ("a", "ab", "abcd", "ébcdé", "ab ", None),
    ("2020-01-01", "2020-01-02", "2021-05-05 12:30:00.5+02", "2022-01-01", "infinity", None),
    ("1.25", "0", "-1", "99.99", "100", "1.005", "NaN", None),
    ("in", "out", "In", "", None),
    (5, 10, 15, 50, 55, 7, -5, None),
    ("0.5", "1", "1.5", "NaN", "-Infinity", None),
    ("2024-12-31", "2025-01-01", "infinity", None),
    (True, False, None),
)
"""For each column, what keeps its rules and what breaks each of them."""


@dataclass
class Books:
    """A table of a PostgreSQL, its contract, and a connection of its owner."""

    connection: Any
    contract: Contract
    product: Product
    folder: Path

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def fill(self, rows: list[tuple[Any, ...]]) -> None:
        self.execute("truncate tx")
        for row in rows:
            self.execute(f"insert into tx ({', '.join(NAMES)}) values ({', '.join(['%s'] * len(NAMES))})", *row)

    def hold(self, contract: Contract | None = None, **more: Any) -> tuple[list[dict[str, Any]], SourceAudit]:
        """Return the keys of the rows that break no rule there, and what the rules say."""
        contract = contract or self.contract
        table = PostgresTable(Relation(servers_of(contract)["ledger"], "tx"), ServerAccess(self.folder))
        rules = SourceRules(contract, **{"columns": frozenset(contract.properties), "fetched": frozenset(), **more})
        rows, audit = table.open_audited(lambda _: ["tx_id", "parts"], EVERY_ROW, rules)
        return rows.read_all().to_pylist(), audit

    def copy(self) -> Publication:
        """Return what comes of the same rows where they are copied."""
        store = ProductStore(Warehouse(self.folder / ".storymesh", None, None), "bank")
        with open_engine() as engine:
            access = ServerAccess(self.folder)
            rows = open_product_rows(self.product, self.contract, self.folder, self.folder, engine, servers=access)
            try:
                return publish(self.product, self.contract, rows, store, engine, "run")
            except PublicationRefused as refused:
                return refused.publication


def contract_of(folder: Path, text: str) -> Contract:
    path = folder / "contracts/bank/tx.odcs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return read_contract(path, folder)


@pytest.fixture(scope="module")
def books(server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    import psycopg2

    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    address = {names[name]: value for name, value in server.items() if name in names}
    made = psycopg2.connect(**address, dbname="postgres")
    made.autocommit = True
    made.cursor().execute("create database rules")
    made.close()
    connection = psycopg2.connect(**address, dbname="rules")
    connection.autocommit = True
    folder = tmp_path_factory.mktemp("books")
    (folder / "domains/bank/products").mkdir(parents=True)
    (folder / "domains/bank/products/tx.odps.yaml").write_text(PRODUCT, encoding="utf-8")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("HOST", "PORT", "USER", "PASSWORD"):
            environment.setenv(f"LEDGER_{name}", server[f"PG{name}"])
        product = read_product(folder / "domains/bank/products/tx.odps.yaml", folder)
        found = Books(connection, contract_of(folder, CONTRACT), product, folder)
        found.execute(TABLE)
        yield found
    connection.close()


@pytest.mark.parametrize(("seed", "count"), [(1, 40), (2, 12), (3, 5), (4, 2), (5, 0)])
def test_rules_say_there_what_the_audit_of_a_copy_says(books: Books, seed: int, count: int) -> None:
    chance = random.Random(seed)
    # In most rows most values are good, or all of them would break some rule.
    rows = [
        tuple(chance.choice(values) if chance.random() < 0.2 else values[1] for values in VALUES) for _ in range(count)
    ]
    rows = [(f"P-{n}" if chance.random() < 0.8 else row[0], *row[1:]) for n, row in enumerate(rows)]
    books.fill(rows)
    copied = books.copy()
    failed = {
        check.name
        for check in copied.checks
        if not check.passed and (check.kind == "table" or check.severity == "warning")
    }
    told: list[SourceAudit] = []

    def hold() -> list[dict[str, Any]]:
        return books.hold(before_telling=lambda _, found: told.append(found))[0]

    if failed & {"enough", "few_twins", "dear"}:
        with pytest.raises(AuditRefused, match="is held back"):
            hold()
    else:
        assert len(hold()) == copied.rows_out
    (audit,) = told
    assert dict(audit.broken) == dict(copied.quarantined)
    assert audit.rows == len(rows) and audit.unheld == {}
    assert bool(audit.failed) == ("no_null_kind" in failed)


def test_more_broken_rows_than_the_limit_hold_a_product_back_where_it_is(books: Books) -> None:
    good = ("P-1", "ab", "2021-01-01", "1", "in", 5, "0", "2024-01-01", True)
    books.fill([(f"P-{n}", f"a{n}", *good[2:4], "in" if n > 3 else "IN", n * 5, *good[6:]) for n in range(1, 10)])
    strict = replace(books.contract, quarantine_limit=0.3)
    with pytest.raises(AuditRefused, match=r"3 of 9 rows on .* break the contract, more than 30 %: enum: kind \(3\)"):
        books.hold(strict)
    kept, audit = books.hold(replace(books.contract, quarantine_limit=0.4))
    assert {row["parts"] for row in kept} == {20, 25, 30, 35, 40, 45}
    assert list(audit.lines()) == ["of all 9 rows there: enum: kind (3)"]
    # Those of a column that is fetched come, and are quarantined where everybody can read them.
    assert len(books.hold(fetched=frozenset({"kind"}))[0]) == 9


def test_a_rule_that_does_not_run_there_is_named(books: Books) -> None:
    books.fill([(f"P-{n}", f"a{n}", "2021-01-01", "1", "in", 5 * n, "0", "2024-01-01", True) for n in range(3)])
    text = CONTRACT.replace("max(amount) / 2 from ${object} where kind = 'in'", "max(amont) from ${object}")
    contract = contract_of(books.folder, text)
    with pytest.raises(AuditRefused, match=r"'bank.tx' is held back: .*dear .*the query did not run: .*amont"):
        books.hold(contract)


def test_what_the_server_holds_is_not_counted_and_what_may_not_be_read_is_not_touched(books: Books) -> None:
    good = ("P-1", "ab", "2021-01-01", "1", "in", 5, "0", "2024-01-01", True)
    books.fill([(f"P-{n}", f"a{n}", *good[2:5], n * 5, *good[6:]) for n in range(1, 10)])
    books.execute("alter table tx add primary key (tx_id), alter ok set not null")
    books.execute("drop role if exists auditor")
    books.execute("create role auditor login password 'auditor'")
    books.execute("grant select (tx_id, parts, ok, kind) on tx to auditor")
    statements: list[str] = []
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LEDGER_USER", "auditor")
        environment.setenv("LEDGER_PASSWORD", "auditor")
        _, audit = books.hold(before_telling=lambda sql, _: statements.append(sql))
    books.execute("alter table tx drop constraint tx_pkey, alter ok drop not null, alter tx_id drop not null")
    (statement,) = statements
    assert '"parts"' in statement and '"ok"' not in statement
    assert not any(f'"{name}"' in statement for name in ("account", "At", "amount", "rate", "day"))
    assert audit.unheld["required: account"] == "the user may not read 'account' there"
    assert "few_twins: account, at" in audit.unheld and "required: ok" not in audit.unheld


def test_of_figures_only_groups_that_are_large_enough_are_told(books: Books) -> None:
    good = ("P-1", "ab", "2021-01-01", "1", "in", 5, "0", "2024-01-01", True)
    books.fill([(f"P-{n}", f"a{n}", *good[2:4], "IN" if n > 6 else "in", n * 5, *good[6:]) for n in range(1, 10)])
    told = {}
    for subjects in (3, 4):
        _, audit = books.hold(least={"kind": AggregationThreshold(subjects=subjects, of="account")})
        told[subjects] = audit.broken["enum: kind"]
    assert told == {3: 3, 4: None}
    assert len(books.hold(least={"kind": AggregationThreshold(subjects=4, of="account")})[0]) == 9, (
        "nobody is told by absence"
    )


@given(text=st.text(alphabet="aAbé1٣_-. \n\té漢", max_size=6), pattern=st.sampled_from(
    [r"^\w+$", r"\d", r"a.b", r"^[\d.]+$", r"[^a]", r"\S\s", r"^(a|b1)?-{1,2}$", r"\D$", r"é+?", r"^[\w-]*$"]
))  # fmt: skip
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pattern_finds_there_what_it_finds_here(books: Books, text: str, pattern: str) -> None:
    import duckdb

    translated = pattern_for_server(pattern)
    assert translated is not None
    ((there,),) = books.execute("select %s ~ %s", text, translated)
    here = duckdb.execute("select regexp_matches(?, ?)", [text, pattern]).fetchone()
    assert here == (there,)


@pytest.mark.parametrize(
    ("kind", "server"),
    [
        ("parquet", "{server: ledger, type: local, path: 'lake/{table}.parquet', format: parquet}"),
        ("sqlite", "{server: ledger, type: custom, format: sqlite, database: books.db}"),
    ],
)
def test_what_is_read_here_is_held_to_all_of_its_contract(kind: str, server: str, tmp_path: Path) -> None:
    text = re.sub(r"  - \{server: ledger.*", f"  - {server}", CONTRACT)
    contract, path = contract_of(tmp_path, text), tmp_path / "domains/bank/products/tx.odps.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(PRODUCT, encoding="utf-8")
    product, folder = read_product(path, tmp_path), tmp_path / "domains/bank"
    days = [datetime(2021, 1, day) for day in range(1, 21)]
    rows = pa.table({
        "tx_id": ["P-1", *(f"P-{n}" for n in range(1, 20))],
        "account": [f"a{n}" for n in range(20)],
        "At": days if kind == "parquet" else [day.isoformat() for day in days],
        "amount": ["1.25"] * 20,
        "kind": ["In" if n == 15 else "in" for n in range(20)],
        "parts": pa.array([*range(5, 55, 5), *[None] * 10], pa.int64()),
        "rate": ["0.5"] * 20,
        "day": ["2024-12-31"] * 20,
        "ok": ["true"] * 20,
    })  # fmt: skip
    if kind == "parquet":
        (folder / "lake").mkdir()
        pq.write_table(rows, folder / "lake/tx.parquet", row_group_size=5)
    else:
        with sqlite3.connect(folder / "books.db") as database:
            database.execute(f"create table tx ({', '.join(rows.column_names)})")
            database.executemany(
                f"insert into tx values ({', '.join('?' * 9)})", zip(*rows.to_pydict().values(), strict=True)
            )
    columns = frozenset(contract.properties)
    wanted = RowSelection(bounds=(TimeBounds(2, days[10], None),))

    def fetch(contract: Contract) -> Extract:
        fetching = Fetching("payment", columns, wanted, SourceRules(contract, columns, columns))
        store = ProductStore(Warehouse(tmp_path / ".storymesh", None, None), "bank")
        return fetch_extract(product, contract, fetching, ServerAccess(folder), store, open_engine, "run")

    found = fetch(contract)
    assert found.plan.source is not None
    assert dict(found.plan.source.broken) == {"primaryKey: id": 2, "enum: kind": 1}
    assert dict(found.plan.quarantined) == {"primaryKey: id": 2, "enum: kind": 1}, "what repeats was fetched with it"
    assert found.snapshot.rows == 17
    with pytest.raises(AuditRefused, match="rowCount must be greater than 20"):
        fetch(contract_of(tmp_path, text.replace("mustBeGreaterThan: 2", "mustBeGreaterThan: 20")))
