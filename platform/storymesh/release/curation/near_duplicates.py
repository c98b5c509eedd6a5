"""Records whose texts nearly repeat another's: datasketch's MinHash index, then the exact share in common.

The engine cuts every text into shingles (runs of words, folded in case and punctuation) and hashes them. From there
records pass one after the other, some thousand at a time in memory, because which records are kept decides about those
that come after; that is the library's index, in Python. An index entry takes some kilobytes for each kept record.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.engine import dialect
from storymesh.narrative.formats import format_of_columns
from storymesh.release.curation.texts import full_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from ibis.expr.types import Table

    from storymesh.engine.engine import Engine
    from storymesh.narrative.definition import NearDuplicates

    Shingles = npt.NDArray[np.uint64]

NEAR_DUPLICATE = "near duplicate"

PERMUTATIONS = 128
SEED = 1
SCHEME = "affine32"
RECALL = 0.99  # the probability that the index finds two records that are just similar enough


def find_near_duplicates(engine: "Engine", records: "Table", rule: "NearDuplicates") -> "pa.Table":
    """Return the records whose shingle Jaccard similarity with an earlier kept record is at least `rule.similarity`.

    Returns id, dropped and same_as, the earliest such record. `records` has id, at and the format's columns. The order
    is that of `at`, then id, across splits; records with different `label` are never the same. Nothing is random: the
    same records give the same result on any machine. Two records that are only just similar enough may miss each other
    (1 in 100); none drops that is not similar enough.
    """
    import pyarrow as pa
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    bands, rows = lsh_banding(rule.similarity)
    empty = MinHash(PERMUTATIONS, seed=SEED, hashfunc=_identity, scheme=SCHEME)
    indexes: dict[bool | None, MinHashLSH] = {}
    kept: list[tuple[str, Shingles]] = []
    duplicates: list[tuple[str, str]] = []
    for record_id, label, shingles in _stream_shingles(engine, records, rule.shingle):
        index = indexes.setdefault(label, MinHashLSH(num_perm=PERMUTATIONS, params=(bands, rows)))
        signature = empty.copy()
        signature.update_batch((shingles & 0xFFFFFFFF).tolist())
        similar = (
            number for number in sorted(index.query(signature)) if _similar(kept[number][1], shingles, rule.similarity)
        )
        earliest = next(similar, None)
        if earliest is None:
            index.insert(len(kept), signature, check_duplication=False)
            kept.append((record_id, shingles))
        else:
            duplicates.append((record_id, kept[earliest][0]))
    ids, originals = ([pair[side] for pair in duplicates] for side in (0, 1))
    columns = {"id": ids, "dropped": [NEAR_DUPLICATE] * len(duplicates), "same_as": originals}
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))


def lsh_banding(similarity: float) -> tuple[int, int]:
    """Return the bands and rows of the index: as many rows as keep the recall at this similarity."""
    for rows in range(PERMUTATIONS // 2, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - similarity**rows) ** bands >= RECALL:
            return bands, rows
    return PERMUTATIONS, 1


def _identity(shingle: int) -> int:
    return shingle


def _similar(left: "Shingles", right: "Shingles", least: float) -> bool:
    """Return True if two sorted sets have a Jaccard similarity of at least `least`."""
    import numpy as np

    if min(len(left), len(right)) < least * max(len(left), len(right)):
        return False
    common = len(np.intersect1d(left, right, assume_unique=True))
    return bool(common >= least * (len(left) + len(right) - common))


def _stream_shingles(engine: "Engine", records: "Table", length: int) -> "Iterator[tuple[str, bool | None, Shingles]]":
    """Yield id, label and sorted shingle hashes of each record that has a word, in the order of comparison.

    A text shorter than a shingle is one shingle.
    """
    import ibis
    import numpy as np

    words = dialect.split_words(full_text(records))
    format_ = format_of_columns(records.columns)
    name = format_.label if format_ is not None else None
    label = records[name] if name is not None else ibis.null().cast("boolean")
    worded = records.select("id", "at", label=label, words=words)
    worded = dialect.materialization_barrier(worded.filter(worded.words.length() > 0))
    runs = dialect.word_ngrams(worded.words, length)
    hashed = worded.select(
        "id", "at", "label", shingles=dialect.distinct_items(dialect.map_items(runs, dialect.hash_text))
    )
    for batch in engine.stream_batches(hashed.order_by("at", "id").drop("at")):
        shingles = batch.column("shingles")
        values = shingles.values.to_numpy().astype(np.uint64, copy=False)
        ends = shingles.offsets.to_numpy()
        labels = batch["label"].to_pylist()
        for row, record_id in enumerate(batch["id"].to_pylist()):
            yield record_id, labels[row], values[ends[row] : ends[row + 1]].copy()
