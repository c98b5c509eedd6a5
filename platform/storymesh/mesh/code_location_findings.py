"""Check how Dagster loads a mesh: a definitions.py for each domain, and what workspace.yaml says of them."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from storymesh.document import Document, path_in_mesh, read_document
from storymesh.errors import DefinitionErrors, Finding
from storymesh.location import Location
from storymesh.mesh.mesh import Mesh

WORKSPACE_FILE = "workspace.yaml"
DEFINITIONS_FILE = "from storymesh.orchestration import definitions / defs = definitions(__file__)"
# What names a location of each kind where nothing else does, as Dagster has it.
_TARGETS = {"python_file": "relative_path", "python_module": "module_name", "python_package": "package_name"}


def code_location_findings(mesh: Mesh) -> Iterator[Finding]:
    """Yield what is wrong with the definitions.py of domains and narratives, and with workspace.yaml, if there is one:
    each is listed there, once, under a name of its own."""
    folders = [f"domains/{domain}" for domain in mesh.domains]
    if mesh.narratives:
        folders.append("narratives")
    for folder in folders:
        if not (mesh.root / folder / "definitions.py").is_file():
            message = "this folder has no definitions.py, so Dagster does not see it"
            hint = f"two lines: {DEFINITIONS_FILE}"
            yield Finding(Location(f"{folder}/definitions.py"), "missing-file", message, hint)
    workspace = mesh.root / WORKSPACE_FILE
    if not workspace.is_file():
        return
    try:
        document = read_document(workspace, mesh.root)
    except DefinitionErrors as errors:
        yield from errors.findings
        return
    entries = document.value.get("load_from") if isinstance(document.value, dict) else None
    if not isinstance(entries, list):
        yield document.finding((), "wrong-value", "load_from has to be a list of code locations")
        return
    listed: set[str] = set()
    for index, entry in enumerate(entries):
        yield from _entry_findings(mesh.root, document, index, entry, listed)
    yield from _name_findings(document, entries)
    for folder in folders:
        if f"{folder}/definitions.py" not in listed and not _is_served(PurePath(folder).name, entries):
            message = f"{folder}/definitions.py is not listed, so Dagster does not load it"
            name = PurePath(folder).name
            fields = f"relative_path: {folder}/definitions.py, working_directory: ., location_name: {name}"
            yield document.finding(("load_from",), "not-listed", message, f"- python_file: {{{fields}}}")


def _is_served(name: str, entries: list[Any]) -> bool:
    """Return True if a server elsewhere loads the location, as far as that can be told: what a server without a
    location_name loads, only those know who started it."""
    servers = [entry["grpc_server"] for entry in entries if isinstance(entry, dict) and "grpc_server" in entry]
    return any(not isinstance(server, dict) or server.get("location_name") in (None, name) for server in servers)


def _entry_findings(root: Path, document: Document, index: int, entry: Any, listed: set[str]) -> Iterator[Finding]:
    """Yield what is wrong with an entry that loads a file, and add that file to those that are `listed`."""
    file = _python_file(entry)
    if file is None:
        return
    name = path_in_mesh(root / file, root)
    if name in listed:
        yield document.finding(("load_from", index), "duplicate-location", f"{name} is loaded twice", "keep one")
    elif not (root / file).is_file():
        yield document.finding(("load_from", index), "missing-file", f"there is no {name}")
    listed.add(name)
    if (python := _missing_python(root, entry)) is not None:
        words = f"there is no Python {python} on this machine, so Dagster does not load {name} here"
        at = ("load_from", index, "python_file", "executable_path")
        hint = "make that environment, or leave it away"
        yield Finding(document.at(*at), "missing-file", words, hint, "warning")


def _name_findings(document: Document, entries: list[Any]) -> Iterator[Finding]:
    """Yield a finding for each location that has the name of an earlier one: with such two the interface does not
    start."""
    named: dict[str, int] = {}
    for index, entry in enumerate(entries):
        kind, target = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else ("", None)
        if (name := _location_name(kind, target)) is None or named.setdefault(name, index) == index:
            continue
        file = _python_file(entry)
        if file is not None and file == _python_file(entries[named[name]]):
            continue  # it is loaded twice
        first = document.at("load_from", named[name]).line
        words = f"this location and that of line {first} are both called '{name}', so the user interface does not start"
        folder = PurePath(file or "").parent.name
        hint = f"location_name: {folder}" if folder else "give each a location_name of its own"
        yield document.finding(("load_from", index), "duplicate-location", words, hint)


def _location_name(kind: str, target: Any) -> str | None:
    """Return the name that Dagster knows a location by; None where it is not known here."""
    field = _TARGETS.get(kind)
    fields: Mapping[str, Any] = target if isinstance(target, dict) else {str(field): target}
    if "location_name" in fields:
        given = fields["location_name"]
        return given if isinstance(given, str) else None
    if field is None:
        return None
    path, attribute = fields.get(field), fields.get("attribute")
    if not isinstance(path, str) or not isinstance(attribute, str | None):
        return None
    name = PurePath(path).name if kind == "python_file" else path
    return f"{name}:{attribute}" if attribute else name


def _python_file(entry: Any) -> str | None:
    """Return the path in one entry of load_from; None for a location of another kind."""
    file = entry.get("python_file") if isinstance(entry, dict) else None
    if isinstance(file, dict):
        file = file.get("relative_path")
    return file if isinstance(file, str) else None


def _missing_python(root: Path, entry: Any) -> str | None:
    """Return the environment of its own that a location names, where it is not there."""
    python = entry["python_file"].get("executable_path") if isinstance(entry["python_file"], dict) else None
    if not isinstance(python, str) or shutil.which(python):
        return None
    # As Dagster has it, of a user that nobody knows too, for whom Path raises.
    return None if (root / os.path.expanduser(python)).is_file() else python  # noqa: PTH111
