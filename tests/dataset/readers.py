"""The environment of what reads a release and is no part of storymesh: see requirements/readers.txt."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def reader(name: str) -> str:
    """The path of a command of that environment. Skips the test where there is none."""
    folder = Path(os.environ.get("READERS_ENV", ROOT / ".venv-readers"))
    path = folder / "bin" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there; requirements/readers.txt says how to make it")
    return str(path)
