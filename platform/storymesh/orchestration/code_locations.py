"""The code locations of a mesh: the definitions that one `definitions.py` gives to Dagster."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from storymesh.errors import WrongUsage, suggest_name
from storymesh.mesh.mesh import Mesh, find_root
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.alerts import alert_sensors
from storymesh.orchestration.assets.automation import automation_sensor
from storymesh.orchestration.assets.dbt_models import dbt_model_assets
from storymesh.orchestration.assets.file_shards import shard_count, shards_asset
from storymesh.orchestration.assets.in_place import in_place_asset
from storymesh.orchestration.assets.io_manager import BuildKeyIOManager
from storymesh.orchestration.assets.products import product_asset
from storymesh.orchestration.assets.sources import raw_file_sensor, raw_file_specs, server_table_specs
from storymesh.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from storymesh.orchestration.instance import dagster_home
from storymesh.orchestration.load_locations import NARRATIVES, mesh_of_location
from storymesh.orchestration.run_monitor import abandoned_runs, executor

_PROCESSES = Path("/proc")  # of Linux; elsewhere nobody is warned
_GUARDED = "storymesh.orchestration.guarded_dagster"
_MAX_PARENTS = 32
_LOG = logging.getLogger("storymesh")


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
    """Return the definitions that exist once for the mesh: in the narratives' location, or in the first domain's
    without any."""
    from storymesh.orchestration.mesh_jobs import mesh_jobs  # with ibis, as above

    return dg.Definitions(
        jobs=mesh_jobs(mesh), schedules=mesh_schedules(mesh), sensors=[abandoned_runs, *alert_sensors()]
    )


def refresh_job(mesh: Mesh, domain: str, assets: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    """Return the job that makes every model and product of a domain again."""
    return dg.define_asset_job(
        f"refresh_{domain}",
        selection=dg.AssetSelection.assets(*assets),
        description=f"Every model and product of {mesh.domains[domain].title}, from its raw files.",
    )


def release_job(narrative: Narrative, assets: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    """Return the job that makes a release of a narrative."""
    return dg.define_asset_job(
        f"release_{narrative.name}",
        selection=dg.AssetSelection.assets(*assets),
        description=f"Cuts a release of '{narrative.title}': cases, records and dataset, from the products as they are"
        " published. Where nothing has changed, no new one is cut.",
    )


def refresh_schedules(mesh: Mesh, domain: str) -> list[dg.ScheduleDefinition]:
    """Return the `schedule` of domain.yaml, if it has one."""
    cron = mesh.domains[domain].schedule
    return [_schedule(f"refresh_{domain}", cron, f"`schedule` in domains/{domain}/domain.yaml")] if cron else []


def mesh_schedules(mesh: Mesh) -> list[dg.ScheduleDefinition]:
    """Return the `schedule` of mesh.yaml, if it has one."""
    cron = mesh.settings.schedule
    return [_schedule("refresh_all", cron, "`schedule` in mesh.yaml")] if cron else []


def _schedule(job: str, cron: str, where: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=f"{job}_on_time",
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{where}, in UTC.",
    )


def warn_of_unguarded_server() -> None:
    """Log a warning if one of the processes above this one is a web server of Dagster without the guard."""
    if is_below_unguarded_server(os.getppid()):
        _LOG.warning(
            "Dagster's web server was started by hand, so any page that a browser here shows can start and stop what "
            "this mesh does. End it and run `storymesh ui`, or `python -m %s dev`.",
            _GUARDED,
        )


def is_below_unguarded_server(process: int, processes: Path = _PROCESSES) -> bool:
    """Return True if `process` or one above it is `dagster dev` or `dagster-webserver`, and none is the guarded one."""
    found = False
    for _ in range(_MAX_PARENTS):
        try:
            words = (processes / str(process) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            # The name in brackets may hold anything: what follows the last one is the state and the parent.
            process = int((processes / str(process) / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        if _GUARDED in words:
            return False
        found = found or _is_server(words)
    return found


def _is_server(words: list[str]) -> bool:
    names = [word.rpartition("/")[2] for word in words[:5]]
    program = next((name for name in names if name in ("dagster", "dagster-webserver", "dagster_webserver")), None)
    if program != "dagster":
        return program is not None
    return "dev" in names[names.index(program) + 1 :][:1]
