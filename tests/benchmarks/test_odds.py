"""The truth of the generated worlds: what is written down is what outcomes are drawn from, and desks choose by."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import ROOT

WORLDS = ("steady", "changing")


@pytest.fixture(scope="module")
def odds() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from generator import odds

        yield odds


@pytest.fixture(scope="module", params=WORLDS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """A world whose steps, delays and true odds are tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        from benchmarks.reference import products

        folder = products(20_000, tmp_path_factory.mktemp("worlds"), request.param)
    db = duckdb.connect()
    db.execute(f"CREATE VIEW delays AS FROM '{folder}/shipment_delays.parquet'")
    db.execute(f"CREATE VIEW truth AS FROM '{folder}/truth.parquet'")
    db.execute(f"CREATE VIEW odds AS FROM '{folder}/truth.odds.parquet'")
    return db


@given(
    world=st.sampled_from(WORLDS),
    waterway=st.integers(0, 5),
    cargo=st.integers(0, 4),
    cause=st.integers(0, 10),
    scale=st.integers(0, 13),
    hours=st.integers(1, 500),
    day=st.datetimes(datetime(2021, 1, 1), datetime(2024, 12, 31)),
)
def test_odds_are_the_sum_of_their_parts(
    odds: ModuleType, world: str, waterway: int, cargo: int, cause: int, scale: int, hours: int, day: datetime
) -> None:
    chosen, facts = odds.WORLDS[world], odds.world
    at = int(day.replace(tzinfo=UTC).timestamp()) // 60
    names = ("waterway", "cause", "detected_at", "expected_hours")
    delay = {name: np.array([value]) for name, value in zip(names, (waterway, cause, at, hours), strict=True)}
    (found,) = odds.percent_worked(chosen, delay, np.array([cargo]), np.array([scale])).tolist()
    for column, action in enumerate(facts.ACTIONS):
        base = facts.PERCENT_WORKED[facts.WATERWAYS[waterway]][column]
        parts = [base, facts.PERCENT_FOR_CARGO[facts.CARGO[cargo]][column] * chosen.cargo // 10]
        parts.append(chosen.for_cause[cause][column] * scale // 10)
        for drift in chosen.drifts:
            if (drift.waterway, drift.action) == (facts.WATERWAYS[waterway], action):
                first, last = (
                    int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 60
                    for text in (drift.first_day, drift.last_day)
                )
                parts.append(drift.points * min(max(at - first, 0), last - first) // (last - first))
        parts.append(next((points for least, points in reversed(chosen.for_hours) if hours >= least), 0))
        assert found[column] == (0 if base == 0 else min(chosen.most, max(chosen.least, sum(parts))))


def test_outcomes_happen_as_often_as_the_truth_says(drawn: duckdb.DuckDBPyConnection) -> None:
    # What would have arrived after the day of the export is not there, more often where it went badly.
    rows = drawn.execute("""
        SELECT rate, count(*), sum((expected_delay_hours - final_delay_hours >= 24)::INTEGER)
        FROM delays JOIN truth USING (delay_id) JOIN odds ON case_id = delay_id AND action = action_taken
        WHERE final_delay_hours IS NOT NULL AND detected_at < TIMESTAMP '2024-10-01' GROUP BY rate
    """).fetchall()
    assert len(rows) > 10
    chi_square = sum((worked - n * rate) ** 2 / (n * rate * (1 - rate)) for rate, n, worked in rows)
    # Far beyond chance: the expectation is one for each rate, the deviation the root of twice as many.
    assert chi_square < len(rows) + 6 * (2 * len(rows)) ** 0.5


def test_the_truth_is_one_world(drawn: duckdb.DuckDBPyConnection) -> None:
    ((cases, wrong),) = drawn.execute("""
        SELECT count(*), count(*) FILTER (
            WHERE round(100 * best) <> percent_best OR round(100 * taken) <> percent_taken AND action_taken IS NOT NULL
            OR abs(named - best) > 1e-9
        ) FROM truth JOIN (
            SELECT case_id AS delay_id, max(rate) AS best,
                max(rate) FILTER (WHERE action = action_taken) AS taken,
                max(rate) FILTER (WHERE action = best_action) AS named
            FROM odds JOIN truth ON delay_id = case_id GROUP BY case_id
        ) USING (delay_id)
    """).fetchall()
    assert (cases, wrong) == (20_000, 0)


def test_a_changing_world_is_more_than_a_table_of_waterways_and_cargo(odds: ModuleType) -> None:
    """Cause, severity, time and the hours that are expected move the odds; the desk lags and is used to some steps."""
    chosen, steady = odds.WORLDS["changing"], odds.WORLDS["steady"]
    day = 27_900_000  # minutes: in January 2023
    delay = {"waterway": np.array([1]), "cause": np.array([0]), "detected_at": np.array([day])}
    delay["expected_hours"] = np.array([72])
    cargo, scale = np.array([1]), np.array([10])

    def percent(world: object, **other: int) -> list[int]:
        met = delay | {name: np.array([value]) for name, value in other.items()}
        found: list[int] = odds.percent_worked(world, met, cargo, scale)[0].tolist()
        return found

    others = ({"cause": 5}, {"detected_at": day - 365 * 24 * 60}, {"expected_hours": 300})
    assert all(percent(chosen, **other) != percent(chosen) for other in others)
    assert all(percent(steady, **other) == percent(steady) for other in others)
    assert odds.percent_worked(chosen, delay, cargo, np.array([4]))[0].tolist() != percent(chosen)
    weights = odds.desk_weights(chosen, delay, cargo, scale)[0]
    believed = np.array(percent(chosen, detected_at=day - chosen.looks_back))
    assert weights.tolist() == (np.array(chosen.habits["panama"]) * (40 + believed)).tolist()
