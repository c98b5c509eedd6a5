"""Write, audit, publish: rows are staged where no reader looks, audited there, and only then become the product.

Nothing is dropped in silence: a row that breaks the contract is quarantined with its reasons and stays readable, also
when nothing is published. A run may be killed at any point; the next one sweeps what it left and does the work.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import staged_file
from storymesh.contract.audit import RowAudit, audit_rows, audit_table
from storymesh.contract.cast import plan_cast
from storymesh.contract.checks import CheckResult
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.errors import AuditRefused, SourceUnreadable, suggest_name
from storymesh.product.content_version import content_version
from storymesh.product.definition import Product
from storymesh.product.staging import AUDIT_PREFIX, CLEAN_PREFIX, WrittenFiles, open_staging
from storymesh.product.store import CONTRACT_DIGEST, CONTRACT_VERSION, ROWS, RUN_ID, VERSION, ProductStore, Snapshot

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROWS_PER_FILE = 500_000
BATCH_ROWS = 122_880
BYTES_PER_FILE = 256 * 2**20
RAW_TEXTS_KEPT = 200_000
LOCK_WAIT_S = 600.0

Progress = Callable[[str, int], None]
"""Told what is being done (`stage`, `audit`, `publish`) and how many rows it has reached."""


@dataclass(frozen=True)
class Publication:
    """What came of publishing one product. `snapshot` is what readers see now (None: still nothing); `quarantined`
    counts rows by reason (a row may have several), and they stand in `quarantine_path`."""

    product: str
    snapshot: Snapshot | None
    unchanged: bool
    rows_in: int
    rows_out: int
    quarantined: Mapping[str, int]
    quarantine_path: Path | None
    checks: tuple[CheckResult, ...]


class PublicationRefused(AuditRefused):
    """Nothing was published; `publication` says what the audit found."""

    def __init__(self, words: str, hint: str, publication: Publication) -> None:
        super().__init__(words, hint)
        self.publication = publication


def publish(
    product: Product,
    contract: Contract,
    rows: "pa.RecordBatchReader",
    store: ProductStore,
    engine: Engine,
    run_id: str,
    progress: Progress | None = None,
    wait_s: float = LOCK_WAIT_S,
) -> Publication:
    """Publish `rows` as the next snapshot of the product, if they keep the contract.

    Raises PublicationRefused when more rows break it than its quarantine limit lets pass or a rule about the table
    fails, PublishConflict when somebody else publishes the product meanwhile, SourceUnreadable when a column of the
    contract is not there, DefinitionErrors when a rule of the contract cannot be run. In each case readers keep
    what they had.
    """
    tell = progress or _silent
    columns = _columns_of(rows.schema, contract, product)
    schema = arrow_schema(contract)
    with open_staging(store, product.name, schema, wait_s) as staging:
        uncastable = _Uncastable()
        staged = staging.write_files(_cast(engine, rows, contract, columns, uncastable, tell))
        summary = _summary(contract, run_id, content_version(engine, staged.paths, contract), staged.rows)
        snapshot_id = staging.commit_to_branch(f"{AUDIT_PREFIX}{run_id}", staged, summary)
        counts = _counts(staged)
        audit = audit_rows(engine, contract, staged.paths, counts, uncastable.rows(), lambda done: tell("audit", done))
        bad = _union(audit)
        quarantine = _quarantine_path(store, product, run_id) if len(bad) else None
        if quarantine is not None:
            _quarantine(quarantine, staged, counts, audit, bad, uncastable)
        if len(bad) and len(bad) > contract.quarantine_limit * audit.rows:
            raise _over_limit(product, contract, store, audit, bad, quarantine)
        good = staged
        if len(bad):
            good = staging.write_files(_without(staged, counts, bad))
            summary = _summary(contract, run_id, content_version(engine, good.paths, contract), good.rows)
            snapshot_id = staging.commit_to_branch(f"{CLEAN_PREFIX}{run_id}", good, summary)
        results = (*audit.results, *audit_table(engine, contract, good.paths))
        if broken := [one for one in results if one.kind == "table" and one.severity == "error" and not one.passed]:
            found = _publication(product, store, audit, good.rows, quarantine, results, unchanged=True)
            words = "; ".join(f"{one.words} (found {one.observed})" for one in broken)
            hint = f"the rows stay on the branch {AUDIT_PREFIX}{run_id} until the next run"
            raise PublicationRefused(f"'{product.id}' is held back: {words}", hint, found)
        tell("publish", good.rows)
        version = summary[VERSION]
        unchanged = staging.published_version == version
        if unchanged:
            staging.remove_unpublished(orphans=False)
        else:
            # Content that was published before is the same version, so `main` goes back to that very snapshot.
            staging.promote(staging.find_published(version) or snapshot_id, version)
    return _publication(product, store, audit, good.rows, quarantine, results, unchanged=unchanged)


def _silent(phase: str, rows: int) -> None:
    pass


def _columns_of(met: "pa.Schema", contract: Contract, product: Product) -> dict[str, str]:
    """Which column of the rows is which property: by name, or else by the one name that differs in case only."""
    if len(set(met.names)) < len(met.names):
        twice = sorted({name for name in met.names if met.names.count(name) > 1})
        raise SourceUnreadable(f"the rows of '{product.id}' have the column '{twice[0]}' twice", "rename one of them")
    found: dict[str, str] = {}
    for name in contract.properties:
        alike = [one for one in met.names if one.lower() == name.lower()]
        if name in met.names:
            found[name] = name
        elif len(alike) == 1:
            found[name] = alike[0]
        else:
            words = f"the rows of '{product.id}' have no column '{name}', which {contract.document.path} promises"
            hint = suggest_name(name, met.names)
            close = get_close_matches(name, met.names, n=1)
            raise SourceUnreadable(words, f"there is '{close[0]}'" if close else hint)
    return found


@dataclass
class _Uncastable:
    """The values that did not fit their type, gathered while rows are staged: where they stood and what they were."""

    where: "dict[str, list[np.ndarray[Any, Any]]]" = field(default_factory=dict)
    texts: "dict[str, list[pa.Array]]" = field(default_factory=dict)

    def add(self, name: str, raw: "pa.ChunkedArray", start: int) -> None:
        import numpy as np

        local = np.flatnonzero(raw.is_valid().to_numpy())
        self.where.setdefault(name, []).append(local + start)
        kept = self.texts.setdefault(name, [])
        room = RAW_TEXTS_KEPT - sum(map(len, kept))
        kept.append(raw.drop_null().combine_chunks().slice(0, max(room, 0)))

    def rows(self) -> "dict[str, np.ndarray[Any, Any]]":
        import numpy as np

        return {name: np.concatenate(parts) for name, parts in self.where.items()}

    def text_of(self, name: str) -> "tuple[np.ndarray[Any, Any], pa.Array]":
        """Row numbers and the texts that stood there, as many as were kept."""
        import pyarrow as pa

        texts = pa.concat_arrays(self.texts[name])
        return self.rows()[name][: len(texts)], texts


def _cast(
    engine: Engine,
    rows: "pa.RecordBatchReader",
    contract: Contract,
    columns: dict[str, str],
    uncastable: _Uncastable,
    tell: Progress,
) -> Iterator["pa.Table"]:
    """The rows with the contract's types, in tables of the size of a file."""
    import pyarrow as pa

    schema = arrow_schema(contract)
    plan = plan_cast(contract, rows.schema, columns)
    start = 0
    for table in _in_files(engine.map_batches(rows, rows.schema, plan.select, min(ROWS_PER_FILE, BATCH_ROWS))):
        for index, name in enumerate(plan.fallible):
            raw = table.column(len(schema) + index)
            if raw.null_count < len(raw):
                uncastable.add(name, raw, start)
        typed = table.select(list(range(len(schema))))
        yield pa.Table.from_arrays(typed.columns, names=schema.names).cast(schema)
        start += table.num_rows
        tell("stage", start)


def _in_files(reader: Iterable["pa.RecordBatch"]) -> Iterator["pa.Table"]:
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ROWS_PER_FILE or size >= BYTES_PER_FILE:
            yield pa.Table.from_batches(batches)
            batches, rows, size = [], 0, 0
    if batches:
        yield pa.Table.from_batches(batches)


def _summary(contract: Contract, run_id: str, version: str, rows: int) -> dict[str, str]:
    return {
        VERSION: version,
        RUN_ID: run_id,
        CONTRACT_VERSION: contract.version,
        CONTRACT_DIGEST: contract.digest,
        ROWS: str(rows),
    }


def _counts(written: WrittenFiles) -> list[int]:
    return [one.record_count for one in written.files]


def _union(audit: RowAudit) -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.unique(np.concatenate([np.empty(0, np.int64), *audit.failures.values()]))


def _without(staged: WrittenFiles, counts: list[int], bad: "np.ndarray[Any, Any]") -> Iterator["pa.Table"]:
    """The staged rows but the bad ones, file by file."""
    import numpy as np
    import pyarrow.parquet as pq

    start = 0
    for path, count in zip(staged.paths, counts, strict=True):
        here = bad[(bad >= start) & (bad < start + count)] - start
        good = np.ones(count, bool)
        good[here] = False
        table = pq.ParquetFile(path).read()
        yield table.filter(good)
        start += count


def _quarantine_path(store: ProductStore, product: Product, run_id: str) -> Path:
    return store.folder / "quarantine" / product.name / f"{run_id}.parquet"


def _quarantine(
    path: Path,
    staged: WrittenFiles,
    counts: list[int],
    audit: RowAudit,
    bad: "np.ndarray[Any, Any]",
    uncastable: _Uncastable,
) -> None:
    """Write the bad rows as the product's columns and `reasons`. A column in which a value did not fit its type is
    text, with that value as it came."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = 0
    with ExitStack() as stack:
        hidden = stack.enter_context(staged_file(path))
        writer: pq.ParquetWriter | None = None
        for file, count in zip(staged.paths, counts, strict=True):
            here = bad[(bad >= start) & (bad < start + count)]
            table = pq.ParquetFile(file).read().take(pa.array(here - start))
            for name in uncastable.where:
                index = table.schema.get_field_index(name)
                table = table.set_column(index, name, _with_raw(table.column(index), here, *uncastable.text_of(name)))
            table = table.append_column("reasons", _reasons(audit.failures, here))
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(hidden, table.schema, compression="zstd"))
            writer.write_table(table)
            start += count
    assert np.all(bad < start)


def _with_raw(
    column: "pa.ChunkedArray", here: "np.ndarray[Any, Any]", rows: "np.ndarray[Any, Any]", texts: "pa.Array"
) -> "pa.Array":
    """The column as text, with the texts that stood in the rows before the cast."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as at

    written: list[str | None]
    if at.is_nested(column.type):
        written = [None if value is None else str(value) for value in column.to_pylist()]
    else:
        written = column.cast(pa.string()).to_pylist()
    places = np.searchsorted(here, rows)
    for place, row, text in zip(places, rows, texts, strict=True):
        if place < len(here) and here[place] == row:
            written[place] = text.as_py()
    return pa.array(written, pa.string())


def _reasons(failures: Mapping[str, "np.ndarray[Any, Any]"], here: "np.ndarray[Any, Any]") -> "pa.Array":
    import numpy as np
    import pyarrow as pa

    names = list(failures)
    places, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, rows in enumerate(failures.values()):
        found = np.intersect1d(here, rows, assume_unique=True, return_indices=True)[1]
        places.append(found)
        numbers.append(np.full(len(found), number))
    all_places, all_numbers = np.concatenate(places), np.concatenate(numbers)
    order = np.lexsort((all_numbers, all_places))
    offsets = np.searchsorted(all_places[order], np.arange(len(here) + 1))
    words = pa.array(names, pa.string()).take(pa.array(all_numbers[order]))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words)


def _over_limit(
    product: Product,
    contract: Contract,
    store: ProductStore,
    audit: RowAudit,
    bad: "np.ndarray[Any, Any]",
    quarantine: Path | None,
) -> PublicationRefused:
    found = _publication(product, store, audit, 0, quarantine, audit.results, unchanged=True)
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in found.quarantined.items())
    limit = f"{100 * contract.quarantine_limit:.4g} %"
    words = f"'{product.id}': {len(bad):,} of {audit.rows:,} rows break the contract, more than {limit}: {reasons}"
    return PublicationRefused(words, f"nothing is published; the rows stand in {quarantine}", found)


def _publication(
    product: Product,
    store: ProductStore,
    audit: RowAudit,
    rows_out: int,
    quarantine: Path | None,
    results: tuple[CheckResult, ...],
    *,
    unchanged: bool,
) -> Publication:
    counts = sorted(((reason, len(rows)) for reason, rows in audit.failures.items()), key=lambda one: (-one[1], one[0]))
    return Publication(
        product=product.id,
        snapshot=store.latest_snapshot(product.name),
        unchanged=unchanged,
        rows_in=audit.rows,
        rows_out=rows_out,
        quarantined=MappingProxyType(dict(counts)),
        quarantine_path=quarantine,
        checks=results,
    )
