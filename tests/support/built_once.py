"""Folders that are built once for all processes that share the tests of one session, and are only read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder `name`, which `build` has filled in the first process that asked for it.

    Other processes wait until it is whole. `name` says everything that shapes the content beside the files of the
    checkout. Whoever changes something copies the folder first.
    """
    session = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent  # each process has its own folder in that of the session
    folder = session / "built" / name
    folder.parent.mkdir(exist_ok=True)
    whole = folder.with_name(f"{name}.whole")
    with FileLock(folder.with_name(f"{name}.lock")):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            build(folder)
            whole.touch()
    return folder
