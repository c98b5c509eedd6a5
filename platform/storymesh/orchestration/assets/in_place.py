"""A product whose rows stay where they are, as an asset: nothing is published, narratives fetch what they need."""

from typing import Any

import dagster as dg

from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.keys import product_key
from storymesh.orchestration.assets.metadata import asset_owners, asset_tags, definition_metadata
from storymesh.orchestration.assets.sources import source_key_of, source_kind
from storymesh.product.definition import Product
from storymesh.product.sources.server_relation import server_relation

IN_PLACE = "in_place"


def in_place_asset(mesh: Mesh, product: Product) -> dg.AssetsDefinition:
    """Return the asset [domain, product] of a product that stays on a server. Making it reads nothing."""
    contract, key = mesh.contract(product.id), product_key(product.id)

    @dg.asset(
        key=key,
        deps=[source_key_of(product)],
        description=f"**{product.title}**\n\n{product.description or contract.description}\n\nIts rows stay where they "
        "are: a narrative fetches those that its cases link.",
        group_name=product.domain,
        owners=asset_owners(product.owner, contract.owner, mesh.domains[product.domain].owner),
        tags=asset_tags((*product.tags, *contract.document.value.get("tags", ()))),
        kinds={source_kind(mesh, product)},
        metadata=definition_metadata(mesh.root, product, contract),
    )
    def staying() -> dg.MaterializeResult[Any]:
        server = server_relation(product, contract).server
        metadata: dict[str, Any] = {"unchanged": True, IN_PLACE: f"{server.name} at {server.place}"}
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(contract.digest))

    return staying
