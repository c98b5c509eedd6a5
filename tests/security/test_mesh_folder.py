"""A mesh folder may come from a stranger: what is read in it is a regular file inside it, and not too large."""

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storymesh.errors import DefinitionErrors, Finding
from storymesh.input_file import InputFileRefused, read_input
from storymesh.mesh.check import check_files
from storymesh.mesh.mesh import load_mesh, read_settings
from storymesh.narrative.definition import read_narrative
from storymesh.narrative.evaluation import evaluation_files
from storymesh.narrative.typed import type_narrative
from storymesh.release.definition_snapshot import write_definition_snapshot
from tests.support.paths import TESTS

SECRET = "f00d" * 16
NARRATIVE = "narratives/roadside"
DEFINITIONS = (
    f"{NARRATIVE}/narrative.yaml",
    f"{NARRATIVE}/ask.md.jinja",
    "contracts/road/repairs.odcs.yaml",
    "domains/road/products/repairs.odps.yaml",
    "domains/road/domain.yaml",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A mesh whose store has a key, in a folder that has more."""
    mesh = tmp_path / "mesh"
    shutil.copytree(TESTS / "meshes/plain_files", mesh)
    (mesh / ".storymesh").mkdir()
    (mesh / ".storymesh/pseudonym.key").write_text(SECRET + "\n")
    (tmp_path / "outside.txt").write_text(SECRET)
    return mesh


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="sm", dir="/tmp") as folder:
        yield Path(folder)


def findings_of(root: Path) -> list[Finding]:
    """What `check` says; nothing that it says may show the secret."""
    found = check_files(root)
    assert SECRET not in "\n".join(map(str, found))
    return found


def refused(root: Path, path: str) -> str:
    """The one finding about a file that is not read, which names the file as it stands in the mesh."""
    (found,) = (finding for finding in findings_of(root) if finding.location.path == path)
    assert found.rule == "unreadable" and found.severity == "error"
    return found.message


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("part", ["file", "folder", "folder above"])
def test_what_becomes_a_link_after_it_was_looked_at_is_not_opened(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "root/a/b", tmp_path / "out/a/b"):
        folder.mkdir(parents=True)
        (folder / "file").write_text(folder.parts[-3])
    path = tmp_path / "root/a/b/file"
    assert read_input(path, tmp_path / "root", 100) == b"root"
    swapped = {"file": path, "folder": path.parent, "folder above": path.parent.parent}[part]
    look = Path.is_relative_to

    def swap_after_the_look(self: Path, other: Path) -> bool:
        inside = look(self, other)
        if self == path and not swapped.is_symlink() and other == (tmp_path / "root").resolve():
            swapped.rename(tmp_path / "away")
            swapped.symlink_to(tmp_path / "out" / swapped.relative_to(tmp_path / "root"))
        return inside

    monkeypatch.setattr(Path, "is_relative_to", swap_after_the_look)
    with pytest.raises(InputFileRefused):
        read_input(path, tmp_path / "root", 100)
    assert swapped.is_symlink()


def test_a_file_that_is_its_own_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert read_input(tmp_path / "file", tmp_path / "file", 10) == b"x"
    with pytest.raises(InputFileRefused, match="is a folder"):
        read_input(tmp_path, tmp_path, 10)


def test_a_file_in_a_folder_that_cannot_be_listed_is_read(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/file").write_text("x")
    (tmp_path / "closed").chmod(0o311)
    assert read_input(tmp_path / "closed/file", tmp_path, 10) == b"x"
    (tmp_path / "closed").chmod(0o755)


def test_the_mesh_itself_has_no_finding(root: Path) -> None:
    assert findings_of(root) == []


# --- links ---


@pytest.mark.parametrize(
    "target", ["../../.storymesh/pseudonym.key", "../../../outside.txt", "/etc/passwd", "/dev/zero"]
)
@pytest.mark.parametrize("name", ["key.jinja", "ask.md.jinja"], ids=["a template nobody uses", "one that is used"])
def test_a_template_that_is_a_link_out_of_its_folder_is_a_finding(root: Path, name: str, target: str) -> None:
    link(root / NARRATIVE / name, target)
    assert "leads out of" in refused(root, f"{NARRATIVE}/{name}")


@pytest.mark.parametrize("target", [".storymesh/pseudonym.key", "../outside.txt", "/etc/passwd", "/proc/self/environ"])
@pytest.mark.parametrize("path", DEFINITIONS)
def test_a_definition_that_is_a_link_out_of_its_folder_is_a_finding(root: Path, path: str, target: str) -> None:
    up = "../" * path.count("/")
    link(root / path, target if target.startswith("/") else up + target)
    assert "leads out of" in refused(root, path)


def test_settings_that_are_a_link_out_of_the_mesh_are_a_finding(root: Path) -> None:
    link(root / "mesh.yaml", "../outside.txt")
    assert "leads out of" in refused(root, "mesh.yaml")


def test_settings_that_are_a_link_to_nothing_are_no_default_settings(root: Path) -> None:
    link(root / "mesh.yaml", "nowhere.yaml")
    with pytest.raises(DefinitionErrors, match="does not exist"):
        read_settings(root)


FOLDERS = {
    NARRATIVE: f"{NARRATIVE}/narrative.yaml",
    "domains/road": "domains/road",
    "contracts/road": "contracts/road/breakdowns.odcs.yaml",
    "domains/road/products": "domains/road/products/breakdowns.odps.yaml",
}


@pytest.mark.parametrize("folder", [*FOLDERS, "domains", "contracts", "narratives"])
def test_a_folder_that_is_a_link_out_of_the_mesh_is_a_finding(root: Path, folder: str) -> None:
    shutil.move(root / folder, root.parent / "moved")
    (root / folder).symlink_to(root.parent / "moved")
    assert "leads out of" in refused(root, FOLDERS.get(folder, folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_a_link_into_the_store_is_a_finding(root: Path, folder: str) -> None:
    shutil.move(root / folder, root / ".storymesh/moved")
    (root / folder).symlink_to(root / ".storymesh/moved")
    assert "leads out of" in refused(root, FOLDERS[folder])


def test_a_linked_scenario_is_a_finding(root: Path) -> None:
    (root / NARRATIVE / "scenarios").mkdir()
    link(root / NARRATIVE / "scenarios/s.yaml", "../../../.storymesh/pseudonym.key")
    assert "leads out of" in refused(root, f"{NARRATIVE}/scenarios/s.yaml")


def test_a_link_inside_its_folder_is_followed_and_named_as_it_is_written(root: Path) -> None:
    """One partial under two names is nobody's attack."""
    (root / NARRATIVE / "ask.md.jinja").rename(root / NARRATIVE / "same.jinja")
    link(root / NARRATIVE / "ask.md.jinja", "same.jinja")
    assert [finding.rule for finding in findings_of(root)] == ["unused-template"]


def test_a_file_that_an_editor_has_open_is_no_finding(root: Path) -> None:
    link(root / NARRATIVE / ".#ask.md.jinja", "me@host.123:456")
    assert findings_of(root) == []


# --- what is no regular file, or larger than can be read ---


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a named pipe": (os.mkfifo, "is a named pipe"),
    "a folder": (Path.mkdir, "is a folder"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "is a link that leads back to itself"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "does not exist"),
    "a sparse file": (lambda path: (path.touch(), os.truncate(path, 2**40)), "is larger than"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", [*DEFINITIONS, f"{NARRATIVE}/x.jinja", f"{NARRATIVE}/scenarios/s.yaml", "mesh.yaml"])
def test_what_is_no_readable_file_is_a_finding_at_once(root: Path, path: str, kind: str) -> None:
    if path.endswith("narrative.yaml") and kind in ("a link to itself", "a link to nothing"):
        path = path.replace("narrative.yaml", "advise.md.jinja")  # a folder without a narrative is none
    make, words = KINDS[kind]
    (root / path).unlink(missing_ok=True)
    (root / path).parent.mkdir(exist_ok=True)
    make(root / path)
    assert words in refused(root, path)


def test_a_socket_is_a_finding(short_folder: Path) -> None:
    shutil.copytree(TESTS / "meshes/plain_files/narratives/roadside", short_folder / "roadside")
    make_socket(short_folder / "roadside/x.jinja")
    with pytest.raises(DefinitionErrors, match=r"cannot be read|is a socket"):
        read_narrative(short_folder / "roadside/narrative.yaml", short_folder)


def test_very_many_templates_are_a_finding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storymesh.narrative.template_files.MAX_TEMPLATES", 7)
    for number in range(9):
        (root / NARRATIVE / f"more{number}.jinja").write_text("x")
    assert [finding.rule for finding in findings_of(root)] == ["too-large"]


def test_two_products_that_differ_in_case_only_are_a_finding(root: Path) -> None:
    """On a disk or in an engine that does not tell them apart one would stand in the other's place."""
    for path in ("contracts/road/repairs.odcs.yaml", "domains/road/products/repairs.odps.yaml"):
        text = (
            (root / path).read_text().replace("road.repairs", "road.Repairs").replace("name: repairs", "name: Repairs")
        )
        (root / path.replace("repairs", "Repairs")).write_text(text)
    found = [finding for finding in findings_of(root) if finding.rule == "duplicate-id"]
    assert len(found) == 1 and "differ in upper and lower case only" in found[0].message


# --- what a release keeps ---


def test_a_release_keeps_only_the_templates_that_it_uses(root: Path, tmp_path: Path) -> None:
    before = load_mesh(root).narratives["roadside"]
    (root / NARRATIVE / "notes.jinja").write_text("what nobody should see")
    mesh = load_mesh(root)
    typed = type_narrative(mesh.narratives["roadside"], mesh.cast_of(mesh.narratives["roadside"]))
    assert [finding.rule for finding in typed.warnings] == ["unused-template"]
    write_definition_snapshot(typed.narrative, typed.contracts, tmp_path / "release")
    kept = {path.name for path in (tmp_path / "release").rglob("*.jinja")}
    assert kept == set(before.templates) and typed.fingerprint == before.fingerprint


# --- settings that lead elsewhere ---


@pytest.mark.parametrize("value", ["../out", "a/../../out", "/tmp/out", "..", "releases/../../x"])
@pytest.mark.parametrize("name", ["releases", "store"])
def test_a_folder_of_the_settings_stays_in_the_mesh(root: Path, name: str, value: str) -> None:
    (root / "mesh.yaml").write_text(f"{name}: {value}\n")
    with pytest.raises(DefinitionErrors, match=r"leads out of the mesh|absolute path"):
        read_settings(root)


# --- evaluation sets ---


def evaluation_findings(root: Path, pattern: str) -> str:
    path = root / NARRATIVE / "narrative.yaml"
    path.write_text(path.read_text() + f"  decontaminate: {{against: [{pattern!r}]}}\n")
    with pytest.raises(DefinitionErrors) as caught:
        evaluation_files(read_narrative(path, root), root)
    assert SECRET not in str(caught.value)
    return re.sub(r"^.*?error", "", str(caught.value))


@pytest.mark.parametrize(
    "pattern",
    [
        "domains/road/sources/*.jsonl", "domains/**/*.txt", "*/road/sources/rows.txt", "narratives/roadside/link.txt",
        "narratives/roadside/row*.txt",
    ],
)  # fmt: skip
def test_an_evaluation_set_is_no_raw_file_of_a_team(root: Path, pattern: str) -> None:
    """A release keeps hashes of it, and its drops say which records repeat it."""
    for name in ("rows.txt", "rows.jsonl"):
        (root / "domains/road/sources").mkdir(exist_ok=True, parents=True)
        (root / "domains/road/sources" / name).write_text('["a row of somebody"]\n')
    (root / ".storymesh").mkdir(exist_ok=True)
    (root / ".storymesh/rows.txt").write_text(SECRET)
    (root / NARRATIVE / "link.txt").symlink_to("../../domains/road/sources/rows.txt")
    (root / NARRATIVE / "rows.txt").symlink_to("../../.storymesh/rows.txt")
    assert "is a file of a domain, or of the store" in evaluation_findings(root, pattern)


@pytest.mark.parametrize(
    "pattern", ["../outside.txt", "/etc/passwd", "a/../../../outside.txt", ".storymesh/**/*", "**/.storymesh/*.txt"]
)
def test_an_evaluation_set_is_no_file_outside_the_mesh_or_in_its_store(root: Path, pattern: str) -> None:
    (root / ".storymesh/rows.txt").write_text(SECRET)
    assert "leads out of" in (found := evaluation_findings(root, pattern)) or "meets no file" in found


@pytest.mark.parametrize("pattern", ["", ".", "**x", "a**/b", "x\x01"])
def test_a_pattern_that_is_none_is_a_finding(root: Path, pattern: str) -> None:
    assert "is no pattern" in (found := evaluation_findings(root, pattern)) or "meets no file" in found


@pytest.mark.parametrize("kind", ["a link out of the mesh", "a named pipe"])
def test_an_evaluation_file_that_is_no_regular_file_of_the_mesh_is_a_finding(root: Path, kind: str) -> None:
    path = root / NARRATIVE / "questions.txt"
    if kind == "a named pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(root.parent / "outside.txt")
    assert "leads out of" in (found := evaluation_findings(root, "*.txt")) or "is a named pipe" in found


def test_a_line_of_an_evaluation_set_has_a_size(tmp_path: Path) -> None:
    from storymesh.engine.open import open_engine
    from storymesh.errors import StorymeshError
    from storymesh.release.curation.decontaminate import read_evaluation_set

    path = tmp_path / "questions.jsonl"
    path.touch()
    os.truncate(path, 2**33)
    with open_engine() as engine, pytest.raises(StorymeshError, match="is longer than 64 MiB"):
        read_evaluation_set(engine, {"questions.jsonl": path}, 13)
