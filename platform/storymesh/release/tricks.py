"""What tricks reach on preferences: rules that answer without reading the question, such as "the longer answer".

Where one of them reaches much, a model learns the trick and not the question. A trick and its opposite count as one:
what always takes the shorter answer is no better. Those that learn do so from `train` and are held against the other
splits, where there are such. Of many records a sample is looked at, by the digests of their ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.release.manifest import TrickSummary
from storymesh.release.record_sample import sample_order

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, FloatingValue, NumericValue, StringValue, Table

    from storymesh.engine.engine import Engine
    from storymesh.narrative.formats.format import RecordFormat

TRAIN = "train"
SAMPLE = 2_500  # records of train, and of all other splits: a share is the same within two hundredths
BOUND = 0.8
MIN_ANSWERS = 50  # answers that a trick is held against, for a warning
LONGEST, FIRST, NUMBER, ACTION, FREQUENT = "longest", "first", "largest number", "action alone", "most frequent"
TURNED = (LONGEST, FIRST, NUMBER)  # whose opposite is as easy
OPENING = 3  # words
TRICKS: Mapping[str, str] = {
    LONGEST: "the longer answer",
    FIRST: "the answer whose first words the question has first",
    NUMBER: "the answer with the larger number",
    ACTION: "the action that is more often right in training",
    FREQUENT: "the action that is most frequent in training; of single answers, the label that is",
}


def measure_tricks(
    engine: "Engine", format_: "RecordFormat", files: Mapping[str, Sequence[Path]]
) -> TrickSummary | None:
    """Return what each trick reaches on the records in `files` (split -> files); None where they prefer nothing."""
    answers = any(text.slot.phase == "answer" for text in format_.texts)
    if not files or not answers or not (format_.needs_pair or format_.label):
        return None
    import ibis

    tables = [engine.read_parquet(paths).mutate(split=ibis.literal(split)) for split, paths in files.items()]
    records = ibis.union(*tables)
    sampled = records.semi_join(_sample(records), "id")
    rows = engine.materialize(_pairs(sampled) if format_.needs_pair else _singles(sampled, str(format_.label)))
    try:
        learnt = rows.filter(rows["split"] == TRAIN)
        later = rows.filter(rows["split"] != TRAIN) if set(files) - {TRAIN} else learnt
        reached = _pair_tricks(learnt, later) if format_.needs_pair else _single_tricks(learnt, later)
        (found,) = engine.fetch_rows(reached)
    finally:
        engine.drop(rows)
    count = found.pop("answers")
    shares = {name: float(share) for name, share in found.items() if share is not None}
    turned = {name: max(share, 1 - share) if name in TURNED else share for name, share in shares.items()}
    return TrickSummary(answers=count, right={name: round(share, 4) for name, share in turned.items()})


def _sample(records: "Table") -> "Table":
    """Return the ids of the records that are looked at."""
    digests = records.select("id", "split", order=sample_order(records))
    learnt = digests.filter(digests["split"] == TRAIN).order_by("order").limit(SAMPLE)
    return learnt.union(digests.filter(digests["split"] != TRAIN).order_by("order").limit(SAMPLE)).select("id")


def trick_warnings(found: Mapping[str, TrickSummary]) -> Iterator[str]:
    """Yield a sentence for each config in which a trick is right more often than BOUND."""
    for config, summary in found.items():
        best = max(summary.right, key=lambda name: summary.right[name], default=None)
        if best is not None and summary.answers >= MIN_ANSWERS and summary.right[best] > BOUND:
            yield (
                f"'{config}' can be won by a trick: '{best}' ({TRICKS.get(best, best)}) is right in "
                f"{summary.right[best]:.0%} of {summary.answers:,} answers, without the question"
            )


def _pairs(records: "Table") -> "Table":
    """Return split, and length, text, number and action of both answers of each pair."""
    from storymesh.release.curation.action_cap import side_action

    sides: dict[str, StringValue | NumericValue] = {}
    for side in ("chosen", "rejected"):
        text = _answer(records, side)
        action = side_action(records, side)
        sides |= _features(text, text if action is None else action, side)
        sides[f"place_{side}"] = _place(_answer(records, "prompt"), text)
    return records.select("split", **sides)


def _singles(records: "Table", label: str) -> "Table":
    from storymesh.release.curation.action_cap import side_action

    text = _answer(records, "completion")
    action = side_action(records, "own")
    return records.select("split", label=records[label], **_features(text, text if action is None else action, "own"))


def _answer(records: "Table", column: str) -> "StringValue":
    from storymesh.narrative.formats import format_of_columns

    format_ = format_of_columns(records.columns)
    assert format_ is not None
    return next(text for text in format_.texts if text.name == column).value_in(records)


def _features(text: "StringValue", action: "StringValue", side: str) -> "dict[str, StringValue | NumericValue]":
    from storymesh.engine import dialect

    digits = dialect.filter_items(text.re_replace(r"[^0-9.]+", " ").split(" "), lambda part: part.re_search("[0-9]"))
    number = dialect.map_items(digits, lambda part: part.try_cast("float64")).maxs()
    return {f"length_{side}": text.length(), f"number_{side}": number, f"action_{side}": action}


def _place(question: "StringValue", answer: "StringValue") -> "NumericValue":
    """Return where the question has the first words of an answer; what it has not comes after all that it has."""
    import ibis

    words = answer.lower().re_replace(r"[^\p{L}\p{N}]+", " ").strip().split(" ")[:OPENING].join(" ")
    found = question.lower().re_replace(r"[^\p{L}\p{N}]+", " ").find(words)
    return ibis.ifelse(found < 0, 2**31, found)


def _pair_tricks(learnt: "Table", later: "Table") -> "Table":
    """Return one row: `answers`, and the share of pairs that each trick gets right; a tie is half right."""
    import ibis

    actions = [
        learnt.select(action=learnt[f"action_{side}"], chosen=ibis.literal(side == "chosen").cast("int64"))
        for side in ("chosen", "rejected")
    ]
    both = ibis.union(*actions)
    known = both.group_by("action").aggregate(rate=both["chosen"].mean(), times=both["chosen"].sum())
    better = known.rename({f"chosen_{name}": name for name in known.columns})
    worse = known.rename({f"rejected_{name}": name for name in known.columns})
    joined = later.left_join(better, later["action_chosen"] == better["chosen_action"])
    joined = joined.left_join(worse, joined["action_rejected"] == worse["rejected_action"])
    return joined.aggregate(
        answers=joined.count(),
        **{
            LONGEST: _right(joined["length_chosen"], joined["length_rejected"]).mean(),
            FIRST: _right(joined["place_rejected"], joined["place_chosen"]).mean(),
            NUMBER: _right(joined["number_chosen"].fill_null(-1), joined["number_rejected"].fill_null(-1)).mean(),
            ACTION: _right(joined["chosen_rate"].fill_null(0.5), joined["rejected_rate"].fill_null(0.5)).mean(),
            FREQUENT: _right(joined["chosen_times"].fill_null(0), joined["rejected_times"].fill_null(0)).mean(),
        },
    )


def _single_tricks(learnt: "Table", later: "Table") -> "Table":
    """Return one row: `answers`, and the share of labels that each trick gets right."""
    import ibis

    def guess(name: str) -> "BooleanValue":
        # Above the median of training or not: the best threshold of a trick is hardly better.
        middle = learnt[name].median().as_scalar()
        return (later[name] > middle).fill_null(False) == later["label"]

    known = learnt.group_by("action_own").aggregate(rate=learnt["label"].mean()).rename(known="action_own")
    usual = (learnt["label"].mean() >= 0.5).as_scalar()
    joined = later.mutate(
        long=guess("length_own"), large=guess("number_own"), usual=usual.fill_null(True) == later["label"]
    )
    joined = joined.left_join(known, joined["action_own"] == known["known"])
    by_action = ibis.ifelse(joined["rate"].isnull(), joined["usual"], (joined["rate"] >= 0.5) == joined["label"])
    return joined.aggregate(
        answers=joined.count(),
        **{
            LONGEST: joined["long"].mean(),
            NUMBER: joined["large"].mean(),
            ACTION: by_action.mean(),
            FREQUENT: joined["usual"].mean(),
        },
    )


def _right(better: "StringValue | NumericValue", worse: "StringValue | NumericValue") -> "FloatingValue":
    import ibis

    return ibis.cases((better > worse, 1.0), (better == worse, 0.5), else_=0.0)
