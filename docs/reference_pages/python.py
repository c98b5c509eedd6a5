"""The parts of docs/reference/python.md, from signatures and docstrings: `storymesh.__all__` and the exceptions."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import storymesh
from reference_pages.markdown import table
from storymesh import errors

LINE = 88


def page() -> dict[str, str]:
    """Return the parts of the page by name."""
    return {"members": members(), "exceptions": table(["exception", "meaning"], exceptions())}


def members() -> str:
    """Return a section of Markdown for every public name of `storymesh`, in the order of `__all__`."""
    return "\n".join(_section(name, getattr(storymesh, name)) for name in storymesh.__all__)


def exceptions() -> Iterator[tuple[str, str]]:
    """Yield name and meaning of every exception that storymesh raises on purpose."""
    for name, member in vars(errors).items():
        if (
            isinstance(member, type)
            and issubclass(member, errors.StorymeshError)
            and member.__module__ == errors.__name__
        ):
            yield f"`{name}`", " ".join(_words(member).split("\n\n")[0].split())


def _section(name: str, member: Any) -> str:
    if isinstance(member, str):
        return f"## {name}\n\nA text, such as `{member}`.\n"
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(member))).body
    code = "\n".join(_class(node) if isinstance(node, ast.ClassDef) else _function(node))
    return f"## {name}\n\n```python\n{code}\n```\n\n{_words(member)}\n"


def _function(node: Any, prefix: str = "def ") -> Iterator[str]:
    """Yield the lines of a signature: one, or one for each parameter where one would be too long."""
    result = f" -> {ast.unparse(node.returns).strip(chr(39))}" if node.returns else ""
    whole = f"{prefix}{node.name}({ast.unparse(node.args)}){result}"
    if len(whole) <= LINE:
        yield whole
        return
    yield f"{prefix}{node.name}("
    for parameter in ast.unparse(node.args).split(", "):
        typed, equals, default = parameter.partition("=")
        yield f"    {typed} = {default}," if equals else f"    {parameter},"
    yield f"){result}"


def _class(node: ast.ClassDef) -> Iterator[str]:
    """Yield the lines of a class: its fields, properties and methods without what they do."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield f"class {node.name}({bases}):" if bases else f"class {node.name}:"
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_"):
            yield f"    {ast.unparse(part.target)}: {ast.unparse(part.annotation)}"
        elif isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
            yield from (f"    {line}" for line in _function(part))


def _words(member: Any) -> str:
    words = inspect.getdoc(member)
    if not words:
        raise ValueError(f"{member.__name__} is public and has no docstring")
    return words
