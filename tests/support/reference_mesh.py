"""The mesh of the project's root, as the documentation has its readers extend and run it."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of the project's root as a fresh clone has it, with every file that the how-tos have their readers
    write."""
    from tests.support.doc_pages import HOW_TOS, ROOT, files_of
    from tests.support.whole_mesh import copied

    root = copied("", tmp_path_factory.mktemp("reference") / "mesh")
    for page in HOW_TOS:
        for path, text in files_of(ROOT / "docs/how-to" / page).items():
            file = root / path
            assert not file.exists(), f"{page} writes {path}, which the mesh has already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def reference_mesh(documented: Path) -> Any:
    """The same after one `storymesh run`, which takes about a minute."""
    from tests.support.whole_mesh import storymesh

    ran = storymesh("run", mesh=documented)
    assert ran.code == 0, ran.said
    return ran
