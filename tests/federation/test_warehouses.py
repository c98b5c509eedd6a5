"""What Snowflake, BigQuery, Databricks and Trino are sent: SQL and settings, which no server here can answer."""

from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
import yaml
from ibis.common.exceptions import IbisError

from storymesh.errors import SourceUnreadable
from storymesh.federation.access import ServerAccess
from storymesh.federation.open import open_server_table
from storymesh.federation.relation import Relation
from storymesh.federation.server import Server
from storymesh.federation.warehouses import WarehouseTable, changes, connection_settings, select_columns
from storymesh.location import Location
from storymesh.outage import ResourceUnavailable

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


def driver_error(name: str, module: str) -> Exception:
    found: Exception = type(name, (Exception,), {"__module__": module})("no: the password")
    return found


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (driver_error("ProgrammingError", "snowflake.connector.errors"), SourceUnreadable),
        (driver_error("NotFound", "google.api_core.exceptions"), SourceUnreadable),
        (driver_error("OperationalError", "trino.exceptions"), ResourceUnavailable),
        (driver_error("RequestError", "databricks.sql.exc"), ResourceUnavailable),
        (ConnectionResetError("no: the password"), ResourceUnavailable),
        (IbisError("no: the password"), SourceUnreadable),
        (KeyError("a defect of ours"), KeyError),
    ],
)
def test_errors_of_a_driver_are_told_in_words_and_those_of_ours_are_not(
    error: Exception, becomes: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(_: object) -> None:
        raise error

    monkeypatch.setenv("LAKE_PASSWORD", "the password")
    monkeypatch.setattr(WarehouseTable, "_connect", raising)
    with pytest.raises(becomes) as raised:
        WarehouseTable(Relation(server("trino"), "tx"), ServerAccess(tmp_path)).open_rows(list)
    assert "the password" not in str(raised.value)


def test_a_table_of_which_nothing_says_when_it_changed_has_no_version_and_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Backend:
        """A warehouse that counts what it is asked."""

        asked = 0

        def table(self, name: str, database: str | None) -> ibis.Table:
            return ibis.table({"booked_at": "timestamp"}, name=name, database=database)

        def to_pyarrow(self, state: ibis.Table) -> pa.Table:
            self.asked += 1
            return pa.table({name: ["7"] for name in state.columns})

        def disconnect(self) -> None:
            pass

    backend = Backend()
    monkeypatch.setattr(WarehouseTable, "_connect", lambda _: backend)
    table = WarehouseTable(Relation(server("trino"), "bank.tx"), ServerAccess(tmp_path))
    assert (table.version(None), backend.asked) == (None, 0)
    assert set((table.version("booked_at") or "").split()) == {"7"}
    assert backend.asked == 1
