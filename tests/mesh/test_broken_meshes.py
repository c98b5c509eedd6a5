"""Some 350 broken meshes, each a small edit of a good one, and all that `check` says of each: where and what.

The edits are data, in `broken/*.yaml`. Of a file: `old` becomes `new` (`times`: its last letter so often), or the file
has the text `write` (so often) or the `bytes`, or is to `remove`, or is a `link`, a `folder` or a `pipe`; `also` edits
more files. `finds` is every line that is printed. The good mesh is `plain_files`, or the one that `mesh` names.
"""

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from storymesh.cli.app import app
from storymesh.errors import MAX_MESSAGE, StorymeshError
from storymesh.mesh.mesh import load_mesh
from tests.support.paths import MESHES
from tests.support.release_meshes import publish_all

DATA = yaml.safe_load((Path(__file__).parent / "broken_data.yaml").read_text(encoding="utf-8"))
FILES = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['case']}")
    for path in FILES
    for case in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
]


@cache
def good(name: str, folder: Path) -> Path:
    """Return a copy of a mesh as git has it."""
    ignored = shutil.ignore_patterns(".storymesh", "releases", "__pycache__", "*.py[co]", "README.md")
    return Path(shutil.copytree(MESHES / name, folder / name, ignore=ignored))


def edit(root: Path, case: dict[str, Any]) -> None:
    path, times = root / case["file"], case.get("times", 1)
    if "old" in case:
        text = path.read_text(encoding="utf-8")
        assert text.count(case["old"]) >= 1, f"{case['old']} is not in {case['file']}"
        new = case["new"] + case["new"][-1:] * (times - 1)
        path.write_text(text.replace(case["old"], new, 1), encoding="utf-8")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    if "write" in case:
        path.write_text(case["write"] * times, encoding="utf-8")
    elif "bytes" in case:
        path.write_bytes(bytes.fromhex(case["bytes"]))
    elif "link" in case:
        path.symlink_to(case["link"])
    elif "folder" in case:
        path.mkdir()
    elif "pipe" in case:
        os.mkfifo(path)
    for other in case.get("also", ()):
        edit(root, other)


def entries(root: Path) -> dict[str, tuple[int, int]]:
    """Return everything in a folder with its size and when it was changed."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*")}


def test_there_are_enough_and_no_two_are_one() -> None:
    assert len(CASES) >= 200
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_is_told_in_its_file_at_its_line(
    case: dict[str, Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mesh = shutil.copytree(good(case.get("mesh", "plain_files"), tmp_path_factory.getbasetemp()), tmp_path / "mesh")
    edit(mesh, case)
    before = entries(mesh)
    done = CliRunner().invoke(app, ["check", "--mesh", str(mesh)])
    assert done.stdout == case["finds"]
    assert done.exit_code == (1 if ": error[" in case["finds"] else 0), done.stderr
    assert "Traceback" not in done.output
    assert entries(mesh) == before, "nothing is written"
    assert max(map(len, done.stdout.splitlines())) < 2 * MAX_MESSAGE + 200


@pytest.mark.parametrize("case", DATA, ids=lambda case: case["case"])
def test_broken_rows_are_refused_in_words(
    case: dict[str, Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mesh = shutil.copytree(good("plain_files", tmp_path_factory.getbasetemp()), tmp_path / "mesh")
    product = mesh / "domains/fleet/products/depots.odps.yaml"
    product.write_text(product.read_text(encoding="utf-8").replace("depots.xlsx", "depots.csv"), encoding="utf-8")
    rows = bytes.fromhex(case["bytes"]) if "bytes" in case else case["text"].encode()
    (mesh / "domains/fleet/sources/depots.csv").write_bytes(rows)
    with pytest.raises(StorymeshError) as refused:
        publish_all(load_mesh(mesh), "fleet.depots")
    assert case["says"] in str(refused.value)
