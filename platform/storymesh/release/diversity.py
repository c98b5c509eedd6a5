"""How diverse the texts of a config are, measured on its written records: it shows what a template repeats.

A sample chosen by the digests of the records' ids is measured, so the same records give the same figures and a release
of any size takes as long. distinct-n is that of Li et al. 2016 (arXiv:1510.03055): the share of different ones among
all runs of n words. It falls as the sample grows, so compare it between samples of one size.

Words are counted by their number in a list of all, as columns of Arrow and NumPy: a sample always fits into memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.narrative.formats import format_of_columns
from storymesh.release.record_sample import sample_order

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Numbers = npt.NDArray[np.int64]

SAMPLE = 5_000  # records of a config
OPENING = 5  # words


@dataclass(frozen=True)
class Diversity:
    """The diversity of one text column of a config. Shares are from 0 to 1.

    `records` were measured, `texts` is how many of their texts are different; `opening_share` of them begin with the
    commonest `opening`; `distinct` is distinct-1, -2 and -3; `overlap` the mean share of words that two records have in
    common (Jaccard, of neighbours in the order of the sample).
    """

    column: str
    records: int
    texts: int
    opening: str
    opening_share: float
    distinct: tuple[float, float, float]
    overlap: float


def sample_texts(engine: Engine, files: Sequence[Path], sample: int = SAMPLE) -> "pa.Table":
    """Return the texts of a sample of one config's records in its Parquet files, in the order of the sample.

    There is a column for each text of the format, null where a record does not have it; none without files.
    """
    import pyarrow as pa

    if not files:
        return pa.table({})
    records = engine.read_parquet(files)
    format_ = format_of_columns(records.columns)
    columns = {column.path: column.value_in(records) for column in format_.texts} if format_ is not None else {}
    if not columns:
        return pa.table({})
    # One scan for all columns: ordering by a digest reads the ids alone, and then the chosen rows.
    digests = records.select(position=sample_order(records), **columns)
    return engine.fetch_table(digests.order_by("position").limit(sample)).drop_columns("position")


def measure_diversity(texts: "pa.Table") -> tuple[Diversity, ...]:
    """Return the diversity of each column of a sample that has a text: a conversation may lack a system message."""
    columns = {name: texts[name].drop_null().combine_chunks() for name in texts.column_names}
    return tuple(_measure_column(name, column) for name, column in columns.items() if len(column))


def count_characters(texts: "pa.Table") -> "Numbers":
    """Return how many characters each record of a sample has, all its texts together."""
    import numpy as np
    import pyarrow.compute as pc

    total = np.zeros(len(texts), np.int64)
    for column in texts.columns:
        total += pc.fill_null(pc.utf8_length(column), 0).to_numpy()
    return total


@dataclass(frozen=True)
class _Words:
    """The words of some texts, one text after another: `owners` are the texts that they stand in, `numbers` those of
    the words in small letters, all below `different`."""

    spelled: "pa.Array"
    owners: "Numbers"
    numbers: "Numbers"
    different: int


def _split_words(texts: "pa.Array") -> _Words:
    import numpy as np
    import pyarrow.compute as pc

    spaced = pc.replace_substring(pc.replace_substring(texts, "\n", " "), "\t", " ")
    parts = pc.split_pattern(spaced, " ")
    spelled, owners = pc.list_flatten(parts), pc.list_parent_indices(parts)
    present = pc.not_equal(spelled, "")
    spelled = spelled.filter(present)
    coded = spelled.dictionary_encode()
    lowered = pc.utf8_lower(coded.dictionary).dictionary_encode()
    numbers = lowered.indices.to_numpy()[coded.indices.to_numpy()].astype(np.int64)
    return _Words(spelled, owners.filter(present).to_numpy().astype(np.int64), numbers, len(lowered.dictionary))


def _measure_column(name: str, texts: "pa.Array") -> Diversity:
    words = _split_words(texts)
    opening, times = _commonest_opening(words, len(texts))
    distinct = _distinct_shares(words)
    return Diversity(
        name, len(texts), len(texts.unique()), opening, times / len(texts), distinct, _mean_overlap(words, len(texts))
    )


def _commonest_opening(words: _Words, count: int) -> tuple[str, int]:
    """Return the opening that most of `count` texts have, and how many those are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    begins = np.searchsorted(words.owners, np.arange(count))
    place = np.arange(len(words.owners)) - begins[words.owners]
    first = place < OPENING
    ends = np.concatenate(([0], np.cumsum(np.bincount(words.owners[first], minlength=count))))
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), words.spelled.filter(pa.array(first)))
    counts = pc.binary_join(lists, " ").value_counts()
    openings = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return min(openings, key=lambda opening: (-opening[1], opening[0]))


def _distinct_shares(words: _Words) -> tuple[float, float, float]:
    """Return the share of different ones among all runs of one, two and three words."""
    import pyarrow as pa

    count = len(words.numbers)
    shares, runs = [words.different / count if count else 0.0], words.numbers
    for length in (2, 3):
        numbered = pa.array(runs[:-1] * words.different + words.numbers[length - 1 :]).dictionary_encode()
        runs = numbered.indices.to_numpy().astype(words.numbers.dtype)
        inside = words.owners[: len(runs)] == words.owners[length - 1 :]
        kept = pa.array(runs[inside])
        shares.append(len(kept.unique()) / len(kept) if len(kept) else 0.0)
    return shares[0], shares[1], shares[2]


def _mean_overlap(words: _Words, count: int) -> float:
    """Return the mean share of words that a text has in common with the next of `count` texts."""
    import numpy as np

    if count < 2:
        return 0.0
    held = np.sort(words.owners * words.different + words.numbers)  # NumPy sorts numbers quicker than Arrow hashes them
    held = held[_first_of_equals(held)]
    sizes = np.bincount(held // max(words.different, 1), minlength=count)
    # What a text holds and the one before it too stands there twice, once each is moved to the text after it.
    both = np.sort(np.concatenate([held, held + words.different]))
    twice = both[1:][both[1:] == both[:-1]]
    common = np.bincount(twice // max(words.different, 1), minlength=count)[1:count]
    every = sizes[:-1] + sizes[1:] - common
    return float(np.mean(common / np.maximum(every, 1)))


def _first_of_equals(ordered: "Numbers") -> "npt.NDArray[np.bool_]":
    """Mark the first of each run of equal numbers."""
    import numpy as np

    return np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
