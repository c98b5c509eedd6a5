"""The code locations of a mesh: what one `definitions.py` gives to Dagster, and all of them at once."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import dagster as dg

from storymesh.errors import WrongUsage, nearest
from storymesh.mesh.mesh import Mesh, find_root, load_mesh
from storymesh.orchestration.automation import sensor
from storymesh.orchestration.instance import home_of
from storymesh.orchestration.model import model_assets
from storymesh.orchestration.narrative import narrative_assets
from storymesh.orchestration.product import product_asset, source_specs

NARRATIVES = "narratives"


def definitions(file: str) -> dg.Definitions:
    """What the folder of `file` (a domain, or the narratives) brings to Dagster: assets, checks, jobs.

    Raises Refused with the findings of the mesh's files, and WrongUsage when the file stands somewhere else.
    """
    folder = Path(file).resolve().parent
    mesh = load_mesh(find_root(folder))
    if folder == mesh.root / NARRATIVES:
        return _narratives(mesh)
    if folder.parent == mesh.root / "domains" and folder.name in mesh.domains:
        return _domain(mesh, folder.name)
    words = f"{file} is neither in the folder of a domain nor in narratives/"
    raise WrongUsage(words, nearest(folder.name, [*mesh.domains, NARRATIVES]))


def load_locations(mesh: Mesh) -> dg.Definitions:
    """The definitions of all locations of the mesh, from the very files that Dagster's UI loads."""
    folders = [mesh.domain_folder(domain) for domain in mesh.domains]
    if mesh.narratives:
        folders.append(mesh.root / NARRATIVES)
    return dg.Definitions.merge(*(_load(folder / "definitions.py") for folder in folders))


def _domain(mesh: Mesh, domain: str) -> dg.Definitions:
    products = [product_asset(mesh, product) for product in mesh.products_of(domain)]
    made = [*model_assets(mesh, domain), *products]
    job = dg.define_asset_job(
        f"refresh_{domain}",
        selection=dg.AssetSelection.assets(*made),
        description=f"Every model and product of {mesh.domains[domain].title}.",
    )
    return dg.Definitions(
        assets=[*made, *source_specs(mesh, domain)],
        jobs=[job],
        sensors=[sensor(domain, made)],
        executor=dg.in_process_executor,
    )


def _narratives(mesh: Mesh) -> dg.Definitions:
    assets: list[dg.AssetsDefinition] = []
    jobs = []
    for narrative in mesh.narratives.values():
        made = narrative_assets(mesh, narrative)
        assets += made
        job = dg.define_asset_job(
            f"release_{narrative.name}",
            selection=dg.AssetSelection.assets(*made),
            description=f"Cases, records and release of '{narrative.title}', from the products as they are published.",
        )
        jobs.append(job)
    storage = dg.FilesystemIOManager(base_dir=str(home_of(mesh) / "storage"))
    return dg.Definitions(
        assets=assets,
        jobs=jobs,
        sensors=[sensor(NARRATIVES, assets)],
        resources={"io_manager": storage},
        executor=dg.in_process_executor,
    )


def _load(file: Path) -> dg.Definitions:
    """`defs` of one definitions.py. Raises WrongUsage when the file has none."""
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
