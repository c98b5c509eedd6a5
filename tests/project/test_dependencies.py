"""What the package imports is what `pyproject.toml` asks for, so that a plain installation has it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

from tests.support.paths import ROOT

PACKAGE = ROOT / "platform/storymesh"
BROUGHT_BY = {
    "av": "faster-whisper",
    "py4j": "pyspark",
    "sqlglot": "ibis-framework",
    "httpx2": "huggingface-hub",
    "langsmith": "langchain",
    "openai": "langchain-openai",
    "pydantic_core": "pydantic",
}
"""Modules that belong to the interface of a declared distribution, which decides their version."""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """Return the names of the distributions in `dependencies` and in the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    return {normalized(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in lines}


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"storymesh"}


def test_every_import_is_a_declared_dependency() -> None:
    distributions = packages_distributions()
    names = declared()
    undeclared = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for module in sorted(imported(path)):
            owners = {normalized(name) for name in [BROUGHT_BY.get(module, module), *distributions.get(module, [])]}
            if not owners & names:
                undeclared.append(f"{path.relative_to(ROOT)}: {module} ({', '.join(sorted(owners))})")
    assert not undeclared, "\n".join(undeclared)
