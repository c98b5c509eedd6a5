"""The code locations of a mesh: what one `definitions.py` gives to Dagster."""

from pathlib import Path

import dagster as dg

from storymesh.errors import WrongUsage, suggest_name
from storymesh.mesh.mesh import Mesh, find_root, load_mesh
from storymesh.orchestration.alerts import alert_sensors
from storymesh.orchestration.automation import sensor
from storymesh.orchestration.dbt_assets import model_assets
from storymesh.orchestration.instance import home_of
from storymesh.orchestration.io_manager import Handover
from storymesh.orchestration.jobs import mesh_schedules, refresh_job, refresh_schedules, release_job
from storymesh.orchestration.load_locations import NARRATIVES
from storymesh.orchestration.product_assets import product_asset
from storymesh.orchestration.run_monitor import abandoned_runs, executor
from storymesh.orchestration.source_assets import raw_sensor, raw_specs


def definitions(file: str) -> dg.Definitions:
    """What the folder of `file` (a domain, or the narratives) brings to Dagster: assets, checks, jobs.

    Raises DefinitionErrors with the findings of the mesh's files, and WrongUsage when the file stands somewhere else.
    """
    folder = Path(file).resolve().parent
    mesh = load_mesh(find_root(folder))
    if folder == mesh.root / NARRATIVES:
        return _narratives(mesh)
    if folder.parent == mesh.root / "domains" and folder.name in mesh.domains:
        return _domain(mesh, folder.name)
    words = f"{file} is neither in the folder of a domain nor in narratives/"
    raise WrongUsage(words, suggest_name(folder.name, [*mesh.domains, NARRATIVES]))


def _domain(mesh: Mesh, domain: str) -> dg.Definitions:
    models, files = model_assets(mesh, domain)
    made = [*models, *(product_asset(mesh, product) for product in mesh.products_of(domain))]
    own = dg.Definitions(
        assets=[*made, *raw_specs(mesh, domain, files)],
        jobs=[refresh_job(mesh, domain, made)],
        schedules=refresh_schedules(mesh, domain),
        sensors=[sensor(domain, made), *([raw_sensor(mesh, domain, files)] if files else [])],
        executor=executor,
    )
    first = next(iter(mesh.domains)) if not mesh.narratives else None
    return dg.Definitions.merge(own, _of_mesh(mesh)) if domain == first else own


def _narratives(mesh: Mesh) -> dg.Definitions:
    # With it comes ibis, 60 MB that the process of a domain's location does without.
    from storymesh.orchestration.narrative_assets import narrative_assets

    made = [(narrative, narrative_assets(mesh, narrative)) for narrative in mesh.narratives.values()]
    assets = [asset for _, some in made for asset in some]
    own = dg.Definitions(
        assets=assets,
        jobs=[release_job(narrative, some) for narrative, some in made],
        sensors=[sensor(NARRATIVES, assets)],
        resources={"io_manager": Handover(home_of(mesh) / "storage")},
        executor=executor,
    )
    return dg.Definitions.merge(own, _of_mesh(mesh))


def _of_mesh(mesh: Mesh) -> dg.Definitions:
    """What is there once for the whole mesh; it stands with the narratives, or in the first domain without any."""
    from storymesh.orchestration.mesh_jobs import mesh_jobs  # with ibis, as above

    return dg.Definitions(
        jobs=mesh_jobs(mesh), schedules=mesh_schedules(mesh), sensors=[abandoned_runs, *alert_sensors()]
    )
