"""The tutorials are true: their files are written, their commands run line by line, and releases come of them."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from datasets import load_dataset

from tests.support.built_once import built_once
from tests.support.doc_pages import STEPS, commands_of, files_of, runnable
from tests.support.model_server import Call, Server
from tests.support.paths import ROOT

PAGE = ROOT / "docs/tutorials/your-first-mesh.md"
CHANGE = ROOT / "docs/how-to/change-a-contract.md"
TUTORIALS = PAGE.parent
MOST_COMMANDS = 6
ADDRESS = "http://127.0.0.1:8000/v1"  # of the model server, as the page has it
Command = Callable[..., Any]


class Block(NamedTuple):
    """A fenced block of a page: its language, what stands behind it, and its text."""

    language: str
    kind: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    fences = re.finditer(r"^```(\w+)([^\n`]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return (Block(fence[1], fence[2].strip(), fence[3]) for fence in fences)


def play(page: str, folder: Path, storymesh: Command, address: str = ADDRESS) -> Path:
    """Do what a page says, in its order, and return the folder in which that ends. A block `text` is a part of what the
    commands before it have printed, line by line."""
    printed = ""
    for block in blocks_of(TUTORIALS / page):
        if block.kind.startswith("file="):
            path = folder / block.kind.removeprefix("file=")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind.startswith("edit="):  # the line that begins with the same key becomes this one
            path, key = folder / block.kind.removeprefix("edit="), block.text.partition(":")[0]
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            assert sum(line.startswith(f"{key}:") for line in lines) == 1, key
            lines = [block.text if line.startswith(f"{key}:") else line for line in lines]
            path.write_text("".join(lines), encoding="utf-8")
        elif block.language == "console" and block.kind in ("run", "refused"):
            printed = ""
            for command in commands_of(block.text):
                program, *words = shlex.split(command.replace(ADDRESS, address))
                if program == "cd":
                    folder /= words[0]
                    continue
                assert program == "storymesh", command
                done = storymesh(folder, *words)
                assert done.code == (1 if block.kind == "refused" else 0), f"{command}: {done.out}{done.err}"
                printed += done.out + done.err
        elif block.language == "text" and printed:
            missing = [line for line in block.text.splitlines() if "…" not in line and line not in printed]
            assert not missing, f"{page}: {missing} not in\n{printed}"
    return folder


def first_mesh(storymesh: Command, root: Path) -> None:
    """Do in the empty folder `root` what the first tutorial says, and hold what comes of it against the page."""
    for name, text in files_of(PAGE).items():
        (root / name).write_text(text, encoding="utf-8")
    commands = [command for block in runnable(PAGE, "console") for command in commands_of(block)]
    assert len(commands) <= MOST_COMMANDS
    folder = root
    for command in commands:
        program, *words = shlex.split(command)
        if program == "cd":
            folder /= words[0]
            continue
        assert program == "storymesh", command
        done = storymesh(folder, *words)
        assert done.code == 0, f"{command}: {done.out}{done.err}"
        assert "warning" not in done.out, command


@pytest.fixture
def shop(storymesh: Command, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """The mesh in which the first tutorial ends, to change."""
    finished = built_once(tmp_path_factory, "shop", lambda root: first_mesh(storymesh, root))
    return Path(shutil.copytree(finished / "shop", tmp_path / "shop"))


def test_two_files_become_a_release_and_their_contract_changes(storymesh: Command, shop: Path, tmp_path: Path) -> None:
    release = shop / "releases/complaint-stories/1.0.0-r1"
    rows = {
        config: load_dataset(str(release), config, cache_dir=str(tmp_path / "cache")).num_rows
        for config in ("report", "advice")
    }
    assert {config: sum(counts.values()) for config, counts in rows.items()} == {"report": 22, "advice": 21}
    assert "customer1@" not in (release / "README.md").read_text(encoding="utf-8"), "restricted"
    git(shop, "init", "-q")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "The shop")
    said = [change_contract(storymesh, shop, *step) for step in STEPS.findall(CHANGE.read_text(encoding="utf-8"))]
    outputs = [out for step in said for out in step]
    assert "'amount_eur' may be null now" in outputs[0]
    assert "read by complaint-stories (report, advice)" in outputs[0]
    assert "asks for 2.0.0" in outputs[0]
    assert [out.count("error[") for out in outputs] == [1, 0, 0, 0, 0, 2, 0, 0]
    releases = [path.name for path in sorted(release.parent.glob("1*"))]
    assert releases == ["1.0.0-r1", "1.0.0-r2"], "the last run tells the stories of the first again"


VARIANTS = (
    """{{ order.product_line | label | capitalize }} for {{ order.amount_eur | number(2) }} euros were
complained about on {{ case.at | date("%-d %B %Y") }}: {{ complaint.reason | label }}.
{% if complaint.action is none %}
It was still open when this was written.
{% else %}
The customer was given a {{ complaint.action | label }}.
{% endif %}
""",
    """A complaint of {{ case.at | date("%-d %B %Y") }}, about {{ order.product_line | label }} that cost
{{ order.amount_eur | number(2) }} euros, gave this reason: {{ complaint.reason | label }}.
{% if complaint.action is not none %}
What the shop did: a {{ complaint.action | label }}.
{% else %}
The shop had not answered when this was written.
{% endif %}
""",
)


def model(call: Call) -> str:
    """A model that first invents a number, and then obeys."""
    if call.number == 0:
        return f"<template>{VARIANTS[0]}It was the 3rd complaint of the day.\n</template>"
    return f"<template>{VARIANTS[(call.number - 1) % len(VARIANTS)]}</template>"


def test_a_narrative_by_hand_and_its_wordings_by_a_model(storymesh: Command, shop: Path, tmp_path: Path) -> None:
    play("your-first-narrative.md", shop, storymesh)
    with Server(model) as server:
        play("bring-a-language-model.md", shop, storymesh, server.url)
    assert len(server.calls) == 3, "one answer was refused"
    releases = shop / "releases/what-helped"
    assert sorted(path.name for path in releases.glob("1*")) == ["1.0.0-r1", "1.0.0-r2"]
    told = load_dataset(str(releases / "1.0.0-r2"), "story", cache_dir=str(tmp_path / "cache"))
    openings = {text.split()[0] for split in told.values() for text in split["text"]}
    assert {"On", "A"} < openings, "all three wordings are drawn"


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
