"""Releases found by the names that people give them: in a mesh, or by their folder without one."""

import os
from collections.abc import Sequence
from pathlib import Path

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract_file
from storymesh.document import read_document
from storymesh.errors import WrongUsage, suggest_name
from storymesh.mesh.mesh import find_root, read_settings
from storymesh.mesh.residency import Residency
from storymesh.mesh.settings import Domain, Settings
from storymesh.product.definition import SUFFIX, read_product
from storymesh.product.extracts import ExtractStore
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import Release, find_release, list_releases, read_release
from storymesh.release.layout import MANIFEST
from storymesh.release.signature import ReleaseExpectation, read_public_key


def releases_of(mesh: str | Path | None) -> Path:
    """Return the folder of a mesh's releases. None: of the mesh at or above the current folder.

    Reads no definition, so that a release can be used while definitions are being changed.
    """
    root = _root(mesh)
    return root / read_settings(root).releases


def warehouse_of(mesh: str | Path | None) -> Warehouse:
    """Return where a mesh keeps its products. None: the mesh at or above the current folder."""
    root = _root(mesh)
    return read_settings(root).store.warehouse_of(root)


def settings_of(mesh: str | Path | None) -> Settings:
    """Return what `mesh.yaml` says. Raises WrongUsage where there is no mesh."""
    return read_settings(_root(mesh))


def extracts_of(mesh: str | Path | None) -> ExtractStore | None:
    """Return what left premises in a mesh; None where there is no mesh."""
    try:
        return ExtractStore(warehouse_of(mesh).folder)
    except WrongUsage:
        return None


def contracts_of(mesh: str | Path | None, release: Release) -> dict[str, Contract]:
    """Return the contracts that a mesh has of the products of a release, by product; none where there is no mesh.

    No other definition is read. Raises DefinitionErrors for a contract that cannot be read.
    """
    try:
        root = _root(mesh)
    except WrongUsage:
        return {}
    settings = read_settings(root)
    classifications = settings.classifications
    found: dict[str, Contract] = {}
    for product in sorted(release.manifest.products):
        id_ = _contract_id(product, root)
        path = root / "contracts" / f"{id_.replace('.', '/')}.odcs.yaml"
        if path.exists():
            found[product] = read_contract_file(path, root, classifications).contract(product)
    domains = {product.partition(".")[0] for product in found}
    files = {name: root / "domains" / name / "domain.yaml" for name in domains}
    read = {name: read_document(path, root).parse(Domain) for name, path in files.items() if path.exists()}
    return Residency(settings, read, found).placed(found)


def _contract_id(product: str, root: Path) -> str:
    """Return the id of the contract with a product's schema object: where it is not its own, its file says which."""
    domain, _, name = product.partition(".")
    path = root / "domains" / domain / "products" / f"{name}{SUFFIX}"
    if (root / "contracts" / domain / f"{name}.odcs.yaml").exists() or not path.exists():
        return product
    ports = read_product(path, root).outputs
    return next((port.contract_id for port in ports if port.name == name), product)


def expectation(mesh: str | Path | None, digest: str | None, signers: Sequence[str]) -> ReleaseExpectation:
    """Return what is expected of releases: this digest, and one of these signers, or else of those that `mesh.yaml`
    trusts, where there is a mesh. Raises WrongUsage for what is no digest or no key."""
    if signers:
        return ReleaseExpectation(digest, tuple(read_public_key(signer) for signer in signers))
    try:
        root = _root(mesh)
    except WrongUsage:
        return ReleaseExpectation(digest)
    return ReleaseExpectation(digest, read_settings(root).signers)


def _root(mesh: str | Path | None) -> Path:
    return find_root(Path.cwd()) if mesh is None else Path(mesh)


def named_release(name: str, mesh: str | Path | None) -> Release:
    """Return the release `NARRATIVE@X-rN`, the latest of NARRATIVE without a version, or the one in the folder `name`.

    A folder needs no mesh. Raises WrongUsage when there is no such release.
    """
    folder = Path(name)
    if _has_manifest(folder):
        return read_release(folder.resolve())
    if "/" in name:
        raise WrongUsage(f"{name} is no release: it has no {MANIFEST}", "name a folder that has, or NARRATIVE@X-rN")
    return find_release(releases_of(mesh), name)


def _has_manifest(folder: Path) -> bool:
    """Return True where a manifest stands, be it a link to nothing. What cannot be a path has none."""
    try:
        return os.path.lexists(folder / MANIFEST)
    except (OSError, ValueError):
        return False


def named_releases(name: str | None, mesh: str | Path | None) -> list[Release]:
    """Return every release of the mesh (None), all of a narrative, or one as `named_release` finds it.

    Raises WrongUsage when there is none.
    """
    if name is not None and ("@" in name or "/" in name or _has_manifest(Path(name))):
        return [named_release(name, mesh)]
    every = list_releases(releases_of(mesh))
    found = [release for release in every if name is None or release.narrative == name.replace("_", "-")]
    if not found:
        known = dict.fromkeys(release.narrative for release in every)
        hint = suggest_name(name, known) if name and known else "storymesh run makes one"
        raise WrongUsage(f"'{name}' has no release" if name else "there is no release yet", hint)
    return found


def next_release(release: Release) -> Release:
    """Return the next release of the same narrative. Raises WrongUsage when this is the last."""
    beside = release.path.resolve().parents
    every = list_releases(beside[1], release.narrative) if len(beside) > 1 else []
    versions = [other.version for other in every]
    index = versions.index(release.version) + 1 if release.version in versions else len(versions)
    if index == len(versions):
        message = f"{release.narrative} {release.version} is the last release"
        raise WrongUsage(message, "name two: storymesh diff NARRATIVE@X-rN NARRATIVE@X-rM")
    return every[index]
