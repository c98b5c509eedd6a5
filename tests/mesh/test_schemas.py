"""The JSON Schemas for editors: every file of every mesh here is valid by them, and they say what `check` says too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from storymesh.document import read_document
from storymesh.mesh.schemas import FILE_KINDS
from tests.support.paths import ROOT

Command = Callable[..., Any]
MESHES = [ROOT, *sorted(path for path in (ROOT / "tests/meshes").iterdir() if path.is_dir())]


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_every_file_of_every_mesh_is_valid(kind: str) -> None:
    schema = json.loads(json.dumps(FILE_KINDS[kind].make_schema()))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    files = [(root, path) for root in MESHES for path in sorted(root.glob(FILE_KINDS[kind].files))]
    assert files
    for root, path in files:
        faults = [error.message for error in validator(schema).iter_errors(read_document(path, root).value)]
        assert not faults, f"{path}: {faults[0]}"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("domain", {"id": "a", "titel": "A", "owner": "o"}),
        ("domain", {"id": "a", "title": "A"}),
        ("mesh", {"engine": "oracle"}),
        ("mesh", {"dbt": {"time_limit": "soon"}}),
        ("scenario", {"given": [], "case": "1"}),
        ("product", {"apiVersion": "v1.0.0", "kind": "DataProduct", "id": "a.b"}),
        ("contract", {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "a.b", "version": 1, "status": "active"}),
    ],
)
def test_what_check_refuses_in_one_file_is_refused(kind: str, value: Any) -> None:
    schema = json.loads(json.dumps(FILE_KINDS[kind].make_schema()))
    assert not jsonschema.validators.validator_for(schema)(schema).is_valid(value)


def test_they_are_printed_and_written(storymesh: Command, tmp_path: Path) -> None:
    assert json.loads(storymesh(tmp_path, "schema", "domain").out)["properties"]["owner"] == {
        "title": "Owner", "type": "string",
    }  # fmt: skip
    assert storymesh(tmp_path, "schema", "--out", "s").code == 0
    assert {path.stem for path in (tmp_path / "s").iterdir()} == set(FILE_KINDS)
    wrong = storymesh(tmp_path, "schema", "contracts")
    assert (wrong.code, wrong.err) == (
        2, "storymesh: there is no kind of file 'contracts'\n  did you mean 'contract'?\n",
    )  # fmt: skip
