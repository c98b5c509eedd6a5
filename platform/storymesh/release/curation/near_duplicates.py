"""Records whose texts are nearly another's: MinHash and its index by datasketch, then the exact share in common.

The engine cuts every text into shingles (runs of words, folded in case and punctuation) and hashes them. From there on
records pass one after the other, some thousand at a time in memory, because what stays decides about what comes after
it; that is the library's index, in Python. An index entry takes some kilobytes a record that stays.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.engine import dialect
from storymesh.narrative.formats import format_of_columns
from storymesh.release.curation.texts import whole_of

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
FOUND = 0.99  # of two records that are just similar enough, how likely they meet in the index


def near_duplicates(engine: "Engine", records: "Table", rule: "NearDuplicates") -> "pa.Table":
    """id, dropped and same_as of each record whose shingles are, to the share `rule.similarity` or more of those of
    both (Jaccard), those of an earlier record that stays. Of several such the earliest is named.

    `records` has id, at and the format's columns. The order is that of `at`, then id, across splits; records of another
    `label` are never the same. Nothing is left to chance: the same records give the same verdicts on any machine. Two
    records that are only just similar enough may miss each other (1 in 100); none drops that is not.
    """
    import pyarrow as pa
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    bands, rows = banding(rule.similarity)
    empty = MinHash(PERMUTATIONS, seed=SEED, hashfunc=_same, scheme=SCHEME)
    indexes: dict[bool | None, MinHashLSH] = {}
    stays: list[tuple[str, Shingles]] = []
    found: list[tuple[str, str]] = []
    for id_, label, shingles in _shingled(engine, records, rule.shingle):
        index = indexes.setdefault(label, MinHashLSH(num_perm=PERMUTATIONS, params=(bands, rows)))
        signature = empty.copy()
        signature.update_batch((shingles & 0xFFFFFFFF).tolist())
        like = (one for one in sorted(index.query(signature)) if _similar(stays[one][1], shingles, rule.similarity))
        first = next(like, None)
        if first is None:
            index.insert(len(stays), signature, check_duplication=False)
            stays.append((id_, shingles))
        else:
            found.append((id_, stays[first][0]))
    ids, kept = ([pair[place] for pair in found] for place in (0, 1))
    columns = {"id": ids, "dropped": [NEAR_DUPLICATE] * len(found), "same_as": kept}
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))


def banding(similarity: float) -> tuple[int, int]:
    """Bands and rows of the index: as many rows as let two records of this similarity meet with FOUND."""
    for rows in range(PERMUTATIONS // 2, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - similarity**rows) ** bands >= FOUND:
            return bands, rows
    return PERMUTATIONS, 1


def _same(shingle: int) -> int:
    return shingle


def _similar(one: "Shingles", other: "Shingles", least: float) -> bool:
    """Whether two sets, each sorted, have at least this share in common."""
    import numpy as np

    if min(len(one), len(other)) < least * max(len(one), len(other)):
        return False
    common = len(np.intersect1d(one, other, assume_unique=True))
    return bool(common >= least * (len(one) + len(other) - common))


def _shingled(engine: "Engine", records: "Table", length: int) -> "Iterator[tuple[str, bool | None, Shingles]]":
    """id, label and the hashes of the shingles, sorted, of each record that has a word, in the order in which they are
    compared. A text shorter than a shingle is one."""
    import ibis
    import numpy as np

    words = dialect.split_words(whole_of(records))
    format_ = format_of_columns(records.columns)
    name = format_.label if format_ is not None else None
    label = records[name] if name is not None else ibis.null().cast("boolean")
    cut = records.select("id", "at", label=label, words=words)
    cut = dialect.materialization_barrier(cut.filter(cut.words.length() > 0))
    runs = dialect.word_ngrams(cut.words, length)
    shingled = cut.select(
        "id", "at", "label", shingles=dialect.distinct_items(dialect.map_items(runs, dialect.hash_text))
    )
    for batch in engine.stream_batches(shingled.order_by("at", "id").drop("at")):
        shingles = batch.column("shingles")
        values = shingles.values.to_numpy().astype(np.uint64, copy=False)
        ends = shingles.offsets.to_numpy()
        for place, (id_, said) in enumerate(zip(batch["id"].to_pylist(), batch["label"].to_pylist(), strict=True)):
            yield id_, said, values[ends[place] : ends[place + 1]].copy()
