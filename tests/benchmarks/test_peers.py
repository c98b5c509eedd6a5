"""SQL and pandas by hand are oracles of cases and precedents: all three say the same, also at bounds and ties."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import duckdb
import pytest

from tests.support.paths import ROOT

DELAYS = 900

BENT = {
    "shipment_delays": {
        "detected_at": "date_trunc('day', detected_at)",
        "arrived_at": "date_trunc('day', arrived_at)",
    },
    "resolutions": {
        "decided_at": "date_trunc('day', decided_at) + INTERVAL 1 DAY * ((hash(resolution_id) % 13)::INTEGER - 4)",
        "settled_at": "if(hash(resolution_id) % 3 = 0, TIMESTAMP '2020-01-01', settled_at)",
    },
    "disruptions": {
        "started_at": "date_trunc('day', started_at)",
        "ended_at": "date_trunc('day', ended_at)",
        "cited_at": "if(hash(disruption_id) % 2 = 0, started_at, cited_at)",
    },
    "shipments": {"booked_at": "booked_at + INTERVAL 90 DAY * (hash(shipment_id) % 7 = 0)::INTEGER"},
}
"""Whole days, so that moments tie and meet bounds; steps before the delay, costs known early, shipments booked late."""


@dataclass(frozen=True)
class Bench:
    """The bent products, a folder for each contender's files, and the module that compares them."""

    products: Path
    out: Path
    compare: ModuleType

    def differences(self, peer: Path) -> dict[str, str]:
        found: dict[str, str] = self.compare.differences(self.products, self.out / "storymesh", peer)
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    out = tmp_path_factory.mktemp("peers")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        for name, value in (("PSEUDONYM_KEY", "a secret key"), ("MEMORY", "1GB"), ("THREADS", "2")):
            patch.setenv(f"STORYMESH_{name}", value)
        from benchmarks.cases import compare, contender
        from benchmarks.reference import products

        bent = out / "products"
        shutil.copytree(products(DELAYS, out), bent)
        for product, changes in BENT.items():
            path, staged = bent / f"{product}.parquet", bent / "staged"
            replaced = ", ".join(f"{value} AS {name}" for name, value in changes.items())
            duckdb.sql(f"COPY (SELECT * REPLACE ({replaced}) FROM '{path}') TO '{staged}' (FORMAT parquet)")
            staged.replace(path)
        for name in contender.CONTENDERS:
            (out / name).mkdir()
            contender.main(name, bent, out / name)
        yield Bench(bent, out, compare)


@pytest.mark.parametrize("peer", ["sql", "pandas"])
def test_a_peer_says_the_same(bench: Bench, peer: str) -> None:
    assert bench.differences(bench.out / peer) == {}


def test_the_mesh_has_what_can_go_wrong(bench: Bench) -> None:
    """Else the peers would agree on nothing: each of these occurs, so that each is compared."""
    sql = bench.out / "sql"
    wanted = {
        "cases": (
            *("dropped IS NOT NULL", "status = 'open'", "status = 'unjudged'", "known > closes"),
            *("question.last_step IS NOT NULL", "question.last_step.cost_usd IS NOT NULL"),
            *("len(resolution) > 1", "len(disruption) > 1", "cases.match.cargo_type IS NULL"),
            *("disruption[1].started_at = cases.at + INTERVAL 2 DAY", "resolution[-1].decided_at = cases.at"),
        ),
        "splits": ("dropped = 'straddles'", "dropped = 'embargo'", "split = 'test'"),
        "precedents": (
            *("NOT precedents.enough", "precedents.level = 1", "precedents.level = 2", "precedents.best IS NULL"),
            *("precedents.best.action <> precedents.worst.action", "len(precedents.options[1].quoted) = 3"),
            "precedents.options[1].quoted[1].closes = precedents.options[1].quoted[2].closes",
        ),
    }
    for file, conditions in wanted.items():
        counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions)
        met = duckdb.sql(f"SELECT {counts} FROM '{sql / file}.parquet' AS {file}").fetchall()[0]
        assert [condition for condition, count in zip(conditions, met, strict=True) if not count] == []


@pytest.mark.parametrize(
    ("file", "replaced", "differs"),
    [
        ("cases", "if(rank = 1, list_reverse(resolution), resolution) AS resolution", "told_resolution"),
        ("cases", "if(rank = 1, 'x', status) AS status", "status"),
        ("splits", "if(rank = 1, 'x', split) AS split", "split"),
        (
            "precedents",
            "if(rank = 1, struct_update(precedents, best := precedents.worst), precedents) AS precedents",
            "best",
        ),
    ],
)
def test_one_row_that_is_different_is_told(
    bench: Bench, tmp_path: Path, file: str, replaced: str, differs: str
) -> None:
    shutil.copytree(bench.out / "sql", tmp_path, dirs_exist_ok=True)
    first = {
        "cases": "len(resolution) > 1",
        "splits": "split = 'train'",
        "precedents": "precedents.best.action <> precedents.worst.action",
    }[file]
    source = bench.out / "sql" / f"{file}.parquet"
    duckdb.sql(f"""
        COPY (
            SELECT * EXCLUDE (rank) REPLACE ({replaced})
            FROM (SELECT *, row_number() OVER (ORDER BY NOT coalesce({first}, false), case_id) AS rank FROM '{source}')
        ) TO '{tmp_path / f"{file}.parquet"}'
    """)
    found = bench.differences(tmp_path)
    assert found.keys() >= {f"{file}.{differs}"}
    assert found[f"{file}.{differs}"].startswith("1 rows")
