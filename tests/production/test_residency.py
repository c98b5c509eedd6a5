"""What is asked of a database whose values may not leave its premise: the server itself says what was touched.

What hostile files try is looked for in the log of all statements.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storymesh.errors import DefinitionErrors
from storymesh.mesh.mesh import load_mesh
from storymesh.mesh.snapshot_pinning import latest_build
from tests.support.paths import ROOT
from tests.support.release_meshes import release_all, storymesh
from tests.support.whole_mesh import Preloaded

FOLDER = ROOT / "tests/federation"
MESH = FOLDER / "guarded_mesh"
TABLE = """
create schema guarded;
create table guarded.transactions (tx_id text primary key, customer_id text, iban text, channel text,
  counterparty_country text, booked_at timestamp, amount_eur numeric(12,2), branch text, teller text, note text,
  pin text);
insert into guarded.transactions select 'T' || g, 'C' || (g % 19), 'CZ' || g,
  case when g % 19 < 9 then 'few' else 'many' end, 'CZ', timestamp '2024-02-01' + g * interval '1 hour', 10, 'Brno',
  'E1', null, 'p1n-of-' || g from generate_series(1, 600) g;
create role copier login password 'c0pier-canary';
alter role copier set log_statement = 'all';
grant usage on schema guarded to copier;
grant select (tx_id, customer_id, iban, channel, counterparty_country, booked_at, amount_eur, branch, teller, note)
  on guarded.transactions to copier;
"""


class Bank:
    """The database of the bank, as its owner has it."""

    def __init__(self, server: dict[str, str]) -> None:
        import psycopg2

        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
        self.connection = psycopg2.connect(**{names[name]: value for name, value in server.items() if name in names})
        self.connection.autocommit = True
        self.variables = {"BANK_HOST": server["PGHOST"], "BANK_PORT": server["PGPORT"]}

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def statements(self) -> str:
        (((folder,),)) = self.ask("show data_directory")
        return Path(folder).with_name("log").read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def bank(server: dict[str, str]) -> Iterator[Bank]:
    made = Bank(server)
    made.ask(TABLE)
    yield made
    made.connection.close()


HOSTILE: dict[str, tuple[str, str, str]] = {
    "a template that prints what the contract does not have": (
        "narratives/credit_aml/report.md.jinja", "payment.channel", "payment.pin",
    ),
    "a template that prints what stays": ("narratives/credit_aml/report.md.jinja", "payment.channel", "payment.iban"),
    "a narrative that joins by what stays": (
        "narratives/credit_aml/narrative.yaml", "{customer_id: application", "{iban: application",
    ),
    "a narrative of another purpose": ("narratives/credit_aml/narrative.yaml", "purpose: aml", "purpose: fun"),
    "a link with a query in it": (
        "narratives/credit_aml/narrative.yaml", "application.customer_id}", "\"application.customer_id; select pin\"}",
    ),
    "a product of another premise that reads all of it": (
        "domains/credit/products/applications.odps.yaml", "status: active",
        "status: active\ninputPorts: [{name: transactions, version: 1.0.0, contractId: bank.transactions}]",
    ),
}  # fmt: skip


def is_refused(root: Path) -> bool:
    """Return True if no build of the narrative can be had, or the mesh is none."""
    try:
        mesh = load_mesh(root)
        latest_build(mesh, mesh.narrative("credit-aml"))
    except DefinitionErrors:
        return True
    return False


def test_nothing_but_the_columns_of_the_contract_is_ever_asked_for(
    bank: Bank, preloaded: Preloaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = bank.variables | {"LEDGER_USER": "copier", "LEDGER_PASSWORD": "c0pier-canary"}
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    root = Path(shutil.copytree(MESH, tmp_path / "mesh"))
    product = root / "domains/bank/products/transactions.odps.yaml"
    product.write_text(product.read_text().replace("sources/transactions.csv", "{server: ledger, table: transactions}"))
    path = root / "contracts/bank/transactions.odcs.yaml"
    servers = (
        "servers:\n  - {server: ledger, type: postgresql, host: '${BANK_HOST}', port: '${BANK_PORT}', "
        "database: postgres, schema: guarded}\n"
    )
    reading = "{type: sql, query: 'select count(*) from ${table} where pin is not null', mustBe: 0}"
    text = path.read_text().replace("schema:\n", f"{servers}schema:\n", 1)
    path.write_text(text)
    ran = preloaded.run("run", "bank", "credit", mesh=root, **credentials)
    assert ran.code == 0, ran.output
    asked = bank.statements()
    assert "amount_eur" in asked
    before = asked.count("copier") + len(asked)

    mesh = load_mesh(root)
    release_all(mesh, "credit-aml")
    for words in (
        ("preview", "credit-aml", "report"),
        ("explain", "credit-aml"),
        ("export", "credit-aml", "--into", str(tmp_path / "log.json")),
        ("trace", "report/A003"),
        ("show", "bank.transactions"),
        ("releases", "--verify"),
    ):
        code, out, err = storymesh(root, *words)
        assert "p1n-of" not in out + err and "CZ1" not in out + err, words
        assert code in (0, 2), (words, err)
    shown = storymesh(root, "show", "bank.transactions")[1]
    assert "(restricted)" in shown and "Brno" not in shown  # of a premise that keeps its values nobody is shown any
    for name, (file, old, new) in HOSTILE.items():
        hostile = Path(shutil.copytree(root, tmp_path / name.replace(" ", "_")))
        content = (hostile / file).read_text()
        assert old in content, name
        (hostile / file).write_text(content.replace(old, new, 1))
        code, out, _ = storymesh(hostile, "check")
        assert code == 1, name
        assert is_refused(hostile), name
    asked = bank.statements()
    assert asked.count("copier") + len(asked) == before, "nothing that was tried has asked the server anything"
    # A rule of quality runs where the rows were staged, on the columns of the contract.
    path.write_text(text.replace("    properties:\n", f"    quality: [{reading}]\n    properties:\n", 1))
    assert preloaded.run("run", "bank", mesh=root, **credentials).code == 1
    assert "pin" not in bank.statements().replace("p1n", "").partition("create role copier")[2]
