"""dbt's manifest of a domain: its models, what they read, and the relation that dbt makes of each.

Making it takes dbt some seconds, so it is kept in the store and made again only when a file that dbt reads has changed.
Where dbt refuses the project, what it says is kept likewise.
"""

import hashlib
import importlib.metadata
import json
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from storymesh.atomic_write import write_atomically
from storymesh.contract.types import arrow_schema
from storymesh.errors import DefinitionErrors, Finding
from storymesh.file_lock import hold_lock
from storymesh.input_file import InputFileRefused, read_input
from storymesh.mesh.mesh import Mesh
from storymesh.product import dbt_files
from storymesh.product.dbt_messages import refusal_findings
from storymesh.product.dbt_project import DbtRefused, parse_folder, prepare_dbt, run_dbt
from storymesh.product.store import Snapshot

PARSE_TIMEOUT_S = 300
MAX_BYTES = 16 * 2**20  # of a file that dbt reads
_REFUSED = "refused"
_PREPARING = threading.Lock()  # projects are parsed in threads, and what ibis knows of equal expressions bears only one
_DBT_SUFFIXES = frozenset({".sql", ".yml", ".yaml", ".md", ".py"})
_IGNORED_NAMES = frozenset({"sources", "products", "target", "logs", "dbt_packages", "__pycache__"})


def has_dbt_project(mesh: Mesh, domain: str) -> bool:
    """Return True if the domain has a dbt project."""
    return dbt_files.has_dbt_project(mesh.domain_folder(domain))


def dbt_manifest(mesh: Mesh, domain: str) -> Mapping[str, Any]:
    """Return dbt's manifest of the domain, made again only when what dbt reads has changed.

    Raises DefinitionErrors with what dbt refuses of its files, TransformFailed where it does not end.
    """
    cached = _cached_manifest(mesh, domain)
    with hold_lock(cached.parent.parent / f"{domain}.lock"):
        if not cached.is_file():
            inputs = {product: snapshot_without_rows(mesh, product) for product in input_products(mesh, domain)}
            with _PREPARING, mesh.open_engine() as engine:
                folder, access = mesh.domain_folder(domain), mesh.dbt_access(domain)
                project = prepare_dbt(domain, folder, mesh.store, inputs, engine, access, only_parsed=True)
            refused = _refusal_file(cached)
            try:
                run_dbt(project, "parse", PARSE_TIMEOUT_S)
            except DbtRefused as error:
                write_atomically(refused, json.dumps(error.errors))
                raise DefinitionErrors(refusal_findings(error.errors, domain, mesh.root)) from None
            for old in (*cached.parent.glob("manifest-*.json"), *cached.parent.glob(f"{_REFUSED}-*.json")):
                old.unlink()
            (project.target_path / "manifest.json").replace(cached)
        manifest: Mapping[str, Any] = json.loads(cached.read_text(encoding="utf-8"))
    return manifest


def find_dbt_manifest(mesh: Mesh, domain: str) -> Mapping[str, Any] | None:
    """Return dbt's manifest of the domain, if it has been made and nothing that dbt reads has changed since."""
    cached = _cached_manifest(mesh, domain)
    if not cached.is_file():
        return None
    manifest: Mapping[str, Any] = json.loads(cached.read_text(encoding="utf-8"))
    return manifest


def unparsed_projects(mesh: Mesh) -> list[str]:
    """Return the domains with a dbt project of which there is no manifest as its files are."""
    projects = [domain for domain in mesh.domains if has_dbt_project(mesh, domain)]
    return [domain for domain in projects if not _cached_manifest(mesh, domain).is_file()]


def recorded_refusal(mesh: Mesh, domain: str) -> list[Finding]:
    """Return what dbt refused of the domain's files when it was last asked, if it was asked about these very files."""
    if not any(parse_folder(mesh.store, domain).glob(f"{_REFUSED}-*.json")):
        return []
    try:
        errors = json.loads(_refusal_file(_cached_manifest(mesh, domain)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return refusal_findings(errors, domain, mesh.root)


def _refusal_file(cached: Path) -> Path:
    return cached.with_name(cached.name.replace("manifest", _REFUSED, 1))


def _cached_manifest(mesh: Mesh, domain: str) -> Path:
    return parse_folder(mesh.store, domain) / f"manifest-{_fingerprint(mesh, domain)}.json"


def input_products(mesh: Mesh, domain: str) -> list[str]:
    """Return the products that the domain's input ports name."""
    ports = (port.contract_id for product in mesh.products_of(domain) for port in product.inputs)
    return sorted(set(ports))


def snapshot_without_rows(mesh: Mesh, product: str) -> Snapshot:
    """Return a product as dbt sees it where only its columns matter: without any row."""
    contract = mesh.contract(product)
    empty = (0, contract.version, contract.digest, "", 0, datetime(1970, 1, 1))
    return Snapshot(product, "", *empty, files=(), schema=arrow_schema(contract))


def _fingerprint(mesh: Mesh, domain: str) -> str:
    """Return a digest of all that the manifest depends on: dbt's files, the contracts of the input ports, the variables
    of the environment that dbt may read, and dbt."""
    folder = mesh.domain_folder(domain)
    digest = hashlib.sha256()
    for package in ("dbt-core", "dbt-duckdb", "dagster-dbt"):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for name in sorted(mesh.dbt_access(domain).env):
        digest.update(f"{name}={os.environ.get(name)}\n".encode())
    for product in input_products(mesh, domain):
        digest.update(f"{product} {mesh.contract(product).digest}\n".encode())
    for path in sorted(_files(folder)):
        try:
            content = read_input(path, folder, MAX_BYTES) if path.suffix in _DBT_SUFFIXES else _size_of(path)
        except InputFileRefused as refused:
            content = str(refused).encode()  # whoever prepares dbt says so
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:24]


def _size_of(path: Path) -> bytes:
    return str(path.stat().st_size).encode()


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name in _IGNORED_NAMES:
            continue
        if entry.is_dir():
            yield from (path for path in entry.rglob("*") if path.is_file() and not _IGNORED_NAMES & set(path.parts))
        else:
            yield entry
