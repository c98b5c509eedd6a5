"""Publish a product that is made of files: what each gives is a row, and those that cannot be read are quarantined."""

from collections.abc import Callable

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.files.collection import FileCollection, reason_of
from storymesh.files.gathered_summary import GatheredSummary, summarize_gathered
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
    observe: Callable[[GatheredSummary], None] = lambda _: None,
) -> Publication:
    """Read what is new or changed of a product's files, and publish the rows of all of them. `observe` is told what the
    run made of the files, before their rows are audited.

    Raises what `FileCollection.gather`, `extract_rows` and `publish` raise; readers keep what they had then.
    """
    told = progress or (lambda *_: None)
    gathered = collection.gather(engine, lambda done, _: told("stage", done))
    rows = collection.extract_rows(engine, lambda done: told("stage", done))
    observe(summarize_gathered(collection, gathered, rows))
    refused = [(file.uri, reason_of(file)) for file in collection.refused()]
    refused += sorted((row.uri, row.reason) for row in rows.refused)
    lost = UnreadableRows([uri for uri, _ in refused], [reason for _, reason in refused])
    return publish(product, contract, rows.reader(), store, engine, run_id, progress, places=rows, refused=lost)
