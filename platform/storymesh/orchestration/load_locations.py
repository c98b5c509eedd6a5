"""The definitions of all code locations together, loaded from the same files as in Dagster's UI."""

import sys
import traceback
from contextvars import ContextVar
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import dagster as dg

from storymesh.errors import DefinitionErrors, StorymeshError, WrongUsage
from storymesh.mesh.mesh import Mesh, read_mesh
from storymesh.mesh.valid_part import valid_part
from storymesh.orchestration.assets.keys import product_key
from storymesh.orchestration.assets.metadata import asset_owners
from storymesh.orchestration.failures import as_dagster_failure

NARRATIVES = "narratives"
_loaded: ContextVar[Mesh | None] = ContextVar("loaded_mesh", default=None)


def load_code_locations(mesh: Mesh) -> dg.Definitions:
    """Return the merged definitions of every `definitions.py` of the mesh.

    That of a domain which does not load gives products that fail with its error, so that the rest runs. Raises
    WrongUsage when that of the narratives has no `defs`, or when one claims an asset of another location.
    """
    token = _loaded.set(mesh)
    try:
        loaded = {domain: _load_domain(mesh, domain) for domain in mesh.domains}
        if mesh.narratives:
            loaded[NARRATIVES] = _load(mesh.root / NARRATIVES / "definitions.py")
    finally:
        _loaded.reset(token)
    for name, definitions in loaded.items():
        _require_own_assets(mesh, name, definitions)
    return dg.Definitions.merge(*loaded.values())


def _load_domain(mesh: Mesh, domain: str) -> dg.Definitions:
    file = mesh.domain_folder(domain) / "definitions.py"
    try:
        return _load(file)
    except Exception as error:  # whatever a team's own code raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        if isinstance(error, StorymeshError):
            reason = error.message
        message = f"{file.relative_to(mesh.root)}:{_line_of(error, file)} does not load: {reason}"
        return dg.Definitions(assets=_failing_products(mesh, domain, message, error))


def _line_of(error: Exception, file: Path) -> int:
    """Return the last line of the file that the error came by."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(file)), 1)


def _failing_products(mesh: Mesh, domain: str, message: str, error: Exception) -> list[dg.AssetsDefinition]:
    """Return the products of a domain as assets that fail with this message."""

    def failing(product: str) -> dg.AssetsDefinition:
        key = product_key(product)
        spec = dg.AssetSpec(
            key=key, group_name=domain, description=message, owners=asset_owners(mesh.domains[domain].owner)
        )

        @dg.multi_asset(name=f"publish_{key.to_python_identifier()}", specs=[spec])
        def fail() -> None:
            raise as_dagster_failure(StorymeshError(message, "the rest of the mesh runs without it")) from error

        return fail

    return [failing(product.id) for product in mesh.products_of(domain)]


def _require_own_assets(mesh: Mesh, name: str, definitions: dg.Definitions) -> None:
    """Raise WrongUsage where a location makes an asset under the name of another: it publishes under its own only."""
    narratives = {narrative.name for narrative in mesh.narratives.values()}
    others = narratives | mesh.domains.keys() if name != NARRATIVES else set(mesh.domains)
    for asset in definitions.assets or ():
        for key in asset.keys if isinstance(asset, dg.AssetsDefinition) else ():
            if key.path[0] in others - {name}:
                message = f"the location '{name}' makes the asset {key.to_user_string()}, which is not its own"
                raise WrongUsage(message, f"an asset of {name} begins with its own name")


def mesh_of_location(root: Path, name: str) -> Mesh:
    """Return the mesh at `root`: the very one whose locations are being loaded, or else read from its files, without
    what has errors.

    Raises DefinitionErrors where that leaves nothing of the location `name`.
    """
    mesh = _loaded.get()
    if mesh is not None and mesh.root == root:
        return mesh
    whole, findings = read_mesh(root)
    part = valid_part(whole, findings)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors and (name in part.left_out or (name == NARRATIVES and not part.mesh.narratives)):
        raise DefinitionErrors(errors)
    for finding in errors:
        dg.get_dagster_logger().warning("left out: %s", finding)
    return part.mesh


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
