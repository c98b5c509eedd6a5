"""The data files of one config, and the records that it drops: one pass over the records as they were rendered.

What is to become of a record comes beside it, since both are in the order of the release: split by split, and in each
by time. Records that lie in another order, such as those that a cluster or a language model wrote, are sorted first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from storymesh.dataset.render import BUILD_COLUMNS
from storymesh.dataset.split import release_order
from storymesh.engine.engine import Engine, PartDigests
from storymesh.engine.parquet_reader import open_rows
from storymesh.engine.parquet_writer import RowStream, write_parquet_files
from storymesh.errors import EngineFailed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from ibis.expr.types import Table

COMPRESSION_LEVEL = 3  # of zstd, for files that are downloaded
BATCH = 4_096  # records that are looked at together
UNWRITTEN = "split"  # the column that the place of a file says
DROP_COLUMNS = ("reason", "same_as")  # why a record drops, beside its own columns


class _OtherOrder(Exception):
    """The records do not lie in the order of the release."""


@dataclass(frozen=True)
class DataFiles:
    """The `files` of one config, in the order of the release, each with how many records it gets.

    The records that are left out go to the file `dropped`, with `reason` and `same_as`; without such there is none.
    """

    engine: Engine
    files: Sequence[tuple[Path, int]]
    dropped: Path
    metadata: Mapping[str, str] = field(default_factory=dict)

    def write(self, records: Path, curated: "Table") -> str | None:
        """Write the records in the file `records`, without those that `curated` (id, dropped, same_as) drops.

        Returns the content digest of what is kept, with the split of each; None where only the files show it. Raises
        EngineFailed if they are more or fewer than the files are to have.
        """
        try:
            return self._write(records, curated)
        except _OtherOrder:
            ordered, rows = self.dropped.with_suffix(".ordered"), self.engine.read_parquet(records)
            try:
                self.engine.write_parquet(rows, ordered, order=release_order(rows))
                return self._write(ordered, curated)
            except _OtherOrder as error:
                raise EngineFailed("a record is there more than once") from error
            finally:
                ordered.unlink(missing_ok=True)

    def _write(self, records: Path, curated: "Table") -> str | None:
        verdicts = _verdicts(self.engine.read_parquet(records), curated)
        opened = open_rows(records, without=BUILD_COLUMNS, plain=["id"])
        with opened as rows, _DroppedRecords(self.dropped) as dropped:
            stream = RowStream(self.engine.stream_batches(verdicts, BATCH), verdicts.schema().to_pyarrow())
            digest = self.engine.digest_of_parts(rows.schema)
            kept = _kept(_judged(rows.batches(BATCH), stream), dropped, digest)
            written = rows.coded_schema.remove(rows.coded_schema.get_field_index(UNWRITTEN))
            try:
                write_parquet_files(kept, written, self.files, self.metadata, COMPRESSION_LEVEL)
            except ValueError as error:
                raise EngineFailed(str(error)) from error
            return digest.content_digest([""]) if digest is not None else None


class _DroppedRecords:
    """Writes records with the reasons for which they drop to a file, which is made for the first of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, records: "pa.Table") -> None:
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, records.schema, store_schema=False)
        self._writer.write_table(records)


def _verdicts(records: "Table", curated: "Table") -> "Table":
    """Return id, `reason` (null: it stays) and `same_as` of each record, in the order of the release."""
    judged = curated.select(judged="id", reason="dropped", same_as="same_as")
    placed = records.select("id", "split", "at")
    joined = placed.left_join(judged, placed["id"] == judged["judged"])
    found = joined.select("id", "split", "at", *DROP_COLUMNS)
    return found.order_by(release_order(found))


def _judged(
    batches: "Iterable[pa.RecordBatch]", verdicts: RowStream
) -> "Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]":
    """Yield each batch of records with their verdicts. Raises _OtherOrder where these are in another order."""
    for rows in batches:
        verdict = verdicts.take(rows.num_rows).combine_chunks().to_batches()
        if not verdict or verdict[0].column("id") != rows.column("id"):
            raise _OtherOrder
        yield rows, verdict[0]
    if verdicts.take(1):
        raise _OtherOrder


def _kept(
    judged: "Iterable[tuple[pa.RecordBatch, pa.RecordBatch]]", dropped: _DroppedRecords, digest: PartDigests | None
) -> "Iterator[pa.RecordBatch]":
    """Yield the records that stay, as their file has them."""
    import pyarrow as pa

    for rows, verdict in judged:
        stays = verdict.column("reason").is_null()
        if stays.false_count:
            reasons = [verdict.column(name) for name in DROP_COLUMNS]
            every = pa.Table.from_arrays([*rows.columns, *reasons], [*rows.schema.names, *DROP_COLUMNS])
            dropped.add(every.filter(verdict.column("reason").is_valid()))
            rows = rows.filter(stays)
        if digest is not None:
            digest.add("", pa.Table.from_batches([rows]))
        yield rows.drop_columns([UNWRITTEN])
