"""What a domain's dbt project may be made of, before dbt reads any of it.

dbt's templates and SQL are confined when they run. What is not confined (Python) or would be read by dbt itself (files
behind links, folders of others, named pipes) is refused here, in words about the file.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from storymesh.document import Document, parse_document, path_in_mesh, read_document, refusal_finding
from storymesh.errors import DefinitionErrors, Finding
from storymesh.input_file import InputFileRefused, require_input
from storymesh.location import Location

MAX_FILES = 20_000
PROJECT_FILE = "dbt_project.yml"
_NOT_READ = frozenset({"sources", "target", "logs", "products", "__pycache__"})
_CODE_FOLDERS = frozenset({
    "models", "macros", "tests", "analyses", "snapshots", "functions", "products", "python", "dbt_packages", "target",
    "logs", "__pycache__",
})  # fmt: skip
UNCONFINED_HINT = (
    "write it in SQL, or trust the domain with all of this machine: `dbt: {unconfined: [DOMAIN]}` in mesh.yaml"
)


def has_dbt_project(folder: Path) -> bool:
    """Return True if a domain's folder has a dbt project: a dbt_project.yml, or no more than models."""
    return (folder / PROJECT_FILE).is_file() or (not os.path.lexists(folder / PROJECT_FILE) and _has_models(folder))


def _has_models(folder: Path) -> bool:
    models = folder / "models"
    return models.is_dir() and any(path.suffix.lower() in (".sql", ".py") for path in models.rglob("*"))


def read_dbt_project(folder: Path, root: Path) -> Document:
    """Return `dbt_project.yml` of the domain's `folder`, or what stands for it where there are only models.

    Raises DefinitionErrors.
    """
    if not os.path.lexists(folder / PROJECT_FILE) and _has_models(folder):
        name = re.sub(r"\W", "_", folder.name)
        text = f'name: {json.dumps(name)}\nversion: "1.0.0"\nprofile: {json.dumps(folder.name)}\n'
        return parse_document(text, path_in_mesh(folder / PROJECT_FILE, root))
    document = read_document(folder / PROJECT_FILE, root)
    if not isinstance(document.value, dict):
        words = "a dbt project holds fields, this file does not"
        raise DefinitionErrors([Finding(Location(document.path), "yaml", words)])
    if found := list(_path_findings(document, document.value, folder)):
        raise DefinitionErrors(found)
    return document


def require_dbt_files(project: Document, folder: Path, root: Path, *, unconfined: bool) -> None:
    """Raise DefinitionErrors for a file of the dbt project that is not one of the domain's own, or is Python."""
    names = [name for key in ("model-paths", "function-paths") for name in project.value.get(key) or ()]
    models = [folder / name for name in names or ["models"]]
    if found := list(_file_findings(folder, root, models, unconfined=unconfined)):
        raise DefinitionErrors(found)


def data_folders(folder: Path) -> list[Path]:
    """Return the folders of a domain that its models may read and write: not those that hold code."""
    return [
        entry.resolve()
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _CODE_FOLDERS
        if entry.resolve().is_relative_to(folder.resolve())
    ]


def _path_findings(document: Document, fields: dict[str, Any], folder: Path) -> Iterator[Finding]:
    for name, value in fields.items():
        if not name.replace("_", "-").endswith(("-paths", "-path", "-targets")):
            continue
        for path in value if isinstance(value, list) else [value]:
            if (
                not isinstance(path, str)
                or "{" in path
                or not (folder / path).resolve().is_relative_to(folder.resolve())
            ):
                words = f"'{name}' names {path!r}, which is no folder of the domain"
                yield document.finding((name,), "dbt-path", words, "dbt reads what is in the domain's own folder")


def _file_findings(folder: Path, root: Path, models: Sequence[Path], *, unconfined: bool) -> Iterator[Finding]:
    for count, path in enumerate(_files(folder)):
        location = Location(path_in_mesh(folder, root) + f"/{path.relative_to(folder).as_posix()}")
        if count >= MAX_FILES:
            yield Finding(location, "too-many", f"the domain has more than {MAX_FILES:,} files that dbt would look at")
            return
        try:
            require_input(path, folder)
        except InputFileRefused as error:
            yield replace(refusal_finding(error, root), location=location)
            continue
        if path.suffix.lower() == ".py" and not unconfined and any(path.is_relative_to(code) for code in models):
            hint = UNCONFINED_HINT.replace("DOMAIN", folder.name)
            yield Finding(location, "dbt-code", "a model in Python is code that nothing confines", hint)


def _files(folder: Path) -> Iterator[Path]:
    """Yield what dbt would read: all but the folders below `folder`, and links to these."""
    root, waiting = folder.resolve(), [folder]
    while waiting:
        parent = waiting.pop()
        for entry in sorted(parent.iterdir()):
            if parent == folder and (entry.name.startswith(".") or entry.name in _NOT_READ):
                continue
            if entry.is_dir() and entry.resolve().is_relative_to(root):
                waiting += [] if entry.is_symlink() else [entry]
            else:
                yield entry
