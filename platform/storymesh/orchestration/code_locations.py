"""The code locations of a mesh: the definitions that one `definitions.py` gives to Dagster."""

from pathlib import Path

import dagster as dg

from storymesh.errors import WrongUsage, suggest_name
from storymesh.mesh.mesh import Mesh, find_root
from storymesh.orchestration.alerts import alert_sensors
from storymesh.orchestration.assets.automation import automation_sensor
from storymesh.orchestration.assets.dbt_models import dbt_model_assets
from storymesh.orchestration.assets.file_shards import shard_count, shards_asset
from storymesh.orchestration.assets.in_place import in_place_asset
from storymesh.orchestration.assets.io_manager import BuildKeyIOManager
from storymesh.orchestration.assets.products import product_asset
from storymesh.orchestration.assets.sources import raw_file_sensor, raw_file_specs, server_table_specs
from storymesh.orchestration.instance import dagster_home
from storymesh.orchestration.jobs import mesh_schedules, refresh_job, refresh_schedules, release_job
from storymesh.orchestration.load_locations import NARRATIVES, mesh_of_location
from storymesh.orchestration.run_monitor import abandoned_runs, executor
from storymesh.orchestration.unguarded_server import warn_of_unguarded_server


def definitions(file: str) -> dg.Definitions:
    """Return the assets, checks, jobs and sensors of the folder of `file`: a domain, or the narratives.

    Raises DefinitionErrors with the findings of the mesh's files, and WrongUsage when the file stands somewhere else.
    """
    warn_of_unguarded_server()
    folder = Path(file).resolve().parent
    mesh = mesh_of_location(find_root(folder), folder.name)
    mesh.prepare_store()  # dbt, the sensors and every step write to it
    if folder == mesh.root / NARRATIVES:
        return _narratives(mesh)
    if folder.parent == mesh.root / "domains" and folder.name in mesh.domains:
        return _domain(mesh, folder.name)
    message = f"{file} is neither in the folder of a domain nor in narratives/"
    raise WrongUsage(message, suggest_name(folder.name, [*mesh.domains, NARRATIVES]))


def _domain(mesh: Mesh, domain: str) -> dg.Definitions:
    models, files = dbt_model_assets(mesh, domain)
    made = [in_place_asset if product.in_place else product_asset for product in mesh.products_of(domain)]
    assets = [*models, *(make(mesh, item) for make, item in zip(made, mesh.products_of(domain), strict=True))]
    counts = {item.id: shard_count(mesh, item) for item in mesh.products_of(domain)}
    shards = [shards_asset(mesh, mesh.product(id_), count) for id_, count in counts.items() if count is not None]
    own = dg.Definitions(
        assets=[*assets, *shards, *raw_file_specs(mesh, domain, files), *server_table_specs(mesh, domain)],
        jobs=[refresh_job(mesh, domain, assets)],
        schedules=refresh_schedules(mesh, domain),
        sensors=[
            automation_sensor(domain, [*assets, *shards]),
            *([raw_file_sensor(mesh, domain, files)] if files else []),
        ],
        executor=executor,
    )
    first = next(iter(mesh.domains)) if not mesh.narratives else None
    return dg.Definitions.merge(own, _mesh_wide(mesh)) if domain == first else own


def _narratives(mesh: Mesh) -> dg.Definitions:
    # With it comes ibis, 60 MB that the process of a domain's location does without.
    from storymesh.orchestration.assets.narratives import narrative_assets

    assets_of = {narrative.id: narrative_assets(mesh, narrative) for narrative in mesh.narratives.values()}
    assets = [asset for group in assets_of.values() for asset in group]
    own = dg.Definitions(
        assets=assets,
        jobs=[release_job(narrative, assets_of[narrative.id]) for narrative in mesh.narratives.values()],
        sensors=[automation_sensor(NARRATIVES, assets)],
        resources={"io_manager": BuildKeyIOManager(dagster_home(mesh) / "storage")},
        executor=executor,
    )
    return dg.Definitions.merge(own, _mesh_wide(mesh))


def _mesh_wide(mesh: Mesh) -> dg.Definitions:
    """Return what is there once for the whole mesh: with the narratives, or with the first domain if there are none."""
    from storymesh.orchestration.mesh_jobs import mesh_jobs  # with ibis, as above

    return dg.Definitions(
        jobs=mesh_jobs(mesh), schedules=mesh_schedules(mesh), sensors=[abandoned_runs, *alert_sensors()]
    )
