"""How diverse the texts of a config are, measured on its written records: it shows what a template repeats.

A sample chosen by the digests of the records' ids is measured, so the same records give the same figures and a release
of any size takes as long. distinct-n is that of Li et al. 2016 (arXiv:1510.03055): the share of different ones among
all runs of n words. It falls as the sample grows, so compare it between samples of one size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Return the diversity of each text column of one config's Parquet files, in the order of its format."""
    if not files:
        return ()
    records = engine.read_parquet(files)
    format_ = format_of_columns(records.columns)
    columns = {column.path: column.value_in(records) for column in format_.texts} if format_ is not None else {}
    # One scan for all columns: ordering by a digest reads the ids alone, and then the chosen rows.
    digests = records.select(position=records.id.hexdigest("md5"), **columns)
    sampled = engine.materialize(digests.order_by("position").limit(sample))
    try:
        measured = (_measure_column(engine, sampled, name) for name in columns)
        return tuple(diversity for diversity in measured if diversity is not None)
    finally:
        engine.drop(sampled)


def _words(text: "StringValue") -> "ArrayValue":
    parts = text.replace("\n", " ").replace("\t", " ").split(" ")
    return dialect.filter_items(parts, lambda word: word != "")


def _measure_column(engine: Engine, sampled: "Table", name: str) -> Diversity | None:
    """Measure one column; None where no record has it: a conversation may lack a system message."""
    import ibis

    present = sampled.filter(sampled[name].notnull()).select("position", text=name)
    texts = engine.materialize(present.mutate(words=_words(present.text.lower())))
    try:
        (counts,) = engine.fetch_rows(texts.aggregate(records=texts.count(), texts=texts.text.nunique()))
        if not counts["records"]:
            return None
        openings = texts.select(opening=_words(texts.text)[:OPENING].join(" "))
        openings = openings.group_by("opening").aggregate(times=openings.count())
        (commonest,) = engine.fetch_rows(openings.order_by(ibis.desc("times"), "opening").limit(1))
        one, two, three = (_distinct_share(engine, texts, length) for length in (1, 2, 3))
        return Diversity(
            name,
            counts["records"],
            counts["texts"],
            commonest["opening"],
            commonest["times"] / counts["records"],
            (one, two, three),
            _mean_overlap(engine, texts),
        )
    finally:
        engine.drop(texts)


def _distinct_share(engine: Engine, texts: "Table", length: int) -> float:
    """Return the share of different ones among all runs of `length` words."""
    long_enough = texts.filter(texts["words"].length() >= length)
    words = long_enough["words"]
    runs = long_enough.select(run=(words if length == 1 else dialect.word_ngrams(words, length)).unnest())
    (counts,) = engine.fetch_rows(runs.aggregate(different=runs.run.nunique(), every=runs.count()))
    return float(counts["different"] / max(counts["every"], 1))


def _mean_overlap(engine: Engine, texts: "Table") -> float:
    import ibis

    sets = texts.select("position", words=dialect.distinct_items(texts["words"]))
    pairs = sets.select(left="words", right=sets["words"].lead().over(ibis.window(order_by="position")))
    pairs = pairs.filter(pairs["right"].notnull())
    sizes = pairs.select(
        separate=pairs["left"].length() + pairs["right"].length(),
        together=dialect.distinct_items(dialect.concat_lists([pairs["left"], pairs["right"]])).length(),
    )
    share = dialect.float_division(sizes["separate"] - sizes["together"], ibis.greatest(sizes["together"], 1))
    return float(engine.fetch_value(share.mean().coalesce(0.0)))
