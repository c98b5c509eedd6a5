"""The command line, run in the process of the tests, so that nothing is imported again."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class CommandResult:
    """A command that ended: its exit code, and what was written to both channels, by whomever."""

    code: int
    out: str
    err: str


@pytest.fixture
def storymesh(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandResult]:
    """Return `storymesh(folder, *arguments)`, which runs the command in that folder as in CI."""

    def run(folder: Path, *arguments: str) -> CommandResult:
        from storymesh.cli import main

        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("CI", "1")
            patch.setattr(sys, "argv", ["storymesh", *arguments])
            with pytest.raises(SystemExit) as end:
                main()
        return CommandResult(int(end.value.code or 0), *capfd.readouterr())

    return run
