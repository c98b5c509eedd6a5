"""Jobs and schedules of one domain or narrative: a domain made again, a release cut."""

from collections.abc import Sequence

import dagster as dg

from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.dagster_internals import UnresolvedAssetJobDefinition


def refresh_job(mesh: Mesh, domain: str, assets: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    """Return the job that makes every model and product of a domain again."""
    return dg.define_asset_job(
        f"refresh_{domain}",
        selection=dg.AssetSelection.assets(*assets),
        description=f"Every model and product of {mesh.domains[domain].title}, from its raw files.",
    )


def release_job(narrative: Narrative, assets: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    """Return the job that cuts a release of a narrative."""
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
