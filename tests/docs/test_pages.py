"""The documentation is true: its commands run, its files make a mesh, what is generated is current, its links lead."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storymesh.mesh.mermaid import main
from tests.support.doc_pages import HOW_TOS, PAGES, commands_of, files_of, generator, runnable
from tests.support.paths import ROOT
from tests.support.whole_mesh import KEY, Ran, environment

Command = Callable[..., Any]
NAMES_MODULES = [ROOT / "docs/architecture.md", *(ROOT / "docs/decisions").glob("*.md")]
RENEW = "it is not current: run python docs/generate.py"


def test_pictures_and_tables_are_those_of_the_mesh_and_of_the_code() -> None:
    made = generator()
    for page, texts in made.blocks(ROOT).items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text == made.with_blocks(text, texts), f"{page}: {RENEW}"


def test_the_reference_pages_are_those_of_the_code() -> None:
    for path, text in generator().pages():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: {RENEW}"


def test_the_samples_of_records_are_in_the_release(reference_mesh: Ran) -> None:
    made = generator()
    for page, texts in made.samples(reference_mesh.mesh / "releases/canal-exceptions/1.0.0-r1").items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text == made.with_blocks(text, texts), f"{page}: {RENEW} --release RELEASE"


def test_what_the_how_tos_write_has_no_findings(storymesh: Command, documented: Path) -> None:
    done = storymesh(documented, "check")
    assert (done.code, done.out) == (0, ""), done.out
    assert all(files_of(ROOT / "docs/how-to" / page) for page in HOW_TOS)


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/write-a-narrative.md"])
def test_commands_run(storymesh: Command, reference_mesh: Ran, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    blocks = runnable(ROOT / page, "console")
    assert blocks
    for command in (command for block in blocks for command in commands_of(block)):
        program, *words = shlex.split(command)
        assert program == "storymesh", command
        done = storymesh(reference_mesh.mesh, *words)
        assert done.code == 0, f"{command}: {done.out}{done.err}"


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/use-a-release.md"])
def test_python_runs(reference_mesh: Ran, tmp_path: Path, page: str) -> None:
    blocks = runnable(ROOT / page, "python")
    assert blocks
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=reference_mesh.mesh,
        env=environment(HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_make_targets_that_are_named_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, page


def test_the_modules_that_are_named_are_there() -> None:
    """`engine/cse.py` is a path in the package, `storymesh.mesh.mermaid` a module of it."""
    package = ROOT / "platform/storymesh"
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", text) if page in NAMES_MODULES else []
        named += [name.replace(".", "/") for name in re.findall(r"\bstorymesh\.([a-z_]+(?:\.[a-z_]+)+)\b", text)]
        missing = [name for name in named if not exists(package, name)]
        assert not missing, f"{page.relative_to(ROOT)} names {missing}"


def exists(package: Path, name: str) -> bool:
    """`name` is a file or folder, or a module with or without something that is in it."""
    path = package / name
    return path.exists() or path.with_suffix(".py").exists() or path.parent.with_suffix(".py").exists()


def test_links_lead_to_pages_and_headings() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith(("http://", "https://")):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.relative_to(ROOT)} leads to {target}"
            assert not anchor or anchor in anchors_of(file), f"{page.relative_to(ROOT)} leads to {target}"


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_picture_draws_every_part_and_escapes_words(harbour: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrative = harbour / "narratives/late_repairs/narrative.yaml"
    text = narrative.read_text(encoding="utf-8").replace("title: What", 'title: A "tug" & <b>more</b>#1; what')
    narrative.write_text(text, encoding="utf-8")
    assert main([str(harbour)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "flowchart LR"
    assert 'fleet_boats["boats"]' in lines
    assert "fleet_boats --> yard_repairs" in lines, "an input port"
    assert 'yard_repairs ==>|"repair"| narrative_late_repairs' in lines, "the anchor"
    assert 'fleet_boats -->|"boat"| narrative_late_repairs' in lines, "another role"
    (title,) = (line for line in lines if line.startswith("narrative_late_repairs(["))
    assert "A #quot;tug#quot; #amp; #lt;b#gt;more#lt;/b#gt;#35;1; what" in title
    assert lines[-1] == "narrative_late_repairs --> dataset_late_repairs"


def test_the_picture_fails_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no mesh root" in capsys.readouterr().err
    assert main(["one", "two"]) == 2


def test_the_first_page_is_short_and_leads_to_an_index_of_all() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    own = (path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs"))
    listed = [path for path in own if path != "README.md" and not path.startswith("decisions/")]
    assert [path for path in listed if f"({path})" not in index] == []
