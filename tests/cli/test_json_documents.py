"""`--format json` where a command does its work: one document of the documented members, and nothing else beside it."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from storymesh.mesh.mesh import Mesh
from tests.support.command import CommandResult
from tests.support.paths import MESHES, ROOT

PAGE = ROOT / "docs/templates/commands.md"
# The rows of the page whose documents are seen elsewhere: a model answers, records have the columns of their format,
# every row of this mesh is published, no product of it is made of files or of a database, none of its releases has
# questions.
ELSEWHERE = {"evaluate", "files", "files --file", "narrate", "preview", "show --grants", "show --quarantined", "vary"}
READING: dict[str, Sequence[str]] = {
    "check": ["check"],
    "run --plan": ["run", "--plan"],
    "compat": ["compat", "--against", "roadside@1.0.0-r1"],
    "show": ["show", "road.repairs"],
    "trace": ["trace", "report/B000"],
    "explain": ["explain", "roadside"],
    "explain --case": ["explain", "roadside", "--case", "B000"],
    "explain --drops": ["explain", "roadside", "--drops"],
    "explain --sql": ["explain", "roadside", "--sql"],
    "explain --plan": ["explain", "roadside", "--plan"],
    "explain --profile": ["explain", "roadside", "--profile", "--cases", "20"],
    "releases": ["releases"],
    "releases --verify": ["releases", "--verify", "roadside"],
    "diff": ["diff", "roadside@1.0.0-r1"],
    "pull": ["pull", "roadside", "copy"],
    "push": ["push", "roadside", "--to", "org/roadside", "--dry-run"],
    "export": ["export", "roadside", "--to", "ocel", "--into", "log.json"],
    "rebuild": ["rebuild", "roadside"],
    "forget": ["forget", "--product", "road.repairs", "--key", "R000"],
    "forget --gone": ["forget", "--gone", "road.repairs"],
    "expire": ["expire"],
    "docs": ["docs", "--out", "site"],
    "vary --dry-run": ["vary", "roadside", "report", "--model", "openai:any", "--dry-run"],
}
WRITING = {"narrate --dry-run", "narrate --suggest-vocabulary", "run", "scenario", "sign", "ui"}
Run = Callable[..., CommandResult]


def documented() -> dict[str, set[str]]:
    """Return command -> the members of its document, or of each item of it, as the page says them."""
    rows = re.findall(r"^\| `([a-z -]+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    outer = {command: re.sub(r"\(.*?\)", "", words) for command, words in rows}
    return {command: set(re.findall(r"`(\w+)`", words)) for command, words in outer.items()}


def document_of(result: CommandResult) -> Any:
    assert result.code == 0, result
    assert "Traceback" not in result.err
    return json.loads(result.out)


def members(document: Any) -> set[str]:
    """Return the members of an object, or of every item of a list."""
    items = document if isinstance(document, list) else [document]
    return {name for item in items for name in item}


def test_every_command_is_documented() -> None:
    from storymesh.cli.app import COMMANDS

    assert documented().keys() == {*READING, *WRITING, *ELSEWHERE}
    assert {command.__name__ for command in COMMANDS} == {name.split()[0] for name in documented()}


@pytest.mark.parametrize("command", READING)
def test_a_command_prints_its_document(command: str, roadside: Mesh, storymesh: Run, tmp_path: Path) -> None:
    found = document_of(storymesh(tmp_path, *READING[command], "--mesh", str(roadside.root), "--format", "json"))
    assert members(found) == documented()[command] if found else found == []


def test_commands_that_write_print_their_documents(moved: Mesh, storymesh: Run) -> None:
    key = moved.root / "key.pem"
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    signed = document_of(storymesh(moved.root, "sign", "roadside", "--key", str(key), "--format", "json"))
    assert members(signed) == documented()["sign"]
    ran = document_of(storymesh(moved.root, "run", "roadside", "--only", "--format", "json"))
    assert members(ran) == documented()["run"]
    assert members(ran["outcome"]) == {"run_id", "success", "products", "narratives", "seconds", "failures"}
    records = document_of(storymesh(moved.root, "preview", "roadside", "--format", "json"))
    assert {config: len(items) for config, items in records.items()} == dict.fromkeys(records, 1)


def test_an_estimate_and_a_suggestion_are_documents(published_mesh: Path, storymesh: Run, tmp_path: Path) -> None:
    root = Path(shutil.copytree(published_mesh, tmp_path / "mesh"))
    narrative = root / "narratives/roadside/narrative.yaml"
    narrator = "{model: 'openai:small', prompt: ask.md.jinja, budget: {tokens: 10}, parameters: {max_tokens: 50}}"
    retold = f"retold: {{from: report, narrator: {narrator}}}"
    text = narrative.read_text(encoding="utf-8")
    narrative.write_text(text.replace("records:\n", f"records:\n  {retold}\n"), encoding="utf-8")
    for option in ("--dry-run", "--suggest-vocabulary"):
        document = document_of(storymesh(root, "narrate", "roadside", "retold", option, "--format", "json"))
        assert members(document) == documented()[f"narrate {option}"]


def test_scenarios_are_a_document(storymesh: Run, tmp_path: Path) -> None:
    root = Path(shutil.copytree(MESHES / "shift_book", tmp_path / "mesh"))
    found = document_of(storymesh(root, "scenario", "--format", "json"))
    assert len(found) == 1
    assert members(found) == documented()["scenario"]


def test_the_address_of_the_ui_is_a_document(
    roadside: Mesh, storymesh: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(mesh: Mesh, host: str, port: int, announce: Callable[[str], None]) -> None:
        announce(f"Dagster on http://{host}:{port}")

    monkeypatch.setattr("storymesh.cli.dagster_ui.serve_dagster", serve)
    found = document_of(storymesh(tmp_path, "ui", "--mesh", str(roadside.root), "--format", "json"))
    assert found == {"message": "Dagster on http://127.0.0.1:3000"}
