"""What the tests of the documentation read from its pages: files to write, commands and Python to run, links."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from tests.support.paths import ROOT

HOW_TOS = ("add-a-product.md", "write-a-narrative.md")
PAGES = [
    path
    for path in sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
    if path.parent.name != "templates"
]

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<rest>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)

STEPS = re.compile(r"^```(console|diff) ((?:run|file)=[^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
"""The commands and edits of a page that are done in order: their kind, their options, and their text."""


def files_of(page: Path) -> dict[str, str]:
    """Return by path in the mesh the text of every block that is a file (` ```yaml file=… `)."""
    found: dict[str, str] = {}
    for fence in _FENCE.finditer(page.read_text(encoding="utf-8")):
        if (rest := fence["rest"].strip()).startswith("file="):
            found[rest.removeprefix("file=")] = fence["text"]
    return found


def runnable(page: Path, language: str) -> list[str]:
    """Return the blocks of a language that are marked to be run (` ```console run `), in order."""
    fences = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [fence["text"] for fence in fences if fence["language"] == language and fence["rest"].strip() == "run"]


def commands_of(block: str) -> list[str]:
    """Return the commands of a console block, without what follows a `#`."""
    lines = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return [line.partition(" #")[0].strip() for line in lines]


def generator() -> ModuleType:
    """Return docs/generate.py as a module."""
    path = ROOT / "docs/generate.py"
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
