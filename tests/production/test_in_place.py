"""Products whose rows stay on servers: what a narrative needs is fetched, and its records are the same."""

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from storymesh.dataset.cases import linked_cases
from storymesh.errors import AuditRefused
from storymesh.federation.gate import EgressRefused
from storymesh.lifecycle.rebuild import rebuild_release
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.check import check_files, check_mesh
from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import latest_build, open_pinned_build, pin_build
from storymesh.outage import ResourceUnavailable
from storymesh.product.extracts import ExtractStore
from storymesh.product.store import ProductStore
from storymesh.release.catalog import Release, read_release
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.support.in_place import left_in_place
from tests.support.paths import ROOT
from tests.support.release_meshes import publish_all, release_all, storymesh
from tests.support.roadside import KEY
from tests.support.small_release import rows_of
from tests.support.whole_mesh import Preloaded, Ran

CONFIGS = ("report", "advice", "choice", "verdict")
LEDGER = (
    '{server: ledger, type: postgresql, host: "${LEDGER_HOST}", port: "${LEDGER_PORT}", database: road, schema: public}'
)
SQL_TYPES = {"string": "text", "timestamp[us]": "timestamptz", "date32[day]": "date", "double": "float8",
             "int64": "bigint", "decimal128(12, 2)": "numeric(12,2)"}  # fmt: skip


def rows_of_product(mesh: Mesh, product: str) -> pa.Table:
    domain, _, name = product.partition(".")
    snapshot = ProductStore(mesh.warehouse, domain).latest_snapshot(name)
    assert snapshot is not None
    return pq.read_table(list(snapshot.files))


class Road:
    """A PostgreSQL that has the tables of the road, as a user who has little right there."""

    def __init__(self, server: dict[str, str]) -> None:
        self._server = server
        self.variables = {
            "LEDGER_HOST": server["PGHOST"],
            "LEDGER_PORT": server["PGPORT"],
            "LEDGER_USER": "narrator",
            "LEDGER_PASSWORD": "w0rds",
        }

    def connect(self, database: str = "road") -> Any:
        import psycopg2

        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
        given = {names[name]: value for name, value in self._server.items() if name in names}
        connection = psycopg2.connect(**given, dbname=database)
        connection.autocommit = True
        return connection

    def execute(self, statement: str, database: str = "road") -> Any:
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def load(self, name: str, rows: pa.Table) -> None:
        columns = ", ".join(f'"{field.name}" {SQL_TYPES.get(str(field.type), "text")}' for field in rows.schema)
        self.execute(f"create table {name} ({columns}, secret_note text)")
        buffer = pa.BufferOutputStream()
        pa.csv.write_csv(rows, buffer)
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                listed = ", ".join(f'"{column}"' for column in rows.column_names)
                cursor.copy_expert(
                    f"set time zone 'UTC'; copy {name} ({listed}) from stdin (format csv, header)",
                    pa.BufferReader(buffer.getvalue()),
                )
        finally:
            connection.close()
        self.execute(f"analyze {name}")

    def statements(self) -> list[str]:
        """Return what the narrator has asked the server."""
        (((folder,),)) = self.execute("show data_directory")
        text = Path(folder).with_name("log").read_text(encoding="utf-8", errors="replace")
        return re.findall(r"LOG:  statement: ((?:copy|explain).*)", text)


def release_of(mesh: Mesh) -> Release:
    build = pin_build(mesh, mesh.narrative("roadside"), fetch=True)
    write_all_records(build)
    return write_release(build)


@pytest.fixture(scope="session")
def published(published_mesh: Path) -> Mesh:
    return load_mesh(published_mesh)


@pytest.fixture(scope="session")
def copied(published: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release of the mesh whose products are all copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
        yield release_of(load_mesh(Path(shutil.copytree(published.root, tmp_path_factory.mktemp("copied") / "mesh"))))


@pytest.fixture(scope="session")
def road(server: dict[str, str], published: Mesh) -> Road:
    made = Road(server)
    made.execute("create database road", "postgres")
    made.execute("create role narrator login password 'w0rds'; alter role narrator set log_statement = 'all'")
    made.load("breakdowns", rows_of_product(published, "road.breakdowns"))
    made.load("repairs", rows_of_product(published, "road.repairs"))
    made.load("trucks", rows_of_product(published, "fleet.trucks"))
    # What no case links: it stays there, whatever way is taken.
    made.execute(
        "insert into repairs select 'X' || g, 'nobody', timestamptz '2010-01-01' + g * interval '1 hour', 'tow', 'note'"
        " from generate_series(1, 20000) g; create index on repairs (breakdown_id); analyze repairs"
    )
    made.execute(
        "grant select (breakdown_id, truck_id, happened_at, fault, expected_hours, running_at, lost_hours)"
        " on breakdowns to narrator; grant select (repair_id, breakdown_id, decided_at, remedy) on repairs to narrator;"
        " grant select (truck_id, body, depot_id, driver) on trucks to narrator"
    )
    return made


def same_records(one: Release, other: Release) -> None:
    for config in CONFIGS:
        mine, theirs = rows_of(one, config), rows_of(other, config)
        for row in (*mine.values(), *theirs.values()):
            del row["sources"]  # the versions of what was fetched are those of fewer rows
        assert mine == theirs
        assert mine


@pytest.fixture
def reader(road: Road, monkeypatch: pytest.MonkeyPatch) -> Road:
    for name, value in road.variables.items():
        monkeypatch.setenv(name, value)
    return road


@pytest.fixture
def root(published_mesh: Path, tmp_path: Path) -> Path:
    """The mesh with its products copied, and no release."""
    return Path(shutil.copytree(published_mesh, tmp_path / "mesh"))


def test_records_are_the_same_and_only_what_cases_link_is_read(
    reader: Road, root: Path, published: Mesh, copied: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    for product in ("road.breakdowns", "road.repairs", "fleet.trucks"):
        left_in_place(root, product, LEDGER)
    mesh = load_mesh(root)
    assert [finding for finding in check_mesh(mesh) if finding.severity == "error"] == []
    before = len(reader.statements())
    release = release_of(mesh)
    same_records(release, copied)
    plans = RolesInPlace(mesh, mesh.typed(mesh.narrative("roadside"))).read_plans()
    assert {role: plan.chosen for role, plan in plans.items()} == {
        "breakdown": "all rows",
        "truck": plans["truck"].chosen,
        "repair": plans["repair"].chosen,
    }
    assert plans["repair"].chosen in ("keys", "time", "keys and time", "keys at their times")
    assert plans["repair"].rows == rows_of_product(published, "road.repairs").num_rows
    every, chosen = plans["repair"].ways["all rows"], plans["repair"].ways[plans["repair"].chosen]
    assert chosen[1] + chosen[2] < every[1] / 20
    asked = "\n".join(reader.statements()[before:])
    assert "secret_note" not in asked and "*" not in asked.replace("select * from unnest", "")
    code, out, error = storymesh(root, "forget", "--product", "road.repairs", "--key", "R003")
    assert code == 0 and "1.0.0-r1" in out, out + error
    code, _, error = storymesh(root, "forget", "--gone", "road.repairs")
    assert code == 2 and "stay on 'ledger'" in error
    # The release needs the server no more.
    monkeypatch.setenv("LEDGER_PORT", "1")
    assert rebuild_release(release, mesh.warehouse, mesh.open_engine).same
    code, out, _ = storymesh(root, "explain", "roadside", "--plan")
    assert code == 0 and "repair: road.repairs on ledger" in out and "chosen" in out
    code, out, _ = storymesh(root, "trace", next(iter(rows_of(release, "report").values()))["id"])
    assert code == 0 and "road.breakdowns" in out
    # A run wants the rows as they are now: it says where the server is missed, and leaves what there is.
    with pytest.raises(ResourceUnavailable, match=r"breakdowns\.odcs\.yaml:\d+:\d+: the server 'ledger'"):
        pin_build(mesh, mesh.narrative("roadside"), fetch=True)
    assert latest_build(mesh, mesh.narrative("roadside")).key == pin_build(mesh, mesh.narrative("roadside")).key


def test_where_and_what_is_unknown_of_a_table_are_told(
    reader: Road, root: Path, published: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_in_place(root, "road.breakdowns", LEDGER)
    left_in_place(root, "road.repairs", LEDGER)
    path = root / "narratives/roadside/narrative.yaml"
    where = 'breakdown.fault in ["tyre", "engine"] and (breakdown.truck_id | length) > 1'
    path.write_text(
        path.read_text(encoding="utf-8").replace("  at: b", f"  where: {where}\n  at: b", 1), encoding="utf-8"
    )
    mesh = load_mesh(root)
    reader.execute(
        "create table fresh with (autovacuum_enabled = false) as select * from repairs;"
        " alter table repairs rename to analysed; alter table fresh rename to repairs;"
        " grant select on repairs to narrator"
    )
    try:
        build = pin_build(mesh, mesh.narrative("roadside"), fetch=True)
    finally:
        reader.execute("drop table repairs; alter table analysed rename to repairs")
    plans = RolesInPlace(mesh, mesh.typed(mesh.narrative("roadside"))).read_plans()
    rows = rows_of_product(published, "road.breakdowns").to_pylist()
    selected = [row for row in rows if row["fault"] in ("tyre", "engine")]
    anchor, repair = plans["breakdown"], plans["repair"]
    assert (anchor.chosen, anchor.rows) == ("where", len(selected)) and 0 < len(selected) < len(rows)
    assert anchor.ways["all rows"][0] == len(rows)
    assert anchor.notes == ("a part of `where` is held where cases are made",)
    assert repair.chosen.startswith("keys") and repair.keys == len(selected)
    assert "run ANALYZE" in repair.notes[0] and repair.ways[repair.chosen][0] <= 2 * (repair.rows or 0)
    assert build.snapshots["breakdown"].rows == len(selected)
    code, out, _ = storymesh(root, "explain", "roadside", "--plan")
    assert code == 0 and "a part of `where` is held" in out and "has no statistics of" in out


def test_the_reference_mesh_has_the_cases_of_its_copied_products(
    reader: Road, reference_mesh: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where cases are the same, records are: of their versions, `sources` name those of what was fetched."""
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    whole = load_mesh(reference_mesh.mesh)
    root = Path(
        shutil.copytree(
            reference_mesh.mesh, tmp_path / "mesh", ignore=shutil.ignore_patterns("releases", "dagster", "dbt")
        )
    )
    for name in ("contracts/resolutions/costs.odcs.yaml", "domains/resolutions/products/costs.odps.yaml"):
        (root / name).unlink()  # it is built on all shipments
    for product in ("shipping.shipments", "resolutions.resolutions"):
        left_in_place(root, product, LEDGER)
        name = product.partition(".")[2]
        reader.load(name, rows_of_product(whole, product))
        reader.execute(f"grant select on {name} to narrator")
    mesh = load_mesh(root)
    digests = []
    for one, fetch in ((whole, False), (mesh, True)):
        build = latest_build(one, one.narrative("canal-exceptions"), fetch=fetch)
        with one.open_engine() as engine:
            digests.append(engine.content_digest(linked_cases(build, engine)))
    assert digests[0] == digests[1]
    plans = RolesInPlace(mesh, mesh.typed(mesh.narrative("canal-exceptions"))).read_plans()
    for role, plan in plans.items():
        expected, came = plan.ways[plan.chosen], (plan.rows or 0, plan.bytes or 0)
        assert came[0] / 2 <= expected[0] <= came[0] * 2 and came[1] / 2 <= expected[1] <= came[1] * 2, role
        assert {"decided_by", "note", "cargo_value_usd"}.isdisjoint(plan.columns)


def test_a_run_fetches_says_what_and_goes_on_beside_what_fails(
    reader: Road, root: Path, preloaded: Preloaded, copied: Release
) -> None:
    left_in_place(root, "road.repairs", LEDGER)
    shutil.copytree(root / "narratives/roadside", root / "narratives/plain")
    path = root / "narratives/plain/narrative.yaml"
    text = path.read_text(encoding="utf-8").replace("id: roadside", "id: plain")
    text = re.sub(r"(?m)^  repair: +road.*\n|^    repair: .*\n", "", text)
    text = re.sub(r"(?s)    last_step.*(?=records:)", "\n", text)
    text = re.sub(r"(?ms)^  advice:.*?(?=^dataset)", "\n", text)
    path.write_text(text, encoding="utf-8")
    (root / "narratives/plain/report.md.jinja").write_text(
        "{{ truck.body }}: {{ breakdown.fault }}\n", encoding="utf-8"
    )
    for unused in ("system.jinja", "ask.md.jinja", "advise.md.jinja", "option.md.jinja"):
        (root / "narratives/plain" / unused).unlink()
    ran = preloaded.run("run", mesh=root, STORYMESH_PSEUDONYM_KEY=KEY, **reader.variables)
    assert ran.code == 0, ran.output
    assert re.search(r"road\.repairs +in place: ledger at", ran.output)
    same_records(read_release(root / "releases/roadside/1.0.0-r1"), copied)
    reader.execute("alter table repairs rename column remedy to cure")
    try:
        failed = preloaded.run("run", mesh=root, STORYMESH_PSEUDONYM_KEY=KEY, **reader.variables)
    finally:
        reader.execute("alter table repairs rename column cure to remedy")
    assert failed.code == 1 and "Traceback" not in failed.output
    words = " ".join(failed.output.split())
    told = r"contracts/road/repairs\.odcs\.yaml:\d+:\d+: the table 'repairs' .{0,99}there is no column 'remedy'"
    assert re.search(told, words), words
    assert re.search(r"plain .*1\.0\.0-r1.*unchanged", words), words
    assert "w0rds" not in ran.output + failed.output
    for file in (item for item in root.rglob("*") if item.is_file()):
        assert b"w0rds" not in file.read_bytes(), file


def test_a_server_that_ends_midway_leaves_what_was_fetched_before(reader: Road, root: Path) -> None:
    left_in_place(root, "road.repairs", LEDGER)
    query = "select repair_id, breakdown_id, decided_at, case when pg_backend_pid() > 0 and remedy = 'tow' and "
    query += "repair_id > 'R1' then pg_terminate_backend(pg_backend_pid())::text else remedy end as remedy from repairs"
    mesh = load_mesh(root)
    narrative = mesh.narrative("roadside")
    first = pin_build(mesh, narrative, fetch=True)
    product = root / "domains/road/products/repairs.odps.yaml"
    source = f'customProperties:\n  - {{property: source, value: {{server: ledger, query: "{query}"}}}}\n'
    product.write_text(product.read_text(encoding="utf-8") + source, encoding="utf-8")
    broken = load_mesh(root)
    with pytest.raises(ResourceUnavailable, match="the server 'ledger'"):
        pin_build(broken, narrative, fetch=True)
    assert latest_build(broken, narrative).key == first.key
    # Rows that break their contract are counted by reason; too many of them, and the extract is refused.
    reader.execute("update repairs set remedy = 'pray' where repair_id between 'R000' and 'R003'")
    try:
        product.write_text(product.read_text(encoding="utf-8").replace(source, ""), encoding="utf-8")
        pin_build(mesh, narrative, fetch=True)
        plan = RolesInPlace(mesh, mesh.typed(narrative)).read_plans()["repair"]
        assert dict(plan.quarantined) == {"enum: remedy": 4}
        reader.execute("update repairs set remedy = 'pray'")
        with pytest.raises(AuditRefused, match=r"rows on ledger break the contract, more than 10 %: enum: remedy"):
            pin_build(mesh, narrative, fetch=True)
    finally:
        reader.execute("update repairs set remedy = 'tow' where remedy = 'pray'")


def test_what_does_not_go_together_with_rows_that_stay_is_found(published_mesh: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(published_mesh, tmp_path / "mesh"))
    product = root / "domains/fleet/products/trucks.odps.yaml"
    before = product.read_text(encoding="utf-8")
    left_in_place(root, "fleet.trucks", LEDGER)
    rules = root / "contracts/fleet/trucks.odcs.yaml"
    peek = "quality:\n      - {id: peek, type: sql, query: 'select count(*) from payroll', mustBe: 0}\n"
    rules.write_text(rules.read_text(encoding="utf-8").replace("quality:\n", peek, 1), encoding="utf-8")
    left_in_place(root, "road.repairs", "{server: ledger, type: mysql, host: h, port: 3306, database: d}")
    product.write_text(before, encoding="utf-8")
    port = "inputPorts: [{name: repairs, version: 1.0.0, contractId: road.repairs}]\n"
    depots = root / "domains/fleet/products/depots.odps.yaml"
    depots.write_text(depots.read_text(encoding="utf-8") + port, encoding="utf-8")
    found = [f"{item.location}: {item.severity}[{item.rule}]: {item.message}" for item in check_files(root)]
    for words in (
        r"trucks\.odps\.yaml:\d+:\d+: error\[two-sources\]: the rows of 'fleet\.trucks' stay on 'ledger'",
        r"trucks\.odcs\.yaml:\d+:\d+: warning\[not-pushable\]: 'peek' is about all rows .*something else than",
        r"repairs\.odcs\.yaml:\d+:\d+: warning\[not-pushable\]: the server 'ledger' \(mysql\) is asked for every row",
        r"depots\.odps\.yaml:\d+:\d+: error\[in-place\]: 'fleet\.depots' is built on 'road\.repairs'",
    ):
        assert [line for line in found if re.search(words, line)], (words, found)


def test_lakes_give_the_rows_of_the_time_that_links_reach(
    bucket: dict[str, str], root: Path, published: Mesh, copied: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake import write_deltalake
    from pyarrow.fs import S3FileSystem
    from pyiceberg.catalog.sql import SqlCatalog

    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.replace("AWS_", "STORE_"), value)
    address = bucket["AWS_ENDPOINT_URL"]
    repairs = rows_of_product(published, "road.repairs").sort_by("decided_at")
    old = repairs.set_column(2, "decided_at", pa.array([datetime(2010, 1, 1)] * len(repairs), pa.timestamp("us")))
    names = pa.array([f"OLD{number}" for number in range(len(old))], pa.large_string())
    old = pa.table({**dict(zip(old.column_names, old.columns, strict=True)), "repair_id": names})
    disk = S3FileSystem(
        endpoint_override=address,
        access_key=bucket["AWS_ACCESS_KEY_ID"],
        secret_key=bucket["AWS_SECRET_ACCESS_KEY"],
        region=bucket["AWS_REGION"],
    )
    pq.write_table(
        pa.concat_tables([old, repairs]), "mesh/road/repairs.parquet", filesystem=disk, row_group_size=len(old)
    )
    write_deltalake(str(root / "domains/fleet/lake/trucks"), rows_of_product(published, "fleet.trucks"))
    folder = root / "domains/road/ice"
    folder.mkdir()
    catalog = SqlCatalog("ice", uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder))
    catalog.create_namespace("road")
    breakdowns = rows_of_product(published, "road.breakdowns")
    catalog.create_table("road.breakdowns", breakdowns.schema).append(breakdowns)
    place = f'location: "s3://mesh/road/repairs.parquet", endpointUrl: "{address}"'
    parquet = f"{{server: store, type: s3, {place}, format: parquet}}"
    left_in_place(root, "road.repairs", parquet)
    left_in_place(root, "fleet.trucks", "{server: lake, type: local, path: lake/trucks, format: delta}")
    iceberg = "{server: ice, type: iceberg, catalog: ice, catalogUrl: 'sqlite:///ice/catalog.db', namespace: road}"
    left_in_place(root, "road.breakdowns", iceberg)
    mesh = load_mesh(root)
    assert [finding for finding in check_mesh(mesh) if finding.severity == "error"] == []
    release = release_of(mesh)
    same_records(release, copied)
    plan = RolesInPlace(mesh, mesh.typed(mesh.narrative("roadside"))).read_plans()["repair"]
    assert plan.rows == len(repairs)
    assert plan.ways["time"][0] == len(repairs) and plan.ways["all rows"][0] == 2 * len(repairs)
    assert plan.chosen != "all rows"
    # A release keeps what it was made of, whatever comes to the lake.
    write_deltalake(
        str(root / "domains/fleet/lake/trucks"),
        rows_of_product(published, "fleet.trucks").slice(0, 1),
        mode="overwrite",
    )
    shutil.rmtree(folder)
    assert rebuild_release(release, mesh.warehouse, mesh.open_engine).same


def test_of_a_guarded_premise_only_what_may_leave_is_asked_for(reader: Road, tmp_path: Path) -> None:
    root = Path(shutil.copytree(ROOT / "tests/federation/guarded_mesh", tmp_path / "mesh"))
    contract = root / "contracts/bank/transactions.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    text = text.replace("columns: [branch]", "columns: [branch, note]")
    for name, pattern in (("note", "^private"), ("teller", "^E")):
        rule = (
            f"{{id: known_{name}, type: library, metric: invalidValues, arguments: {{pattern: {pattern}}}, mustBe: 0}}"
        )
        text = re.sub(rf"(name: {name},.*)}}", rf"\1, quality: [{rule}]}}", text)
    contract.write_text(text, encoding="utf-8")
    with (root / "narratives/credit_aml/report.md.jinja").open("a", encoding="utf-8") as template:
        template.write("Asked by {{ application.customer_id }}.\n")
    whole = load_mesh(Path(shutil.copytree(root, tmp_path / "whole")))
    publish_all(whole)
    reader.load("guarded", rows_of_product(whole, "bank.transactions"))
    reader.execute(
        "insert into guarded select 'T9999', 'C00', iban, channel, counterparty_country, timestamptz '2024-02-20Z',"
        " amount_eur, branch, teller, 'Nothing' from guarded where tx_id = 'T0004'"
    )
    left_in_place(root, "bank.transactions", LEDGER)
    product = root / "domains/bank/products/transactions.odps.yaml"
    source = "{server: ledger, table: guarded}"
    text = product.read_text(encoding="utf-8").replace("sources/transactions.csv", source)
    product.write_text(text, encoding="utf-8")
    # The narrator may read what is printed for the owner of the database, and the server refuses all else.
    code, out, error = storymesh(root, "show", "bank.transactions", "--grants", "--user", "narrator")
    assert code == 0, error
    assert not any(f'"{name}"' in out for name in ("iban", "amount_eur", "teller")) and '"branch"' in out
    reader.execute(out)
    mesh = load_mesh(root)
    unheld = [str(item) for item in check_mesh(mesh) if item.rule == "not-pushable"]
    assert [item for item in unheld if re.search(r"transactions\.odcs\.yaml:\d+.*known_teller", item)], unheld
    assert not [item for item in unheld if "known_note" in item]
    publish_all(mesh, "credit.applications")
    one, other = release_all(mesh, "credit-aml"), release_all(whole, "credit-aml")
    for config in ("report", "ask"):
        assert {key: row["text"] for key, row in rows_of(one, config).items() if "text" in row} == {
            key: row["text"] for key, row in rows_of(other, config).items() if "text" in row
        }
    # No record tells of a note, and the rows that only its rule refuses do not come through for all that.
    plan = RolesInPlace(mesh, mesh.typed(mesh.narrative("credit-aml"))).read_plans()["transaction"]
    assert "note" in plan.columns and "teller" not in plan.columns
    assert sum(plan.quarantined.values()) == 1
    left, left_at = one.manifest.egress["transaction"].leaving, one.manifest.egress["transaction"].at
    assert dict(left.columns) == dict(other.manifest.egress["transaction"].leaving.columns)
    assert left.rows <= other.manifest.egress["transaction"].leaving.rows
    assert rebuild_release(one, mesh.warehouse, mesh.open_engine).same
    # The keys that were sent to the server left their premise too: by a receipt, written before the server was asked.
    (sent,) = one.manifest.keys_sent["transaction"]
    asked = rows_of_product(mesh, "credit.applications").select(["customer_id", "asked_at"]).to_pylist()
    assert (sent.leaving.from_premise, sent.leaving.to_premise, sent.leaving.role) == ("hq", "eu-bank", "application")
    assert dict(sent.leaving.columns) == {"customer_id": "raw", "asked_at": "raw"}
    assert sent.leaving.rows == len({tuple(row.values()) for row in asked})
    assert sent.leaving.version == one.manifest.cast["application"].product_version
    assert sent.at < left_at and sent in list(ExtractStore(mesh.store).books()["hq"].read())
    assert other.manifest.keys_sent == {}
    kept = open_pinned_build(mesh, mesh.narrative("credit-aml"), latest_build(mesh, mesh.narrative("credit-aml")).key)
    assert kept.keys_sent == {"transaction": (sent,)}
    assert "keys for" in (one.path / "README.md").read_text(encoding="utf-8")
    verified = partial(verify_release, one.path, mesh.open_engine, extracts=ExtractStore(mesh.store))
    assert not verified().differences
    code, out, error = storymesh(root, "trace", next(iter(rows_of(one, "report").values()))["id"])
    assert code == 0 and "left hq as raw, receipt 1, to find transaction at eu-bank" in " ".join(out.split()), (
        out + error
    )
    book = mesh.store / "premises/hq/receipts.jsonl"
    whole_book = book.read_text(encoding="utf-8")
    book.write_text("", encoding="utf-8")
    assert any("keys sent for transaction: receipt 1 of hq is not in" in words for words in verified().differences)
    book.write_text(whole_book.replace('"rows":', '"rows":1'), encoding="utf-8")
    assert any("does not say what it said" in words for words in verified().differences)
    book.write_text(whole_book, encoding="utf-8")
    # With the check switched off, the gate refuses before anything is asked for.
    text = (root / "narratives/credit_aml/narrative.yaml").read_text(encoding="utf-8")
    (root / "narratives/credit_aml/narrative.yaml").write_text(text.replace("purpose: aml", "purpose: other"))
    asked, refused = len(reader.statements()), load_mesh(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storymesh.mesh.snapshot_pinning.residency_findings", lambda *_: ())
        with pytest.raises(EgressRefused):
            pin_build(refused, refused.narrative("credit-aml"), fetch=True)
    assert len(reader.statements()) == asked
