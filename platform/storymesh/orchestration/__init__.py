"""The mesh as Dagster assets, checks and jobs: the only place that imports dagster."""

from storymesh.orchestration.code_locations import definitions

__all__ = ["definitions"]
