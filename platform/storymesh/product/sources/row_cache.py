"""The rows of a table of a server as they were read last, so that the next time only what has changed is read.

They are kept as the server wrote them, in the columns of the contract, and what is made of them and of the changes is
what the whole table would give: where it is not, by what all rows are known by there, the table is read whole.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.federation.access import ChooseColumns
from storymesh.federation.changes import MONTH, ChangingTable, Fingerprint
from storymesh.federation.relation import Relation

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_KNOWN = b"storymesh"
Means = Literal["all rows", "rows changed since", "months that differ"]


@dataclass(frozen=True)
class ReadRows:
    """How the rows of a table were read last: how many of them came, in how many bytes, of how many there are."""

    means: Means
    came: int
    bytes: int
    rows: int


@dataclass(frozen=True)
class _CacheState:
    """What the kept rows are of (`shape`), and where to go on: the last change, or what each month is known by."""

    shape: str
    last: str = ""
    months: Mapping[str, str] | None = None


class RowCache:
    """The rows of one product as they were read last, in a file of the `folder`."""

    def __init__(self, folder: Path, product: str) -> None:
        self._path = folder / f"{product}.parquet"
        self.read: ReadRows | None = None

    def open(
        self, table: ChangingTable, relation: Relation, contract: Contract, choose: ChooseColumns, engine: Engine
    ) -> "pa.RecordBatchReader":
        """Return all rows of the table; of those that were read before, only what has changed is read.

        Raises SourceUnreadable, ResourceUnavailable.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shape = _shape(relation, contract)
        kept = self._read_known()
        if kept is not None and kept.shape != shape:
            kept = None
        if contract.changed_at is None:
            self._read_months(table, contract, choose, engine, shape, kept)
        elif kept is None or not self._read_changes(table, contract, choose, engine, kept):
            places = list(contract.properties)
            key = tuple(places.index(name) for name in contract.key)
            rows, _, last = table.open_changed_since(choose, key, places.index(contract.changed_at), None)
            came = self._write(rows, self._path, _CacheState(shape, last))
            self.read = ReadRows("all rows", came, table.moved, came)
        return self._open()

    def _read_changes(
        self, table: ChangingTable, contract: Contract, choose: ChooseColumns, engine: Engine, kept: _CacheState
    ) -> bool:
        """Read the rows that have changed, and keep them with the others. Return False where this is not what the
        table holds: rows have gone, or changed without saying so."""
        places = list(contract.properties)
        key, changed = tuple(places.index(name) for name in contract.key), places.index(contract.changed_at or "")
        rows, known, last = table.open_changed_since(choose, key, changed, kept.last)
        delta = self._path.with_suffix(".new")
        try:
            came = self._write(rows, delta, kept)
            before, new = engine.read_parquet(self._path), engine.read_parquet(delta)
            names = before.columns
            if names != new.columns or before.schema() != new.schema():
                return False
            others = before.anti_join(new, [names[place] for place in key])
            merged = others.union(new, distinct=False)
            if _fingerprint(engine, merged, [names[place] for place in (*key, changed)]) != known:
                return False
            self._replace(engine, merged, replace(kept, last=last))
        finally:
            delta.unlink(missing_ok=True)
        self.read = ReadRows("rows changed since", came, table.moved, known.rows)
        return True

    def _read_months(
        self,
        table: ChangingTable,
        contract: Contract,
        choose: ChooseColumns,
        engine: Engine,
        shape: str,
        kept: _CacheState | None,
    ) -> None:
        """Read the rows of the months that are not as they were, and keep them with the others."""
        assert contract.event_time is not None
        place = list(contract.properties).index(contract.event_time)
        before = dict(kept.months or {}) if kept is not None else {}
        rows, months = table.open_changed_months(choose, place, before)
        now = _CacheState(shape, months=months)
        if not before:
            came = self._write(rows, self._path, now)
            self.read = ReadRows("all rows", came, table.moved, came)
            return
        delta = self._path.with_suffix(".new")
        try:
            came = self._write(rows, delta, now)
            old, new = engine.read_parquet(self._path), engine.read_parquet(delta)
            month = old[old.columns[place]].cast("string").fill_null("").substr(0, MONTH)
            same = [name for name, text in months.items() if before.get(name) == text]
            merged = old.filter(month.isin(same)).union(new, distinct=False) if same else new
            self._replace(engine, merged, now)
        finally:
            delta.unlink(missing_ok=True)
        total = sum(int(text.split()[0]) for text in months.values())
        self.read = ReadRows("months that differ", came, table.moved, total)

    def _replace(self, engine: Engine, rows: "ir.Table", known: _CacheState) -> None:
        engine.write_parquet(rows, self._path, metadata={_KNOWN.decode(): _as_text(known)})

    def _write(self, rows: "pa.RecordBatchReader", path: Path, known: _CacheState) -> int:
        """Write rows as they come, whole or not at all; return how many there are."""
        import pyarrow.parquet as pq

        staged, count = path.with_name(f"{path.name}.part"), 0
        schema = rows.schema.with_metadata({_KNOWN: _as_text(known).encode()})
        try:
            with pq.ParquetWriter(staged, schema, compression="zstd", write_statistics=False) as writer:
                for batch in rows:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
                    count += batch.num_rows
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        return count

    def _open(self) -> "pa.RecordBatchReader":
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self._path, pre_buffer=False)
        schema = file.schema_arrow.remove_metadata()
        batches = (batch.replace_schema_metadata(None) for batch in file.iter_batches())
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _read_known(self) -> _CacheState | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            metadata = pq.read_schema(self._path).metadata or {}
            return _CacheState(**json.loads(metadata[_KNOWN]))
        except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):
            return None


def _shape(relation: Relation, contract: Contract) -> str:
    """Return a digest of what decides which rows and columns are read."""
    columns = [[name, *item.column_names] for name, item in contract.properties.items()]
    parts: list[Any] = [relation.server.place, relation.table, relation.query, columns]
    parts += [contract.key, contract.changed_at, contract.event_time]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _fingerprint(engine: Engine, rows: "ir.Table", names: list[str]) -> Fingerprint:
    """Return what some columns of rows are known by, as the server counts it."""
    import ibis

    from storymesh.engine.dialect import concat_texts

    texts: list[ir.StringValue] = []
    for name in names:
        text = rows[name].cast("string")
        value = concat_texts([text.length().cast("string"), ibis.literal(":"), text])
        texts += [ibis.literal("|")] * bool(texts) + [ibis.ifelse(text.isnull(), "-", value)]
    whole = concat_texts(texts)
    number = ibis.literal("0x").concat(whole.hexdigest("md5").substr(0, 15)).cast("int64").cast("decimal(38, 0)")
    (found,) = engine.fetch_rows(rows.aggregate(rows=rows.count(), digest=number.sum()))
    return Fingerprint(found["rows"], str(int(found["digest"] or 0)))


def _as_text(known: _CacheState) -> str:
    return json.dumps({"shape": known.shape, "last": known.last, "months": known.months})
