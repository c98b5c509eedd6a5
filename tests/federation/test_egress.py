"""What leaves a premise for a release: extracts and receipts, in one mesh of a bank and a desk that asks it."""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest

from storymesh.contract.definition import RESTRICTED, restricted_properties
from storymesh.contract.egress_rules import HUB
from storymesh.dataset.pseudonym_key import VARIABLE, pseudonym_key
from storymesh.dataset.stages import write_cases
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.federation.gate import EgressRefused, write_receipt
from storymesh.federation.keyed_hash import egress_key, hashed_value
from storymesh.federation.receipts import ReceiptBook
from storymesh.lifecycle import rebuild
from storymesh.lifecycle.push import plan_push
from storymesh.lifecycle.rebuild import rebuild_release, reopen_build
from storymesh.mesh import snapshot_pinning
from storymesh.mesh.lookup import contracts_of
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.model_access import require_model_for_release
from storymesh.mesh.residency_findings import residency_findings
from storymesh.mesh.snapshot_pinning import latest_build
from storymesh.orchestration.assets.states import input_snapshots
from storymesh.product import extracts as extracts_module
from storymesh.product.definition import InputPort
from storymesh.product.extracts import ExtractStore, extract_faults
from storymesh.product.sample import sample_product
from storymesh.product.store import ProductStore
from storymesh.release.catalog import Release, list_releases, read_release
from storymesh.release.definition_snapshot import read_definition_snapshot
from storymesh.release.egress import egress_differences, unpushable
from storymesh.release.refusal import ReleaseRefused
from tests.support.release_meshes import publish_all, release_all, storymesh
from tests.support.small_release import rows_of

MESH = Path(__file__).parent / "guarded_mesh"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """The mesh with its products published, on both premises."""
    found = load_mesh(Path(shutil.copytree(MESH, tmp_path_factory.mktemp("guarded") / "mesh")))
    publish_all(found)
    return found


@pytest.fixture(scope="module")
def release(mesh: Mesh) -> Release:
    return release_all(mesh, "credit-aml")


def copied(mesh: Mesh, folder: Path) -> Mesh:
    return load_mesh(Path(shutil.copytree(mesh.root, folder / "mesh")))


def edited(mesh: Mesh, file: str, old: str, new: str) -> Mesh:
    path = mesh.root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return load_mesh(mesh.root)


def test_only_what_a_rule_names_leaves_and_the_receipt_says_it(mesh: Mesh, release: Release) -> None:
    receipt = release.manifest.egress["transaction"]
    assert dict(receipt.leaving.columns) == {
        "booked_at": "raw", "branch": "raw", "channel": "raw", "counterparty_country": "raw",
        "customer_id": "hashed", "tx_id": "hashed",
    }  # fmt: skip
    left = receipt.leaving
    assert (left.from_premise, left.to_premise, left.purpose) == ("eu-bank", "hq", "aml")
    assert release.manifest.guarded == {"transaction": "eu-bank"}
    extracts = ExtractStore(mesh.store)
    path = extracts.find(receipt)
    assert path is not None
    table = pq.read_table(path)
    assert {*table.column_names} == {*receipt.leaving.columns}
    assert (table.num_rows, path.stat().st_size) == (receipt.leaving.rows, receipt.leaving.bytes)
    key = egress_key(pseudonym_key(mesh.store)).decode()
    expected = {hashlib.sha256(f"{key}|C{number:02}".encode()).hexdigest() for number in range(12)}
    assert {*table["customer_id"].to_pylist()} <= expected
    assert list(extracts.receipts("eu-bank").read()) == [receipt]
    assert list(extracts.receipts("eu-bank").faults()) == []
    # Nothing that stays is in anything that was made of it.
    made = [path for folder in (release.path, mesh.store / "narratives") for path in folder.rglob("*")]
    assert len([path for path in made if path.is_file()]) > 10
    for path in made:
        content = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        content += path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        assert not re.search(r"private words|CZ\d{10}|T0\d{3}", content), path


def test_the_texts_are_those_of_a_mesh_where_everything_is_at_one_place(
    mesh: Mesh, release: Release, tmp_path: Path
) -> None:
    whole = copied(mesh, tmp_path)
    (whole.root / "mesh.yaml").write_text("premises: [hq, eu-bank, eu-audit]\nrun_at: hq\n")
    path = whole.root / "domains/bank/domain.yaml"
    path.write_text(path.read_text().replace("premise: eu-bank", "premise: hq"))
    other = release_all(load_mesh(whole.root), "credit-aml")
    assert other.manifest.egress == {} and other.manifest.guarded == {"transaction": "hq"}
    for config in ("report", "ask"):
        own, theirs = rows_of(release, config), rows_of(other, config)
        for row in (*own.values(), *theirs.values()):
            del row["sources"]  # keys of rows are hashes
        assert own == theirs


def test_nobody_is_shown_values_of_a_premise_that_keeps_them(mesh: Mesh) -> None:
    """Not in samples, nor in what was quarantined: both ask the same question."""
    bank, desk = mesh.contract("bank.transactions"), mesh.contract("credit.applications")
    assert restricted_properties(bank) == {*bank.properties}
    assert restricted_properties(desk) == frozenset()
    with open_engine() as engine:
        sample = sample_product(engine, ProductStore(mesh.warehouse, "bank"), bank, None, 3)
    assert {value for row in sample.sample for value in row.values()} <= {RESTRICTED, None}


def test_card_report_and_trace_say_what_left(mesh: Mesh, release: Release) -> None:
    receipt = release.manifest.egress["transaction"]
    for page in ("README.md", "report.html"):
        text = (release.path / page).read_text(encoding="utf-8")
        assert "What left its premise" in text and receipt.digest[:12] in text
    code, out, _ = storymesh(mesh.root, "trace", "report/A003")
    assert code == 0
    assert "left eu-bank as raw, receipt 1" in out
    code, out, _ = storymesh(mesh.root, "explain", "credit-aml", "--case", "A003")
    assert code == 0
    assert "customer_id = " in out and "within -90d to +0d" in out


def _in_lock(change: Callable[[dict[str, object]], None]) -> Callable[[Mesh, Release], None]:
    def tamper(mesh: Mesh, release: Release) -> None:
        path = release.path / "release.json"
        value = json.loads(path.read_text())
        change(value["egress"]["transaction"])
        path.write_text(json.dumps(value))

    return tamper


def _replaced(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


TAMPERED: dict[str, Callable[[Mesh, Release], None]] = {
    "rows of the receipt in the lock": _in_lock(lambda receipt: receipt["leaving"].update(rows=149)),  # type: ignore[attr-defined]
    "form of the receipt in the lock": _in_lock(
        lambda receipt: receipt["leaving"]["columns"].update(customer_id="raw")  # type: ignore[index]
    ),
    "moment of the receipt in the lock": _in_lock(lambda receipt: receipt.update(at="2001-01-01")),
    "receipt at the premise": lambda mesh, release: _replaced(
        ExtractStore(mesh.store).receipts("eu-bank").path, b'"rows":150', b'"rows":151'
    ),
    "receipt taken away at the premise": lambda mesh, release: (
        ExtractStore(mesh.store).receipts("eu-bank").path.write_bytes(b"")
    ),
    "extract": lambda mesh, release: _flip(ExtractStore(mesh.store).find(release.manifest.egress["transaction"])),
    "rule in the contract that the release keeps": lambda mesh, release: _replaced(
        release.path / "definition/contracts/bank/transactions.odcs.yaml", b"subjects: 10", b"subjects: 11"
    ),
}


def _flip(path: Path | None) -> None:
    assert path is not None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("what", TAMPERED)
def test_one_changed_byte_is_found(what: str, mesh: Mesh, release: Release, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    own = read_release(copy.root / release.path.relative_to(mesh.root))
    assert faults_of(copy, own) == []
    TAMPERED[what](copy, own)
    found = faults_of(copy, read_release(own.path))
    assert any("receipt" in words or "rules" in words or "extract" in words for words in found), found


def faults_of(mesh: Mesh, release: Release) -> list[str]:
    """What verifying the release says of what left for it."""
    contracts = read_definition_snapshot(release).contracts
    found = list(egress_differences(release.manifest, contracts))
    return [*found, *extract_faults(ExtractStore(mesh.store), release.manifest.egress)]


def test_a_release_of_which_a_receipt_was_changed_is_not_whole(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    assert storymesh(copy.root, "releases", "--verify")[0] == 0
    TAMPERED["receipt at the premise"](copy, release)
    code, out, _ = storymesh(copy.root, "releases", "--verify")
    assert code == 1
    assert "receipt 1 of eu-bank does not say what it said when it was written" in out


def test_a_release_is_made_again_from_its_extract_and_from_a_new_one(
    mesh: Mesh, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(mesh, tmp_path)
    own = read_release(copy.root / release.path.relative_to(mesh.root))
    current = contracts_of(copy.root, own)
    reopen_build(own, copy.warehouse, open_engine, current)
    extracts = ExtractStore(copy.store)
    assert len(list(extracts.receipts("eu-bank").read())) == 1
    assert extracts.remove("bank.transactions", {own.manifest.egress["transaction"].leaving.version}) == 1
    assert rebuild_release(own, copy.warehouse, open_engine, current=current).same
    assert [receipt.number for receipt in extracts.receipts("eu-bank").read()] == [1, 2]
    assert list(extracts.receipts("eu-bank").faults()) == []
    refused = ReleaseRefused("no record is left to release", "dropped: none (150)")
    monkeypatch.setattr(rebuild, "write_release_again", Mock(side_effect=refused))
    with pytest.raises(ReleaseRefused, match=f"another pseudonym key, by which .* set {VARIABLE}"):
        rebuild_release(own, copy.warehouse, open_engine, current=current)


def test_a_release_that_says_nothing_of_leaving_takes_nothing_out(mesh: Mesh, release: Release) -> None:
    silent = replace(release, manifest=release.manifest.model_copy(update={"egress": {}, "guarded": {}}))
    with pytest.raises((EgressRefused, StorymeshError), match="asked for raw"):
        reopen_build(silent, mesh.warehouse, open_engine, mesh.contracts)


def test_a_rule_that_was_taken_back_holds_for_releases_too(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    rules = "contracts/bank/transactions.odcs.yaml"
    changed = edited(copy, rules, "[channel, counterparty_country, booked_at]", "[booked_at]")
    own = read_release(copy.root / release.path.relative_to(mesh.root))
    with pytest.raises(EgressRefused, match="'channel' is asked for raw"):
        rebuild_release(own, changed.warehouse, open_engine, current=changed.contracts)


def test_a_killed_process_leaves_a_receipt_and_no_half_extract(
    mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(mesh, tmp_path)
    shutil.rmtree(copy.store / "premises", ignore_errors=True)

    def killed_behind_it(*arguments: Any) -> None:
        write_receipt(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(extracts_module, "write_receipt", killed_behind_it)
        with pytest.raises(KeyboardInterrupt):
            latest_build(copy, copy.narrative("credit-aml"))
    extracts = ExtractStore(copy.store)
    assert not list((copy.store / "premises").rglob("*.parquet"))
    assert [receipt.number for receipt in extracts.receipts("eu-bank").read()] == [1]
    # Half a line, as a process leaves it that is killed while it writes.
    with extracts.receipts("eu-bank").path.open("ab") as file:
        file.write(b'{"number":2,"at":"20')
    latest_build(copy, copy.narrative("credit-aml"))
    assert [receipt.number for receipt in extracts.receipts("eu-bank").read()] == [1, 2]
    assert list(extracts.receipts("eu-bank").faults()) == []


def test_a_broken_chain_of_receipts_is_not_made_longer(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    book = ReceiptBook(Path(shutil.copytree(mesh.store / "premises/eu-bank", tmp_path / "eu-bank")))
    (receipt,) = book.read()
    _replaced(book.path, b'"rows":150', b'"rows":1')
    with pytest.raises(StorymeshError, match="does not say what it said"):
        book.add(receipt.leaving, receipt.at)


def test_with_the_check_switched_off_the_gate_refuses_what_a_run_would_take(
    mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(mesh, tmp_path)
    changed = edited(copy, "narratives/credit_aml/report.md.jinja", "- {{", "- {{ payment.iban }} {{")
    with pytest.raises(DefinitionErrors, match=r"report\.md\.jinja:3:\d+: error\[leaves\]"):
        latest_build(changed, changed.narrative("credit-aml"))
    monkeypatch.setattr(snapshot_pinning, "residency_findings", lambda *_: [])
    before = len(list(ExtractStore(changed.store).receipts("eu-bank").read()))
    with pytest.raises(EgressRefused, match="'iban' is asked for raw"):
        latest_build(changed, changed.narrative("credit-aml"))
    assert len(list(ExtractStore(changed.store).receipts("eu-bank").read())) == before


def test_a_release_goes_to_the_hub_where_a_rule_lets_all_of_it_go(mesh: Mesh, release: Release) -> None:
    with pytest.raises(StorymeshError, match="may not leave its premise for the Hub") as refused:
        plan_push(release, "org/set", open_engine, current=mesh.contracts)
    assert "(contracts/bank/transactions.odcs.yaml:14:13)" in str(refused.value)
    typed = latest_build(mesh, mesh.narrative("credit-aml")).typed
    shown = unpushable(typed, release.manifest.guarded, mesh.contracts)
    assert any("'transaction.channel'" in words for words in shown)
    assert not any("'transaction.branch'" in words for words in shown)
    assert HUB not in mesh.settings.premises


def test_models_see_values_of_a_premise_where_it_names_them(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    require_model_for_release(mesh.root, release, "openai:house-model")
    with pytest.raises(StorymeshError, match="openai:other may not see values of eu-bank"):
        require_model_for_release(mesh.root, release, "openai:other")
    copy = copied(mesh, tmp_path)
    (copy.root / "narratives/credit_aml/retell.md.jinja").write_text("Retell: {{ story }}\n")
    retold = '  told: {from: report, narrator: {model: "openai:other", prompt: retell.md.jinja}}\n'
    path = copy.root / "narratives/credit_aml/narrative.yaml"
    path.write_text(path.read_text() + retold)
    changed = load_mesh(copy.root)
    found = list(residency_findings(changed.residency, changed.typed(changed.narrative("credit-aml"))))
    assert [(finding.rule, finding.location.line) for finding in found] == [("model-not-allowed", 26)]
    code, _, err = storymesh(mesh.root, "vary", "credit-aml", "report", "--model", "openai:other")
    assert code == 1
    assert "openai:other may not see values of eu-bank: nothing was sent to it" in err


def test_no_product_of_another_premise_is_built_on_what_stays(mesh: Mesh, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    path = copy.root / "domains/credit/products/applications.odps.yaml"
    ports = "inputPorts:\n  - {name: transactions, version: 1.0.0, contractId: bank.transactions}\n"
    path.write_text(path.read_text() + ports)
    code, out, _ = storymesh(copy.root, "check")
    assert code == 1
    assert "applications.odps.yaml:8:5: error[leaves]: 'credit.applications' of hq is built on all of" in out
    assert "contracts/bank/transactions.odcs.yaml:13:11" in out
    good = load_mesh(mesh.root)
    ported = replace(good.product("credit.applications"), inputs=())
    assert input_snapshots(replace(good, products={ported.id: ported}), "credit") == {}
    port = InputPort("transactions", "bank.transactions", "1.0.0", ported.location)
    reading = replace(good, products={**good.products, ported.id: replace(ported, inputs=(port,))})
    with pytest.raises(EgressRefused, match="names no purpose"):
        input_snapshots(reading, "credit")


def test_only_rows_that_are_selected_are_cases(mesh: Mesh, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    where = "where: application.amount >= 9000 and application.country == 'CZ'"
    changed = edited(copy, "narratives/credit_aml/narrative.yaml", "  at: app", f"  {where}\n  at: app")
    build = latest_build(changed, changed.narrative("credit-aml"))
    write_cases(build)
    rows = list(csv.DictReader((MESH / "domains/credit/sources/applications.csv").open(encoding="utf-8")))
    selected = {row["application_id"] for row in rows if int(row["amount"]) >= 9000 and row["country"] == "CZ"}
    assert 0 < len(selected) < len(rows)
    assert {*pq.read_table(build.files.cases)["case_id"].to_pylist()} == selected
    code, out, _ = storymesh(changed.root, "explain", "credit-aml")
    assert code == 0
    assert "one case for each row of application where application.amount >= 9000" in out
    assert f"{len(selected)} cases in all, selected from {len(rows)} rows of application" in out
    # Of another premise, the rows that are no cases stay there.
    abroad = edited(changed, "domains/credit/domain.yaml", "premise: hq", "premise: eu-audit")
    taken = latest_build(abroad, abroad.narrative("credit-aml")).snapshots["application"]
    assert taken.rows == len(selected)
    assert taken.receipt is not None and taken.receipt.leaving.filtered == ("amount", "country")


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ("application.reported", "out-of-view"),
        ("(transaction | length) > 1", "out-of-view"),
        ("payments > 1", "wrong-order"),
        ("application.amount", "wrong-type"),
        ("application.amont > 3", "unknown-name"),
    ],
)
def test_what_selects_cases_is_known_with_the_row_of_the_anchor(where: str, rule: str, tmp_path: Path) -> None:
    root = Path(shutil.copytree(MESH, tmp_path / "mesh"))
    path = root / "narratives/credit_aml/narrative.yaml"
    path.write_text(path.read_text().replace("  at: app", f"  where: {where}\n  at: app"))
    mesh = load_mesh(root)
    with pytest.raises(DefinitionErrors) as refused:
        mesh.typed(mesh.narrative("credit-aml"))
    assert [(item.rule, item.location.line) for item in refused.value.findings] == [(rule, 14)]


def test_a_row_is_forgotten_by_the_hash_that_releases_know_it_by(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    key = egress_key(pseudonym_key(copy.store))
    report = rows_of(release, "report")
    hashes = {hashed_value(f"T{number:04}", key): f"T{number:04}" for number in range(150)}
    case_id, used = next(
        (case_id, source["key"])
        for case_id, row in report.items()
        for source in row["sources"]
        if source["product"] == "bank.transactions"
    )
    code, _, err = storymesh(copy.root, "forget", "--product", "bank.transactions", "--key", used, "--yes")
    assert code == 0, err
    (old, new) = list_releases(copy.releases)
    assert case_id in rows_of(old, "report") and case_id not in rows_of(new, "report")
    left = {source["key"] for row in rows_of(new, "report").values() for source in row["sources"]}
    assert used not in left
    code, out, _ = storymesh(copy.root, "forget", "--product", "bank.transactions", "--key", hashes[used])
    assert code == 0 and "1.0.0-r1" in out


STAYING = re.compile(r"private words|CZ\d{10}|T0\d{3}|CANARY")
LOOKING: tuple[tuple[str, ...], ...] = (
    ("preview", "credit-aml", "report", "--format", "json"),
    ("explain", "credit-aml", "--profile", "--cases", "5"),
    ("explain", "credit-aml", "--sql"),
    ("explain", "credit-aml", "--drops"),
    ("explain", "credit-aml", "--case", "A003", "--format", "json"),
    ("explain", "credit-aml", "--plan"),
    ("diff", "credit-aml@1.0.0-r1", "credit-aml@1.0.0-r2", "--format", "json"),
    ("show", "bank.transactions", "--format", "json"),
    ("show", "bank.transactions", "--quarantined"),
    ("trace", "report/A003", "--format", "json"),
    ("trace", "report/A99"),
    ("rebuild", "credit-aml"),
    ("evaluate", "credit-aml", "--baseline", "all"),
    ("vary", "credit-aml", "report", "--model", "openai:other"),
    ("forget", "--product", "bank.transactions", "--key", "nobody"),
    ("forget", "--gone", "bank.transactions"),
    ("expire", "bank.transactions"),
    ("scenario", "credit-aml"),
    ("push", "credit-aml", "--to", "org/set", "--dry-run"),
)
"""Commands that have something to say of the values of a premise that keeps them."""


def test_no_command_says_what_stays_on_its_premise(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    copy = copied(mesh, tmp_path)
    source = copy.root / "domains/bank/sources/transactions.csv"
    first = source.read_text(encoding="utf-8").splitlines()[1]
    with source.open("a", encoding="utf-8") as rows:  # they are quarantined
        rows.write(re.sub(r",[0-9.]+,(Praha|Brno)", r",CANARY-amount,\1", first.replace("T0000", "T0998")) + "\n")
        rows.write(first.replace("T0000", "") + "\n")
    template = copy.root / "narratives/credit_aml/report.md.jinja"
    template.write_text(template.read_text(encoding="utf-8") + "No more.\n", encoding="utf-8")
    scenarios = copy.root / "narratives/credit_aml/scenarios"
    scenarios.mkdir()
    (scenarios / "one.yaml").write_text(
        "given: {application: [{iban: CZ01}]}\ncase: A1\nexpect: {}\n", encoding="utf-8"
    )
    changed = load_mesh(copy.root)
    publish_all(changed)
    release_all(changed, "credit-aml")
    for words in (*LOOKING, ("docs", "--out", str(tmp_path / "site"))):
        code, out, err = storymesh(changed.root, *words)
        assert code in (0, 1, 2), words
        assert not STAYING.search(out + err), (words, STAYING.search(out + err))
    made = [*(tmp_path / "site").rglob("*"), *copy.releases.rglob("*"), *(copy.store / "narratives").rglob("*")]
    for path in (path for path in made if path.is_file()):
        content = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        content += path.read_bytes().decode("utf-8", "replace")
        assert not STAYING.search(content), path
    assert STAYING.search(source.read_text(encoding="utf-8")), "the pattern would find what is there"
