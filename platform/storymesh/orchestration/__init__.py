"""The mesh as Dagster assets, checks and jobs: the only place that imports dagster."""
