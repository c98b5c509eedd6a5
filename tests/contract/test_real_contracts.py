"""Contracts as other people write them: what the standard's own schema holds valid is read."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from storymesh.contract.read import read_contract
from storymesh.document import read_document
from storymesh.errors import DefinitionErrors
from storymesh.standards.odcs import validate_contract
from tests.support.needs import needs
from tests.support.paths import ROOT

CONTRACTS = ROOT.parent / "shared/standards/odcs"  # two repositories, read where they lie


def schema_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema object of a valid file as a contract of its own: its product, and the contract's value.

    That the verdict is jsonschema's, `test_definition.py` holds.
    """
    document = read_document(path, CONTRACTS)
    if validate_contract(document):
        return
    value = document.value
    for index, fields in enumerate(value.get("schema") or []):
        name = re.sub(r"^(?=\d)", "_", re.sub(r"[^A-Za-z0-9_-]", "_", fields["name"]))
        contract = copy.deepcopy(value)
        contract["schema"] = [{**contract["schema"][index], "name": name}]
        yield name, {**contract, "id": f"desk.{name}"}


def test_every_schema_object_that_is_valid_is_read(tmp_path: Path) -> None:
    needs(CONTRACTS, how="the contracts of others lie beside the project")
    read, refused = 0, []
    for path in sorted(CONTRACTS.glob("*/*.yaml")):
        for name, value in schema_objects(path):
            place = tmp_path / f"contracts/desk/{name}.odcs.yaml"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(yaml.safe_dump(value, sort_keys=False))
            try:
                read_contract(place, tmp_path)
                read += 1
            except DefinitionErrors as errors:
                rules = {finding.rule for finding in errors.findings if finding.severity == "error"}
                refused.append((path.name, name, rules))
    assert [entry for entry in refused if entry[2] != {"no-properties"}] == []
    assert (read, len(refused)) == (201, 4), "four schema objects have no properties, so there is nothing to publish"
