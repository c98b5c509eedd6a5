"""The shards of a product's files as static partitions: several machines read them before the product is published."""

from typing import Any

import dagster as dg

from storymesh.files.definition import read_files_source
from storymesh.files.definition_path import is_files_source
from storymesh.files.shard import Shard
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.automation import remade_with_inputs
from storymesh.orchestration.assets.keys import product_key, shards_key
from storymesh.orchestration.assets.metadata import asset_owners
from storymesh.orchestration.assets.sources import source_key_of
from storymesh.orchestration.failures import dagster_failures
from storymesh.product.definition import Product
from storymesh.product.publish_files import read_shard


def shard_count(mesh: Mesh, product: Product) -> int | None:
    """Return the number of shards in which the files of a product are read; None without shards."""
    if product.source is None or not is_files_source(product.source):
        return None
    return read_files_source(mesh.domain_folder(product.domain) / product.source, mesh.root).file.shards


def shards_asset(mesh: Mesh, product: Product, count: int) -> dg.AssetsDefinition:
    """Return the asset whose partitions are the shards of a product's files. What one reads nobody reads again."""
    shards = {shard.key: shard for shard in (Shard(number, count) for number in range(1, count + 1))}

    @dg.asset(
        key=shards_key(product.id),
        deps=[source_key_of(product), *(product_key(port.contract_id) for port in product.inputs)],
        partitions_def=dg.StaticPartitionsDefinition([*shards]),
        description=f"The files of {product.id} by a hash of their names, each part read on its own.",
        group_name=product.domain,
        owners=asset_owners(product.owner, mesh.domains[product.domain].owner),
        automation_condition=remade_with_inputs(dg.AssetSelection.assets(*map(product_key, mesh.products))),
    )
    def reading(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with dagster_failures(context.retry_number), mesh.open_engine() as engine:
            collection = file_collection(mesh, product)
            found = read_shard(product, collection, shards[context.partition_key], engine)
            counts = {"files": found.listed, "opened": found.opened, "read": found.read, "calls": found.calls}
            return dg.MaterializeResult(metadata=counts, data_version=dg.DataVersion(found.digest))

    return reading
