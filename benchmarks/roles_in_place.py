"""What crosses of the roles of whole meshes that stay in a PostgreSQL, by the way in which they are fetched.

    python -m benchmarks.roles_in_place reference --rows 4000000 --anchors 1000 10000 50000 200000
    python -m benchmarks.roles_in_place lending --rows 2000000
    python -m benchmarks.roles_in_place digest --ran DIR

`reference`: the reference mesh with shipments and resolutions in two tables of so many rows, of which the delays of the
generator link some. `lending`: the mesh of the tests with so many payments, before and after ANALYZE. `digest`: whether
the reference mesh, which ran in DIR, has the same digest with its shipments and resolutions left in place; `sources`
name the versions of what was fetched, so those of the copied products are put in their stead.

A PostgreSQL is started in a folder of its own and reached through a proxy that counts bytes. For each role every way is
estimated, and then taken; at the end of a line stands, for each way, what was expected as a share of what crossed.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from benchmarks.in_place import CountingProxy
from benchmarks.reference import NARRATIVE, ROOT, products, snapshot_of_file

from storymesh.federation.open import open_server_table
from storymesh.federation.plan import ALL, FetchStrategies, TransferPlan
from storymesh.federation.postgres import PostgresTable
from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import latest_build
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.sources.server_table import server_relation
from storymesh.product.store import ProductStore, Snapshot
from storymesh.release.catalog import list_releases
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.support.in_place import left_in_place
from tests.support.servers import postgres, s3

KEY = "a key of a benchmark"
LEDGER = (
    '{server: ledger, type: postgresql, host: "${LEDGER_HOST}", port: "${LEDGER_PORT}", database: postgres, '
    "schema: public}"
)
SQL_TYPES = {"string": "text", "large_string": "text", "timestamp[us]": "timestamptz", "int64": "bigint"}
FILLED = {
    "shipments": """insert into shipments select 'SHP-' || 900000000 + g, {rest} from generate_series(1, {missing}) g
      join numbered on numbered.n = g % {there}""",
    "resolutions": """insert into resolutions select 'RES-' || 900000000 + g, 'SHP-' || 900000000 + g, {rest}
      from generate_series(1, {missing}) g join numbered on numbered.n = g % {there}""",
}
KEYS = {"shipments": ["shipment_id"], "resolutions": ["resolution_id", "shipment_id"]}


@dataclass(frozen=True)
class Server:
    """A PostgreSQL, and the proxy through which it is read."""

    variables: Mapping[str, str]
    proxy: CountingProxy

    @property
    def address(self) -> dict[str, Any]:
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
        return {name: self.variables[variable] for variable, name in names.items()}

    def connect(self, database: str = "postgres") -> Any:
        import psycopg2

        connection = psycopg2.connect(**self.address, dbname=database)
        connection.autocommit = True
        return connection

    def execute(self, statement: str, database: str = "postgres") -> None:
        connection = self.connect(database)
        connection.cursor().execute(statement)
        connection.close()


@contextmanager
def served(*names: str) -> Iterator[Server]:
    """Yield a server that contracts find by the variables of these names."""
    with postgres() as variables:
        proxy = CountingProxy(variables["PGHOST"], int(variables["PGPORT"]))
        for name in names:
            os.environ |= {f"{name}_HOST": "127.0.0.1", f"{name}_PORT": str(proxy.port)}
            os.environ |= {f"{name}_USER": variables["PGUSER"], f"{name}_PASSWORD": variables["PGPASSWORD"]}
        try:
            yield Server(variables, proxy)
        finally:
            proxy.close()


def fill(server: Server, name: str, rows: pa.Table, count: int) -> None:
    """Make a table of some rows, and of as many others like them that no case links."""
    columns = ", ".join(f'"{field.name}" {SQL_TYPES.get(str(field.type), "numeric(14,2)")}' for field in rows.schema)
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"create table {name} ({columns}); set time zone 'UTC'")
        buffer = pa.BufferOutputStream()
        pa.csv.write_csv(rows, buffer)
        cursor.copy_expert(f"copy {name} from stdin (format csv, header)", pa.BufferReader(buffer.getvalue()))
        cursor.execute(f"create temp table numbered as select row_number() over () - 1 as n, * from {name}")
        rest = ", ".join(f'numbered."{column}"' for column in rows.column_names if column not in KEYS[name])
        cursor.execute("analyze numbered")
        cursor.execute(FILLED[name].format(rest=rest, missing=count - len(rows), there=len(rows)))
        for key in KEYS[name]:
            cursor.execute(f"create index on {name} ({key})")
        cursor.execute(f"analyze {name}; drop table numbered")
    connection.close()


def measure(label: str, mesh: Mesh, narrative: str, pinned: Mapping[str, Snapshot], proxy: CountingProxy) -> None:
    """Fetch what stays, and then each role in every way; print a line for each."""
    roles = RolesInPlace(mesh, mesh.typed(mesh.narrative(narrative)))
    began = time.monotonic()
    snapshots = {**pinned, **roles.fetch(pinned)}
    seconds = time.monotonic() - began
    for name, plan in roles.read_plans().items():
        product = mesh.product(plan.product)
        relation, access = server_relation(product, mesh.contract(plan.product)), mesh.server_access(product.domain)
        moved: dict[str, tuple[int, int]] = {}
        for way, selection in FetchStrategies.of(roles.wanted_rows(name, snapshots).selection).selections.items():
            if way not in plan.ways:
                continue
            before = proxy.down + proxy.up
            table = open_server_table(relation, access, None)
            assert isinstance(table, PostgresTable)
            rows = sum(batch.num_rows for batch in table.open_selected(partial(_columns, plan), selection))
            time.sleep(0.1)  # what the proxy has still to count
            moved[way] = rows, proxy.down + proxy.up - before
        print(_line(label, name, plan, moved), f"{seconds:>6.1f} s", flush=True)
        for note in plan.notes:
            print(f"         {note}")


def _columns(plan: TransferPlan, _: Sequence[str]) -> Sequence[str]:
    return plan.columns


def _line(label: str, role: str, plan: TransferPlan, moved: Mapping[str, tuple[int, int]]) -> str:
    rows, size = moved[plan.chosen]
    best = min(size for _, size in moved.values())
    expected = {way: bytes_ + sent for way, (_, bytes_, sent) in plan.ways.items()}
    errors = " ".join(f"{expected[way] / moved[way][1]:.2f}" for way in moved)
    shares = f"{size / moved[ALL][1]:>7.1%} {size / best:>7.2f}"
    figures = f"{rows:>9,} {size / 1e6:>8.2f} {expected[plan.chosen] / 1e6:>9.2f}"
    return f"{label:<22} {role:<11} {plan.chosen:<14} {figures} {shares}  {errors:<20}"


def leave_in_place(root: Path) -> tuple[str, ...]:
    """Have the reference mesh in a folder leave two products on a server; return which."""
    for name in ("contracts/resolutions/costs.odcs.yaml", "domains/resolutions/products/costs.odps.yaml"):
        (root / name).unlink()  # it is built on shipments, which stay where they are
    for product in (left := ("shipping.shipments", "resolutions.resolutions")):
        left_in_place(root, product, LEDGER)
    return left


def compare_digests(ran: Path) -> None:
    """Print the digest of the release of the reference mesh, and of one of which two products stayed in place."""
    whole = load_mesh(ran)
    copied = latest_build(whole, whole.narrative(NARRATIVE))
    os.environ.setdefault("STORYMESH_PSEUDONYM_KEY", copied.pseudonym_key.decode())
    print("copied  ", list_releases(whole.releases, NARRATIVE)[-1].manifest.digest, flush=True)
    with served("LEDGER") as server, tempfile.TemporaryDirectory() as scratch:
        root = Path(shutil.copytree(ran, Path(scratch) / "mesh", ignore=shutil.ignore_patterns("releases")))
        for product in leave_in_place(root):
            found = _latest(whole, product)
            assert found is not None
            rows = pq.read_table(list(found.files))
            fill(server, product.partition(".")[2], rows, 3 * len(rows))
        mesh = load_mesh(root)
        build = latest_build(mesh, mesh.narrative(NARRATIVE), fetch=True)
        named = {role: replace(one, version=copied.snapshots[role].version) for role, one in build.snapshots.items()}
        build = replace(build, snapshots=named)
        write_all_records(build)
        print("in place", write_release(build).manifest.digest)


def reference(count: int, anchors: Sequence[int], cache: Path) -> None:
    """Measure the reference mesh, of so many anchors each."""
    folder = products(max(anchors), cache)
    with served("LEDGER") as server, tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "mesh"
        for name in ("contracts", "domains", "narratives"):
            shutil.copytree(ROOT / name, root / name)
        for product in leave_in_place(root):
            name = product.partition(".")[2]
            fill(server, name, pq.read_table(folder / f"{name}.parquet"), count)
        delays = pq.read_table(folder / "shipment_delays.parquet")
        for number in anchors:
            part = Path(scratch) / str(number)
            part.mkdir()
            some = delays.take([place * len(delays) // number for place in range(number)])
            pq.write_table(some, part / "shipment_delays.parquet")
            mesh = load_mesh(root)
            pinned = {}
            for role, member in mesh.narrative(NARRATIVE).cast.items():
                if not mesh.product(member.product).in_place:
                    file = part / f"{mesh.product(member.product).name}.parquet"
                    path = file if file.is_file() else folder / file.name
                    pinned[role] = snapshot_of_file(mesh.contract(member.product), path)
            measure(f"{number:,} of {count:,}", mesh, NARRATIVE, pinned, server.proxy)


def lending(count: int) -> None:
    """Measure the mesh of the tests with so many payments."""
    from tests.meshes.lending import make_sources
    from tests.support.paths import SHARED

    data = SHARED / "data" / "berka-notrans"
    os.environ["STORYMESH_PSEUDONYM_KEY"] = KEY
    with served("LEDGER", "CLEARING_HOUSE") as server, s3() as bucket, tempfile.TemporaryDirectory() as scratch:
        root = Path(shutil.copytree(ROOT / "tests/meshes/lending", Path(scratch) / "mesh"))
        for database in ("bank", "clearing"):
            server.execute(f"create database {database}")
        make_sources.load_bank({**server.address, "dbname": "bank"}, data)
        make_sources.load_clearing({**server.address, "dbname": "clearing"}, data, count)
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
        keys = {name: bucket[name] for name in names}
        make_sources.write_customers("s3://mesh/registry/customers", data, {**keys, "AWS_ALLOW_HTTP": "true"})
        os.environ |= {"AWS_REGION": bucket["AWS_REGION"], "CUSTOMER_LAKE_ENDPOINT": bucket["AWS_ENDPOINT_URL"]}
        os.environ |= {f"CUSTOMER_LAKE_{name}": keys[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
        mesh = load_mesh(root)
        _publish_copied(mesh)
        for state in ("never analysed", "analysed"):
            if state == "never analysed":
                server.execute(
                    "create table p with (autovacuum_enabled = false) as select * from payments; drop table payments",
                    "clearing",
                )
                server.execute("alter table p rename to payments", "clearing")
                server.execute("create index on payments (account, booked_at)", "clearing")
            else:
                server.execute("analyze payments", "clearing")
            for narrative in mesh.narratives:
                cast = mesh.narrative(narrative).cast
                pinned = {
                    role: found for role, member in cast.items() if (found := _latest(mesh, member.product)) is not None
                }
                measure(f"{narrative.partition('-')[0]}, {state}", mesh, narrative, pinned, server.proxy)


def _publish_copied(mesh: Mesh) -> None:
    for product in mesh.products.values():
        if not product.in_place:
            contract, access = mesh.contract(product.id), mesh.server_access(product.domain)
            store = ProductStore(mesh.warehouse, product.domain)
            with (
                mesh.open_engine() as engine,
                open_product_rows(product, contract, access.folder, Path("none"), engine, servers=access) as rows,
            ):
                publish(product, contract, rows, store, engine, "benchmark")


def _latest(mesh: Mesh, product: str) -> Snapshot | None:
    domain, _, name = product.partition(".")
    return None if mesh.product(product).in_place else ProductStore(mesh.warehouse, domain).latest_snapshot(name)


def main() -> None:
    """Print a line for each role of each set-up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("reference", "lending", "digest"))
    parser.add_argument("--ran", type=Path, default=ROOT)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--anchors", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--cache", type=Path, default=ROOT / ".storymesh" / "benchmarks")
    arguments = parser.parse_args()
    if arguments.what == "digest":
        compare_digests(arguments.ran)
        return
    titles = f"{'chosen':<14} {'rows':>9} {'MB':>8} {'expected':>9} {'of all':>7} {'of best':>7}"
    print(f"{'set-up':<22} {'role':<11} {titles}  expected of crossed")
    if arguments.what == "reference":
        reference(arguments.rows, arguments.anchors, arguments.cache)
    else:
        lending(arguments.rows)


if __name__ == "__main__":
    main()
