"""The input states of dbt builds, publications and records, which tell whether anything has changed since the last
ones.

The steps ask before they make something. Whoever wants to know whether there is anything to do asks the same, without
Dagster.
"""

import hashlib
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from storymesh.errors import NotPublished, StorymeshError
from storymesh.files.definition_path import is_files_source
from storymesh.mesh.dbt_manifest import input_products, snapshot_without_rows
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.product_inputs import snapshot_for_domain
from storymesh.narrative.definition import Narrative
from storymesh.product.dbt_model_server import ModelServer
from storymesh.product.dbt_profile import models_place
from storymesh.product.dbt_project import allowed_paths
from storymesh.product.definition import Product
from storymesh.product.publication_state import PublicationState
from storymesh.product.sources.open import source_digest
from storymesh.product.store import ProductStore, Snapshot


def domain_database(mesh: Mesh, domain: str) -> Path | ModelServer:
    """Return where the domain's models are. Raises DefinitionErrors when its own dbt profile does not say."""
    unconfined = mesh.dbt_access(domain).unconfined
    return models_place(domain, mesh.domain_folder(domain), mesh.store, unconfined=unconfined)


def publication_state(mesh: Mesh, product: Product, manifest: Mapping[str, Any] | None) -> PublicationState:
    """Return the state of a product's publication; `manifest` is dbt's, for a product whose rows are a model's."""
    store, contract = ProductStore(mesh.warehouse, product.domain), mesh.contract(product.id)
    if is_files_source(product.source):
        return PublicationState(store, product, contract, partial(_files_digest, mesh, product))
    folder, database = mesh.domain_folder(product.domain), domain_database(mesh, product.domain)
    allowed = allowed_paths(product.domain, mesh.store)
    servers = mesh.server_access(product.domain)
    read_source = partial(source_digest, product, contract, folder, database, allowed, manifest, servers)
    return PublicationState(store, product, contract, read_source)


def _files_digest(mesh: Mesh, product: Product) -> str | None:
    try:
        return file_collection(mesh, product).source_digest()
    except StorymeshError:
        return None  # the run meets it too, and explains it


def input_snapshots(mesh: Mesh, domain: str, required: Collection[str] = ()) -> dict[str, Snapshot]:
    """Return the snapshots that the domain's models read, by product.

    Raises NotPublished when one that is `required` has none yet; the others may have none, since a model that is not
    built reads nothing.
    """
    snapshots: dict[str, Snapshot] = {}
    for product in input_products(mesh, domain):
        owner, name = product.split(".", 1)
        stays = mesh.product(product).in_place  # what there is of it was fetched for some narrative
        latest = None if stays else ProductStore(mesh.warehouse, owner).latest_snapshot(name)
        if latest is None and product in required:
            message = f"the models of '{domain}' read '{product}', which nobody has published yet"
            raise NotPublished(message, f"run the domain '{owner}' first")
        snapshots[product] = (
            snapshot_for_domain(mesh, domain, latest) if latest else snapshot_without_rows(mesh, product)
        )
    return snapshots


def code_version(mesh: Mesh, narrative: Narrative) -> str:
    """Return a digest of all that people write and that shapes the records: the narrative and its contracts."""
    cast = sorted(mesh.cast_of(narrative).items())
    contracts = [f"{role} {contract.digest}" for role, contract in cast]
    contracts += [str(item.residence) for _, item in cast if item.residence is not None and item.residence.is_elsewhere]
    return hashlib.sha256("\n".join([narrative.fingerprint, *contracts]).encode()).hexdigest()[:24]
