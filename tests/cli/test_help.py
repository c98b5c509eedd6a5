"""The help, the version and the shell completion of the command line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storymesh import __version__
from storymesh.cli.app import COMMANDS

Command = Callable[..., Any]


def test_version_is_printed(storymesh: Command, tmp_path: Path) -> None:
    done = storymesh(tmp_path, "--version")
    assert (done.code, done.out) == (0, f"storymesh {__version__}\n")


def test_command_list_shows_each_summary_whole_on_one_line(
    storymesh: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = storymesh(tmp_path, "--help").out.splitlines()
    listed = dict(line.split(None, 1) for line in lines[lines.index("Commands:") + 1 :][: len(COMMANDS)])
    assert listed == {command.__name__: (command.__doc__ or "").partition("\n")[0] for command in COMMANDS}


def test_help_mentions_completion(storymesh: Command, tmp_path: Path) -> None:
    done = storymesh(tmp_path, "--help")
    assert "--install-completion" in done.out
    assert "--show-completion" in done.out


def test_completion_offers_the_commands_that_begin_alike(tmp_path: Path) -> None:
    asked = {"_STORYMESH_COMPLETE": "complete_bash", "COMP_WORDS": "storymesh re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from storymesh.cli import main; main()"],
        cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path), **asked}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["releases", "rebuild"]


def test_help_loads_no_definition_and_no_heavy_library(tmp_path: Path) -> None:
    """So that it stays below 0.3 seconds on the machine that was measured."""
    script = "import sys; from storymesh.cli.app import app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    heavy = {"pydantic", "yaml", "rich", "jinja2", "dagster", "duckdb", "ibis", "pyarrow", "storymesh.mesh.mesh"}
    assert not heavy & set(loaded)
