"""A record of the inputs of the last dbt build, so that one that would change nothing is skipped.

Nothing is assumed of a project that can make something else from the same files: one that nothing confines, models that
keep what was there before, code that asks for the time or for chance.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from storymesh.atomic_write import write_atomically
from storymesh.engine.sql_text import varies
from storymesh.input_file import InputFileRefused, open_input
from storymesh.product.dbt_project import DbtAccess, DbtProject
from storymesh.product.software import software_digest

MAX_FILES = 20_000
_STATE = "built.json"
_NOT_READ = frozenset({"target", "logs", "__pycache__"})
_PACKAGES = ("dbt-core", "dbt-duckdb")
_OWN_MACROS = frozenset({"dbt", "dbt_duckdb"})
_STEADY = frozenset({None, "view", "table", "ephemeral", "external", "seed", "test", "unit"})  # materializations


class DbtBuildState:
    """Whether the last `dbt build` of a project read what it would read now, and its database is as it left it.

    `selected` names what is built, if it is not all of the project; `manifest` is dbt's.
    """

    def __init__(
        self, project: DbtProject, access: DbtAccess, manifest: Mapping[str, Any], selected: Iterable[str] = ()
    ) -> None:
        self._project = project
        self._path = project.target_path.parent / _STATE
        varying = access.unconfined or project.on_server or _varies(manifest)
        self._inputs = None if varying else _inputs_digest(project, access, selected)

    def is_current(self) -> bool:
        """Return True if a build would read what the last one read and find the database as that one left it."""
        if self._inputs is None:
            return False
        try:
            before = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(before == {"inputs": self._inputs, "outputs": self._outputs()})

    def forget(self) -> None:
        """Begin a build: what it leaves behind is not known before it has ended."""
        self._path.unlink(missing_ok=True)

    def record(self) -> None:
        """Note that a build has ended well."""
        if self._inputs is not None:
            write_atomically(self._path, json.dumps({"inputs": self._inputs, "outputs": self._outputs()}))

    def _outputs(self) -> dict[str, list[int] | None]:
        """Return size and time of change of the database, and of each file that models write beside it."""
        database = self._project.database
        beside = sorted(self._project.external.rglob("*"))
        written = [database, database.with_name(f"{database.name}.wal"), *beside]
        return {str(path): _size_and_time(path) for path in written}


def models_digest(database: Path, allowed: Collection[Path] | None, manifest: Mapping[str, Any] | None) -> str | None:
    """Return a digest of all that the models in the file `database` are read from: it, and the files that a view may
    read, which are those `allowed` (None: every file). None where that does not say which rows they have.

    `manifest` is dbt's of the project.
    """
    if allowed is None or manifest is None or _varies(manifest):
        return None
    digest = hashlib.sha256()
    write_ahead_log = database.with_name(f"{database.name}.wal")
    try:
        paths = [*(path for path in (database, write_ahead_log) if path.exists()), *_all_files(allowed)]
        for path in paths:
            with open_input(path, path.parent) as file:
                digest.update(f"{path} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    except (InputFileRefused, OSError, _Elsewhere):
        return None
    return digest.hexdigest()


def _all_files(roots: Iterable[Path]) -> list[Path]:
    """Return the files that are or lie below `roots`, in a fixed order; a root that does not exist has none."""
    found: list[Path] = []
    for root in sorted(roots):
        if root.is_file():
            found.append(root)
        for folder, names, files in os.walk(root):
            if any(Path(folder, name).is_symlink() for name in names) or len(found) > MAX_FILES:
                raise _Elsewhere
            names.sort()
            found += [Path(folder, name) for name in sorted(files)]
    return found


def _size_and_time(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _varies(manifest: Mapping[str, Any]) -> bool:
    """Return True if the project can make something else from the same files."""
    nodes = [*manifest["nodes"].values(), *manifest.get("unit_tests", {}).values()]
    for node in nodes:
        config = node.get("config") or {}
        if node["resource_type"] in ("snapshot", "operation") or config.get("materialized") not in _STEADY:
            return True
        if config.get("pre-hook") or config.get("post-hook") or varies(str(node.get("raw_code") or "")):
            return True
    macros = manifest.get("macros", {}).values()
    return any(varies(macro["macro_sql"]) for macro in macros if macro["package_name"] not in _OWN_MACROS)


def _inputs_digest(project: DbtProject, access: DbtAccess, selected: Iterable[str]) -> str | None:
    """Return a digest of all that a build reads; None where that cannot be said."""
    digest = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        for part in parts:
            content = part if isinstance(part, bytes) else part.encode()
            digest.update(f"{len(content)}:".encode() + content)

    add(
        *(f"{package} {importlib.metadata.version(package)}" for package in _PACKAGES),
        software_digest(),
        *sorted(selected),
    )
    # An input port stands in the sources as the files of its snapshot, whose names are never used twice.
    add(*(part for path, text in sorted(project.files.items()) for part in (str(path), text)))
    add(*(f"{name}={os.environ.get(name)}" for name in sorted(access.env)))
    count = 0
    try:
        for root in (project.folder, *(path.resolve() for path in access.read)):
            for path in _files(root, project.database):
                count += 1
                if count > MAX_FILES:
                    return None
                with open_input(path, root) as file:
                    add(str(path), hashlib.file_digest(file, "sha256").digest())
    except (InputFileRefused, OSError, _Elsewhere):
        return None
    return digest.hexdigest()


class _Elsewhere(Exception):
    """A link to a folder, whose files may lie anywhere, or more files than anybody looks at."""


def _files(root: Path, database: Path) -> Iterator[Path]:
    """Yield the files below `root`, or it itself, but for hidden ones, dbt's own and the database."""
    if not root.is_dir():
        yield root
        return
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for entry in sorted(parent.iterdir()):
            if entry.name.startswith(".") or (parent == root and entry.name in _NOT_READ):
                continue
            if entry.is_dir():
                if entry.is_symlink():
                    raise _Elsewhere
                waiting.append(entry)
            elif entry != database and not entry.name.startswith(f"{database.name}.") and entry.suffix != ".pyc":
                yield entry
