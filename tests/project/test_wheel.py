"""storymesh is a package like any other: its wheel, installed elsewhere, runs a mesh that lies elsewhere."""

import os
import site
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

TIMEOUT_S = 600


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Return what a command prints, without anything of this checkout in its environment. Fail if it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def install_wheel(folder: Path) -> Path:
    """Return the programs of a new environment that has the wheel, and sees the dependencies of this one."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", folder=ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "venv/bin/python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    # A line of a .pth file puts a folder behind the environment's own; the .pth files in it are not read again, so that
    # what `pip install -e` has left there for this checkout has no effect.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    return folder / "venv/bin"


def test_the_installed_wheel_runs_a_mesh_outside_the_checkout(harbour: Path, tmp_path: Path) -> None:
    programs = install_wheel(tmp_path)
    place = run(programs / "python", "-c", "import storymesh; print(storymesh.__file__)", folder=tmp_path)
    assert Path(place.strip()).is_relative_to(tmp_path / "venv")

    output = run(programs / "storymesh", "run", "--mesh", harbour, folder=tmp_path, CI="true")
    assert "done in" in output
    release = harbour / "releases/late-repairs/1.0.0-r1"
    assert {"README.md", "report.html", "croissant.json", "release.json"} <= {file.name for file in release.iterdir()}
