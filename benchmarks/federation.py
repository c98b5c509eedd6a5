"""What it costs to publish a product that is read from a PostgreSQL, by the size of its table.

    python -m benchmarks.federation --rows 1000000 3000000 10000000

A PostgreSQL is started in a folder of its own, and filled with rows of an id, a moment, an amount and a code. Each
publication is a process of its own; CPU counts what it does after its imports, the server's work not included. `again`
is the same publication where the contract has a `changedAt` and nothing has changed.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: bank.tx
version: 1.0.0
status: active
servers:
  - {server: ledger, type: postgresql, host: "${PGHOST}", port: "${PGPORT}", database: "${PGDATABASE}", schema: public}
schema:
  - name: tx
    customProperties: [{property: eventTime, value: at}, {property: changedAt, value: at}]
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: at, logicalType: timestamp, required: true}
      - {name: amount, logicalType: number, physicalType: "decimal(12,2)"}
      - {name: code, logicalType: string}
"""
PRODUCT = """\
apiVersion: v1.0.0
kind: DataProduct
id: bank.tx
status: active
customProperties: [{property: source, value: {server: ledger, table: TABLE}}]
"""
TABLE = """
create table {0} as select g as id, timestamptz '2020-01-01Z' + g * interval '13 seconds' as at,
  ((g::bigint * 7919) % 1000000)::numeric(12,2) / 100 as amount, 'C' || (g % 97) as code, 'not read' as other
from generate_series(1, {1}) g"""


@dataclass(frozen=True)
class PublishCost:
    """Of one publication: rows, CPU and wall seconds, and the most memory of its process (MiB)."""

    rows: int
    cpu_s: float
    wall_s: float
    peak_mib: float
    unchanged: bool


def write_mesh(root: Path, table: str) -> None:
    """Write the mesh of one product, which is read from `table`."""
    for path, text in (
        ("domains/bank/domain.yaml", "id: bank\ntitle: Bank\nowner: bank@example.com\n"),
        ("contracts/bank/tx.odcs.yaml", CONTRACT),
        ("domains/bank/products/tx.odps.yaml", PRODUCT.replace("TABLE", table)),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    (root / "narratives").mkdir(exist_ok=True)


def publish_once(root: Path, server: Mapping[str, str]) -> PublishCost:
    """Publish in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_publish, (root, dict(server)))


def _publish(root: Path, server: dict[str, str]) -> PublishCost:
    import great_expectations  # noqa: F401  its import is no part of the work
    import pandas  # noqa: F401
    import pyiceberg.catalog.sql  # noqa: F401

    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.assets.states import publication_state
    from storymesh.product.publish import publish
    from storymesh.product.sources.open import open_product_rows
    from storymesh.product.store import ProductStore

    os.environ.update(server)
    mesh = load_mesh(root)
    product, contract = mesh.product("bank.tx"), mesh.contract("bank.tx")
    store, access = ProductStore(mesh.warehouse, "bank"), mesh.server_access("bank")
    cpu, wall = _cpu(), time.monotonic()
    state = publication_state(mesh, product, None)
    done = state.find_unchanged(mesh.open_engine)
    if done is None:
        with (
            mesh.open_engine() as engine,
            open_product_rows(product, contract, access.folder, Path("none"), engine, servers=access) as rows,
        ):
            done = publish(product, contract, rows, store, engine, f"run-{os.getpid()}")
        state.record(done)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return PublishCost(done.rows_out, _cpu() - cpu, time.monotonic() - wall, peak, done.unchanged)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    arguments = parser.parse_args()

    import psycopg2

    from tests.support.servers import postgres

    print(f"{'rows':>12} {'':<8} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9}")
    with postgres() as server:
        for rows in arguments.rows:
            table = f"tx_{rows}"
            names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
            given = {name: server[variable] for variable, name in names.items()}
            with psycopg2.connect(**given, dbname=server["PGDATABASE"]) as connection:
                connection.cursor().execute(TABLE.format(table, rows))
            connection.close()
            with tempfile.TemporaryDirectory() as folder:
                write_mesh(Path(folder), table)
                for what in ("first", "again"):
                    cost = publish_once(Path(folder), server)
                    assert (cost.rows, cost.unchanged) == (rows, what == "again")
                    figures = f"{cost.cpu_s:>8.1f} {cost.wall_s:>8.1f} {cost.peak_mib:>9.0f}"
                    print(f"{rows:>12,} {what:<8} {figures}", flush=True)


if __name__ == "__main__":
    main()
