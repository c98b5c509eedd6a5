"""Publish a product that is made of files: what each gives is a row, and those that cannot be read are quarantined."""

from collections.abc import Callable
from dataclasses import dataclass

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.files.collection import FileCollection, reason_of
from storymesh.files.gathered_summary import GatheredSummary, summarize_gathered
from storymesh.files.inventory import Inventory
from storymesh.files.shard import Shard
from storymesh.product.definition import Product
from storymesh.product.publication import Publication, PublishProgress
from storymesh.product.publish import publish
from storymesh.product.quarantine import UnreadableRows
from storymesh.product.store import ProductStore


@dataclass(frozen=True)
class ShardRead:
    """What was done for a shard of the files of a product: how many are in it, were opened and read, how many answers
    of a model were paid for, and a digest of what its files have in them."""

    product: str
    shard: str
    listed: int
    opened: int
    read: int
    calls: int
    digest: str


def read_shard(product: Product, collection: FileCollection, shard: Shard, engine: Engine) -> ShardRead:
    """Read what is new or changed of a shard of a product's files, ask a model about it, and keep both for whoever
    publishes the product. Nothing is published. Raises what `FileCollection.gather` and `extract_rows` raise."""
    part = collection.of_shard(shard)
    found = part.gather(engine)
    usage = part.extract_rows(engine).usage
    with Inventory(part.inventory_path, writable=False) as inventory:
        digest = inventory.digest()
    calls = usage.calls if usage is not None else 0
    return ShardRead(product.id, str(shard), found.listed, found.opened, found.read, calls, digest)


def publish_files(
    product: Product,
    contract: Contract,
    collection: FileCollection,
    store: ProductStore,
    engine: Engine,
    run_id: str,
    progress: PublishProgress | None,
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
