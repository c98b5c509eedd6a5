"""The earlier state that a mesh is compared with: its contracts, and which columns each reader used."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storymesh.compatibility.git_files import write_definitions
from storymesh.contract.definition import Contract
from storymesh.errors import DefinitionErrors, WrongUsage
from storymesh.mesh.mesh import PARTS, Mesh, read_mesh
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.definition import Product
from storymesh.release.catalog import Release, find_release, list_releases, read_release
from storymesh.release.definition_snapshot import read_definition_snapshot
from storymesh.release.layout import MANIFEST
from storymesh.temporary_folder import temporary_folder


@dataclass(frozen=True)
class Baseline:
    """The contracts by product, the narratives typed against them, and the products, whose input ports read others.

    `kept_only`: they are those of a release, which keeps no rules of quality and no service levels. `notes` say what of
    it could not be read.
    """

    name: str
    contracts: Mapping[str, Contract]
    narratives: Mapping[str, TypedNarrative]
    products: Mapping[str, Product]
    kept_only: bool = False
    notes: tuple[str, ...] = ()


def read_baseline(mesh: Mesh, against: str) -> Baseline:
    """Return what `against` names: the folder of a mesh or a release, a release of the mesh, or a commit of git.

    Raises WrongUsage when it names nothing.
    """
    if not against.strip():
        raise WrongUsage("--against names nothing", "a mesh folder, a release, or a commit of git")
    folder = Path(against)
    if (folder / MANIFEST).is_file():
        return _of_release(read_release(folder.resolve()))
    if folder.is_dir() and all((folder / part).is_dir() for part in PARTS):
        return _of_mesh(folder, against)
    narrative = against.partition("@")[0].replace("_", "-")
    if list_releases(mesh.releases, narrative) and narrative in mesh.narratives:
        return _of_release(find_release(mesh.releases, against))
    if folder.is_dir():
        raise WrongUsage(f"{against} is no mesh and no release", f"a mesh has {', '.join(PARTS)}, a release {MANIFEST}")
    with temporary_folder("compat") as temporary:
        root = temporary / "mesh"
        root.mkdir()
        commit = write_definitions(mesh.root, against, root)
        return _of_mesh(root, against if commit.startswith(against) else f"{against} ({commit[:10]})")


def _of_release(release: Release) -> Baseline:
    typed = read_definition_snapshot(release)
    contracts = {contract.id: contract for contract in typed.contracts.values()}
    return Baseline(release.name, contracts, {release.narrative: typed}, {}, kept_only=True)


def _of_mesh(root: Path, name: str) -> Baseline:
    mesh, findings = read_mesh(root)
    typed: dict[str, TypedNarrative] = {}
    notes = [f"{name} has errors itself: {finding}" for finding in findings if finding.severity == "error"][:3]
    for narrative in mesh.narratives.values():
        with suppress(WrongUsage):  # of a product that is not there
            try:
                typed[narrative.id] = mesh.typed(narrative)
            except DefinitionErrors as errors:
                notes.append(f"what {narrative.id} reads in {name} is not known: {errors.findings[0]}")
    return Baseline(name, mesh.contracts, typed, mesh.products, notes=tuple(notes))


def readers_of(baseline: Baseline, product: str) -> Iterator[tuple[str, TypedNarrative | Product]]:
    """Yield the narratives whose cast has the product, and the products whose input ports name it, with their names."""
    for id_, typed in baseline.narratives.items():
        if any(contract.id == product for contract in typed.contracts.values()):
            yield id_, typed
    for id_, other in baseline.products.items():
        if any(port.contract_id == product for port in other.inputs):
            yield id_, other
