"""The texts of the reference narrative, told by hand in SQL and by Jinja2 over pandas, are an oracle of the compiler.

The products are bent, so that texts meet what the generated data does not have: no parent, bounds, ties, odd numbers.
"""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.paths import ROOT

DELAYS = 1500

MACROS = """
    CREATE MACRO pick(key, choices) AS choices[(hash(key) % len(choices))::BIGINT + 1];
    CREATE MACRO bent(key, value, choices) AS coalesce(choices[(hash(key) % (3 * len(choices)))::BIGINT + 1], value)
"""
BENT = {
    "shipment_delays": """* REPLACE (
        date_trunc('day', detected_at) AS detected_at,
        bent(delay_id, location, ['XXXXX']) AS location,
        bent(delay_id, expected_delay_hours, [0, 0.01, 23.99, 24, 1000.25])::DECIMAL(8, 2) AS expected_delay_hours,
        if(arrived_at IS NULL, NULL, bent(delay_id, final_delay_hours, [expected_delay_hours, 0, -3.5, 49.02]))
            ::DECIMAL(8, 2) AS final_delay_hours
    )""",
    "resolutions": """* REPLACE (
        date_trunc('day', decided_at) AS decided_at,
        pick(resolution_id, [cost_usd, NULL, 0, 0.05, 1234567.89])::DECIMAL(12, 2) AS cost_usd
    )""",
    "disruptions": """* REPLACE (
        date_trunc('day', started_at) AS started_at,
        date_trunc('day', ended_at) AS ended_at,
        pick(disruption_id, [title, title || ' {% "ü" %}']) AS title
    )""",
    "shipments": """* REPLACE (
        booked_at + pick(shipment_id, [INTERVAL 0 DAY, INTERVAL 0 DAY, INTERVAL 90 DAY]) AS booked_at,
        pick(shipment_id, [container_count, 1, 1000, 20]) AS container_count
    )""",
}
KEPT = {"shipments": "hash(shipment_id) % 11 > 0"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.reference import products

    folder = products(DELAYS, tmp_path)
    with duckdb.connect() as db:
        db.execute(MACROS)
        for product, columns in BENT.items():
            path, kept = folder / f"{product}.parquet", KEPT.get(product, "true")
            db.execute(f"CREATE TABLE {product} AS SELECT {columns} FROM '{path}' WHERE {kept}")
            db.execute(f"COPY {product} TO '{path}' (FORMAT parquet)")
    return tmp_path


def test_storymesh_prints_what_sql_and_jinja_print(cache: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.stories", "--delays", str(DELAYS), "--cache", str(cache)]
    command += ["--programs", "sql", "pandas", "--results", str(cache / "results.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = {run["program"]: run for run in json.loads((cache / "results.json").read_text(encoding="utf-8"))}
    assert set(runs) == {"storymesh", "sql", "pandas"}
    assert all(run["records"] == runs["storymesh"]["records"] for run in runs.values())
    assert min(runs["storymesh"]["records"].values()) > DELAYS / 20


def test_other_words_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.stories.compare import compare

    told = {"ours": "('r/1', 'a'), ('r/2', 'b'), ('r/3', 'c')", "theirs": "('r/1', 'a'), ('r/2', 'B'), ('r/4', 'd')"}
    for name, rows in told.items():
        (tmp_path / name).mkdir()
        duckdb.sql(f"COPY (FROM (VALUES {rows}) AS t(id, text)) TO '{tmp_path / name / 'report.parquet'}'")
    found = compare(tmp_path / "ours", tmp_path / "theirs", "report")
    assert [(item.column, item.rows) for item in found] == [("id", 2), ("text", 1)]
    assert "storymesh: b" in str(found[1])
