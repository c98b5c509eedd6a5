"""Products whose rows stay where they are: what a role of a narrative needs of one is fetched, audited and kept.

What is kept is a snapshot of the product like any other, of fewer columns and rows: readers, traces and rebuilds of
releases use it, and need the server no more.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from storymesh.contract.checks import rule_columns
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import Rule
from storymesh.contract.value_forms import PLAIN
from storymesh.engine.engine import OpenEngine
from storymesh.federation.access import ServerAccess
from storymesh.federation.open import ServerTable, open_server_table
from storymesh.federation.plan import ALL, WHERE, TransferPlan, Ways
from storymesh.federation.receipts import Receipt
from storymesh.federation.selection import RowSelection, SelectiveTable, TransferEstimate
from storymesh.product.definition import Product
from storymesh.product.publish import publish
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.open import open_product_rows
from storymesh.product.sources.server_table import server_relation
from storymesh.product.sources.source import choose_columns
from storymesh.product.store import ProductStore, Snapshot


def contract_of_columns(contract: Contract, columns: Collection[str]) -> Contract:
    """Return a contract as it holds of some rows and columns of its product: rules about the whole table, and about
    columns that are not there, cannot be held against them."""
    left = contract.as_left(dict.fromkeys(columns, "raw"))
    kept = {
        name: replace(item, partition_position=None, quality=_rules_of(item.quality, contract, left.properties))
        for name, item in left.properties.items()
    }
    quality = _rules_of(contract.quality, contract, left.properties)
    return replace(left, properties=MappingProxyType(kept), quality=quality, freshness=())


def _rules_of(rules: Sequence[Rule], contract: Contract, columns: Collection[str]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if (read := rule_columns(rule, contract)) and {*read} <= {*columns})


@dataclass(frozen=True)
class Extract:
    """What a role got of a product that stays where it is, and how."""

    snapshot: Snapshot
    plan: TransferPlan


def fetch_extract(
    product: Product,
    contract: Contract,
    columns: Collection[str],
    wanted: RowSelection,
    role: str,
    access: ServerAccess,
    store: ProductStore,
    open_engine: OpenEngine,
    run_id: str,
    before_sending: Callable[[], tuple[Receipt, ...]] = tuple,
) -> Extract:
    """Fetch at least the `wanted` rows of some columns of a product from its server, and publish them as a snapshot.

    The places of `wanted` are those of `columns` in the order of the contract. `role` is who it is for.
    `before_sending` is called before any of the keys goes to the server, and returns the receipts of their leaving.
    Raises SourceUnreadable, ResourceUnavailable, and what `publish` does; then nothing is kept.
    """
    own = contract_of_columns(contract, columns)
    relation = server_relation(product, contract)

    def choose(names: Sequence[str]) -> Sequence[str]:
        return choose_columns(names, own, relation.unreadable)

    with open_engine() as engine:
        table = open_server_table(relation, access, engine)
        ways = Ways.of(_decided(wanted, product, table))
        estimates, chosen, moved = dict[str, TransferEstimate](), ALL, None
        sent: tuple[Receipt, ...] = ()
        if isinstance(table, SelectiveTable):
            sent = before_sending() if table.sends_keys and wanted.keys else ()
            estimates = table.estimate(choose, ways.selections)
        if isinstance(table, SelectiveTable) and estimates:
            chosen = ways.choose(estimates)
            selected = table.open_selected(choose, ways.selections[chosen])
            rows = plain_columns(selected.schema, selected, relation.unreadable)
        else:
            rows = open_product_rows(product, own, access.folder, access.folder, engine, servers=access)
        publication = publish(product, own, rows, store, engine, run_id, extract_of=role)
        if isinstance(table, SelectiveTable) and estimates:
            moved = table.moved
    snapshot = publication.snapshot
    assert snapshot is not None, "what was published is there"
    plan = TransferPlan(
        role=role,
        product=product.id,
        server=relation.server.name,
        columns=tuple(own.properties),
        ways={name: (one.rows, one.bytes, one.sent) for name, one in estimates.items()},
        chosen=chosen,
        keys=sum(keys.values.num_rows for keys in ways.selections[chosen].keys),
        sent=sent,
        notes=tuple(_notes(ways, estimates)),
        version=snapshot.version,
        rows=publication.rows_in,
        bytes=moved,
        quarantined=dict(publication.quarantined),
    )
    return Extract(replace(snapshot, keys_sent=sent), plan)


def _decided(wanted: RowSelection, product: Product, table: ServerTable) -> RowSelection:
    """Return what of a selection a source decides as cases do."""
    if product.layout.forms != PLAIN:  # it writes values otherwise than the contract has them
        wanted = replace(wanted, where=None)
    return wanted if isinstance(table, SelectiveTable) and table.sends_keys else replace(wanted, times=None)


def _notes(ways: Ways, estimates: Mapping[str, TransferEstimate]) -> Iterator[str]:
    """Yield what the estimates do not rest on, and what the server does not select by."""
    yield from dict.fromkeys(one.doubt for one in estimates.values() if one.doubt)
    if WHERE in ways.selections and WHERE not in estimates:
        yield "`where` is held where cases are made: the server does not decide it as the contract does"
