"""What operators start by hand or by the clock: a domain made again, a release cut; and when, where a file says so."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative


def refresh_job(mesh: Mesh, domain: str, made: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        f"refresh_{domain}",
        selection=dg.AssetSelection.assets(*made),
        description=f"Every model and product of {mesh.domains[domain].title}, from its raw files.",
    )


def release_job(narrative: Narrative, made: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        f"release_{narrative.name}",
        selection=dg.AssetSelection.assets(*made),
        description=f"Cuts a release of '{narrative.title}': cases, records and dataset, from the products as they are"
        " published. Where nothing has changed, no new one is cut.",
    )


def refresh_schedules(mesh: Mesh, domain: str) -> list[dg.ScheduleDefinition]:
    """The `schedule` of domain.yaml, if it has one."""
    cron = mesh.domains[domain].schedule
    return [_schedule(f"refresh_{domain}", cron, f"`schedule` in domains/{domain}/domain.yaml")] if cron else []


def mesh_schedules(mesh: Mesh) -> list[dg.ScheduleDefinition]:
    """The `schedule` of mesh.yaml, if it has one."""
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
