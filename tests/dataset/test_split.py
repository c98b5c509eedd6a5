"""Splits by time: the same as by brute force over pairs of cases, and exact at their boundaries."""

import os
from datetime import date, datetime, timedelta
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.dataset.split import assign_splits
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.narrative.split_definition import Split

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SCHEMA = pa.schema(
    [
        ("case_id", pa.string()),
        ("at", pa.timestamp("us")),
        ("closes", pa.timestamp("us")),
        ("together", pa.list_(pa.string())),
    ]
)
Case = tuple[str, datetime, datetime | None, list[str | None] | None]
Verdict = tuple[str | None, str | None, str]


@cache
def engine() -> Engine:
    return open_engine()


def assigned(cases: list[Case], split: Split | None) -> dict[str, Verdict]:
    rows = [dict(zip(SCHEMA.names, case, strict=True)) for case in cases]
    read = engine().materialize(pa.Table.from_pylist(rows, SCHEMA))
    table = engine().fetch_table(assign_splits(engine(), read, split))
    assert table.column_names == ["case_id", "split", "dropped", "component", "period"]
    verdicts = {row["case_id"]: (row["split"], row["dropped"], row["component"]) for row in table.to_pylist()}
    assert len(verdicts) == len(table) == len(cases)
    for row in table.to_pylist():
        assert row["period"] == period_of(row["case_id"], cases, split)
    return verdicts


def period_of(name: str, cases: list[Case], split: Split | None) -> str:
    """A case lies in the period of its own moment, whether or not it is kept."""
    asked = next(case[1] for case in cases if case[0] == name)
    cuts = [moment(str(day)) for day in (split.validation, split.test)] if split is not None else []
    return ("train", "validation", "test")[sum(asked >= cut for cut in cuts)]


def brute_force(cases: list[Case], split: Split) -> dict[str, Verdict]:
    component = {case[0]: {case[0]} for case in cases}
    for first in cases:
        for second in cases:
            if {v for v in first[3] or [] if v is not None} & {v for v in second[3] or [] if v is not None}:
                whole = component[first[0]] | component[second[0]]
                for case in whole:
                    component[case] = whole
    cuts = [datetime(day.year, day.month, day.day) for day in (split.validation, split.test)]
    at = {case[0]: case[1] for case in cases}
    verdicts: dict[str, Verdict] = {}
    for name, asked, closes, _ in cases:
        crossed = [cut for cut in cuts if len({at[other] < cut for other in component[name]}) == 2]
        following = [cut for cut in cuts if asked < cut]
        later = ("test", "validation", "train")[len(following)] if cuts[0] != cuts[1] or not following else "train"
        dropped = None
        if crossed and asked < max(crossed):
            dropped = "straddles"
        elif following and (closes is None or closes > min(following) - split.embargo):
            dropped = "embargo"
        verdicts[name] = (None if dropped else later, dropped, min(component[name]))
    return verdicts


days = st.integers(0, 12).map(lambda day: date(2024, 1, 1) + timedelta(days=day))
moments = st.integers(0, 12 * 4).map(lambda quarter: datetime(2024, 1, 1) + timedelta(hours=6 * quarter))
values = st.sampled_from([None, *"abcdefgh"])


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Case], Split]:
    least, most = draw(st.sampled_from([(0, 1), (0, 3), (1, 2), (2, 2)]))
    names = draw(st.permutations([f"c{number:02d}" for number in range(14)]))[: draw(st.integers(0, 14))]
    cases: list[Case] = [
        (
            name,
            draw(moments),
            draw(st.one_of(st.none(), moments)),
            draw(st.one_of(*[st.none()] * (not least), st.lists(values, min_size=least, max_size=most))),
        )
        for name in names
    ]
    first, second = sorted([draw(days), draw(days)])
    embargo = timedelta(hours=draw(st.sampled_from([0, 6, 24, 60])))
    return cases, Split(validation=first, test=second, embargo=embargo, together=("role.key",))


@pytest.mark.slow
@settings(max_examples=2_000 if DEEP else 20, deadline=None)
@given(problems())
def test_splits_are_those_of_brute_force(problem: tuple[list[Case], Split]) -> None:
    cases, split = problem
    assert assigned(cases, split) == brute_force(cases, split)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


SPLIT = Split(validation=date(2024, 1, 1), test=date(2024, 7, 1), embargo=timedelta(days=14))


@pytest.mark.parametrize(
    ("at", "closes", "expected"),
    [
        ("2023-12-01", "2023-12-18", "train"),
        ("2023-12-01", "2023-12-18T00:00:00.000001", "embargo"),
        ("2023-12-01", None, "embargo"),
        ("2023-12-31T23:59:59.999999", "2023-12-01", "train"),
        ("2024-01-01", "2024-02-01", "validation"),
        ("2024-01-01", "2024-06-17", "validation"),
        ("2024-01-01", "2024-06-17T00:00:01", "embargo"),
        ("2024-06-30T23:59:59.999999", None, "embargo"),
        ("2024-07-01", None, "test"),
        ("2031-01-01", "2031-02-01", "test"),
    ],
)
def test_a_boundary_is_the_midnight_at_which_the_later_split_begins(at: str, closes: str | None, expected: str) -> None:
    split, dropped, _ = assigned([("a", moment(at), moment(closes) if closes else None, None)], SPLIT)["a"]
    assert expected in (split, dropped)


def test_straddling_comes_before_the_embargo() -> None:
    cases: list[Case] = [
        ("a", moment("2023-06-01"), None, ["s"]),
        ("b", moment("2024-02-01"), moment("2024-02-02"), ["s"]),
    ]
    assert assigned(cases, SPLIT) == {"a": (None, "straddles", "a"), "b": ("validation", None, "a")}


def test_without_a_split_every_case_is_train_in_a_component_of_its_own() -> None:
    cases: list[Case] = [("a", moment("2023-06-01"), None, ["s"]), ("b", moment("2024-02-01"), None, ["s"])]
    assert assigned(cases, None) == {"a": ("train", None, "a"), "b": ("train", None, "b")}


def test_a_narrative_whose_cases_never_close_has_no_embargo_on_open_cases() -> None:
    rows = pa.table({"case_id": ["a", "b"], "at": [moment("2023-06-01"), moment("2023-12-25")]})
    splits = engine().fetch_rows(assign_splits(engine(), engine().materialize(rows), SPLIT).order_by("case_id"))
    assert [row["split"] or row["dropped"] for row in splits] == ["train", "embargo"]


def test_a_long_chain_of_cases_is_one_component() -> None:
    count = 4_000
    # Shuffled names, so that neighbours in the chain are far apart in the order of ids.
    names = [f"{number * 7919 % count:05d}" for number in range(count)]
    cases: list[Case] = [
        (name, moment("2023-01-01"), moment("2023-01-02"), [f"v{number}", f"v{number + 1}"])
        for number, name in enumerate(names)
    ]
    assert {component for _, _, component in assigned(cases, SPLIT).values()} == {"00000"}
