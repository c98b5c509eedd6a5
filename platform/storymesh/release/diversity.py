"""How diverse the texts of a config are, measured on its written records: it shows what a template repeats.

A sample chosen by the digests of the records' ids is measured, so the same records give the same figures and a release
of any size takes as long. distinct-n is that of Li et al. 2016 (arXiv:1510.03055): the share of different ones among
all runs of n words. It falls as the sample grows, so compare it between samples of one size.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.engine import dialect
from storymesh.engine.engine import Engine
from storymesh.narrative.formats import format_of_columns

if TYPE_CHECKING:
    from ibis.expr.types import ArrayValue, StringValue, Table

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


def measure_diversity(engine: Engine, files: Sequence[Path], sample: int = SAMPLE) -> tuple[Diversity, ...]:
    """Return the diversity of each text column of one config's Parquet files, in the order of its format.

    A column that no record has is left out: a conversation may lack a system message.
    """
    if not files:
        return ()
    records = engine.read_parquet(files)
    format_ = format_of_columns(records.columns)
    columns = {column.path: column.value_in(records) for column in format_.texts} if format_ is not None else {}
    if not columns:
        return ()
    # One scan for all columns: ordering by a digest reads the ids alone, and then the chosen rows.
    digests = records.select(position=records.id.hexdigest("md5"), **columns)
    sampled = engine.materialize(digests.order_by("position").limit(sample))
    texts = engine.materialize(_texts_by_column(sampled, columns))
    try:
        return _measure_texts(engine, texts, list(columns))
    finally:
        engine.drop(texts)
        engine.drop(sampled)


def _texts_by_column(sampled: "Table", columns: Iterable[str]) -> "Table":
    """Return column, position, text and its words in small letters: a row for each text."""
    import ibis

    parts = [
        sampled.filter(sampled[name].notnull()).select("position", column=ibis.literal(name), text=name)
        for name in columns
    ]
    texts = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return texts.mutate(words=_words(texts.text.lower()))


def _words(text: "StringValue") -> "ArrayValue":
    parts = text.replace("\n", " ").replace("\t", " ").split(" ")
    return dialect.filter_items(parts, lambda word: word != "")


def _measure_texts(engine: Engine, texts: "Table", columns: Sequence[str]) -> tuple[Diversity, ...]:
    counts = _fetch_by_column(
        engine, texts.group_by("column").aggregate(records=texts.count(), texts=texts.text.nunique())
    )
    openings = _fetch_by_column(engine, _commonest_openings(texts))
    runs = [_fetch_by_column(engine, _count_runs(texts, length)) for length in (1, 2, 3)]
    overlaps = _fetch_by_column(engine, _mean_overlaps(texts))
    return tuple(
        Diversity(
            name,
            counts[name]["records"],
            counts[name]["texts"],
            openings[name]["opening"],
            openings[name]["times"] / counts[name]["records"],
            (_distinct_share(runs[0], name), _distinct_share(runs[1], name), _distinct_share(runs[2], name)),
            overlaps[name]["share"] if name in overlaps else 0.0,
        )
        for name in columns
        if name in counts
    )


def _fetch_by_column(engine: Engine, figures: "Table") -> dict[str, dict[str, Any]]:
    return {row["column"]: row for row in engine.fetch_rows(figures)}


def _commonest_openings(texts: "Table") -> "Table":
    """Return column, opening, times: of each column the opening that most texts have."""
    import ibis

    openings = texts.select("column", opening=_words(texts.text)[:OPENING].join(" "))
    counted = openings.group_by("column", "opening").aggregate(times=openings.count())
    order = ibis.window(group_by="column", order_by=[ibis.desc("times"), "opening"])
    ranked = counted.mutate(rank=ibis.row_number().over(order))
    return ranked.filter(ranked["rank"] == 0)


def _count_runs(texts: "Table", length: int) -> "Table":
    """Return column, different, every: how many runs of `length` words there are."""
    long_enough = texts.filter(texts["words"].length() >= length)
    words = long_enough["words"]
    runs = long_enough.select("column", run=(words if length == 1 else dialect.word_ngrams(words, length)).unnest())
    return runs.group_by("column").aggregate(different=runs.run.nunique(), every=runs.count())


def _distinct_share(runs: Mapping[str, Mapping[str, int]], column: str) -> float:
    counts = runs.get(column)
    return counts["different"] / counts["every"] if counts else 0.0


def _mean_overlaps(texts: "Table") -> "Table":
    """Return column, share: the mean share of words that a text has in common with the next of its column."""
    import ibis

    sets = texts.select("column", "position", words=texts["words"].unique())
    order = ibis.window(group_by="column", order_by="position")
    pairs = sets.select("column", left="words", right=sets["words"].lead().over(order))
    pairs = pairs.filter(pairs["right"].notnull())
    sizes = pairs.select(
        "column",
        all=pairs["left"].length() + pairs["right"].length(),
        common=pairs["left"].intersect(pairs["right"]).length(),
    )
    shares = dialect.float_division(sizes["common"], ibis.greatest(sizes["all"] - sizes["common"], 1))
    return sizes.group_by("column").aggregate(share=shares.mean())
