"""Whole meshes after one `storymesh run`, for all tests that only read them, and what runs commands quickly."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.support.whole_mesh import Preloaded, Ran


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Preloaded]":
    """The command line with its libraries imported once."""
    from tests.support.whole_mesh import Preloaded

    commands = Preloaded(tmp_path_factory.mktemp("preloaded"))
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of the project's root as a fresh clone has it, with every file that the how-tos have their readers
    write."""
    return copy_documented(tmp_path_factory.mktemp("documented"))


@pytest.fixture(scope="session")
def reference_mesh(tmp_path_factory: pytest.TempPathFactory, preloaded: "Preloaded") -> "Ran":
    """The same after one `storymesh run`, which takes about a minute."""
    from tests.support.whole_mesh import run_once

    return run_once(tmp_path_factory, "reference mesh", preloaded, copy_documented)


def copy_documented(folder: Path) -> Path:
    from tests.support.doc_pages import HOW_TOS, files_of
    from tests.support.whole_mesh import copied

    root = copied("", folder / "mesh")
    for page in HOW_TOS:
        for path, text in files_of(ROOT / "docs/how-to" / page).items():
            file = root / path
            assert not file.exists(), f"{page} writes {path}, which the mesh has already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def plain_files(tmp_path_factory: pytest.TempPathFactory, preloaded: "Preloaded") -> "Ran":
    """The mesh without dbt after its first run. It is only read; who changes something takes a `plain_copy`."""
    from tests.support.whole_mesh import copied, run_once

    def copy(folder: Path) -> Path:
        return copied("tests/meshes/plain_files", folder / "mesh")

    return run_once(tmp_path_factory, "plain files", preloaded, copy)
