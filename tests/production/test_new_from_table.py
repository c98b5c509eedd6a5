"""A product of a table of a PostgreSQL: it names the server, and no word of how to get in."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storymesh.contract.definition import Contract
from storymesh.errors import SourceUnreadable, WrongUsage
from storymesh.mesh.mesh import load_mesh
from storymesh.scaffold.add_product import ProductRequest, add_product
from tests.scaffold.test_new_product import quarantined

Command = Callable[..., Any]
TABLE = """
create schema if not exists shop;
create table shop."Late Orders" (
  id int, line int, at timestamptz not null, paid boolean, "sum" numeric(12,3), note text, primary key (line, id));
create table shop.buyers (id int primary key, "Full Name" text);
insert into shop.buyers values (1, 'Ann'), (2, 'Bo');
create table shop.notes (
  id int primary key, buyer_id int references shop.buyers, line int, order_id int, told_by int references shop.notes,
  foreign key (line, order_id) references shop."Late Orders" (line, id));
insert into shop."Late Orders" select g, g % 3, timestamptz '2024-01-01 12:00+02' + g * interval '1 day', g % 2 = 0,
  g * 1.125, case when g % 4 = 0 then E'a\\n"b", c' end from generate_series(1, 40) g;
"""


def related(contract: Contract) -> dict[tuple[str, ...], str]:
    return {item.columns: item.to_contract for item in contract.relationships}


def test_a_table_becomes_a_product(
    server: dict[str, str], storymesh: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg2

    for name, value in server.items():
        monkeypatch.setenv(name, value)
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
    connection.close()
    mesh = tmp_path / "m"
    assert storymesh(tmp_path, "new", "mesh", "m", "--domain", "desk", "--empty").code == 0
    address = f"postgresql://{server['PGUSER']}@{server['PGHOST']}:{server['PGPORT']}/{server['PGDATABASE']}"
    add_product(mesh, ProductRequest(address, table="shop.Late Orders"), lambda _, guess: guess)
    contract = load_mesh(mesh).contract("desk.late_orders")
    assert "key: the primary key of the table" in contract.document.text
    with pytest.raises(WrongUsage, match=r"say which table: --table NAME \(known: "):
        add_product(mesh, ProductRequest(address), lambda _, guess: guess)
    assert (contract.key, contract.event_time) == (("line", "id"), "at")
    assert str(contract.properties["sum"].type) == "decimal"
    assert storymesh(mesh, "check").code == 0
    assert load_mesh(mesh).product("desk.late_orders").layout.place == ("postgres", "Late Orders")
    host, port, database = (server[name] for name in ("PGHOST", "PGPORT", "PGDATABASE"))
    written = {"host": host, "port": int(port), "database": database, "schema": "shop"}
    assert contract.document.value["servers"] == [{"server": "postgres", "type": "postgresql", **written}]
    assert quarantined(mesh, "desk.late_orders") == 0
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("insert into shop.notes values (1, 2, 1, 1, null), (2, 1, 2, 2, 1), (3, 1, 2, 5, 1)")
    connection.close()
    add_product(mesh, ProductRequest(address, table="shop.notes"), lambda _, guess: guess)
    notes = load_mesh(mesh).contract("desk.notes")
    assert related(notes) == {("line", "order_id"): "desk.late_orders", ("told_by",): "desk.notes"}
    words = "buyer_id leads to the table buyers, of which there is no product"
    assert words in " ".join(notes.document.text.replace("#", "").split())
    for path in (mesh / "contracts/desk/notes.odcs.yaml", mesh / "domains/desk/products/notes.odps.yaml"):
        path.unlink()
    add_product(mesh, ProductRequest(address, table="shop.buyers"), lambda _, guess: guess)
    add_product(mesh, ProductRequest(address, table="shop.notes"), lambda _, guess: guess)
    notes = load_mesh(mesh).contract("desk.notes")
    assert related(notes) == {
        ("buyer_id",): "desk.buyers", ("line", "order_id"): "desk.late_orders", ("told_by",): "desk.notes",
    }  # fmt: skip
    composite = next(item for item in notes.relationships if len(item.columns) > 1)
    assert composite.to_columns == ("line", "id")
    assert storymesh(mesh, "check").code == 0
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("""insert into shop."Late Orders" (id, line, at) values (99, 1, 'infinity')""")
    connection.close()
    monkeypatch.setenv("POSTGRES_USER", server["PGUSER"])
    monkeypatch.setenv("POSTGRES_PASSWORD", server["PGPASSWORD"])
    assert storymesh(mesh, "run").code == 0
    refused = storymesh(mesh, "show", "desk.late_orders", "--quarantined").out
    assert "1 row of the table Late Orders of the server postgres refused" in refused
    with pytest.raises(SourceUnreadable, match=r"there is no such table .did you mean 'Late Orders'"):
        add_product(mesh, ProductRequest(address, table="shop.Late Order"), lambda _, guess: guess)
    written = b"".join(path.read_bytes() for path in mesh.rglob("*") if path.is_file() and ".vscode" not in path.parts)
    for secret in (server["PGPASSWORD"], server["PGUSER"]):
        assert os.fsencode(secret) not in written
