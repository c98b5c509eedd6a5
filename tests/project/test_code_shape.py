"""The code stays searchable and readable: one name for one class, and files and functions that are read at once."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from tests.support.paths import ROOT

PACKAGE = ROOT / "platform/storymesh"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
REASON = re.compile(r"one file|400 lines", re.IGNORECASE)


@cache
def modules() -> dict[str, str]:
    """Return the text of every module of the package by its path in it."""
    return {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path, text in modules().items():
        for found in classes(ast.parse(text)):
            places[found.name].append(f"{path}:{found.lineno}")
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert not shared, "\n".join(f"{name}: {', '.join(where)}" for name, where in shared.items())


def test_a_long_file_says_in_its_first_lines_why_it_is_one() -> None:
    long = []
    for path, text in modules().items():
        lines = text.splitlines()
        if len(lines) > MAX_FILE_LINES and not REASON.search(" ".join(lines[:12])):
            long.append(f"{path}: {len(lines)} lines and no 'One file because …' in the first of them")
    assert not long, "\n".join(long)


def test_no_function_is_longer_than_a_page() -> None:
    long = []
    for path, text in modules().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    assert not long, "\n".join(long)
