"""The environment of what reads a release and is no part of storymesh: see requirements/readers.in."""

import os
from pathlib import Path

from tests.support.needs import needs
from tests.support.paths import ROOT


def reader(name: str) -> str:
    """Return the path of a command of that environment. Skip or fail the test where there is none, as `needs` does."""
    folder = Path(os.environ.get("READERS_ENV", ROOT / ".venv-readers"))
    return str(needs(folder / "bin" / name, how="make readers"))


def llama_factory() -> Path:
    """Return the folder of the packages of LLaMA-Factory, which come before those of the readers' environment."""
    folder = Path(os.environ.get("LLAMA_FACTORY_ENV", ROOT / ".venv-llama-factory"))
    return needs(*folder.glob("lib/python3.*/site-packages/llamafactory"), how="make llama-factory").parent
