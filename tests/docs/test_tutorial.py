"""The tutorials are true: their files are written, their commands run line by line, and releases come of them."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import load_dataset

from tests.support.doc_pages import STEPS, commands_of, files_of, runnable
from tests.support.paths import ROOT

PAGE = ROOT / "docs/tutorials/your-first-mesh.md"
CHANGE = ROOT / "docs/how-to/change-a-contract.md"
MOST_COMMANDS = 6
Command = Callable[..., Any]


def test_two_files_become_a_release_and_their_contract_changes(storymesh: Command, tmp_path: Path) -> None:
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
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "The shop")
    said = [change_contract(storymesh, folder, *step) for step in STEPS.findall(CHANGE.read_text(encoding="utf-8"))]
    outputs = [out for step in said for out in step]
    assert "'amount_eur' may be null now" in outputs[0]
    assert "read by complaint-stories (report, advice)" in outputs[0]
    assert "asks for 2.0.0" in outputs[0]
    assert [out.count("error[") for out in outputs] == [1, 0, 0, 0, 0, 2, 0, 0]
    releases = [path.name for path in sorted(release.parent.glob("1*"))]
    assert releases == ["1.0.0-r1", "1.0.0-r2"], "the last run tells the stories of the first again"


def change_contract(storymesh: Command, folder: Path, kind: str, rest: str, text: str) -> list[str]:
    """Do one step of the page: an edit, or commands that end with the code that it says. Return what was printed."""
    options = dict(word.split("=") for word in rest.split())
    if kind == "console":
        printed = []
        for command in commands_of(text):
            program, *words = shlex.split(command)
            if program == "git":
                git(folder, *words)
                continue
            done = storymesh(folder, *words)
            assert done.code == int(options["run"]), f"{command}: {done.out}{done.err}"
            printed.append(done.out)
        return printed
    old, new = ("\n".join(line[1:] for line in text.splitlines() if line[0] == sign) for sign in "-+")
    files = list(folder.glob(options["file"]))
    edited = 0
    for path in files:
        written = path.read_text(encoding="utf-8")
        begin = written.index(f"name: {options['property']}") if "property" in options else 0
        if old in written[begin:]:
            count = 1 if "property" in options else -1
            path.write_text(written[:begin] + written[begin:].replace(old, new, count), encoding="utf-8")
            edited += 1
    assert edited, f"'{old}' is in none of {files}"
    return []


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    environment = {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    subprocess.run(["git", *who, *words], cwd=folder, check=True, env=environment, capture_output=True)
