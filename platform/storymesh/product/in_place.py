"""Products whose rows stay where they are: what a role of a narrative needs of one is fetched, audited and kept.

What is kept is a snapshot of the product like any other, of fewer columns and rows: readers, traces and rebuilds of
releases use it, and need the server no more.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.contract.checks import CheckResult, UniqueValues, checks_of, rule_columns
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import Rule
from storymesh.contract.value_forms import PLAIN
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import AuditRefused
from storymesh.federation.access import ServerAccess
from storymesh.federation.link_prices import ALIKE, LinkPrices
from storymesh.federation.open import ServerTable, open_server_table
from storymesh.federation.plan import ALL, WHERE, FetchStrategies, TransferPlan
from storymesh.federation.receipts import Receipt
from storymesh.federation.relation import Relation
from storymesh.federation.selection import EVERY_ROW, RowSelection, RuledTable, SelectiveTable, TransferEstimate
from storymesh.federation.source_rules import SourceAudit, SourceRules, columns_read
from storymesh.product.definition import Product
from storymesh.product.publication import Publication, PublicationRefused
from storymesh.product.publish import publish
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.open import open_product_rows
from storymesh.product.sources.server_relation import server_relation
from storymesh.product.sources.source import choose_columns
from storymesh.product.store import ProductStore, Snapshot
from storymesh.product.warehouse import Warehouse
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa


@dataclass(frozen=True)
class Extract:
    """What a role got of a product that stays where it is, and how."""

    snapshot: Snapshot
    plan: TransferPlan


@dataclass(frozen=True)
class Fetching:
    """What a role needs of a product that stays: at least the rows of `wanted`, whose places are those of `columns` in
    the order of the contract; `rules` are held for all rows.

    `before_sending` is called before any of the keys goes to the server, and returns the receipts of their leaving.
    `prices` say what is cheap to move.
    """

    role: str
    columns: Collection[str]
    wanted: RowSelection
    rules: SourceRules
    before_sending: Callable[[], tuple[Receipt, ...]] = tuple
    prices: LinkPrices = ALIKE


def contract_of_columns(contract: Contract, columns: Collection[str], *, whole: bool = False) -> Contract:
    """Return a contract as it holds of some columns of its product, and of all rows (`whole`) or of some, against which
    rules about the whole table cannot be held."""
    left, there = contract.as_left(dict.fromkeys(columns, "raw")), {*columns}
    of_table = {
        check.location
        for check in (checks_of(contract) if whole else ())
        if check.kind == "table" and columns_read(check, contract) <= there
    }

    def held(rules: Sequence[Rule]) -> tuple[Rule, ...]:
        return tuple(
            rule
            for rule in rules
            if rule.location in of_table or ((read := rule_columns(rule, contract)) and {*read} <= there)
        )

    kept = {
        name: replace(item, partition_position=None, quality=held(item.quality))
        for name, item in left.properties.items()
    }
    freshness = tuple(item for item in contract.freshness if whole and item.property in there)
    return replace(left, properties=MappingProxyType(kept), quality=held(contract.quality), freshness=freshness)


def fetch_extract(
    product: Product,
    contract: Contract,
    fetching: Fetching,
    access: ServerAccess,
    store: ProductStore,
    open_engine: OpenEngine,
    run_id: str,
) -> Extract:
    """Fetch what a role needs of a product from its server, and publish it as a snapshot.

    Raises SourceUnreadable, ResourceUnavailable, AuditRefused where the rules hold all rows back, and what `publish`
    does; then nothing is kept.
    """
    relation = server_relation(product, contract)
    with open_engine() as engine:
        table = open_server_table(relation, access, engine)
        transfer = _Transfer(product, contract, fetching, relation, table, access, store, engine)
        own, rows, plan = transfer.open_some() if isinstance(table, SelectiveTable) else transfer.open_all()
        publication = publish(product, own, rows, store, engine, run_id, extract_of=fetching.role)
        moved = table.moved if isinstance(table, SelectiveTable) and plan.ways else None
    snapshot = publication.snapshot
    assert snapshot is not None, "what was published is there"
    return Extract(
        replace(snapshot, keys_sent=plan.sent),
        plan.ended(
            version=snapshot.version,
            rows=publication.rows_in,
            bytes=moved,
            quarantined=dict(publication.quarantined),
            # Of all rows, what they were held to says what the rules say.
            source=plan.source or (audit_of(publication) if not plan.ways else None),
        ),
    )


@dataclass(frozen=True)
class _Transfer:
    """The rows of a product on their way from its server."""

    product: Product
    contract: Contract
    fetching: Fetching
    relation: Relation
    table: ServerTable
    access: ServerAccess
    store: ProductStore
    engine: Engine

    def open_all(self) -> "tuple[Contract, pa.RecordBatchReader, TransferPlan]":
        """Return all rows with the contract that they are held to."""
        own = contract_of_columns(self.contract, self.fetching.columns, whole=True)
        folder = self.access.folder
        rows = open_product_rows(self.product, own, folder, folder, self.engine, servers=self.access)
        return own, rows, self._plan(own)

    def open_some(self) -> "tuple[Contract, pa.RecordBatchReader, TransferPlan]":
        """Return the wanted rows, and maybe more, with the contract that they are held to."""
        table, fetching = self.table, self.fetching
        assert isinstance(table, SelectiveTable)
        own, audit, wanted = contract_of_columns(self.contract, fetching.columns), None, fetching.wanted
        if self.relation.server.holds_rules == "here":
            audit = self._audit_here()
            unique = {check.reason for check in checks_of(own) if isinstance(check.test, UniqueValues)}
            if unique & audit.broken.keys():
                wanted = EVERY_ROW  # or nobody would see what a row repeats
        ways = FetchStrategies.of(_decidable_selection(wanted, self.product, table))
        sent = fetching.before_sending() if table.sends_keys and wanted.keys else ()
        choose = self._chooser(own)
        estimates = table.estimate(choose, ways.selections)
        if not estimates:
            return self.open_all()
        chosen = ways.choose(estimates, fetching.prices)
        selection = ways.selections[chosen]
        if isinstance(table, RuledTable):
            rows, audit = table.open_audited(choose, selection, fetching.rules)
        else:
            rows = table.open_selected(choose, selection)
        plan = self._plan(own).ended(
            ways={name: (one.rows, one.bytes, one.sent) for name, one in estimates.items()},
            chosen=chosen,
            keys=sum(keys.values.num_rows for keys in selection.keys),
            sent=sent,
            notes=tuple(_notes(ways, estimates)),
            source=audit,
        )
        return own, plain_columns(rows.schema, rows, self.relation.unreadable), plan

    def _audit_here(self) -> SourceAudit:
        held = contract_of_columns(self.contract, self.fetching.rules.columns, whole=True)

        def open_rows() -> "pa.RecordBatchReader":
            rows = self.table.open_rows(self._chooser(held))
            return plain_columns(rows.schema, rows, self.relation.unreadable)

        return audit_source(self.product, held, open_rows, self.table.version(None), self.store, self.engine)

    def _chooser(self, contract: Contract) -> "Callable[[Sequence[str]], Sequence[str]]":
        return lambda names: choose_columns(names, contract, self.relation.unreadable)

    def _plan(self, own: Contract) -> TransferPlan:
        return TransferPlan(
            role=self.fetching.role,
            product=self.product.id,
            server=self.relation.server.name,
            columns=tuple(own.properties),
            ways={},
            chosen=ALL,
        )


def _decidable_selection(wanted: RowSelection, product: Product, table: ServerTable) -> RowSelection:
    """Return the part of a selection on which a source decides as the cases do."""
    if product.layout.forms != PLAIN:  # it writes values otherwise than the contract has them
        wanted = replace(wanted, where=None)
    return wanted if isinstance(table, SelectiveTable) and table.sends_keys else replace(wanted, times=None)


def _notes(ways: FetchStrategies, estimates: Mapping[str, TransferEstimate]) -> Iterator[str]:
    """Yield what the estimates do not rest on, and what the server does not select by."""
    yield from dict.fromkeys(one.doubt for one in estimates.values() if one.doubt)
    if WHERE in ways.selections and WHERE not in estimates:
        yield "`where` is held where cases are made: the server does not decide it as the contract does"


def audit_source(
    product: Product,
    contract: Contract,
    open_rows: "Callable[[], pa.RecordBatchReader]",
    version: str | None,
    store: ProductStore,
    engine: Engine,
) -> SourceAudit:
    """Return what a contract says of the rows that `open_rows` gives: all of the product, in the contract's columns.

    They are staged aside, audited as any publication is, and thrown away, once for each `version` of the source.

    Raises AuditRefused where they would not be published, and what reading them does.
    """
    known = store.folder / "in_place" / f"{product.name}.json"
    columns = ",".join(contract.properties)
    key = hashlib.sha256(f"{version} {contract.digest} {columns}".encode()).hexdigest()
    if version is not None and (before := _read(known, key)) is not None:
        return before
    with temporary_folder("rules") as folder:
        try:
            scratch = ProductStore(Warehouse(folder, None, None), product.domain)
            publication = publish(product, contract, open_rows(), scratch, engine, "rules")
        except PublicationRefused as refused:
            raise AuditRefused(refused.message, "nothing is fetched; mend the rows there, or the contract") from None
    audit = audit_of(publication)
    known.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(known, f'{{"{key}": {audit.model_dump_json()}}}\n')
    return audit


def audit_of(publication: Publication) -> SourceAudit:
    """Return what an audit of all rows of a product found."""
    return SourceAudit(
        rows=publication.rows_in, broken=dict(publication.quarantined), failed=tuple(_warnings(publication.checks))
    )


def _warnings(results: Sequence[CheckResult]) -> "list[str]":
    return [
        f"{result.words} ({_describe(result)})"
        for result in results
        if result.severity == "warning" and not result.passed
    ]


def _describe(result: CheckResult) -> str:
    return f"{result.failed_rows:,} rows break it" if result.failed_rows else f"found {result.observed}"


def _read(path: Path, key: str) -> SourceAudit | None:
    """Return what was found of the same rows before."""
    from pydantic import TypeAdapter

    try:
        known: Mapping[str, SourceAudit] = TypeAdapter(dict[str, SourceAudit]).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return known.get(key)
