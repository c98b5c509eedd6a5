"""A data product as an asset: its rows are staged, audited and published, and every rule of its contract is a check.

The audit happens before anybody can read the rows, so no check blocks in Dagster's sense: a red check says that rows
were quarantined or that nothing was published, never that something wrong is already out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg

from storymesh.contract.checks import Check, CheckResult, checks_of
from storymesh.contract.definition import Contract
from storymesh.document import path_in_mesh
from storymesh.errors import StorymeshError
from storymesh.files.collection import FileCollection
from storymesh.files.definition_path import is_files_source
from storymesh.files.gathered_summary import GatheredSummary
from storymesh.mesh.dbt_manifest import dbt_manifest
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.automation import remade_with_inputs
from storymesh.orchestration.assets.dbt_build import dbt_pool
from storymesh.orchestration.assets.file_metadata import gathered_files
from storymesh.orchestration.assets.file_shards import shard_count
from storymesh.orchestration.assets.keys import MODELS, SHARDS, model_key, product_key, shards_key
from storymesh.orchestration.assets.metadata import (
    SAMPLE,
    asset_owners,
    asset_tags,
    column_lineage_metadata,
    counts_table,
    definition_metadata,
    sample_table,
)
from storymesh.orchestration.assets.sources import source_key_of, source_kind
from storymesh.orchestration.assets.states import domain_database, publication_state
from storymesh.orchestration.dagster_internals import latest_data_version
from storymesh.orchestration.failures import as_dagster_failure, asset_failures
from storymesh.orchestration.progress import progress_reporter
from storymesh.outage import is_transient
from storymesh.product.dbt_project import allowed_paths
from storymesh.product.definition import Product
from storymesh.product.publication import Publication, PublicationRefused
from storymesh.product.publish import publish
from storymesh.product.publish_files import publish_files
from storymesh.product.sources.open import open_product_rows, product_row_places
from storymesh.product.sources.row_cache import ReadRows, RowCache
from storymesh.product.store import ProductStore, Snapshot

VOLUME = "volume"
QUARANTINED = "quarantined_for"
WARNINGS = "warnings"
VOLUME_FACTOR = 2
VOLUME_WORDS = "the product has at least half and at most twice the rows of the snapshot before"
PUBLISHED = "published"
PUBLISHED_WORDS = "the rows are published; where they are not, readers keep the snapshot before, and this says why"
NOT_LOOKED_AT = "not_looked_at"
# A product that can be published is: dbt works meanwhile, and may begin for others that read it.
BEFORE_OTHERS = {"dagster/priority": "1"}


def product_asset(mesh: Mesh, product: Product) -> dg.AssetsDefinition:
    """Return the asset [domain, product]. Publishing equal content again leaves the snapshot as it is."""
    contract = mesh.contract(product.id)
    key = product_key(product.id)

    @dg.multi_asset(
        name=f"publish_{key.to_python_identifier()}",
        specs=[_asset_spec(mesh, product, contract)],
        check_specs=list(_check_specs(contract, key)),
        pool=pool_of_product(product),
        op_tags=BEFORE_OTHERS,
    )
    def publishing(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        with asset_failures(context):
            store = ProductStore(mesh.warehouse, product.domain)
            before = store.latest_snapshot(product.name)
            try:
                publication, read = _publish(mesh, product, contract, store, context)
            except PublicationRefused as refused:
                yield from _results_of_refusal(refused, refused.publication, contract, key)
                raise as_dagster_failure(refused, _quarantine(mesh, refused.publication)) from None
            except StorymeshError as error:
                if not is_transient(error):
                    yield from _results_of_refusal(error, None, contract, key)
                raise
            volume = _volume(before, publication, key)
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={
                    **_metadata(mesh, contract, publication, volume),
                    "dagster/column_lineage": _lineage(mesh, product, contract),
                    **({"read": dg.MetadataValue.json(asdict(read))} if read is not None else {}),
                },
                data_version=dg.DataVersion(publication.snapshot.version) if publication.snapshot else None,
                check_results=[
                    *_check_results(publication, contract, key),
                    volume,
                    dg.AssetCheckResult(asset_key=key, check_name=PUBLISHED, passed=True),
                ],
            )

    return publishing


def _asset_spec(mesh: Mesh, product: Product, contract: Contract) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=product_key(product.id),
        deps=_upstream(mesh, product),
        description=_description(product, contract),
        group_name=product.domain,
        owners=asset_owners(product.owner, contract.owner, mesh.domains[product.domain].owner),
        tags=asset_tags((*product.tags, *contract.document.value.get("tags", ()))),
        kinds={"iceberg", source_kind(mesh, product)},
        automation_condition=remade_with_inputs(assets_made_for(mesh, product.domain)),
        metadata=definition_metadata(mesh.root, product, contract),
    )


def _check_specs(contract: Contract, key: dg.AssetKey) -> Iterator[dg.AssetCheckSpec]:
    for name, check in checks_by_name(contract).items():
        yield dg.AssetCheckSpec(
            name=name,
            asset=key,
            description=check.words,
            blocking=False,
            metadata={"kind": check.kind, "severity": check.severity, "place": str(check.location)},
        )
    yield dg.AssetCheckSpec(VOLUME, asset=key, description=VOLUME_WORDS, blocking=False)
    yield dg.AssetCheckSpec(PUBLISHED, asset=key, description=PUBLISHED_WORDS, blocking=False)


def assets_made_for(mesh: Mesh, domain: str) -> dg.AssetSelection:
    """Return the upstream assets of a domain that the mesh makes: products and its own models, not its raw files."""
    made = dg.AssetSelection.key_prefixes([domain, MODELS], [domain, SHARDS])
    return dg.AssetSelection.assets(*(product_key(product) for product in mesh.products)) | made


def pool_of_product(product: Product) -> str:
    """Return the pool of a product: it has one writer, and a dbt model is not read while its database is written."""
    return dbt_pool(product.domain) if product.is_model else f"{product.domain}_{product.name}"


def checks_by_name(contract: Contract) -> dict[str, Check]:
    """Return the contract's checks by their names in Dagster: letters, digits and `_`, each unique."""
    checks: dict[str, Check] = {}
    counts = Counter({VOLUME: 1, PUBLISHED: 1})
    for check in checks_of(contract):
        name = re.sub(r"\W+", "_", "_".join((*check.properties, check.name)), flags=re.ASCII).strip("_").lower()
        name = name[:80] or "rule"
        counts[name] += 1
        unique = name if counts[name] == 1 else f"{name}__{counts[name]}"
        while unique in checks:  # another's name ends like a count
            counts[name] += 1
            unique = f"{name}__{counts[name]}"
        checks[unique] = check
    return checks


def _publish(
    mesh: Mesh, product: Product, contract: Contract, store: ProductStore, context: dg.AssetExecutionContext
) -> tuple[Publication, ReadRows | None]:
    manifest = dbt_manifest(mesh, product.domain) if product.is_model else None
    folder, database = mesh.domain_folder(product.domain), domain_database(mesh, product.domain)
    allowed, servers = allowed_paths(product.domain, mesh.store), mesh.server_access(product.domain)
    state = publication_state(mesh, product, manifest)
    if (before := state.find_unchanged(mesh.open_engine)) is not None:
        context.log.info("nothing that this product is made from has changed since it was published")
        state.note_results(before)
        return before, None
    state.forget()
    if is_files_source(product.source):
        collection = file_collection(mesh, product)
        publication = _publish_files(product, contract, collection, store, mesh, context)
        state.record(publication)
        return publication, None
    kept = RowCache(store.folder / "rows", product.name)
    with (
        mesh.open_engine() as engine,
        open_product_rows(product, contract, folder, database, engine, allowed, manifest, servers, kept) as rows,
    ):
        run_id, places = context.run.run_id, product_row_places(product, contract, folder)
        progress = progress_reporter(context)
        publication = publish(product, contract, rows, store, engine, run_id, progress, places=places)
    state.record(publication)
    return publication, kept.read


def _publish_files(
    product: Product,
    contract: Contract,
    collection: FileCollection,
    store: ProductStore,
    mesh: Mesh,
    context: dg.AssetExecutionContext,
) -> Publication:
    """Publish a product that is made of files, and tell at their own asset what became of them, published or not."""
    run_id, progress = context.run.run_id, progress_reporter(context)
    summaries: list[GatheredSummary] = []
    snapshot = None
    try:
        with mesh.open_engine() as engine:
            publication = publish_files(
                product, contract, collection, store, engine, run_id, progress, summaries.append
            )
        snapshot = publication.snapshot
        return publication
    finally:
        key = source_key_of(product)
        version = latest_data_version(context.instance, key, is_source=False)
        for summary in summaries:
            context.log_event(gathered_files(key, version, summary, contract, snapshot))


def _upstream(mesh: Mesh, product: Product) -> list[dg.AssetKey]:
    """Return the assets that the rows come from: the dbt model, or else the source and the input ports."""
    if product.is_model:
        return [model_key(product.domain, product.name)]
    shards = [shards_key(product.id)] if shard_count(mesh, product) is not None else []
    return [source_key_of(product), *(product_key(port.contract_id) for port in product.inputs), *shards]


def _description(product: Product, contract: Contract) -> str:
    parts = [f"**{product.title}**", product.description or contract.description, contract.terms]
    if contract.description and contract.description != product.description:
        parts.insert(2, contract.description)
    if product.outside:
        ports = ", ".join(f"{port.name} ({port.contract_id} {port.version})" for port in product.outside)
        parts.append(f"Reads from outside the mesh: {ports}.")
    return "\n\n".join(dict.fromkeys(part for part in parts if part))


def _check_results(publication: Publication, contract: Contract, key: dg.AssetKey) -> Iterator[dg.AssetCheckResult]:
    """Yield the result of every check that the audit reached."""
    names: dict[tuple[Any, ...], list[str]] = {}
    for name, check in checks_by_name(contract).items():
        names.setdefault((check.name, check.properties, check.location), []).append(name)
    for result in publication.checks:
        # Two checks may stem from one place; results come in the order of the checks.
        alike = names.get((result.name, result.properties, result.location))
        if not alike:
            continue
        severity = dg.AssetCheckSeverity.ERROR if result.severity == "error" else dg.AssetCheckSeverity.WARN
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=alike.pop(0),
            passed=result.passed,
            severity=severity,
            description=result.words,
            metadata=_check_metadata(result),
        )


def _results_of_refusal(
    error: StorymeshError, publication: Publication | None, contract: Contract, key: dg.AssetKey
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of checks when nothing is published: the reason, the audited checks, and the others as not
    evaluated, which Dagster would otherwise show as failed."""
    left = {*checks_by_name(contract), VOLUME}
    for result in _check_results(publication, contract, key) if publication is not None else ():
        left.discard(str(result.check_name))
        yield result
    for name in sorted(left):
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description="nobody looked, for the rows were refused before",
            metadata={NOT_LOOKED_AT: True},
        )
    yield dg.AssetCheckResult(
        asset_key=key, check_name=PUBLISHED, passed=False, description=as_dagster_failure(error).description
    )


def _volume(before: Snapshot | None, publication: Publication, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Return the check that the product has about as many rows as before; a truncated source breaks no other rule."""
    earlier, now = before.rows if before is not None else None, publication.rows_out
    passed = not earlier or earlier / VOLUME_FACTOR <= now <= earlier * VOLUME_FACTOR
    first = f"{now:,} rows, for the first time"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=VOLUME,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{now:,} rows, {earlier:,} before" if earlier is not None else first,
        metadata={"rows": now, **({"rows_before": earlier} if earlier is not None else {})},
    )


def _lineage(mesh: Mesh, product: Product, contract: Contract) -> dg.TableColumnLineage:
    """Return the lineage of the columns: each comes from the one of its name in the model or file."""
    upstream = _upstream(mesh, product)[0]
    return column_lineage_metadata({name: [(upstream, name)] for name in contract.properties})


def _check_metadata(result: CheckResult) -> dict[str, Any]:
    metadata: dict[str, Any] = {"place": str(result.location), "kind": result.kind}
    if result.failed_rows is not None:
        metadata["failed_rows"] = result.failed_rows
    if result.observed is not None:
        metadata["observed"] = str(result.observed)
    return metadata


def _quarantine(mesh: Mesh, publication: Publication) -> dict[str, Any]:
    if not publication.quarantined:
        return {}
    metadata: dict[str, Any] = {
        "reasons": counts_table("reason", publication.quarantined),
        QUARANTINED: list(publication.reasons()),
    }
    if publication.quarantine_path is not None:
        metadata["quarantine"] = dg.MetadataValue.path(path_in_mesh(publication.quarantine_path, mesh.root))
    return metadata


def _metadata(mesh: Mesh, contract: Contract, publication: Publication, volume: dg.AssetCheckResult) -> dict[str, Any]:
    """Return the metadata of a materialisation; the outcome of a run is read from it."""
    metadata: dict[str, Any] = {
        "dagster/row_count": publication.rows_out,
        "rows_in": publication.rows_in,
        "quarantined_rows": publication.rows_in - publication.rows_out,
        "unchanged": publication.unchanged,
        "contract_version": contract.version,
        **_quarantine(mesh, publication),
    }
    if warnings := [*publication.warnings(), *([] if volume.passed else [str(volume.description)])]:
        metadata[WARNINGS] = warnings
    snapshot = publication.snapshot
    if snapshot is not None:
        metadata["version"] = snapshot.version
        metadata["snapshot_id"] = str(snapshot.snapshot_id)
        metadata[SAMPLE] = sample_table(snapshot.files, contract)
    return metadata
