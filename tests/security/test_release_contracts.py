"""A release of a stranger keeps contracts of its own: where they say less than the mesh's, the mesh's hold."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from storymesh.document import parse_document
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.lifecycle.push import plan_push
from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import read_release
from storymesh.release.definition_snapshot import (
    contract_changes,
    open_released_build,
    read_definition_snapshot,
)
from tests.support.edited_release import edit_lock, relist
from tests.support.release_meshes import storymesh


def kept_contract(folder: Path) -> Path:
    return folder / "definition/contracts/fleet/trucks.odcs.yaml"


def edit_contract(folder: Path, old: str, new: str) -> None:
    text = kept_contract(folder).read_text(encoding="utf-8")
    assert old in text
    kept_contract(folder).write_text(text.replace(old, new), encoding="utf-8")
    relist(folder)


def open_template(folder: Path) -> None:
    """Have the report print the name of the driver as it is, and the contract allow it."""
    from storymesh.narrative.definition import read_narrative

    edit_contract(folder, "classification: restricted", "classification: public")
    report = folder / "definition/narratives/roadside/report.md.jinja"
    text = report.read_text(encoding="utf-8")
    assert "truck.driver | pseudonym" in text
    report.write_text(text.replace("truck.driver | pseudonym", "truck.driver"), encoding="utf-8")
    relist(folder)
    root = folder / "definition"
    edit_lock(folder, lambda lock: lock.update(fingerprint=_fingerprint(read_narrative, root, folder)))


def _fingerprint(read: Any, root: Path, folder: Path) -> str:
    from storymesh.contract.read import read_contract
    from storymesh.narrative.typed import type_narrative

    narrative = read(root / "narratives/roadside/narrative.yaml", root)
    contracts = {
        role: read_contract(root / "contracts" / f"{member.product.replace('.', '/')}.odcs.yaml", root)
        for role, member in narrative.cast.items()
    }
    return str(type_narrative(narrative, contracts).fingerprint)


def test_what_the_mesh_restricts_is_not_told_by_a_release_that_calls_it_public(
    folder: Path, roadside: Mesh, tmp_path: Path
) -> None:
    open_template(folder)
    sent = read_release(folder)
    assert read_definition_snapshot(sent).fingerprint == sent.manifest.fingerprint, "by itself it is well formed"
    with pytest.raises(StorymeshError, match=r"is not what the mesh's contracts allow: .*restricted"):
        open_released_build(sent, roadside.warehouse, open_engine, roadside.contracts)
    attacks = (
        ("trace", str(folder), "report/B001"),
        ("rebuild", str(folder), "--into", str(tmp_path / "again")),
        ("export", str(folder), "--to", "ocel", "--into", str(tmp_path / "log.json")),
        ("push", str(folder), "--to", "a/b", "--public", "--dry-run"),
    )
    for words in attacks:
        code, out, err = storymesh(roadside.root, *words)
        assert code == 1, (words, out, err)
        assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sent"]


def test_a_restricted_value_is_in_no_log_of_a_release_that_calls_it_public(
    folder: Path, roadside: Mesh, tmp_path: Path
) -> None:
    edit_contract(folder, "classification: restricted", "classification: public")
    code, _, err = storymesh(roadside.root, "export", str(folder), "--to", "ocel", "--into", str(tmp_path / "log.json"))
    assert (code, err) == (0, err)
    drivers = pq.read_table(next((roadside.store / "fleet/warehouse/trucks/data").glob("*.parquet")))["driver"]
    log = (tmp_path / "log.json").read_text(encoding="utf-8")
    assert not [name for name in drivers.to_pylist() if name and name in log]


def test_a_release_that_prints_internal_values_is_not_public_by_its_own_word(folder: Path, roadside: Mesh) -> None:
    for path in (folder / "definition/contracts").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace("classification: internal", "classification: public")
        path.write_text(text, encoding="utf-8")
    relist(folder)
    with pytest.raises(StorymeshError, match="internal"):
        plan_push(read_release(folder), "a/b", open_engine, public=True, current=roadside.contracts)


def test_a_contract_that_differs_is_said(folder: Path, roadside: Mesh) -> None:
    assert contract_changes(read_release(folder), roadside.contracts) == []
    edit_lock(folder, lambda lock: lock["cast"]["truck"].update(contract_digest="1" * 64))
    (words,) = contract_changes(read_release(folder), roadside.contracts)
    assert "the contract of fleet.trucks is not the one" in words


def test_a_contract_that_an_older_version_kept_is_read_as_it_was(folder: Path) -> None:
    """Codes that YAML 1.2 takes for numbers stood in no quotes."""
    kept = parse_document(kept_contract(folder).read_text(encoding="utf-8"), "kept").value
    driver = next(item for item in kept["schema"][0]["properties"] if item["name"] == "driver")
    driver["enum"] = [{"value": code, "label": "one"} for code in ("008", "1e5", "0o17")]
    kept_contract(folder).write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True), encoding="utf-8")
    assert "value: 008\n" in kept_contract(folder).read_text(encoding="utf-8")
    relist(folder)
    contract = read_definition_snapshot(read_release(folder)).contracts["truck"]
    assert contract.properties["driver"].field.codes == {"008", "1e5", "0o17"}


def test_cases_in_the_store_are_not_named_by_what_a_lock_claims_of_a_contract(folder: Path, roadside: Mesh) -> None:
    honest = open_released_build(read_release(folder), roadside.warehouse, open_engine, roadside.contracts)
    edit_contract(folder, "logicalType: string", "logicalType: string\n    description: of a stranger")
    sent = read_release(folder)
    assert open_released_build(sent, roadside.warehouse, open_engine, roadside.contracts).key != honest.key
    assert open_released_build(sent, roadside.warehouse, open_engine).key != honest.key


def test_a_role_of_another_product_than_the_definition_says_is_refused(folder: Path, roadside: Mesh) -> None:
    edit_lock(folder, lambda lock: lock["cast"]["truck"].update(product="fleet.depots"))
    with pytest.raises(StorymeshError, match="is not the definition"):
        open_released_build(read_release(folder), roadside.warehouse, open_engine)
