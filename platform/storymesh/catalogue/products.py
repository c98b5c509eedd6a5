"""The page of one product: its contract, its versions, how its audits went, and some of its rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storymesh.catalogue.audits import Audit, AuditedCheck
from storymesh.contract.checks import Check, checks_of
from storymesh.contract.definition import RESTRICTED, Contract, Property
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError
from storymesh.language.types import Text
from storymesh.product.definition import Product
from storymesh.product.sample import ProductSample, QuarantineSample, sample_product, sample_quarantine
from storymesh.product.store import ProductStore, Snapshot
from storymesh.release.report.charts import Bar, Chart
from storymesh.release.report.stories import format_value, shorten

INTERNAL = "(internal)"
"""The text in the place of a value that a public catalogue leaves out."""
SAMPLE_ROWS = 8
QUARANTINED_ROWS = 5
MAX_VALUE_LENGTH = 80  # characters
MAX_VERSIONS = 50
MAX_CODES = 40  # of an enum


@dataclass(frozen=True)
class PropertyRow:
    """One property as a reader of the contract wants to see it. `marks` are its roles: key, event time, …; `codes`
    the values that it may have, with their labels; `nulls` the share of rows without a value."""

    name: str
    title: str
    description: str
    type: str
    unit: str
    classification: str
    marks: tuple[str, ...]
    codes: tuple[tuple[str, str], ...]
    more_codes: int
    refers: str
    nulls: float | None


@dataclass(frozen=True)
class RuleRow:
    """One check of the contract, and how it came out in each of the audits shown: None where it was not looked at."""

    words: str
    name: str
    about: str
    kind: str
    severity: str
    place: str
    outcomes: tuple[AuditedCheck | None, ...]


@dataclass(frozen=True)
class SampleRows:
    """Rows of the current version, as text by property."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class QuarantineRow:
    """A row that was refused: its key, where it stands ("" where nobody knows), and for each rule that it breaks the
    reason, what was met and what is wanted."""

    key: str
    place: str
    broken: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class ProductView:
    """All that the page of a product shows. `snapshot` is None where nothing was published; `problem` says why what is
    in the store could not be read."""

    product: Product
    contract: Contract
    owner: str
    properties: tuple[PropertyRow, ...]
    rules: tuple[RuleRow, ...]
    audits: tuple[Audit, ...]
    chart: Chart | None
    snapshot: Snapshot | None
    versions: tuple[Snapshot, ...]
    more_versions: int
    newest: str
    sample: SampleRows | None
    quarantined: tuple[QuarantineRow, ...]
    refused: int
    refused_at: datetime | None
    problem: str

    @property
    def verdict(self) -> str:
        """Return how the last audit ended, or `unpublished`, or `published` where nobody remembers one."""
        if self.audits:
            return self.audits[-1].verdict
        return "published" if self.snapshot is not None else "unpublished"


def view_product(
    product: Product,
    contract: Contract,
    owner: str,
    audits: Sequence[Audit],
    store: ProductStore,
    engine: Engine,
    *,
    public: bool,
) -> ProductView:
    """Return what the page of a product shows. `public`: no value that its contract does not call public."""
    sample: ProductSample | None = None
    refused: QuarantineSample | None = None
    versions: list[Snapshot] = []
    newest, problem = "", ""
    try:
        versions = store.list_snapshots(product.name)[::-1]
        if versions:
            sample = sample_product(engine, store, contract, None, SAMPLE_ROWS)
            newest = _newest_moment(engine, sample.snapshot, contract, public=public)
        refused = sample_quarantine(engine, store, contract, product.layout.forms, QUARANTINED_ROWS)
    except StorymeshError as error:
        problem = str(error)
    shown = _Shown(contract, public=public)
    nulls = {column.name: column.null_share for column in sample.columns} if sample is not None else {}
    return ProductView(
        product=product,
        contract=contract,
        owner=owner,
        properties=tuple(_property_row(item, contract, nulls) for item in contract.properties.values()),
        rules=tuple(_rule_rows(checks_of(contract), audits)),
        audits=tuple(audits),
        chart=_chart(audits),
        snapshot=sample.snapshot if sample is not None else None,
        versions=tuple(versions[:MAX_VERSIONS]),
        more_versions=max(len(versions) - MAX_VERSIONS, 0),
        newest=newest,
        sample=shown.sample(sample) if sample is not None else None,
        quarantined=tuple(shown.quarantined(refused)) if refused is not None else (),
        refused=refused.rows if refused is not None else 0,
        refused_at=refused.written_at if refused is not None else None,
        problem=problem,
    )


class _Shown:
    """The values of a product as a page may show them: restricted ones are masked where they are read; in a public
    catalogue those too that the contract does not call public."""

    def __init__(self, contract: Contract, *, public: bool) -> None:
        self.hidden = {name for name, item in contract.properties.items() if public and item.classification != "public"}

    def text(self, name: str, value: Any) -> str:
        if value is not None and value != RESTRICTED and name in self.hidden:
            return INTERNAL
        return shorten(format_value(value), MAX_VALUE_LENGTH)

    def sample(self, sample: ProductSample) -> SampleRows:
        names = tuple(column.name for column in sample.columns)
        return SampleRows(names, tuple(tuple(self.text(name, row[name]) for name in names) for row in sample.sample))

    def quarantined(self, sample: QuarantineSample) -> Iterator[QuarantineRow]:
        for row in sample.sample:
            broken = tuple((rule.reason, self._shown_pairs(rule.met), rule.wanted) for rule in row.broken)
            place = f"{row.file}:{row.line}" if row.file is not None else ""
            yield QuarantineRow(self._shown_pairs(row.key), place, broken)

    def _shown_pairs(self, values: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} = {self.text(name, value)}" for name, value in values.items())


def _property_row(item: Property, contract: Contract, nulls: Mapping[str, float]) -> PropertyRow:
    labels = item.type.labels if isinstance(item.type, Text) else {}
    refers = [relation.to_contract for relation in contract.relationships if item.name in relation.columns]
    return PropertyRow(
        name=item.name,
        title=item.title,
        description=item.description,
        type=str(item.type),
        unit=item.unit or "",
        classification=item.classification,
        marks=tuple(_marks(item, contract)),
        codes=tuple((str(code), labels.get(str(code), "")) for code in item.enum[:MAX_CODES]),
        more_codes=max(len(item.enum) - MAX_CODES, 0),
        refers=refers[0] if refers else "",
        nulls=nulls.get(item.name),
    )


def _marks(item: Property, contract: Contract) -> Iterator[str]:
    if item.key_position is not None:
        yield "key" if len(contract.key) == 1 else f"key {contract.key.index(item.name) + 1} of {len(contract.key)}"
    if item.required and item.key_position is None:
        yield "required"
    if item.unique:
        yield "unique"
    if item.name == contract.event_time:
        yield "event time"
    if item.name == contract.end_time:
        yield "end time"
    if item.partition_position is not None:
        yield "partition"
    if item.deprecated:
        yield "deprecated"
    if (known := item.known_at) is not None:
        yield f"known at {known}"


def _rule_rows(checks: Sequence[Check], audits: Sequence[Audit]) -> Iterator[RuleRow]:
    for place, check in enumerate(checks):
        outcomes = tuple(audit.checks.get(place) for audit in audits)
        about = ", ".join(check.properties)
        yield RuleRow(check.words, check.name, about, check.kind, check.severity, str(check.location), outcomes)


def _chart(audits: Sequence[Audit]) -> Chart | None:
    """Return the rows of each audit that were published and those that were quarantined; None for no audit."""
    if not audits:
        return None
    bars = tuple(Bar(f"{audit.at:%Y-%m-%d %H:%M}", (audit.rows or 0, audit.quarantined or 0)) for audit in audits)
    last = next((audit for audit in reversed(audits) if audit.rows is not None), None)
    refused = sum(audit.rows is None for audit in audits)
    words = f"{last.rows:,} rows published at last." if last is not None else "Nothing was published."
    if refused:
        words += f" {refused} of {len(audits)} audits held everything back."
    return Chart(("published", "quarantined"), bars, f"{audits[0].at:%Y-%m-%d}", f"{audits[-1].at:%Y-%m-%d}", words)


def _newest_moment(engine: Engine, snapshot: Snapshot, contract: Contract, *, public: bool) -> str:
    """Return the latest event time of a version as text, "" where there is none or it is not to be seen."""
    name = contract.event_time
    if name is None or name not in snapshot.schema.names or not snapshot.rows:
        return ""
    classification = contract.properties[name].classification
    if classification == "restricted" or (public and classification != "public"):
        return ""
    latest = engine.fetch_value(engine.read_parquet(snapshot.files, snapshot.schema)[name].max())
    return "" if latest is None else str(latest)
