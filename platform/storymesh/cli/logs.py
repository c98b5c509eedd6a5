"""The log files of commands: one for each run, and one for each unexpected error."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.cli.options import mesh_root
from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    from storymesh.mesh.mesh import Mesh

KEPT_LOGS = 20


def new_log(mesh: "Mesh", name: str) -> Path:
    """Return the path of a new log file in the mesh's store, after removing the oldest logs of that `name`."""
    folder = mesh.prepare_store() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob(f"{name}-*.log"))[: -KEPT_LOGS + 1]:
        old.unlink(missing_ok=True)
    return folder / f"{name}-{_stamp()}.log"


def write_traceback(mesh: Path | None) -> Path:
    """Write the current exception to a file in the mesh's store, or else in the temporary folder; return its path."""
    name = f"error-{_stamp()}.log"
    text = f"{' '.join(sys.argv)}\n{traceback.format_exc()}"
    for folder in (_log_folder(mesh), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def relative_to_here(path: Path) -> str:
    """Return the path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"


def _log_folder(mesh: Path | None) -> Path:
    from storymesh.mesh.mesh import load_mesh

    try:
        return load_mesh(mesh_root(mesh)).prepare_store() / "logs"
    except StorymeshError:
        return Path(tempfile.gettempdir())
