"""The command line in this process: what it says and how it ends, without the seconds that a new Python takes."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from storymesh.cli import main


@dataclass(frozen=True)
class Said:
    """One command that ended: its exit code, and what stands on both channels, whoever wrote it there."""

    code: int
    out: str
    err: str


@pytest.fixture
def storymesh(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`storymesh(folder, *words)`: the command in that folder, as in CI."""

    def say(folder: Path, *words: str) -> Said:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("CI", "1")
            patch.setattr(sys, "argv", ["storymesh", *words])
            with pytest.raises(SystemExit) as end:
                main()
        return Said(int(end.value.code or 0), *capfd.readouterr())

    return say
