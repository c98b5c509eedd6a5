"""What the benchmark says of links and advice, reckoned again row by row from the generator's own truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.support.paths import ROOT

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    products: Path
    links: Rows
    advice: Rows
    truth: ModuleType

    def rows(self, name: str) -> Rows:
        found: Rows = pq.read_table(self.products / f"{name}.parquet").to_pylist()
        return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a secret key")
        from benchmarks import truth
        from benchmarks.reference import products

        folder = products(700, tmp_path_factory.mktemp("truth"))
        found = truth.measured(folder)
        yield Measured(folder, found["links"], found["advice"], truth)


def test_links_are_judged_pair_by_pair(measured: Measured) -> None:
    caused = {row["delay_id"]: row["disruption_id"] for row in measured.rows("truth")}
    slack = timedelta(days=2)
    linked = [
        (delay["delay_id"], disruption["disruption_id"])
        for delay in measured.rows("shipment_delays")
        for disruption in measured.rows("disruptions")
        if disruption["waterway"] == delay["waterway"]
        and disruption["started_at"] - slack <= delay["detected_at"]
        and (disruption["ended_at"] is None or delay["detected_at"] <= disruption["ended_at"] + slack)
    ]
    right = [pair for pair in linked if caused[pair[0]] == pair[1]]
    of_caused = [pair for pair in linked if caused[pair[0]] is not None]
    published = {row["delay_id"] for row in measured.rows("shipment_delays")}
    true = [delay for delay, disruption in caused.items() if disruption is not None and delay in published]

    found = next(row for row in measured.links if row["role"] == "disruption" and "hindsight" in row["link"])
    assert (found["linked"], found["true"]) == (len(linked), len(true))
    assert found["precision"] == pytest.approx(len(right) / len(linked))
    assert found["precision of those with a true row"] == pytest.approx(len(right) / len(of_caused))
    assert found["recall"] == pytest.approx(len(right) / len(true))
    assert len(right) < len(of_caused) < len(linked)


def test_precedents_beat_the_desk_and_chance(measured: Measured) -> None:
    row = next(row for row in measured.advice if row["split"] == "all")
    assert row["precedents_hours"] < min(row["desk_hours"], row["chance_hours"], row["frequent_hours"])
    assert row["precedents_best"] > max(row["desk_best"], row["chance_best"], row["frequent_best"])


def test_advice_is_judged_case_by_case(measured: Measured) -> None:
    """Three cases where FAR works in 80, NEAR in 50 of 100, and where working is worth 40 hours."""
    with duckdb.connect() as db:
        db.execute("""
            CREATE VIEW odds AS FROM (VALUES ('1'), ('2'), ('3')) AS cases (case_id) CROSS JOIN
                (VALUES ('FAR', 80), ('NEAR', 50), ('NEVER', 0)) AS odds (action, percent_worked);
            CREATE VIEW truth AS SELECT 80 AS percent_best,
                50.0 AS hours_if_worked, 10.0 AS hours_if_failed, *
                FROM (VALUES ('1', NULL), ('2', 'FAR'), ('3', 'NEAR')) AS cases (delay_id, action_taken);
            CREATE VIEW favoured AS FROM (VALUES
                ('1', 'test', true, 10, 'FAR'), ('2', 'train', true, 20, 'NEAR'), ('3', 'train', true, 6, NULL)
            ) AS cases (case_id, split, enough, tried, action);
            CREATE VIEW seen AS FROM (VALUES ('FAR'), ('NEAR'), ('NEAR'), (NULL)) AS cases (judged);
        """)
        of_all, of_test = measured.truth.advice(db)
    assert (of_all["asking"], of_all["enough"], of_all["advised"]) == (3, 1, pytest.approx(2 / 3))
    hours = {name: of_all[f"{name}_hours"] for name in ("precedents", "frequent", "desk", "chance")}
    assert hours == pytest.approx({"precedents": 6, "frequent": 12, "desk": 0, "chance": 6})
    best = {name: of_all[f"{name}_best"] for name in hours}
    assert best == pytest.approx({"precedents": 0.5, "frequent": 0, "desk": 1, "chance": 0.5})
    assert (of_test["asking"], of_test["precedents_hours"], of_test["desk_hours"]) == (1, 0, None)
