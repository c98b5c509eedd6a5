"""`--format json`: every command has it, with nothing but one JSON document on standard output, errors too."""

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click import Command
from typer.main import get_command
from typer.testing import CliRunner

from storymesh.cli.app import COMMANDS, app
from storymesh.cli.output.json_document import json_value
from storymesh.errors import Finding
from storymesh.lifecycle.diff_causes import DiffCause
from storymesh.location import Location

# What each command wants to be called with, so that it comes as far as looking for its mesh.
ARGUMENTS = {
    "preview": ["stories"], "trace": ["report/1"], "narrate": ["stories", "retold"], "explain": ["stories"],
    "show": ["road.repairs"], "files": ["road.repairs"],
    "compat": ["--against", "HEAD"], "vary": ["stories", "report", "--model", "openai:any"],
    "sign": ["stories", "--key", "key.pem"], "diff": ["stories"], "pull": ["stories", "copy"],
    "push": ["stories", "--to", "org/stories"], "export": ["stories", "--to", "ocel", "--into", "log.json"],
    "rebuild": ["stories"], "forget": ["--product", "road.repairs", "--key", "1"],
    "evaluate": ["stories", "--baseline", "all"],
}  # fmt: skip
NAMES = [command.__name__ for command in COMMANDS]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_gives_its_errors_as_json(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [name, *ARGUMENTS.get(name, []), "--mesh", str(tmp_path / "nowhere")]
    plain = CliRunner().invoke(app, arguments)
    found = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert found.exit_code == plain.exit_code != 0
    error = json.loads(found.stdout)["error"]
    assert set(error) == {"message", "hint", "exit_code"}
    assert error["exit_code"] == plain.exit_code
    assert " ".join(error["message"].split()) in " ".join(plain.output.split())


@pytest.mark.parametrize("name", NAMES)
def test_findings_are_in_the_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("domains/road", "contracts", "narratives"):
        (tmp_path / part).mkdir(parents=True)
    found = CliRunner().invoke(app, [name, *ARGUMENTS.get(name, []), "--format", "json"])
    content = json.loads(found.stdout)
    assert found.exit_code in (1, 2)
    if name == "check":
        [finding] = content
    elif "findings" in content:
        [finding] = content["findings"]
    else:  # it looked for a release or a key first
        assert content["error"]["message"]
        return
    assert (finding["path"], finding["rule"], finding["severity"]) == ("domains/road", "missing-file", "error")


def test_every_command_says_so_in_its_help() -> None:
    group: Any = get_command(app)
    commands: dict[str, Command] = group.commands
    assert set(commands) == {*NAMES, "new", "schema", "watch"}, "of which no document of a mesh comes"
    for command in map(commands.__getitem__, NAMES):
        assert "--format" in {name for option in command.params for name in option.opts}


def test_values_in_json() -> None:
    value = {
        "exact": Decimal("1E-7"),
        "moments": (datetime(2024, 3, 1, tzinfo=UTC), date(2024, 3, 1)),
        "not a number": math.nan,
        "path": Path("a/b"),
        "_hidden": 1,
        "cause": DiffCause("narrative", "version", None, "1.0.0"),
        "finding": Finding(Location("a.yaml", 2, 3), "rule", "words", "hint", "warning"),
    }
    assert json_value(value) == {
        "exact": "0.0000001",
        "moments": ["2024-03-01T00:00:00+00:00", "2024-03-01"],
        "not a number": "nan",
        "path": "a/b",
        "cause": {"what": "narrative", "name": "version", "old": None, "new": "1.0.0"},
        "finding": {
            "path": "a.yaml", "line": 2, "column": 3, "severity": "warning", "rule": "rule", "words": "words",
            "hint": "hint",
        },
    }  # fmt: skip
