"""Where a domain's dbt models are: in a DuckDB file or a PostgreSQL, as its own profiles.yml says, or else in a DuckDB
file of the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storymesh.document import Document, read_document
from storymesh.errors import DefinitionErrors, suggest_name
from storymesh.product.dbt_files import read_dbt_project
from storymesh.product.dbt_model_server import ModelServer, read_model_server

_HINT = "leave profiles.yml away, and the domain is given a DuckDB file of its own"
_PLAIN = frozenset({"type", "path", "schema", "database", "threads", "settings", "keep_open", "disable_transactions"})
_SETTINGS = frozenset(
    {
        "memory_limit",
        "max_memory",
        "threads",
        "worker_threads",
        "preserve_insertion_order",
        "default_null_order",
        "default_order",
        "integer_division",
        "ieee_floating_point_ops",
        "max_temp_directory_size",
    }
)


def models_place(domain: str, folder: Path, store: Path, *, unconfined: bool = False) -> Path | ModelServer:
    """Return where the models of the dbt project in `folder` are: a DuckDB file, or a server. Paths in a profile are
    relative to `folder`, as in dbt.

    Raises DefinitionErrors when the domain has a profiles.yml that names neither a DuckDB file of its own nor a server.
    """
    profile = read_profile(domain, folder, store, unconfined=unconfined)
    return profile.server or profile.database


@dataclass(frozen=True)
class DomainProfile:
    """What of a domain's profile is used: the `database`, and further plain fields and settings of the target.

    With a `server` the models are there, and nothing is in the `database`.
    """

    database: Path
    fields: Mapping[str, Any]
    settings: Mapping[str, Any]
    server: ModelServer | None = None


def read_profile(domain: str, folder: Path, store: Path, *, unconfined: bool) -> DomainProfile:
    """Return the profile of the dbt project in `folder`, or the one that it is given. Raises DefinitionErrors."""
    path = folder / "profiles.yml"
    if not path.exists() and not path.is_symlink():
        return DomainProfile(_own_database(domain, store), {}, {})
    root = folder.parent.parent
    document = read_document(path, root)
    profiles = _fields(document, ())
    name = read_dbt_project(folder, root).value.get("profile", domain)
    if name not in profiles:
        raise _profile_error(
            document, (), f"there is no profile '{name}', which dbt_project.yml names", suggest_name(name, profiles)
        )
    profile = _fields(document, (name,))
    outputs = _fields(document, (name, "outputs"))
    target = profile.get("target", "default")
    if target not in outputs:
        message = f"the target '{target}' is not among the outputs"
        raise _profile_error(document, (name, "target"), message, suggest_name(str(target), outputs))
    output = _fields(document, (name, "outputs", target))
    at = (name, "outputs", target)
    if output.get("type") == "postgres":
        return DomainProfile(_own_database(domain, store), output, {}, read_model_server(document, at, output, domain))
    if output.get("type") != "duckdb":
        message = f"products are read from DuckDB or PostgreSQL, the target '{target}' is {output.get('type')!r}"
        raise _profile_error(document, (*at, "type"), message, _HINT)
    written = output.get("path")
    if not isinstance(written, str) or not written or "{{" in written or ":" in written:
        message = f"the path of the target '{target}' is {written!r}, a file is wanted in which the models stay"
        raise _profile_error(document, (*at, "path"), message, _HINT)
    database = (folder / written).resolve()
    settings = output.get("settings") or {}
    if not unconfined:
        _require_plain(document, at, output, settings, folder)
        if not database.is_relative_to(folder.resolve()):
            words = f"the path of the target '{target}' leads out of the domain's folder"
            raise _profile_error(document, (*at, "path"), words, _HINT)
    fields = {key: value for key, value in output.items() if key in _PLAIN - {"type", "path", "settings"}}
    return DomainProfile(database, fields, settings)


def _own_database(domain: str, store: Path) -> Path:
    return (store / domain / "dbt").resolve() / f"{domain}.duckdb"


def _require_plain(
    document: Document, at: tuple[str, ...], output: Mapping[str, Any], settings: Any, folder: Path
) -> None:
    """Raise DefinitionErrors for what loads code or extensions, opens other files or reaches a server."""
    trusted = f"`dbt: {{unconfined: [{folder.name}]}}` in mesh.yaml"
    hint = f"leave it away, or trust the domain with all of this machine: {trusted}"
    for key in output:
        if key not in _PLAIN:
            raise _profile_error(document, (*at, key), f"a profile may not say '{key}'", hint)
    if not isinstance(settings, dict):
        raise _profile_error(document, (*at, "settings"), "'settings' has to hold fields", hint)
    for name, value in settings.items():
        if name not in _SETTINGS or isinstance(value, dict | list):
            raise _profile_error(document, (*at, "settings", name), f"a profile may not set '{name}'", hint)


def _fields(document: Document, steps: tuple[str, ...]) -> dict[str, Any]:
    value = document.value
    for step in steps:
        value = value.get(step)
    if not isinstance(value, dict):
        message = f"'{steps[-1] if steps else 'profiles.yml'}' has to hold fields"
        raise _profile_error(document, steps, message, _HINT)
    return value


def _profile_error(document: Document, steps: tuple[str, ...], message: str, hint: str) -> DefinitionErrors:
    return DefinitionErrors([document.finding(steps, "profile", message, hint)])
