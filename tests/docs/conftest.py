"""The reference mesh as a reader of the documentation has it after `make run`, with what the how-tos add to it."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doc_pages import HOW_TOS, ROOT, files_of, say

_MADE = shutil.ignore_patterns("target", "logs", "dbt_packages", "__pycache__", "*.duckdb", "*.duckdb.wal", ".user.yml")


@pytest.fixture(scope="session")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the reference mesh with every file that the how-tos have their readers write. Nothing was run in it."""
    root = tmp_path_factory.mktemp("docs") / "mesh"
    root.mkdir()
    for part in ("domains", "contracts", "narratives"):
        shutil.copytree(ROOT / part, root / part, ignore=_MADE)
    shutil.copy(ROOT / "workspace.yaml", root)
    for page in HOW_TOS:
        for path, text in files_of(ROOT / "docs/how-to" / page).items():
            file = root / path
            assert not file.exists(), f"{page} writes {path}, which the mesh has already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def told(followed: Path) -> Path:
    """The same mesh after one `storymesh run`, which takes about a minute."""
    done = say(followed, "storymesh", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return followed
