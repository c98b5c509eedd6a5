"""What Snowflake, BigQuery, Databricks and Trino are sent: SQL and settings, which no server here can answer."""

from pathlib import Path
from typing import Any

import ibis
import pytest
import yaml

from storymesh.errors import SourceUnreadable
from storymesh.federation.access import ServerAccess
from storymesh.federation.open import open_server_table
from storymesh.federation.relation import Relation
from storymesh.federation.server import Server
from storymesh.federation.warehouses import changes, connection_settings, select_columns
from storymesh.location import Location

GOLDEN: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("warehouses.yaml").read_text(encoding="utf-8"))


def server(kind: str) -> Server:
    fields = {name: str(value) for name, value in GOLDEN[kind]["fields"].items()}
    return Server("lake", kind, fields, Location("contracts/bank/tx.odcs.yaml", 7, 6))


@pytest.mark.parametrize("kind", GOLDEN)
def test_only_the_chosen_columns_are_asked_for(kind: str) -> None:
    schema = ibis.schema({"tx_id": "int64", "Amount": "decimal(12, 2)", "booked_at": "timestamp", "iban": "string"})
    table = ibis.table(schema, name="tx", database="bank")
    chosen = ibis.to_sql(select_columns(table, ["tx_id", "Amount"]), dialect=kind)
    assert " ".join(str(chosen).split()) == GOLDEN[kind]["rows"]
    state = ibis.to_sql(changes(table, "booked_at"), dialect=kind)
    assert " ".join(str(state).split()) == GOLDEN[kind]["state"]


@pytest.mark.parametrize("kind", GOLDEN)
def test_credentials_are_those_of_the_environment(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "TOKEN", "HTTP_PATH"):
        monkeypatch.setenv(f"LAKE_{name}", f"the {name.lower()}")
    relation = Relation(server(kind), "tx")
    assert connection_settings(relation, ServerAccess(tmp_path)) == GOLDEN[kind]["settings"]
    refused = ServerAccess(tmp_path, hosts=("*.example.org",))
    if "host" in GOLDEN[kind]["fields"]:
        with pytest.raises(SourceUnreadable, match="not among the hosts"):
            connection_settings(relation, refused)


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_driver_that_is_not_installed_is_named(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HTTP_PATH", "/sql")
    with pytest.raises(SourceUnreadable, match=rf"not installed .pip install 'ibis-framework\[{kind}\]'"):
        open_server_table(Relation(server(kind), "tx"), ServerAccess(tmp_path), None).open_rows(list)
