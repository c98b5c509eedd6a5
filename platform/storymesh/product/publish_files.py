"""Publish a product that is made of files: what each gives is a row, and those that cannot be read are quarantined."""

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable
from storymesh.files.collection import FileCollection, reason_of
from storymesh.product.definition import Product
from storymesh.product.publication import Publication, PublishProgress
from storymesh.product.publish import publish
from storymesh.product.quarantine import UnreadableRows
from storymesh.product.store import ProductStore


def publish_files(
    product: Product,
    contract: Contract,
    collection: FileCollection,
    store: ProductStore,
    engine: Engine,
    run_id: str,
    progress: PublishProgress | None = None,
) -> Publication:
    """Read what is new or changed of a product's files, and publish the rows of all of them.

    Raises what `FileCollection.gather` and `publish` raise; readers keep what they had then.
    """
    if collection.typed.file.extract is not None:
        words = f"{collection.typed.source.document.path}: this version asks no model about files"
        raise SourceUnreadable(words, "leave `extract` out, and take what the reader gives")
    told = progress or (lambda *_: None)
    collection.gather(engine, lambda done, _: told("stage", done))
    rows = collection.open_rows(engine)
    refused = collection.refused()
    lost = UnreadableRows([file.uri for file in refused], [reason_of(file) for file in refused])
    return publish(product, contract, rows.reader(), store, engine, run_id, progress, places=rows, refused=lost)
