"""The definitions of all code locations at once, read from the very files that Dagster's UI loads."""

import sys
from contextvars import ContextVar
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import dagster as dg

from storymesh.errors import WrongUsage
from storymesh.mesh.mesh import Mesh, load_mesh

NARRATIVES = "narratives"
_loaded: ContextVar[Mesh | None] = ContextVar("loaded_mesh", default=None)


def load_code_locations(mesh: Mesh) -> dg.Definitions:
    """Return the merged definitions of every `definitions.py` of the mesh. Raises WrongUsage when one has no `defs`."""
    folders = [mesh.domain_folder(domain) for domain in mesh.domains]
    if mesh.narratives:
        folders.append(mesh.root / NARRATIVES)
    token = _loaded.set(mesh)
    try:
        return dg.Definitions.merge(*(_load(folder / "definitions.py") for folder in folders))
    finally:
        _loaded.reset(token)


def mesh_of_location(root: Path) -> Mesh:
    """Return the mesh at `root`: the very one whose locations are being loaded, or else read from its files.

    Raises DefinitionErrors.
    """
    mesh = _loaded.get()
    return mesh if mesh is not None and mesh.root == root else load_mesh(root)


def _load(file: Path) -> dg.Definitions:
    name = f"storymesh_location_{file.parent.name}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise WrongUsage(f"there is no {file}", "run storymesh check")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    loaded = getattr(module, "defs", None)
    if not isinstance(loaded, dg.Definitions):
        raise WrongUsage(f"{file} has no Dagster definitions called defs", "it holds two lines, as in other domains")
    return loaded
