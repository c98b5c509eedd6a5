"""The data files of one config, and the records that it drops: one pass over the records as they were rendered.

What is to become of a record comes beside it, since both are in the order of the release: split by split, and in each
by time. Records that lie in another order, such as those that a cluster or a language model wrote, are sorted first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.dataset.render import BUILD_COLUMNS
from storymesh.dataset.split import release_order
from storymesh.engine.engine import Engine, PartDigests
from storymesh.engine.parquet_reader import open_rows
from storymesh.engine.parquet_writer import RowStream, write_parquet_files
from storymesh.errors import EngineFailed
from storymesh.release.record_sample import in_sample

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from ibis.expr.types import Table

COMPRESSION_LEVEL = 3  # of zstd, for files that are downloaded
BATCH = 4_096  # records that are looked at together
ASIDE_BYTES = 2**24  # of rows for one file, that are written together
_STRETCH = 32  # records between two that go, from which on
UNWRITTEN = "split"  # the column that the place of a file says
DROP_COLUMNS = ("reason", "same_as")  # why a record drops, beside its own columns


class _OtherOrder(Exception):
    """The records do not lie in the order of the release."""


@dataclass(frozen=True)
class DataFiles:
    """The `files` of one config, in the order of the release, each with how many records it gets; `counts` are those of
    each split.

    The records that are left out go to the file `dropped`, with `reason` and `same_as`; without such there is none. A
    sample of the others goes to the folder `sample`.
    """

    engine: Engine
    counts: Mapping[str, int]
    files: Sequence[tuple[Path, int]]
    dropped: Path
    sample: Path
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
        verdicts = _verdicts(self.engine.read_parquet(records), curated, self.counts)
        aside = _RowsAside()
        with open_rows(records, without=BUILD_COLUMNS, plain=["id"]) as rows, closing(aside):
            stream = RowStream(self.engine.stream_batches(verdicts, BATCH), verdicts.schema().to_pyarrow())
            digest = self.engine.part_digests(rows.schema)
            kept = self._kept_batches(_with_verdicts(rows.batches(BATCH), stream), aside, digest)
            written = rows.coded_schema.remove(rows.coded_schema.get_field_index(UNWRITTEN))
            try:
                write_parquet_files(kept, written, self.files, self.metadata, COMPRESSION_LEVEL)
            except ValueError as error:
                raise EngineFailed(str(error)) from error
            return digest.content_digest([""]) if digest is not None else None

    def _kept_batches(
        self,
        judged: "Iterable[tuple[pa.RecordBatch, pa.RecordBatch]]",
        aside: "_RowsAside",
        digest: PartDigests | None,
    ) -> "Iterator[pa.RecordBatch]":
        """Yield the records that stay, as their file has them."""
        import pyarrow as pa

        for rows, verdict in judged:
            sampled = verdict.column("sampled")
            if (stays := verdict.column("reason").is_null()).false_count:
                reasons = [verdict.column(name) for name in DROP_COLUMNS]
                every = pa.Table.from_arrays([*rows.columns, *reasons], [*rows.schema.names, *DROP_COLUMNS])
                aside.add(self.dropped, every.filter(verdict.column("reason").is_valid()))
                rows, sampled = _filter(rows, stays), sampled.filter(stays)
            table = pa.Table.from_batches([rows])
            if digest is not None:
                digest.add("", table)
            if sampled.true_count:
                self._keep_sample(table.filter(sampled), aside)
            yield rows.drop_columns([UNWRITTEN])

    def _keep_sample(self, rows: "pa.Table", aside: "_RowsAside") -> None:
        import pyarrow.compute as pc

        for split in rows[UNWRITTEN].unique().to_pylist():
            of_split = rows.filter(pc.equal(rows[UNWRITTEN], split))
            aside.add(self.sample / f"{split}.parquet", of_split.drop_columns([UNWRITTEN]))


class _RowsAside:
    """Writes rows to files, each of which is made for the first of its rows; few come at once, and many are written."""

    def __init__(self) -> None:
        self._pending: dict[Path, list[pa.Table]] = {}
        self._writers: dict[Path, pq.ParquetWriter] = {}

    def close(self) -> None:
        for path in self._pending:
            self._write(path)
        for writer in self._writers.values():
            writer.close()

    def add(self, path: Path, rows: "pa.Table") -> None:
        pending = self._pending.setdefault(path, [])
        pending.append(rows)
        if sum(table.nbytes for table in pending) >= ASIDE_BYTES:
            self._write(path)

    def _write(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if pending := self._pending[path]:
            rows = pa.concat_tables(pending).unify_dictionaries()
            if path not in self._writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._writers[path] = pq.ParquetWriter(path, rows.schema, store_schema=False)
            self._writers[path].write_table(rows)
            pending.clear()


def _filter(rows: "pa.RecordBatch", stays: "pa.BooleanArray") -> "pa.RecordBatch":
    """Return the rows that stay. Where few go, stretches of rows are copied, which takes half the time or less."""
    import numpy as np
    import pyarrow as pa

    edges = np.flatnonzero(np.diff(stays.to_numpy(zero_copy_only=False), prepend=False, append=False))
    if not 0 < len(edges) * _STRETCH <= len(stays):
        return rows.filter(stays)
    return pa.concat_batches([rows.slice(begin, end - begin) for begin, end in edges.reshape(-1, 2).tolist()])


def _verdicts(records: "Table", curated: "Table", counts: Mapping[str, int]) -> "Table":
    """Return id, `reason` (null: it stays), `same_as` and `sampled` of each record, in the order of the release."""
    judged = curated.select(judged="id", reason="dropped", same_as="same_as")
    placed = records.select("id", "split", "at", sampled=in_sample(records, counts))
    joined = placed.left_join(judged, placed["id"] == judged["judged"])
    found = joined.select("id", "split", "at", "sampled", *DROP_COLUMNS)
    return found.order_by(release_order(found))


def _with_verdicts(
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
