"""Products in parts: the rows of a partition are in files of their own, which stay as long as none of them changes.

Which partitions have changed, a fingerprint of their rows says: two sums over a hash of the engine's, in any order of
the rows. It only chooses what is written again: what is published is known by digests.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.input_file import file_digest
from storymesh.product.content_version import rows_of_partition
from storymesh.product.software import software_digest

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

BATCH_ROWS = 122_880
RAW = "storymesh:raw:"
ROW = "storymesh:row"
"""The column that numbers rows as they came in: it says where they stand, and is no part of what they are."""

# The hash is split in two below a sum of which no product has enough rows to overflow.
_LOW, _HIGH = 2_147_483_647, 1_073_741_789


@dataclass(frozen=True)
class Partition:
    """Rows of one partition that came in: what their columns hold, and a fingerprint of all of them."""

    values: dict[str, Any]
    fingerprint: str

    @property
    def key(self) -> str:
        return partition_key(self.values.values())


def partition_key(values: Iterable[Any]) -> str:
    """Return a digest of what the columns of a partition hold: the values themselves are in no note."""
    texts = [None if value is None else str(value) for value in values]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def files_by_partition(paths: Iterable[str], columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each partition, by its key. In each file are rows of one partition."""
    import pyarrow.parquet as pq

    files: dict[str, list[str]] = {}
    for path in paths:
        (first,) = next(pq.ParquetFile(path).iter_batches(1, columns=list(columns))).select(columns).to_pylist()
        files.setdefault(partition_key(first.values()), []).append(path)
    return files


@dataclass(frozen=True)
class PartitionedRows:
    """All rows of a publication, spooled in the engine, and their partitions in the order of their values."""

    engine: Engine
    rows: "ir.Table"
    partitions: tuple[Partition, ...]

    def tables(self, partitions: Iterable[Partition], size: int) -> Iterator["pa.Table"]:
        """Yield the rows of the partitions one after another, each in tables of at most about `size` rows."""
        import pyarrow as pa

        for partition in partitions:
            gathered: list[pa.RecordBatch] = []
            for batch in self.engine.stream_batches(rows_of_partition(self.rows, partition.values), BATCH_ROWS):
                gathered.append(batch)
                if sum(map(len, gathered)) >= size:
                    yield pa.Table.from_batches(gathered)
                    gathered = []
            if gathered:
                yield pa.Table.from_batches(gathered)


@contextmanager
def spool_partitions(
    engine: Engine, contract: Contract, batches: Iterable["pa.RecordBatch"], fallible: Sequence[str]
) -> Iterator[PartitionedRows]:
    """Keep cast rows in the engine, and find their partitions.

    The values that fit no type, of the properties `fallible`, are text columns behind those of the contract: they are
    part of the fingerprint, so a partition with one is never like a published one. The last column is `ROW`.
    """
    import ibis
    import pyarrow as pa

    typed = arrow_schema(contract)
    texts = [pa.field(f"{RAW}{number}", pa.string()) for number in range(len(fallible))]
    given = pa.schema([*typed, *texts])
    schema = given.append(pa.field(ROW, pa.int64()))
    rows = engine.materialize(_numbered(batches, schema), schema)
    try:
        columns = contract.partition_columns
        count, row_hash = _fresh("rows", columns), _fresh("hash", columns)
        low, high = _fresh("low", columns), _fresh("high", columns)
        hashed = rows.select(*columns, **{row_hash: ibis.struct({name: rows[name] for name in given.names}).hash()})
        sums = {
            count: hashed.count(),
            low: (hashed[row_hash] % _LOW).sum(),
            high: (hashed[row_hash] % _HIGH).sum(),
        }
        found = engine.fetch_rows(hashed.group_by(list(columns)).agg(**sums).order_by(list(columns)))
        partitions = [
            Partition({name: row[name] for name in columns}, f"{row[count]}-{row[low]}-{row[high]}") for row in found
        ]
        yield PartitionedRows(engine, rows, tuple(partitions))
    finally:
        engine.drop(rows)


def _numbered(batches: Iterable["pa.RecordBatch"], schema: "pa.Schema") -> Iterator["pa.RecordBatch"]:
    import numpy as np
    import pyarrow as pa

    start = 0
    for batch in batches:
        numbers = pa.array(np.arange(start, start + batch.num_rows))
        yield from pa.Table.from_arrays([*batch.columns, numbers], names=schema.names).cast(schema).to_batches()
        start += batch.num_rows


def _fresh(name: str, taken: Collection[str]) -> str:
    """Return a name for a computed column that is none of those `taken`, in any case."""
    lower = {other.lower() for other in taken}
    while name.lower() in lower:
        name += "_"
    return name


class PublishedPartition(BaseModel):
    """A published partition: the fingerprint of the rows that came in, the digest of those that were published, and
    their files (path in Iceberg's metadata -> SHA-256)."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    digest: str
    files: Mapping[str, str]


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True)

    inputs: str
    snapshot_id: int
    partitions: Mapping[str, PublishedPartition]


class PartitionState:
    """A note of the partitions of the snapshot that `main` names, beside the product's table.

    A partition is noted where all of its rows passed every check, so what it keeps needs no audit. It is believed only
    for the snapshot, contract and software that it was noted for. Without it, everything is written again.
    """

    def __init__(self, folder: Path, name: str, contract: Contract, snapshot_id: int | None) -> None:
        self._path = folder / "publications" / f"{name}.partitions.json"
        self._inputs = f"{software_digest()} {contract.digest}"
        self._noted = self._read(snapshot_id)

    def unchanged(
        self, partitions: Iterable[Partition], published: Mapping[str, Path]
    ) -> dict[str, PublishedPartition]:
        """Return the partitions, by key, whose rows are those that were published, where their files are too.

        `published` are the files that readers see: path in Iceberg's metadata -> where it is.
        """
        found = {partition.key: (partition, self._noted.get(partition.key)) for partition in partitions}
        return {
            key: noted
            for key, (partition, noted) in found.items()
            if noted is not None
            and noted.fingerprint == partition.fingerprint
            and all(path in published and digest_if_there(published[path]) == sha for path, sha in noted.files.items())
        }

    def record(self, snapshot_id: int, partitions: Mapping[str, PublishedPartition]) -> None:
        """Note partitions by key; one that is not noted is written again next time."""
        note = _Note(inputs=self._inputs, snapshot_id=snapshot_id, partitions=partitions)
        write_atomically(self._path, note.model_dump_json())

    def _read(self, snapshot_id: int | None) -> Mapping[str, PublishedPartition]:
        with suppress(OSError, ValidationError):
            note = _Note.model_validate_json(self._path.read_bytes())
            if note.inputs == self._inputs and note.snapshot_id == snapshot_id:
                return note.partitions
        return MappingProxyType({})


def digest_if_there(path: Path) -> str | None:
    """Return the SHA-256 of a file; None where there is none."""
    try:
        return file_digest(path)
    except OSError:
        return None
