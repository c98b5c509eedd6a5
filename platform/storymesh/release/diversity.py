"""How varied the texts of a config are, measured on its records as they were written: it shows what a template repeats.

Measured is a sample that the records' ids decide, so that the same records give the same figures, and a release of any
size takes as long. distinct-n is that of Li et al. 2016 (arXiv:1510.03055): of all runs of n words, how many are
different ones. It falls with the size of the sample, so compare it between samples of one size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from storymesh.engine.engine import Engine
from storymesh.narrative.formats import format_of_columns
from storymesh.narrative.formats.format import TextColumn

SAMPLE = 5_000  # records of a config
OPENING = 5  # words
_WORDS = "list_filter(string_split(translate({}, chr(10) || chr(9), '  '), ' '), lambda word: word <> '')"


@dataclass(frozen=True)
class Variety:
    """One text column of a config. `records` were measured, `texts` of them are different; `opening_share` of them have
    the commonest `opening`; `distinct` is distinct-1, -2 and -3; `alike` the mean share of words that two records have
    in common (Jaccard, of neighbours in the order of the sample). Shares are from 0 to 1."""

    column: str
    records: int
    texts: int
    opening: str
    opening_share: float
    distinct: tuple[float, float, float]
    alike: float


def variety(engine: Engine, files: Sequence[Path], sample: int = SAMPLE) -> tuple[Variety, ...]:
    """The variety of each text column of the records in the Parquet files of one config, in the order of its format."""
    if not files:
        return ()
    connection = engine.connection.con
    rows = engine.read_parquet(files)
    format_ = format_of_columns(rows.columns)
    columns = format_.texts if format_ is not None else ()
    # One reading of the sample for all columns: the order by a digest reads ids alone and then the chosen rows.
    texts = {f"text_{number}": column.value_in(rows) for number, column in enumerate(columns)}
    chosen = rows.select(place=rows["id"].hexdigest("md5"), **texts).order_by("place").limit(sample)
    connection.execute("DROP TABLE IF EXISTS variety_sample")
    connection.execute(f"CREATE TEMP TABLE variety_sample AS {engine.connection.compile(chosen)}")
    try:
        return tuple(_measured(engine, name, number) for number, name in _filled(engine, columns))
    finally:
        connection.execute("DROP TABLE IF EXISTS variety_sample")


def _filled(engine: Engine, columns: Sequence[TextColumn]) -> Iterator[tuple[int, str]]:
    """The columns that any record has: a conversation may be without a system's part."""
    counts = ", ".join(f"count(text_{number})" for number in range(len(columns)))
    found = engine.connection.con.sql(f"SELECT {counts} FROM variety_sample").fetchone() or ()
    return ((number, column.path) for number, column in enumerate(columns) if found[number])


def _measured(engine: Engine, name: str, number: int) -> Variety:
    # A run is the digest of its words: lists of words as such cost fifty times as much.
    runs = {n: ", ".join(["word", *(f"words[i + {place}]" for place in range(1, n))]) for n in (1, 2, 3)}
    begins = {n: f"words[1 : greatest(len(words) + {1 - n}, 0)]" for n in runs}
    distinct = ", ".join(
        f"""(SELECT count(DISTINCT run) / greatest(count(*), 1)
            FROM (SELECT unnest(list_transform({begins[n]}, lambda word, i: hash({run}))) AS run FROM told))"""
        for n, run in runs.items()
    )
    query = f"""
    WITH told AS MATERIALIZED (
        SELECT place, text_{number} AS text, {_WORDS.format(f"lower(text_{number})")} AS words
        FROM variety_sample WHERE text_{number} IS NOT NULL),
    openings AS (
        SELECT array_to_string({_WORDS.format("text")}[1 : {OPENING}], ' ') AS opening, count(*) AS times
        FROM told GROUP BY ALL),
    first AS (SELECT * FROM openings ORDER BY times DESC, opening LIMIT 1),
    pairs AS (SELECT words AS one, lead(words) OVER (ORDER BY place) AS other FROM told),
    shared AS (
        SELECT len(list_intersect(one, other)) AS common, len(list_distinct(one || other)) AS together
        FROM pairs WHERE other IS NOT NULL)
    SELECT (SELECT count(*) FROM told), (SELECT count(DISTINCT text) FROM told), first.opening, first.times, {distinct},
        (SELECT coalesce(avg(common / greatest(together, 1)), 0) FROM shared)
    FROM first"""
    row = engine.connection.con.sql(query).fetchone()
    assert row is not None
    records, texts, opening, times, one, two, three, alike = row
    return Variety(name, records, texts, opening, times / records, (one, two, three), alike)
