"""`storymesh new`: what it guesses of a person's own files, and that it says in words what it cannot read."""

import csv
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storymesh.contract.cast import plan_cast
from storymesh.contract.definition import Contract
from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import load_mesh
from storymesh.product.sources.open import open_product_rows

Command = Callable[..., Any]
ROWS = 60


def write_claims(path: Path) -> None:
    """A table with a key, a planned day, a moment at which cases close, and what is known only then."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        names = "Claim No,E-Mail,Opened at,Due date,Kind,Zip,Amount (EUR),Gift,Closed at,Result,Remark"
        lines.writerow(names.split(","))
        for number in range(ROWS):
            opened = datetime(2024, 1, 1) + timedelta(hours=7 * number)
            closed = [(opened + timedelta(hours=30)).isoformat(), ("paid", "refused")[number % 2]]
            lines.writerow([
                f"C-{number}", f"p{number}@example.com", opened.isoformat(), opened.date() + timedelta(days=20),
                ("no", "1e5", "a: b")[number % 3], f"{number:05}", f"{number}.50", ("yes", "no")[number % 2],
                *(closed if number % 4 else ("", "")), "" if number % 5 else f"call back {number}",
            ])  # fmt: skip


@pytest.fixture
def mesh(storymesh: Command, tmp_path: Path) -> Path:
    """An empty mesh with the domain `desk`."""
    assert storymesh(tmp_path, "new", "mesh", "own", "--domain", "desk", "--empty").code == 0
    return tmp_path / "own"


def contract_of(mesh: Path, product: str) -> Contract:
    return load_mesh(mesh).contract(product)


def quarantined(mesh: Path, product: str) -> int:
    """How many values of the product's rows do not fit its contract."""
    loaded = load_mesh(mesh)
    contract, definition = loaded.contract(product), loaded.product(product)
    with open_engine() as engine:
        rows = open_product_rows(definition, contract, loaded.domain_folder(definition.domain), Path("none"), engine)
        columns = dict(zip(contract.properties, rows.schema.names, strict=True))
        plan = plan_cast(contract, rows.schema, columns, definition.layout.forms)
        batches = list(engine.map_batches(rows, rows.schema, plan.select))
    width = len(contract.properties)
    return sum(len(column) - column.null_count for batch in batches for column in batch.columns[width:])


def test_own_files_become_a_mesh_that_check_passes(storymesh: Command, tmp_path: Path) -> None:
    write_claims(tmp_path / "Claims 2024.csv")
    made = storymesh(tmp_path, "new", "mesh", "own", "--domain", "desk", "--from", "Claims 2024.csv")
    assert made.code == 0, made.err
    done = storymesh(tmp_path / "own", "check")
    assert (done.code, done.out, done.err) == (0, "", "1 domain, 1 product, 0 narratives: no findings\n")
    contract = contract_of(tmp_path / "own", "desk.claims_2024")
    assert (contract.key, contract.event_time, contract.end_time) == (("claim_no",), "opened_at", None)
    found = {
        name: (str(item.type), item.required, item.classification, item.known_at)
        for name, item in contract.properties.items()
    }
    assert found == {
        "claim_no": ("text", True, "internal", None),
        "e_mail": ("text", True, "restricted", None),
        "opened_at": ("timestamp", True, "internal", None),
        "due_date": ("date", True, "internal", None),
        "kind": ("text", True, "internal", None),
        "zip": ("text", True, "internal", None),
        "amount_eur": ("decimal", True, "internal", None),
        "gift": ("true or false", True, "internal", None),
        "closed_at": ("timestamp", False, "internal", "closed_at"),
        "result": ("text", False, "internal", "closed_at"),
        "remark": ("text", False, "internal", None),
    }
    assert contract.properties["kind"].enum == ("1e5", "a: b", "no")
    assert contract.properties["amount_eur"].options == {"minimum": 0}
    assert quarantined(tmp_path / "own", "desk.claims_2024") == 0
    assert "key: no two rows share it" in made.out
    assert "result" in made.out
    assert "known at closed_at: no row has it before" in made.out


def test_what_a_person_says_goes_before_what_is_guessed(storymesh: Command, mesh: Path, tmp_path: Path) -> None:
    write_claims(tmp_path / "claims.csv")
    words = ["--key", "Zip,kind", "--event-time", "due_date", "--restricted", "Remark", "--owner", "a: b"]
    assert storymesh(mesh, "new", "product", "--from", "../claims.csv", "--name", "c", *words).code == 0
    contract = contract_of(mesh, "desk.c")
    assert (contract.key, contract.event_time, contract.owner) == (("zip", "kind"), "due_date", "a: b")
    assert contract.properties["remark"].classification == "restricted"


def test_rows_without_a_moment_are_for_hindsight_unless_they_are_timeless(
    storymesh: Command, mesh: Path, tmp_path: Path
) -> None:
    (tmp_path / "ports.csv").write_text("port;name\nA;Ayr\nB;Bari\n", encoding="utf-8")
    done = storymesh(mesh, "new", "product", "--from", "../ports.csv")
    assert "no eventTime" in done.out
    assert contract_of(mesh, "desk.ports").hindsight
    storymesh(mesh, "new", "product", "--from", "../ports.csv", "--name", "places", "--timeless")
    assert contract_of(mesh, "desk.places").timeless


def test_an_interval_has_an_end(storymesh: Command, mesh: Path, tmp_path: Path) -> None:
    rows = "".join(f"{day},2024-01-{day:02},{'2024-02-01,lost' if day < 6 else ','},n{day}\n" for day in range(1, 9))
    (tmp_path / "stays.csv").write_text(f"id,valid_from,valid_to,why,note\n{rows}", encoding="utf-8")
    storymesh(mesh, "new", "product", "--from", "../stays.csv")
    contract = contract_of(mesh, "desk.stays")
    assert (contract.event_time, contract.end_time) == ("valid_from", "valid_to")
    assert contract.known_at_of("why") == "valid_to", "no row that goes on has it"
    assert contract.known_at_of("note") == "valid_from"


def test_every_kind_of_file_is_read(storymesh: Command, mesh: Path, tmp_path: Path) -> None:
    import duckdb
    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "t.tsv").write_text("id\twords\n1\tx,y\n2\tz\n", encoding="utf-8")
    lines = [{"id": 1, "tags": ["a"], "of": {"x": 1}}, {"id": 2, "tags": [], "of": {}}]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    table = {"id": [1, 2], "raw": [b"a", b"b"], "of": [{"x": 1.5}, {"x": 2.5}], "day": [date(2024, 1, 1)] * 2}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    book = openpyxl.Workbook()
    for row in (["Id", None, "When", "Sum"], [1, "x", datetime(2024, 1, 1, 3), "=1+1"], [2, "y", None, "=1+1"]):
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    with duckdb.connect(tmp_path / "d.duckdb") as database:
        database.execute("CREATE TABLE trips AS SELECT i AS id, i * 1.5::DOUBLE AS far FROM range(9) t(i)")
    for file in ("t.tsv", "l.jsonl", "p.parquet", "x.xlsx", "d.duckdb"):
        table_option = ["--table", "trips"] if file == "d.duckdb" else []
        done = storymesh(mesh, "new", "product", "--from", f"../{file}", *table_option)
        assert done.code == 0, done.err
    assert storymesh(mesh, "check").err.endswith(": no findings\n")
    types = {
        product: {name: str(item.type) for name, item in contract.properties.items()}
        for product, contract in load_mesh(mesh).contracts.items()
    }
    assert types["desk.t"] == {"id": "integer", "words": "text"}
    assert types["desk.l"] == {"id": "integer", "tags": "JSON text", "of": "JSON text"}
    assert list(types["desk.p"]) == ["id", "of", "day"], "bytes are no property"
    assert types["desk.x"] == {"id": "integer", "when": "timestamp"}, (
        "neither a column without a name nor one of errors"
    )
    assert types["desk.trips"] == {"id": "integer", "far": "float"}
    assert sum(quarantined(mesh, product) for product in types) == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "the file is empty"),
        ("names.csv", b"a,b\n", "there is no row"),
        ("twice.csv", b"a,b,a\n1,2,3\n", "the column 'a' stands twice"),
        ("same.csv", b"a,b\nx,1\nx,1\ny,1\n", "tell all rows apart; the nearest is a, with 2 values in 3 rows"),
        ("list.json", b"[]", "a file '.json' cannot be read"),
        ("bad.jsonl", b"{nope\n", "line 1 is not JSON"),
        ("bad.parquet", b"PAR1", "is no Parquet file"),
    ],
)
def test_a_file_that_is_no_product_is_refused_in_words(
    storymesh: Command, mesh: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    before = sorted(mesh.rglob("*"))
    done = storymesh(mesh, "new", "product", "--from", f"../{name}")
    assert done.code in (1, 2)
    assert words in done.err
    assert sorted(mesh.rglob("*")) == before, "nothing is written"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "none.csv"], "there is no file none.csv"),
        (["--from", "../t.csv", "--domain", "desks"], "there is no domain 'desks'\n  did you mean 'desk'?"),
        (["--from", "../t.csv", "--name", "No!"], "'No!' is no name of a product"),
        (["--from", "../t.csv", "--key", "idd"], "the key names 'idd', which is no column\n  did you mean 'id'?"),
        (["--from", "../t.csv", "--event-time", "id"], "eventTime names 'id', which is of the type integer"),
        (["--from", "../t.csv", "--table", "t"], "--table is for a DuckDB file"),
        (["--from", "oracle://db/claims"], "a table of this kind of server is not read"),
    ],
)
def test_wrong_usage_is_said_in_words(
    storymesh: Command, mesh: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "t.csv").write_text("id,v\n1,2\n", encoding="utf-8")
    done = storymesh(mesh, "new", "product", *arguments)
    assert done.code == 2
    assert words in done.err


def test_nothing_is_written_over(storymesh: Command, mesh: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,v\n1,2\n", encoding="utf-8")
    assert storymesh(mesh, "new", "product", "--from", "../t.csv").code == 0
    kept = {path: path.read_bytes() for path in mesh.rglob("*") if path.is_file()}
    (tmp_path / "t.csv").write_text("id,v\n1,3\n", encoding="utf-8")
    assert "is written over" in storymesh(mesh, "new", "product", "--from", "../t.csv").err
    (mesh / "contracts/desk/t.odcs.yaml").unlink()
    again = storymesh(mesh, "new", "product", "--from", "../t.csv")
    assert (again.code, "is written over" in again.err) == (2, True)
    assert "not empty" in storymesh(tmp_path, "new", "mesh", "own").err
    (tmp_path / "broken.csv").write_text("a,b\n", encoding="utf-8")
    broken = storymesh(tmp_path, "new", "mesh", "second", "--from", "broken.csv")
    assert broken.code == 2
    assert "storymesh new product --from broken.csv --mesh second" in " ".join(broken.err.split())
    assert "is written over" in storymesh(mesh, "new", "domain", "desk").err
    kept.pop(mesh / "contracts/desk/t.odcs.yaml")
    assert kept == {path: path.read_bytes() for path in mesh.rglob("*") if path.is_file()}


def test_a_domain_is_added_to_the_workspace(storymesh: Command, mesh: Path) -> None:
    assert storymesh(mesh, "new", "domain", "office").code == 0
    assert storymesh(mesh, "check").err.endswith(": no findings\n")
    (mesh / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
    done = storymesh(mesh, "new", "domain", "yard")
    assert done.code == 2
    assert "not of a form to which a line can be added" in done.err
    assert not (mesh / "domains/yard").exists()


@pytest.mark.parametrize("name", ["Yard", "a b", "../x", "", "narratives", "a" * 99])
def test_a_domain_needs_a_name(storymesh: Command, mesh: Path, name: str) -> None:
    done = storymesh(mesh, "new", "domain", name)
    assert (done.code, "domain" in done.err) == (2, True)


def test_a_folder_that_leads_out_of_the_mesh_is_not_written_to(storymesh: Command, mesh: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,v\n1,2\n", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    (mesh / "contracts/desk").symlink_to(tmp_path / "elsewhere")
    done = storymesh(mesh, "new", "product", "--from", "../t.csv")
    assert (done.code, "leads out of" in done.err) == (2, True)
    assert not list((tmp_path / "elsewhere").iterdir())
