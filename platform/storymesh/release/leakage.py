"""The leakage certificate: what a release promises about its splits, counted again from its written files.

All counts of a release are zero.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.dataset.split import SPLITS, draw_split, split_rank
from storymesh.release.curation.curate import question_digest, question_of
from storymesh.release.evaluation_questions import asks_questions, find_known_questions, training_texts

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, Table

    from storymesh.dataset.tables import QuotedPrecedents
    from storymesh.engine.engine import Engine
    from storymesh.narrative.split_definition import Split

Files = Mapping[str, Mapping[str, Sequence[Path]]]  # config -> split -> the files that hold it


def count_leaks(
    engine: "Engine",
    files: Files,
    split: "Split | None",
    cases: "Table",
    precedents: "QuotedPrecedents | None",
    known_questions: "Collection[str] | None" = None,
) -> dict[str, int]:
    """Return how often each promise of `promise_names` is broken.

    `cases` has case_id, at, closes (absent where cases do not close), component and `happened` (False: what no question
    takes for a case, and what is erased), of all cases. `known_questions` are the ids of the evaluation's records that
    were found in these very files (None: they are looked for). Counted are

    - ids: cases with records in two splits, of whichever configs
    - components: components with records in two splits
    - questions: question texts of a config in two splits of it
    - moments: records outside the period of their split
    - draws: cases in another split than the one drawn for their component
    - precedents: quoted precedents from the period of a later split than the case's own, or that are no case, or that
      were not over before its day, once for all cases that ask the same. A quoted case needs no split of its own: what
      falls to the embargo still happened. The quoted are the latest-known of those counted, so where anything is
      quoted, a later one among the counted would be among the quoted. In a random split, "later" is the split used
      later, so that training sees no end of a case that evaluates; there only the quoted are checked, which proves
      nothing about those that are merely counted.
    - closings: cases of train or validation that are open, or close later, than `embargo` before the next cut
    - evaluation: records of the evaluation, where there is one, with a question that stands in a text for training
    """
    import ibis

    by_split = {
        config: [engine.read_parquet(paths).mutate(split=ibis.literal(name)) for name, paths in parts.items()]
        for config, parts in files.items()
    }
    records = {config: ibis.union(*parts) for config, parts in by_split.items() if parts}
    if not records:
        return dict.fromkeys(promise_names(split), 0)
    recorded = ibis.union(*[table.select("case_id", "at", "split") for table in records.values()]).distinct()
    known = cases.select(known="case_id", component="component", **_closing(cases))
    # Most promises are about it; the files of the release are read for it once.
    placed = engine.materialize(recorded.left_join(known, recorded.case_id == known.known))
    questions = [_possibly_repeated(engine, table) for table in records.values()]
    broken = {
        "ids": [_in_two_splits(placed.select("split", key="case_id"))],
        "components": [_in_two_splits(placed.select("split", key="component"))],
        "questions": [_in_two_splits(repeated) for repeated in questions if repeated is not None],
        "precedents": _quoted_from_later(placed, cases, precedents, split),
    }
    if split is not None and split.random is not None:
        broken["draws"] = [_drawn_elsewhere(placed, split)]
    else:
        broken |= {"moments": [_outside_period(placed, split)], "closings": _inside_embargo(placed, split)}
    try:
        counts = _count_rows(engine, {name: broken[name] for name in promise_names(split)})
        return counts | _count_known_questions(engine, files, records, known_questions)
    finally:
        engine.drop(placed)


def _count_rows(engine: "Engine", tables: "Mapping[str, list[Table]]") -> dict[str, int]:
    """Return under each name how many rows its tables have together, by one query."""
    import ibis

    counted = [
        table.aggregate(rows=table.count()).mutate(name=ibis.literal(name))
        for name, several in tables.items()
        for table in several
    ]
    counts = dict.fromkeys(tables, 0)
    for row in engine.fetch_rows(ibis.union(*counted)):
        counts[row["name"]] += row["rows"]
    return counts


def _count_known_questions(
    engine: "Engine", files: Files, records: "Mapping[str, Table]", known: "Collection[str] | None"
) -> dict[str, int]:
    """Return under `evaluation` how many records of an evaluation are known from training; nothing without one."""
    asking = [table for table in records.values() if asks_questions(table.columns)]
    if not asking:
        return {}
    if known is None:
        training = training_texts(engine, files)
        return {"evaluation": sum(len(find_known_questions(engine, table, training)) for table in asking)}
    counted = [table.filter(table["id"].isin(list(known))) for table in asking] if known else []
    return {"evaluation": sum(int(engine.fetch_value(table.count())) for table in counted)}


def promise_names(split: "Split | None") -> tuple[str, ...]:
    """Return the names of what is counted for a split of this kind."""
    if split is not None and split.random is not None:
        return ("ids", "components", "questions", "draws", "precedents")
    return ("ids", "components", "questions", "moments", "precedents", "closings")


def _closing(cases: "Table") -> dict[str, str]:
    return {"closes": "closes"} if "closes" in cases.columns else {}


def _possibly_repeated(engine: "Engine", records: "Table") -> "Table | None":
    """Return key, the SHA-256 of the question, and split of the records whose question may be in two splits; None where
    there are no such.

    They are found by the engine's own hash, which is quicker than SHA-256.
    """
    if (question := question_of(records)) is None:
        return None
    hashed = engine.materialize(records.select("id", hash=question.hash(), split="split"))
    counted = hashed.group_by("hash").aggregate(splits=hashed.split.nunique())
    suspected = hashed.semi_join(counted.filter(counted.splits > 1), "hash").select("id")
    suspects = engine.materialize(suspected)
    engine.drop(hashed)
    if not int(engine.fetch_value(suspects.count())):
        return None
    similar = records.semi_join(suspects, "id")
    return similar.select(key=question_digest(similar), split="split")


def _in_two_splits(keyed: "Table") -> "Table":
    """Return the keys in more than one split, and the null key: a record without one belongs nowhere."""
    counted = keyed.group_by("key").aggregate(splits=keyed.split.nunique())
    return counted.filter((counted.splits > 1) | counted.key.isnull())


def _outside_period(placed: "Table", split: "Split | None") -> "Table":
    if split is None:
        return placed.filter(placed.split != SPLITS[0])
    first, second = split.cuts
    early = (placed.split == "validation") & (placed["at"] < first) | (placed.split == "test") & (placed["at"] < second)
    late = (placed.split == "train") & (placed["at"] >= first) | (placed.split == "validation") & (
        placed["at"] >= second
    )
    return placed.filter(early | late)


def _drawn_elsewhere(placed: "Table", split: "Split | None") -> "Table":
    assert split is not None and split.random is not None
    drawn_splits = placed.select("case_id", "split", expected=draw_split(placed.component, split.random)).distinct()
    return drawn_splits.filter(drawn_splits.expected.isnull() | (drawn_splits.split != drawn_splits.expected))


def _inside_embargo(placed: "Table", split: "Split | None") -> "list[Table]":
    if split is None:
        return []
    closes = placed.closes if "closes" in placed.columns else placed["at"]
    broken = [
        (placed.split == name) & (closes.isnull() | (closes > cut - split.embargo))
        for name, cut in zip(SPLITS[:2], split.cuts, strict=True)
    ]
    return [placed.filter(broken[0] | broken[1])]


def _period_rank(cases: "Table", split: "Split | None") -> "IntegerValue":
    """Return the rank of the split in whose period a case lies, from its moment or the draw of its component."""
    import ibis

    if split is None:
        return ibis.literal(0)
    if split.random is not None:
        return split_rank(draw_split(cases.component, split.random))
    first, second = split.cuts
    return ibis.cases((cases["at"] < first, 0), (cases["at"] < second, 1), else_=2)


def _quoted_from_later(
    placed: "Table", cases: "Table", precedents: "QuotedPrecedents | None", split: "Split | None"
) -> "list[Table]":
    if precedents is None:
        return []
    own = placed.select("case_id", own=split_rank(placed.split), day=placed["at"].truncate("D"))
    asking = own.join(precedents.asking, "case_id").select("probe", "own", "day").distinct()
    over = cases.closes if "closes" in cases.columns else cases["at"]
    theirs = cases.select(precedent="case_id", theirs=_period_rank(cases, split), over=over, happened="happened")
    pairs = precedents.quoted.distinct().join(asking, "probe")
    joined = pairs.left_join(theirs, "precedent")
    earlier = joined.happened & (joined.theirs <= joined.own) & (joined.over < joined.day)
    return [joined.filter(~earlier.fill_null(False))]
