"""A mesh as a value, and the folder that it keeps on this machine."""

import subprocess
import sys
from pathlib import Path

from storymesh.mesh.mesh import load_mesh


def test_store_ignores_itself_for_git(harbour: Path) -> None:
    mesh = load_mesh(harbour)
    assert not mesh.store.exists(), "reading definitions writes nothing"
    assert (mesh.prepare_store() / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_folder_that_is_there_is_left_alone(harbour: Path) -> None:
    mesh = load_mesh(harbour)
    mesh.store.mkdir()
    mesh.prepare_store()
    assert list(mesh.store.iterdir()) == []


def test_importing_the_package_loads_nothing_else() -> None:
    script = "import storymesh, sys; print(*(name for name in sys.modules if name.startswith('storymesh.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
