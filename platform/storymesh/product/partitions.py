"""Products in parts: the rows of a partition are in files of their own, which stay as long as none of them changes.

Which partitions have changed, a fingerprint of their rows says, in any order of the rows. It only chooses what is
written again: what is published is known by digests.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from storymesh.contract.definition import Contract
from storymesh.input_file import file_digest
from storymesh.product.sealed_note import SealedNote
from storymesh.product.software import software_digest


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


class PublishedPartition(BaseModel):
    """A published partition: the fingerprint of the rows that came in, the digest of those that were published, and
    their files (path in Iceberg's metadata -> SHA-256)."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    digest: str
    files: Mapping[str, str]


class _Note(SealedNote):
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
        self, fingerprints: Mapping[str, str], published: Mapping[str, Path]
    ) -> dict[str, PublishedPartition]:
        """Return the partitions, by key, whose rows are those that were published, where their files are too.

        `fingerprints` are those of the rows that came in, by key. `published` are the files that readers see: path in
        Iceberg's metadata -> where it is.
        """
        return {
            key: noted
            for key, noted in self._noted.items()
            if noted.fingerprint == fingerprints.get(key)
            and all(path in published and digest_if_there(published[path]) == sha for path, sha in noted.files.items())
        }

    def record(self, snapshot_id: int, partitions: Mapping[str, PublishedPartition]) -> None:
        """Note partitions by key; one that is not noted is written again next time."""
        _Note(inputs=self._inputs, snapshot_id=snapshot_id, partitions=partitions).write_to(self._path)

    def _read(self, snapshot_id: int | None) -> Mapping[str, PublishedPartition]:
        note = _Note.read_from(self._path)
        if note is None or (note.inputs, note.snapshot_id) != (self._inputs, snapshot_id):
            return MappingProxyType({})
        return note.partitions


def digest_if_there(path: Path) -> str | None:
    """Return the SHA-256 of a file; None where there is none."""
    try:
        return file_digest(path)
    except OSError:
        return None
