"""What a release promises about its splits, counted again from the files that were written. All counts are zero."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.dataset.split import SPLITS, draw_split
from storymesh.release.curation.curate import question_of

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, StringValue, Table

    from storymesh.engine.engine import Engine
    from storymesh.narrative.definition import Split

Files = Mapping[str, Mapping[str, Sequence[Path]]]  # config -> split -> the files that hold it


def certify(
    engine: "Engine", files: Files, split: "Split | None", cases: "Table", precedents: "Table | None"
) -> dict[str, int]:
    """How often each promise is broken: of a split by time `ids`, `components`, `questions`, `moments`, `precedents`
    and `closings`; of one by chance `draws` instead of moments and closings.

    `cases` has case_id, closes (left out where cases do not close), split and component, of all cases; `precedents`
    has case_id and the struct precedents, whose options hold the `quoted` cases. Counted are

    - ids: cases with records in two splits, of whichever configs
    - components: components with records in two splits
    - questions: question texts of a config in two splits of it
    - moments: records outside the time of their split
    - draws: cases in another split than the one that is drawn for their component
    - precedents: quoted precedents of a later split than the case's own, or of none. Quoted are the latest-known of
      those counted, so that where anything is quoted, a later one among the counted would be among the quoted.
      By chance, the later split is the one that is used later, so that training sees no end of a case that evaluates;
      there the quoted are what is looked at, and no proof of those that are only counted.
    - closings: cases of train or validation that are open, or close later, than `embargo` before the next cut
    """
    import ibis

    written = {
        config: [engine.read_parquet(paths).mutate(split=ibis.literal(name)) for name, paths in parts.items()]
        for config, parts in files.items()
    }
    whole = {config: ibis.union(*parts) if len(parts) > 1 else parts[0] for config, parts in written.items() if parts}
    if not whole:
        return dict.fromkeys(promises(split), 0)
    told = [records.select("case_id", "at", "split") for records in whole.values()]
    told_cases = (ibis.union(*told) if len(told) > 1 else told[0]).distinct()
    known = cases.select(known="case_id", component="component", **_closing(cases))
    placed = told_cases.left_join(known, told_cases.case_id == known.known)
    asked = {config: question_of(records) for config, records in whole.items()}
    questions = [
        _in_two_splits(records.select(key=question, split="split"))
        for (config, records) in whole.items()
        if (question := asked[config]) is not None
    ]
    counted: dict[str, Callable[[], int]] = {
        "ids": lambda: _in_two_splits(placed.select("split", key="case_id")),
        "components": lambda: _in_two_splits(placed.select("split", key="component")),
        "questions": lambda: sum(questions),
        "moments": lambda: _outside(placed, split),
        "draws": lambda: _otherwise_drawn(placed, split),
        "precedents": lambda: _from_later(told_cases, cases, precedents),
        "closings": lambda: _in_embargo(placed, split),
    }
    return {name: counted[name]() for name in promises(split)}


def promises(split: "Split | None") -> tuple[str, ...]:
    """The names of what is counted for a split of this kind."""
    if split is not None and split.random is not None:
        return ("ids", "components", "questions", "draws", "precedents")
    return ("ids", "components", "questions", "moments", "precedents", "closings")


def _closing(cases: "Table") -> dict[str, str]:
    return {"closes": "closes"} if "closes" in cases.columns else {}


def _rank(split: "StringValue") -> "IntegerValue":
    import ibis

    return ibis.cases(*((split == name, rank) for rank, name in enumerate(SPLITS)))


def _count(table: "Table") -> int:
    return int(table.count().to_pyarrow().as_py())


def _in_two_splits(keyed: "Table") -> int:
    """How many keys stand in more than one split. A record without a key belongs nowhere, which counts too."""
    counted = keyed.group_by("key").aggregate(splits=keyed.split.nunique())
    return _count(counted.filter((counted.splits > 1) | counted.key.isnull()))


def _outside(placed: "Table", split: "Split | None") -> int:
    if split is None:
        return _count(placed.filter(placed.split != SPLITS[0]))
    first, second = split.cuts
    early = (placed.split == "validation") & (placed["at"] < first) | (placed.split == "test") & (placed["at"] < second)
    late = (placed.split == "train") & (placed["at"] >= first) | (placed.split == "validation") & (
        placed["at"] >= second
    )
    return _count(placed.filter(early | late))


def _otherwise_drawn(placed: "Table", split: "Split | None") -> int:
    assert split is not None and split.random is not None
    told = placed.select("case_id", "split", ought=draw_split(placed.component, split.random)).distinct()
    return _count(told.filter(told.ought.isnull() | (told.split != told.ought)))


def _in_embargo(placed: "Table", split: "Split | None") -> int:
    if split is None:
        return 0
    closes = placed.closes if "closes" in placed.columns else placed["at"]
    broken = [
        (placed.split == name) & (closes.isnull() | (closes > cut - split.embargo))
        for name, cut in zip(SPLITS[:2], split.cuts, strict=True)
    ]
    return _count(placed.filter(broken[0] | broken[1]))


def _from_later(told: "Table", cases: "Table", precedents: "Table | None") -> int:
    if precedents is None:
        return 0
    options = precedents.select("case_id", option=precedents.precedents.options.unnest())
    if "quoted" not in options.option.type().names:
        return 0
    quoted = options.select("case_id", quoted=options.option.quoted.unnest())
    pairs = quoted.select("case_id", precedent=quoted.quoted.id).distinct()
    own = told.select("case_id", own=_rank(told.split)).distinct()
    theirs = cases.select(precedent="case_id", theirs=_rank(cases.split))
    joined = pairs.join(own, "case_id").left_join(theirs, "precedent")
    return _count(joined.filter(joined.theirs.isnull() | (joined.theirs > joined.own)))
