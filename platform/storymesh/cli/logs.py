"""The log files of commands: one for each run, and one for each unexpected error."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import open_private
from storymesh.cli.options import mesh_root
from storymesh.errors import StorymeshError
from storymesh.printable import printable
from storymesh.redaction import HIDDEN, redact

if TYPE_CHECKING:
    from storymesh.mesh.mesh import Mesh

KEPT_LOGS = 20


def new_log(mesh: "Mesh", name: str) -> Path:
    """Return the path of a new log file in the mesh's store, after removing the oldest logs of that `name`."""
    folder = mesh.prepare_store() / "logs"
    for old in sorted(folder.glob(f"{name}-*.log"))[: -KEPT_LOGS + 1]:
        old.unlink(missing_ok=True)
    return folder / f"{name}-{_stamp()}.log"


def write_traceback(mesh: Path | None) -> Path:
    """Write the current exception to a file in the mesh's store, or else in the temporary folder; return its path."""
    name = f"error-{_stamp()}.log"
    text = printable(redact(f"{' '.join(_arguments())}\n{traceback.format_exc()}"))
    for folder in (_log_folder(mesh), Path(tempfile.gettempdir())):
        try:
            with open_private(folder / name, "x") as file:
                file.write(text)
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


def _arguments() -> list[str]:
    """Return the arguments of this command without the keys of rows, which may name people."""
    arguments, hidden = [], False
    for argument in sys.argv:
        name, equals, _ = argument.partition("=")
        arguments.append(HIDDEN if hidden else f"{name}={HIDDEN}" if name == "--key" and equals else argument)
        hidden = argument == "--key"
    return arguments


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"


def _log_folder(mesh: Path | None) -> Path:
    from storymesh.mesh.mesh import load_mesh

    try:
        return load_mesh(mesh_root(mesh)).prepare_store() / "logs"
    except StorymeshError:
        return Path(tempfile.gettempdir())
