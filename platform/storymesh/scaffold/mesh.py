"""A new mesh and a new domain: the folders and files that every command and Dagster look for."""

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from storymesh.case.definition import NAME
from storymesh.document import parse_document, read_document
from storymesh.errors import DefinitionErrors, WrongUsage
from storymesh.mesh.check import RESERVED_DOMAINS
from storymesh.mesh.schemas import FILE_KINDS
from storymesh.scaffold.names import title_of
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.yaml_text import yaml_text

WORKSPACE = "workspace.yaml"
_DEFINITIONS = """from storymesh.orchestration import definitions

defs = definitions(__file__)
"""
_IGNORED = """.storymesh/
/releases/
.venv/
__pycache__/
target/
logs/
dbt_packages/
*.duckdb
*.duckdb.wal
"""
_CHECK = """name: check
on: [push, pull_request]
jobs:
  check:
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12", cache: pip}
      - run: pip install -r requirements.txt
      - run: storymesh check --format github
"""


def mesh_files(title: str, workspace: str, version: str) -> NewFiles:
    """Return the files of a mesh without domains. `workspace` is its list of code locations, `version` storymesh's."""
    readme = f"# {title}\n\n`pip install -r requirements.txt`, then `storymesh check` and `storymesh run`.\n"
    schemas = {_schema_path(name): kind.files for name, kind in FILE_KINDS.items()}
    return NewFiles({
        ".gitignore": _IGNORED,
        ".github/workflows/check.yml": _CHECK,
        "requirements.txt": requirement_line(version, _origin()),
        "README.md": readme,
        WORKSPACE: workspace,
        "narratives/definitions.py": _DEFINITIONS,
        ".vscode/settings.json": _json({"yaml.schemas": schemas}),
        **{_schema_path(name): _json(kind.make_schema()) for name, kind in FILE_KINDS.items()},
        "domains/.gitkeep": "",
        "contracts/.gitkeep": "",
    })  # fmt: skip


def _origin() -> dict[str, Any] | None:
    """Return where storymesh was installed from, as pip notes it (PEP 610); None: an index."""
    try:
        noted = distribution("storymesh").read_text("direct_url.json")
    except PackageNotFoundError:
        noted = '{"url": "file:"}'
    return json.loads(noted) if noted else None


def requirement_line(version: str, origin: dict[str, Any] | None) -> str:
    """Return the line from which others install the same storymesh. What was installed from a folder or file of this
    machine gets none: under its name alone an index may have something else."""
    if origin is None:
        return f"storymesh=={version}\n"
    url, repository = str(origin["url"]), origin.get("vcs_info")
    if repository is not None:
        return f"storymesh @ {repository['vcs']}+{url}@{repository['commit_id']}\n"
    if url.startswith("https:"):
        return f"storymesh @ {url}\n"
    return (
        f"# storymesh {version} was installed from this machine. Name where others get it, such as\n"
        "# storymesh @ git+https://example.com/storymesh.git@COMMIT\n"
    )


def _schema_path(kind: str) -> str:
    return f".vscode/schemas/{kind}.json"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def workspace_text(domains: Iterable[str]) -> str:
    """Return `workspace.yaml` of a mesh with these domains."""
    heading = ["The code locations of the mesh: one a domain, and one for the narratives."]
    folders = [*(f"domains/{domain}" for domain in domains), "narratives"]
    return yaml_text({"load_from": [_location(folder) for folder in folders]}, heading)


def domain_files(domain: str, owner: str) -> NewFiles:
    """Return the files of a new domain. Raises WrongUsage for a name that no domain can have."""
    require_domain_name(domain)
    fields = {"id": domain, "title": title_of(domain), "owner": owner}
    return NewFiles({
        f"domains/{domain}/domain.yaml": yaml_text(fields),
        f"domains/{domain}/definitions.py": _DEFINITIONS,
    })  # fmt: skip


def require_domain_name(domain: str) -> None:
    """Raise WrongUsage for a name that no domain can have."""
    if not NAME.match(domain) or len(domain) > 60:
        raise WrongUsage(f"'{domain}' is no name of a domain", "small letters, digits and _, a letter first")
    if domain in RESERVED_DOMAINS:
        raise WrongUsage(f"'{domain}' means something to the platform", "name the domain otherwise")


def _location(folder: str) -> dict[str, Any]:
    return {
        "python_file": {
            "relative_path": f"{folder}/definitions.py",
            "working_directory": ".",
            "location_name": folder.rpartition("/")[2],
        }
    }


def workspace_with(root: Path, domain: str) -> str | None:
    """Return the text of `workspace.yaml` with the location of a new domain; None where there is no such file.

    Raises WrongUsage for a file to which no line can be added without a change of what it says.
    """
    path = root / WORKSPACE
    if not path.exists():
        return None
    try:
        document = read_document(path, root)
    except DefinitionErrors as errors:
        raise WrongUsage(str(errors.findings[0]), "mend it first") from None
    entry = _location(f"domains/{domain}")
    listed = document.value.get("load_from") if isinstance(document.value, dict) else None
    if isinstance(listed, list) and entry in listed:
        return document.text
    text = _with_entry(document.text, entry)
    if not isinstance(listed, list) or _value_of(text) != {**document.value, "load_from": [*listed, entry]}:
        words = f"{WORKSPACE} is not of a form to which a line can be added"
        hint = f"add to load_from: {{python_file: {entry['python_file']}}}".replace("'", "")
        raise WrongUsage(words, hint)
    return text


def _value_of(text: str) -> Any:
    try:
        return parse_document(text, WORKSPACE).value
    except DefinitionErrors:
        return None


def _with_entry(text: str, entry: dict[str, Any]) -> str:
    """Return the text with one more item at its end, indented as the items above it."""
    item = yaml_text([entry])
    indents = [line[: len(line) - len(line.lstrip())] for line in text.splitlines() if line.lstrip().startswith("- ")]
    indent = indents[0] if indents else "  "
    lines = "".join(f"{indent}{line}\n" for line in item.splitlines())
    return f"{text.rstrip()}\n{lines}"
