"""The earlier state that a mesh is compared with: its contracts, and which columns each reader used. Files of a commit
of git are written to a folder, and the work tree is not touched."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storymesh.contract.definition import Contract
from storymesh.errors import DefinitionErrors, StorymeshError, WrongUsage
from storymesh.mesh.mesh import PARTS, Mesh, read_mesh
from storymesh.narrative.typed import TypedNarrative
from storymesh.process_environment import scrubbed_environment
from storymesh.product.definition import Product
from storymesh.release.catalog import Release, find_release, list_releases, read_release
from storymesh.release.definition_snapshot import read_definition_snapshot
from storymesh.release.layout import MANIFEST
from storymesh.temporary_folder import temporary_folder

MAX_FILES = 20_000
MAX_BYTES = 4 * 2**20  # of a file, as of a definition that is read from disk
_DEFINITION = re.compile(
    r"mesh\.yaml|contracts/[^/]+/[^/]+\.odcs\.yaml|domains/[^/]+/(domain\.yaml|products/[^/]+\.odps\.yaml)"
    r"|narratives/[^/]+/([^/]+/){0,3}[^/]+\.(yaml|jinja)"
)
_FILE = ("100644", "100755")  # modes of regular files; a link could lead anywhere


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
        return _release_baseline(read_release(folder.resolve()))
    if folder.is_dir() and all((folder / part).is_dir() for part in PARTS):
        return _mesh_baseline(folder, against)
    narrative = against.partition("@")[0].replace("_", "-")
    if list_releases(mesh.releases, narrative) and narrative in mesh.narratives:
        return _release_baseline(find_release(mesh.releases, against))
    if folder.is_dir():
        raise WrongUsage(f"{against} is no mesh and no release", f"a mesh has {', '.join(PARTS)}, a release {MANIFEST}")
    with temporary_folder("compat") as temporary:
        root = temporary / "mesh"
        root.mkdir()
        commit = write_definitions(mesh.root, against, root)
        return _mesh_baseline(root, against if commit.startswith(against) else f"{against} ({commit[:10]})")


def _release_baseline(release: Release) -> Baseline:
    typed = read_definition_snapshot(release)
    contracts = {contract.id: contract for contract in typed.contracts.values()}
    return Baseline(release.name, contracts, {release.narrative: typed}, {}, kept_only=True)


def _mesh_baseline(root: Path, name: str) -> Baseline:
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


def write_definitions(root: Path, ref: str, folder: Path) -> str:
    """Write the definitions of the mesh at `root` as they are in the commit `ref` to `folder`; return the commit's id.

    Raises WrongUsage when git knows no such commit, StorymeshError when git cannot be asked.
    """
    commit = _git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"], folder)
    if not commit:
        raise WrongUsage(
            f"'{ref}' is neither a folder, nor a release, nor a commit of git", "git log --oneline shows some"
        )
    name = commit.decode().strip()
    listed = _git(root, ["ls-tree", "-r", "-z", "-l", name], folder) or b""
    wanted = [found for entry in listed.split(b"\0") if entry and (found := _wanted(entry))]
    if len(wanted) > MAX_FILES:
        raise StorymeshError(f"{ref} has {len(wanted):,} definitions, at most {MAX_FILES:,} are read", "split the mesh")
    for part in ("domains", "contracts", "narratives"):
        (folder / part).mkdir()
    contents = _git(root, ["cat-file", "--batch"], folder, "".join(f"{blob}\n" for blob, _ in wanted).encode()) or b""
    position = 0
    for _, path in wanted:
        end = contents.index(b"\n", position)
        size = int(contents[position:end].split()[2])
        content, position = contents[end + 1 : end + 1 + size], end + 2 + size
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return name


def _wanted(entry: bytes) -> tuple[str, str] | None:
    """Return the blob and the path of an entry of `git ls-tree`, where it is a definition."""
    head, _, raw = entry.partition(b"\t")
    mode, _, blob, size = head.decode().split()
    path = raw.decode("utf-8", "replace")
    fits = mode in _FILE and int(size) <= MAX_BYTES and _DEFINITION.fullmatch(path) and ".." not in path.split("/")
    return (blob, path) if fits else None


def _git(root: Path, arguments: Sequence[str], home: Path, given: bytes = b"") -> bytes | None:
    """Return what git answers about the repository of `root`; None where it answers no."""
    program = shutil.which("git")
    if program is None:
        raise StorymeshError("git is not installed", "name a mesh folder or a release instead")
    environment = scrubbed_environment(str(home)) | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
    # The repository may be another user's, as in a container: it is only read, and no hook or filter of it runs.
    command = [program, "-c", f"safe.directory={_toplevel(root)}", *arguments]
    done = subprocess.run(command, cwd=root, input=given, capture_output=True, env=environment, check=False)
    if done.returncode and done.stderr:
        words = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise StorymeshError(f"git cannot read {root}: {words}", "name a mesh folder or a release instead")
    return done.stdout if done.returncode == 0 else None


def _toplevel(root: Path) -> str:
    """Return the folder of the repository that `root` lies in, or `root` itself."""
    above = (folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git"))
    return str(next(above, root))
