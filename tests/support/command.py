"""The command line, run in the process of the tests, so that nothing is imported again."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Said:
    """One command that ended: its exit code, and what stands on both channels, whoever wrote it there."""

    code: int
    out: str
    err: str


@pytest.fixture
def storymesh(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`storymesh(folder, *words)`: the command in that folder, as in CI, in this process, so that nothing is imported
    again."""

    def say(folder: Path, *words: str) -> Said:
        from storymesh.cli import main

        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("CI", "1")
            patch.setattr(sys, "argv", ["storymesh", *words])
            with pytest.raises(SystemExit) as end:
                main()
        return Said(int(end.value.code or 0), *capfd.readouterr())

    return say
