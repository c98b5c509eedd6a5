"""The tutorial is true: its files are written, its commands run line by line, and a release comes of them."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import load_dataset

from tests.support.doc_pages import commands_of, files_of, runnable
from tests.support.paths import ROOT

PAGE = ROOT / "docs/tutorials/your-first-mesh.md"
MOST_COMMANDS = 6
Command = Callable[..., Any]


def test_two_files_become_a_release(storymesh: Command, tmp_path: Path) -> None:
    for name, text in files_of(PAGE).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    commands = [command for block in runnable(PAGE, "console") for command in commands_of(block)]
    assert len(commands) <= MOST_COMMANDS
    folder = tmp_path
    for command in commands:
        program, *words = shlex.split(command)
        if program == "cd":
            folder /= words[0]
            continue
        assert program == "storymesh", command
        done = storymesh(folder, *words)
        assert done.code == 0, f"{command}: {done.out}{done.err}"
        assert "warning" not in done.out, command
    release = folder / "releases/complaint-stories/1.0.0-r1"
    rows = {
        config: load_dataset(str(release), config, cache_dir=str(tmp_path / "cache")).num_rows
        for config in ("report", "advice")
    }
    assert {config: sum(counts.values()) for config, counts in rows.items()} == {"report": 22, "advice": 21}
    assert "customer1@" not in (release / "README.md").read_text(encoding="utf-8"), "restricted"
