"""What `check` says of servers in contracts and of products that read from them, without connecting to anything."""

from pathlib import Path

import pytest

from storymesh.mesh.check import check_files
from tests.support.served_mesh import write_mesh

LEDGER = "{server: ledger, type: postgresql, host: db.example.com, port: 5432, database: books, schema: bank}"
CASES = {
    "all is well": (LEDGER, "{server: ledger, table: tx}", []),
    "a query": (LEDGER, "{server: ledger, query: select 1 as id}", []),
    "the table of the contract": (LEDGER, "{server: ledger}", []),
    "another server": (
        LEDGER,
        "{server: leger}",
        ["domains/bank/products/tx.odps.yaml:5:46: error[unknown-server]: source names the server 'leger', which con"],
    ),
    "a type that nobody reads": (
        "{server: mainframe, type: vsam, host: db}".replace("vsam", "db2").replace("db}", "db, port: 1, database: x}"),
        "{server: mainframe}",
        ["contracts/bank/tx.odcs.yaml:7:6: error[server-type]: the server 'mainframe' is of the type db2, from which"],
    ),
    "a query over files": (
        "{server: lake, type: local, path: x.parquet, format: parquet}",
        "{server: lake, query: select 1}",
        ["domains/bank/products/tx.odps.yaml:5:46: error[server-type]: a query is run by a database, and the server"],
    ),
    "a variable that is not set": (
        LEDGER.replace("db.example.com", '"${NOBODY_SETS_THIS}"').replace("5432", '"${NOR_THIS:-5432}"'),
        "{server: ledger}",
        ["contracts/bank/tx.odcs.yaml:7:46: warning[unset-variable]: 'host' of the server 'ledger' is ${NOBODY_SETS"],
    ),
    "a secret in a field": (
        LEDGER.replace("db.example.com", '"${LEDGER_PASSWORD}.example.com"'),
        "{server: ledger}",
        ["contracts/bank/tx.odcs.yaml:7:46: error[secret]: 'host' would show the secret LEDGER_PASSWORD: a field"],
    ),
    "a password in an address": (
        '{server: lake, type: s3, location: "s3://me:pa55word@bucket/x", format: parquet}',
        "{server: lake}",
        ["contracts/bank/tx.odcs.yaml:7:40: error[secret]: a password stands in 'location' of the server 'lake'"],
    ),
    "two of one name": (
        f"{LEDGER}\n  - {LEDGER}",
        "{server: ledger}",
        ["contracts/bank/tx.odcs.yaml:8:14: error[duplicate-name]: the server 'ledger' stands twice (rename one of"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_server_is_a_finding_at_its_place(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_PASSWORD", "any")
    server, source, expected = CASES[case]
    found = [str(finding) for finding in check_files(write_mesh(tmp_path / "m", server, {"tx": source}))]
    assert len(found) == len(expected), found
    for finding, words in zip(found, expected, strict=True):
        assert finding.startswith(words), finding
