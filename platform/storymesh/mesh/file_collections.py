"""The products of a mesh that are made of files, and what is known of their files."""

from functools import partial
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.errors import NotPublished
from storymesh.files.collection import FileCollection
from storymesh.files.upstream import Upstream
from storymesh.mesh.file_definitions import typed_files
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.product_inputs import snapshot_for_domain
from storymesh.product.definition import Product
from storymesh.product.store import ProductStore, Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir

FOLDER = "files"


def file_collection(mesh: Mesh, product: Product) -> FileCollection:
    """Return the files of a product. Raises DefinitionErrors, and NotPublished where they are those of a product that
    nobody has published."""
    typed = typed_files(mesh, product)
    store = ProductStore(mesh.warehouse, product.domain)
    path = store.folder / FOLDER / f"{product.name}.sqlite"
    upstream = typed.file.origin.product
    found = _upstream(mesh, product.domain, upstream) if upstream is not None else None
    return FileCollection(typed, mesh.domain_folder(product.domain), path, found)


def _upstream(mesh: Mesh, reader: str, product: str) -> Upstream:
    """Return a product as the domain `reader` has it. Raises EgressRefused for one that may not leave its premise."""
    domain, _, name = product.partition(".")
    snapshot = ProductStore(mesh.warehouse, domain).latest_snapshot(name)
    if snapshot is None:
        raise NotPublished(f"nobody has published '{product}' yet, of which files are read", f"run {product} first")
    snapshot = snapshot_for_domain(mesh, reader, snapshot)
    return Upstream(
        product, snapshot.version, mesh.contract(product), partial(_rows, snapshot), mesh.settings.files.networks
    )


def _rows(snapshot: Snapshot, engine: Engine) -> "ir.Table":
    return engine.read_parquet(snapshot.files, snapshot.schema)
