"""Tables that tell what has changed: only that is read, and what comes of it is what the whole table would give."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storymesh.contract.read import read_contract
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.federation.access import ServerAccess
from storymesh.product.definition import read_product
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows, source_digest
from storymesh.product.sources.row_cache import ReadRows, RowCache
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from tests.support.served_mesh import write_mesh

SERVER = (
    '{server: ledger, type: postgresql, host: "${LEDGER_HOST}", port: "${LEDGER_PORT}", database: kept, schema: public}'
)
TABLE = """
create table tx (tx_id bigint, booked_at timestamptz, "Amount" numeric(12,2), ok bool, note text, secret text);
insert into tx select g, timestamptz '2024-01-01+00' + g * interval '6 hours', g * 1.25, g % 2 = 0,
  case g % 3 when 0 then null when 1 then '' else E'a,"b"|\\n\\u00e9-' end, 'x' from generate_series(1, 1000) g
"""
OLDEST, NEW = "timestamptz '2024-01-01+00'", "timestamptz '2024-09-07+00' + random() * interval '5 minutes'"
CHANGES = {
    "changedAt": (
        f"update tx set note = 'changed', booked_at = {NEW} where tx_id % 97 = {{n}}",
        f"insert into tx values (2000 + {{n}}, {NEW}, 1, true, 'new')",
        "delete from tx where tx_id % 89 = {n}",
        f"insert into tx values (3000 + {{n}}, {OLDEST} + interval '{{n}} hours', 1, null, 'late')",
        f"insert into tx select tx_id, {NEW}, 7, ok, 'twice' from tx where tx_id = 10 + {{n}}",
        f"insert into tx values (null, {NEW}, 7, false, 'nobody')",
        "update tx set booked_at = null where tx_id = 30 + {n}",
        "update tx set booked_at = 'infinity' where tx_id = 60 + {n}",
    ),
    "months": (
        "update tx set note = 'changed' where tx_id % 97 = {n}",
        f"insert into tx values (2000 + {{n}}, {NEW}, 1, true, 'new')",
        "delete from tx where tx_id % 89 = {n}",
        "update tx set booked_at = booked_at - interval '40 days' where tx_id = 500 + {n}",
        "update tx set booked_at = null where tx_id = 30 + {n}",
        "update tx set note = null where note = ''",
        "delete from tx where booked_at < timestamptz '2024-02-01+00'",
    ),
}


class Kept:
    """A table, and the product that is read from it with what was kept."""

    def __init__(self, connection: Any, engine: Engine, root: Path, means: str) -> None:
        more = ", {property: changedAt, value: at}" if means == "changedAt" else ""
        source = "{server: ledger, table: tx" + (", changes: months}" if means == "months" else "}")
        write_mesh(root, SERVER, {"tx": source}, more)
        self.root, self.connection, self.engine = root, connection, engine
        self.contract = read_contract(root / "contracts/bank/tx.odcs.yaml", root)
        self.product = read_product(root / "domains/bank/products/tx.odps.yaml", root)

    def execute(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, kept: RowCache | None) -> list[str]:
        folder, access = self.root / "domains/bank", ServerAccess(self.root / "domains/bank")
        rows = open_product_rows(self.product, self.contract, folder, folder, self.engine, servers=access, kept=kept)
        return sorted(map(str, rows.read_all().to_pylist()))

    def read(self) -> tuple[list[str], ReadRows]:
        kept = RowCache(self.root / "kept", "tx")
        rows = self.rows(kept)
        assert kept.read is not None
        return rows, kept.read

    def version(self, store: str, kept: RowCache | None) -> str:
        folder = self.root / "domains/bank"
        where = ProductStore(Warehouse(self.root / store, None, None), "bank")
        access = ServerAccess(folder)
        rows = open_product_rows(self.product, self.contract, folder, folder, self.engine, servers=access, kept=kept)
        found = publish(self.product, self.contract, rows, where, self.engine, "run").snapshot
        assert found is not None
        return found.version


@pytest.fixture(scope="module")
def connection(server: dict[str, str]) -> Iterator[Any]:
    import psycopg2

    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    address = {names[name]: value for name, value in server.items() if name in names}
    made = psycopg2.connect(**address, dbname="postgres")
    made.autocommit = True
    made.cursor().execute("create database kept")
    made.close()
    found = psycopg2.connect(**address, dbname="kept")
    found.autocommit = True
    with pytest.MonkeyPatch.context() as environment:
        for name in ("HOST", "PORT", "USER", "PASSWORD"):
            environment.setenv(f"LEDGER_{name}", server[f"PG{name}"])
        yield found
    found.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


@pytest.mark.parametrize("means", CHANGES)
def test_what_is_made_of_changes_is_what_the_whole_table_gives(
    means: str, connection: Any, engine: Engine, tmp_path: Path
) -> None:
    kept = Kept(connection, engine, tmp_path / "mesh", means)
    kept.execute(f"drop table if exists tx; {TABLE}")
    rows, first = kept.read()
    assert (first.means, first.came) == ("all rows", 1000) and rows == kept.rows(None)
    again, unchanged = kept.read()
    assert again == rows and unchanged.came < 20 and unchanged.bytes < first.bytes / 50
    chance = random.Random(7)
    statements = [statement.format(n=chance.randrange(20)) for statement in CHANGES[means]]
    chance.shuffle(statements)
    for statement in statements:
        kept.execute(statement)
        found, read = kept.read()
        assert found == kept.rows(None), (statement, read)
        assert read.rows == len(found)
    assert kept.version("one", RowCache(kept.root / "kept", "tx")) == kept.version("other", None)


def test_only_what_changed_crosses(connection: Any, engine: Engine, tmp_path: Path) -> None:
    for means, change, came in (
        ("changedAt", f"update tx set note = 'changed', booked_at = {NEW} where tx_id in (5, 50)", 2),
        ("months", "update tx set note = 'changed' where tx_id in (5, 50)", 123),  # those of January
    ):
        kept = Kept(connection, engine, tmp_path / means, means)
        kept.execute(f"drop table if exists tx; {TABLE}")
        _, first = kept.read()
        kept.execute(change)
        _, read = kept.read()
        assert came <= read.came <= came + 6, read
        assert read.bytes < first.bytes / 5 and read.rows == 1000
        kept.execute("delete from tx where tx_id = 900")
        assert kept.read()[1].means == ("all rows" if means == "changedAt" else "months that differ")


def test_a_version_by_months_is_that_of_the_rows(connection: Any, engine: Engine, tmp_path: Path) -> None:
    kept = Kept(connection, engine, tmp_path / "mesh", "months")
    kept.execute(f"drop table if exists tx; {TABLE}")
    folder = kept.root / "domains/bank"

    def version() -> str | None:
        return source_digest(kept.product, kept.contract, folder, folder, servers=ServerAccess(folder))

    first = version()
    assert first is not None and version() == first
    kept.execute("update tx set secret = 'y'")
    assert version() == first, "nobody reads that column"
    kept.execute("update tx set note = 'x' where tx_id = 3")
    assert version() != first


def test_kept_rows_that_are_damaged_or_of_another_table_are_read_anew(
    connection: Any, engine: Engine, tmp_path: Path
) -> None:
    kept = Kept(connection, engine, tmp_path / "mesh", "changedAt")
    kept.execute(f"drop table if exists tx; {TABLE}")
    kept.read()
    (tmp_path / "mesh/kept/tx.parquet").write_bytes(b"PAR1 no more")
    rows, read = kept.read()
    assert read.means == "all rows" and rows == kept.rows(None)
    path = kept.root / "domains/bank/products/tx.odps.yaml"
    path.write_text(path.read_text().replace("table: tx", 'query: "select * from tx where tx_id < 9"'))
    kept.product = read_product(path, kept.root)
    rows, read = kept.read()
    assert (read.means, len(rows)) == ("all rows", 8)
