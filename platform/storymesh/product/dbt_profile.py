"""The DuckDB file of a domain's dbt models: that of its own profiles.yml, or else one in the store."""

from pathlib import Path
from typing import Any

from storymesh.document import Document, read_document
from storymesh.errors import DefinitionErrors, suggest_name

_HINT = "leave profiles.yml away, and the domain is given a DuckDB file of its own"


def domain_database_path(domain: str, folder: Path, store: Path) -> Path:
    """Return the DuckDB file of the dbt project in `folder`. Paths in a profile are relative to `folder`, as in dbt.

    Raises DefinitionErrors when the domain has a profiles.yml that names no DuckDB file.
    """
    path = folder / "profiles.yml"
    if not path.is_file():
        return (store / domain / "dbt").resolve() / f"{domain}.duckdb"
    root = folder.parent.parent
    document = read_document(path, root)
    profiles = _fields(document, ())
    project = read_document(folder / "dbt_project.yml", root).value
    name = project.get("profile", domain) if isinstance(project, dict) else domain
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
    if output.get("type") != "duckdb":
        message = f"products are read from DuckDB, the target '{target}' is {output.get('type')!r}"
        raise _profile_error(document, (*at, "type"), message, _HINT)
    written = output.get("path")
    if not isinstance(written, str) or not written or "{{" in written or ":" in written:
        message = f"the path of the target '{target}' is {written!r}, a file is wanted in which the models stay"
        raise _profile_error(document, (*at, "path"), message, _HINT)
    return (folder / written).resolve()


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
