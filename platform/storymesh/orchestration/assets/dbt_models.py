"""A domain's dbt models as assets: dbt makes from raw files the tables that products are read from.

The models and what they depend on come from dbt's manifest (`dbt_manifest.py`).
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from storymesh.contract.audit import prepare_audit
from storymesh.errors import StorymeshError, TransformFailed
from storymesh.mesh.dbt_manifest import (
    dbt_manifest,
    has_dbt_project,
    unparsed_projects,
)
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.automation import remade_with_inputs
from storymesh.orchestration.assets.column_lineage import add_column_lineage
from storymesh.orchestration.assets.dbt_build import (
    dbt_pool,
    dbt_step,
    prepare_build,
    take_early_build,
    wait_for_database,
)
from storymesh.orchestration.assets.keys import model_key, product_key, source_key
from storymesh.orchestration.assets.metadata import asset_owners
from storymesh.orchestration.assets.products import assets_made_for
from storymesh.orchestration.assets.sources import Files, files_read_by_model, raw_files_of_domain
from storymesh.orchestration.dagster_internals import (
    import_dagster_dbt,
    latest_check_evaluations,
)
from storymesh.orchestration.failures import as_dagster_failure, asset_failures
from storymesh.product.dbt_messages import explain_dbt_error
from storymesh.product.dbt_process import was_ended
from storymesh.product.dbt_project import failed_nodes, timeout_error
from storymesh.product.dbt_server import is_preloaded, server_address

if TYPE_CHECKING:
    from dagster_dbt import DbtProject

PARALLEL_PARSES = 2


class DbtBuildConfig(dg.Config):
    """The configuration of a domain's dbt build."""

    full_refresh: bool = Field(
        default=False, description="Build incremental models from nothing, as after a change of what they compute."
    )


def dbt_model_assets(mesh: Mesh, domain: str) -> tuple[list[dg.AssetsDefinition], Files]:
    """Return the assets [domain, "models", <model>], all made by one `dbt build`, and the raw files of the domain.

    A domain without a dbt project has no models. A project that dbt cannot parse gives assets that fail with
    dbt's message, so that the rest of the location loads.
    """
    if not has_dbt_project(mesh, domain):
        return [], raw_files_of_domain(mesh, domain, None)
    try:
        manifest = dbt_manifest(mesh, domain)
    except StorymeshError as error:
        return _failing_models(mesh, domain, error), raw_files_of_domain(mesh, domain, None)
    return [_dbt_assets(mesh, domain, manifest)], raw_files_of_domain(mesh, domain, manifest)


def parse_dbt_projects(mesh: Mesh) -> None:
    """Make the manifests of all domains, two at a time. What dbt cannot read fails later, when its models are built."""

    def parse(domain: str) -> None:
        with suppress(StorymeshError):
            dbt_manifest(mesh, domain)

    if not (unread := unparsed_projects(mesh)):
        return
    server_address()  # it imports dbt while the projects are prepared
    with ThreadPoolExecutor(PARALLEL_PARSES) as pool:
        parsed = pool.map(parse, unread)
        import_dagster_dbt()  # as what comes next does, while dbt works
        with mesh.open_engine():
            pass  # it has imported what an engine is made of
        prepare_audit(mesh.contract(product.id) for domain in unread for product in mesh.products_of(domain))
        list(parsed)


def _dbt_assets(mesh: Mesh, domain: str, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    translator = _translator(mesh, domain)

    @import_dagster_dbt().dbt_assets(  # type: ignore[untyped-decorator]
        manifest=manifest,
        name=dbt_step(domain),
        dagster_dbt_translator=translator,
        pool=dbt_pool(domain),
    )
    def build_models(context: dg.AssetExecutionContext, config: DbtBuildConfig) -> Iterator[Any]:
        with asset_failures(context):
            if (begun := take_early_build(domain)) is not None:
                build, invocation = begun
                invocation.context, invocation.manifest = context, manifest
                invocation.dagster_dbt_translator = translator
            else:
                with mesh.open_engine() as engine:
                    required = _inputs_of_selection(mesh, context)
                    build = prepare_build(mesh, domain, manifest, engine, required, _selected_names(context))
                    current = not config.full_refresh and build.state.is_current()
                    if current and (before := results_before(context)) is not None:
                        context.log.info("nothing that dbt reads has changed since it built these models")
                        yield from before
                        return
                    wait_for_database(engine, build.project.database)
                invocation = build.begin(context, full_refresh=config.full_refresh)
            if is_preloaded():
                prepare_audit(mesh.contract(product.id) for product in mesh.products_of(domain))
            project = build.project
            for event in invocation.stream():
                yield add_column_lineage(event, domain, manifest, project.target_path, build.inputs)
            if not invocation.is_successful():
                if was_ended(invocation.process.returncode):
                    raise timeout_error(project, "build", project.target_path)
                failed = failed_nodes(project)
                cause = "; ".join(failed) or explain_dbt_error(str(invocation.get_error()), project.folder)
                raise TransformFailed(f"the dbt project of '{domain}' did not build: {cause}")
            build.state.record()

    assets: dg.AssetsDefinition = build_models
    return assets


def _selected_names(context: dg.AssetExecutionContext) -> list[str]:
    """Return the names of the selected models and checks; none where all are, of which the manifest says which."""
    if not context.assets_def.is_subset:
        return []
    models = (key.to_user_string() for key in context.selected_asset_keys)
    return [*models, *(f"{key.asset_key.to_user_string()} {key.name}" for key in context.selected_asset_check_keys)]


def results_before(
    context: dg.AssetExecutionContext,
) -> list[dg.MaterializeResult[Any] | dg.AssetCheckResult] | None:
    """Return the last build's results for the selected models and their checks; None if one is missing."""
    results: list[dg.MaterializeResult[Any] | dg.AssetCheckResult] = []
    # Dagster wants what a model reads before the model.
    reads = {key: context.assets_def.asset_deps[key] for key in context.selected_asset_keys}
    for key in TopologicalSorter(reads).static_order():
        if key not in reads:
            continue
        event = context.instance.get_latest_materialization_event(key)
        if event is None or event.asset_materialization is None:
            return None
        metadata = {**event.asset_materialization.metadata, "unchanged": True}
        results.append(dg.MaterializeResult(asset_key=key, metadata=metadata))
    evaluations = latest_check_evaluations(context.instance, context.selected_asset_check_keys)
    if evaluations.keys() != context.selected_asset_check_keys:
        return None
    results += [
        dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=evaluation.passed,
            severity=evaluation.severity,
            description=evaluation.description,
            metadata=evaluation.metadata,
        )
        for key, evaluation in evaluations.items()
    ]
    return results


def _translator(mesh: Mesh, domain: str) -> Any:
    package = import_dagster_dbt()

    class MeshTranslator(package.DagsterDbtTranslator):  # type: ignore[misc, name-defined]
        """Keys, owners and automation as the rest of the mesh has them."""

        def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
            name = str(dbt_resource_props["name"])
            if dbt_resource_props["resource_type"] != "source":
                return model_key(domain, name)
            product = f"{dbt_resource_props['source_name']}.{name}"
            if product in mesh.products:
                return product_key(product)
            return dg.AssetKey([domain, "sources", str(dbt_resource_props["source_name"]), name])

        def get_asset_spec(
            self, manifest: Mapping[str, Any], unique_id: str, project: "DbtProject | None"
        ) -> dg.AssetSpec:
            spec: dg.AssetSpec = super().get_asset_spec(manifest, unique_id, project)
            files = files_read_by_model(self.get_resource_props(manifest, unique_id))
            return spec.replace_attributes(deps=[*spec.deps, *(source_key(domain, path) for path in files)])

        def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
            return domain

        def get_automation_condition(
            self, dbt_resource_props: Mapping[str, Any]
        ) -> dg.AutomationCondition[dg.AssetKey] | None:
            return remade_with_inputs(assets_made_for(mesh, domain))

        def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
            return asset_owners(mesh.domains[domain].owner)

    # The SQL stands in the description and the relation in metadata; columns of products come from their contracts.
    return MeshTranslator(settings=package.DagsterDbtTranslatorSettings(enable_source_metadata=False))


def _failing_models(mesh: Mesh, domain: str, error: StorymeshError) -> list[dg.AssetsDefinition]:
    """Return the models that products are read from as assets that fail with dbt's message about the project.

    Each is an asset of its own, so that a job may select one of them.
    """
    specs = [
        dg.AssetSpec(
            key=model_key(domain, product.name),
            deps=[product_key(port.contract_id) for port in product.inputs],
            group_name=domain,
            description=f"dbt cannot read this project: {error.message}",
            owners=asset_owners(mesh.domains[domain].owner),
            kinds={"dbt", "duckdb"},
        )
        for product in mesh.products_of(domain)
        if product.is_model
    ]

    def failing(spec: dg.AssetSpec) -> dg.AssetsDefinition:
        @dg.multi_asset(name="__".join(spec.key.path).replace("-", "_"), specs=[spec])
        def fail() -> None:
            raise as_dagster_failure(error)

        return fail

    return [failing(spec) for spec in specs]


def _inputs_of_selection(mesh: Mesh, context: dg.AssetExecutionContext) -> set[str]:
    """Return the products that the selected models read."""
    read = {key for model in context.selected_asset_keys for key in context.assets_def.asset_deps[model]}
    return {product for product in mesh.products if product_key(product) in read}
