"""Pairs of which no action has more than its share of the chosen, nor of the rejected."""

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from storymesh.engine.open import open_engine
from storymesh.release.curation.action_cap import find_over_cap, kept_counts

ACTIONS = st.sampled_from(["wait", "tow", "fly", "rail"])


def largest_share(kept: dict[tuple[str, str], int], side: int) -> float:
    total, counted = sum(kept.values()), Counter[str]()
    for pair, count in kept.items():
        counted[pair[side]] += count
    return max(counted.values()) / total if total else 0.0


@given(st.dictionaries(st.tuples(ACTIONS, ACTIONS), st.integers(1, 400), min_size=1), st.floats(0.05, 1))
def test_no_action_has_more_than_its_share_of_a_side(counts: dict[tuple[str, str], int], cap: float) -> None:
    kept = kept_counts(counts, cap)
    assert all(0 <= kept[pair] <= count for pair, count in counts.items())
    for side in (0, 1):
        assert largest_share(kept, side) <= max(cap, 1 / len({pair[side] for pair in counts})) + 1e-9


def test_what_is_below_the_cap_stays_whole() -> None:
    counts = {("fly", "wait"): 10, ("rail", "tow"): 10, ("tow", "fly"): 10}
    assert kept_counts(counts, 0.34) == counts


def test_the_most_frequent_pairs_of_an_action_give_way() -> None:
    counts = {("fly", "wait"): 60, ("rail", "wait"): 40, ("fly", "tow"): 30, ("rail", "tow"): 30}
    kept = kept_counts(counts, 0.5)
    assert (kept["fly", "tow"], kept["rail", "tow"]) == (30, 30)
    assert (kept["fly", "wait"], kept["rail", "wait"]) == (30, 30)


def test_a_cap_of_one_and_no_pairs_change_nothing() -> None:
    assert kept_counts({("fly", "wait"): 9}, 0.1) == {("fly", "wait"): 9}
    assert kept_counts({}, 0.1) == {}
    assert kept_counts({("fly", "wait"): 9, ("fly", "tow"): 1}, 1.0) == {("fly", "wait"): 9, ("fly", "tow"): 1}


def test_pairs_beyond_the_cap_are_found_in_each_split_by_itself() -> None:
    pairs = [("train", "fly", "wait")] * 8 + [("train", "rail", "tow")] * 2 + [("test", "fly", "wait")] * 3
    rows = [
        {"id": f"choice/{number}", "split": split}
        | {
            "facts": {"option": {"chosen": {"action": better}}},
            "unprinted": {"option": {"rejected": {"action": worse}}},
        }
        for number, (split, better, worse) in enumerate(pairs)
    ]
    with open_engine() as engine:
        records = engine.materialize(pa.Table.from_pylist(rows))
        over = engine.fetch_rows(find_over_cap(engine, records, 0.5))
        again = engine.fetch_rows(find_over_cap(engine, records, 0.5))
    dropped = {row["id"] for row in over}
    assert dropped == {row["id"] for row in again}
    assert len(dropped) == 6
    assert dropped < {f"choice/{number}" for number in range(8)}
    assert {row["dropped"] for row in over} == {"over the cap of its action"}
